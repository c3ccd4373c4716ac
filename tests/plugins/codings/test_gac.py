from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from spikefront.plugins import Kind, Operations, Signal, SiteInfo, fold, load_registry
from spikefront.plugins.bases.attention import REGULARISERS
from spikefront.plugins.codings.gac import GAC, GACConfig, GatedAttention, SameConv2d
from spikefront.runners.judging.counting import count_operations
from spikefront.runners.judging.network import Network, assemble
from spikefront.searchspace import Choice, UsageError, from_flat

KERNELS = (1, 2, 3, 4, 5, 7)


def gate(steps: int, channels: int, size: tuple[int, int] = (6, 5), **config: Any) -> GatedAttention:
    site = SiteInfo(0, stage=0, channels=channels, size=size, last_of_stage=False)
    module = GAC(GACConfig(**config), steps=steps).between(site)
    assert isinstance(module, GatedAttention)
    return module


def signals(steps: int, *shape: int, constant: bool, dtype: torch.dtype = torch.float32) -> tuple[Signal, Signal]:
    """Return spikes and a current of this shape."""
    spikes = torch.randint(0, 2, (steps, *shape)).to(dtype)
    current = torch.randn(1 if constant else steps, *shape, dtype=dtype)
    return Signal(spikes, steps, Kind.BINARY), Signal(current, steps, Kind.ANALOG)


def run(module: GatedAttention, spikes: Signal, current: Signal) -> Signal:
    out: Signal = module(spikes, current)
    return out


class Tally:
    """Scalar arithmetic that counts what it does."""

    def __init__(self) -> None:
        self.adds = self.multiplies = 0

    def add(self, a: float, b: float) -> float:
        self.adds += 1
        return a + b

    def multiply(self, a: float, b: float) -> float:
        self.multiplies += 1
        return a * b

    def larger(self, a: float, b: float) -> float:
        self.adds += 1  # a comparison
        return max(a, b)

    def sigmoid(self, x: float) -> float:
        self.add(self.multiply(0, 0), 0)  # one line segment, on hardware
        return 1 / (1 + math.exp(-x))

    def pool(self, values: list[float]) -> tuple[float, float]:
        total, largest = 0.0, -math.inf
        for value in values:
            total, largest = self.add(total, value), self.larger(largest, value)
        return self.multiply(total, 1 / len(values)), largest

    def linear(self, rows: list[list[float]], x: list[float]) -> list[float]:
        out = [0.0] * len(rows)
        for o, row in enumerate(rows):
            for weight, value in zip(row, x, strict=True):
                out[o] = self.add(out[o], self.multiply(weight, value))
        return out


def conv(x: Tensor, weight: Tensor) -> tuple[Tensor, int, int]:
    """Convolve ``(C, H, W)`` tap by tap; also return the taps with something to multiply, and those on padding."""
    outputs, channels, kernel, _ = weight.shape
    (height, width), front = x.shape[1:], (kernel - 1) // 2
    out, taps, padded = torch.zeros(outputs, height, width, dtype=x.dtype), 0, 0
    for h in range(height):
        for w in range(width):
            for i in range(kernel):
                for j in range(kernel):
                    row, column = h + i - front, w + j - front
                    if 0 <= row < height and 0 <= column < width:
                        out[:, h, w] += weight[:, :, i, j] @ x[:, row, column]
                        taps += outputs * int(torch.count_nonzero(x[:, row, column]))
                    else:
                        padded += outputs * channels
    return out, taps, padded


def reference(module: GatedAttention, spikes: Signal, current: Signal) -> tuple[Tensor, Tally]:
    """Follow the equations one scalar at a time; the tally leaves out the convolutions."""
    tally, out = Tally(), torch.zeros_like(spikes.values)
    m1, m2 = module.temporal.squeeze.weight.tolist(), module.temporal.excite.weight.tolist()
    if len(current.values) == 1:
        m1 = [[sum(row)] for row in m1]  # M1 times a constant vector
    for b in range(spikes.values.shape[1]):
        maps = [current.values[t, b] for t in range(len(current.values))]
        poolings = zip(*(tally.pool(m.flatten().tolist()) for m in maps), strict=True)
        mean, largest = ([tally.larger(x, 0.0) for x in tally.linear(m1, list(pooled))] for pooled in poolings)
        a_t = tally.linear(m2, [tally.add(a, c) for a, c in zip(mean, largest, strict=True)])
        a_sc = []
        for m in maps:
            inner = conv(m, module.squeeze.weight.weight)[0]
            tally.adds += inner.numel()  # comparisons of the rectifier
            a_sc.append(conv(inner.relu(), module.excite.weight.weight)[0])
        for t, c, h, w in spikes.values[:, b].nonzero().tolist():
            spatial = float(a_sc[t if len(maps) > 1 else 0][c, h, w])
            g = tally.sigmoid(tally.multiply(a_t[t], spatial))
            out[t, b, c, h, w] = tally.multiply(g, float(spikes.values[t, b, c, h, w]))
    return out, tally


@pytest.mark.parametrize(
    ("steps", "channels", "kernel", "time_ratio", "channel_ratio"),
    [(6, 64, 4, 2, 1), (4, 64, 4, 2, 1), (5, 12, 3, 2, 4), (2, 5, 7, 1, 8)],
)
def test_number_of_parameters(steps: int, channels: int, kernel: int, time_ratio: int, channel_ratio: int) -> None:
    config = {"kernel_size": kernel, "time_ratio": time_ratio, "channel_ratio": channel_ratio}
    count = sum(p.numel() for p in gate(steps, channels, (32, 32), **config).parameters())
    hidden = max(1, channels // channel_ratio)
    assert count == 2 * steps * (steps // time_ratio) + 2 * channels * hidden * kernel**2
    assert (steps, channels) != (6, 64) or count == 131_108  # the released CIFAR model


@pytest.mark.parametrize("constant", [False, True])
@pytest.mark.parametrize(
    "config",
    [{}, {"kernel_size": 3, "time_ratio": 4}, {"kernel_size": 2, "channel_ratio": 2}, {"kernel_size": 7}],
    ids=str,
)
def test_follows_the_equations_one_scalar_at_a_time_and_costs_what_they_do(
    config: dict[str, Any], constant: bool
) -> None:
    module = gate(4, 3, **config).double()
    spikes, current = signals(4, 2, 3, 6, 5, constant=constant, dtype=torch.float64)
    with torch.no_grad():
        expected, tally = reference(module, spikes, current)
    torch.testing.assert_close(run(module, spikes, current).values, expected)
    assert module.operations(spikes, current) == Operations(tally.adds, tally.multiplies)


@pytest.mark.parametrize("constant", [False, True])
def test_gate_scales_spikes_and_nothing_else(constant: bool) -> None:
    spikes, current = signals(4, 3, 8, 6, 5, constant=constant)
    out = run(gate(4, 8), spikes, current)
    assert (out.values.shape, out.steps, out.kind) == (spikes.values.shape, 4, Kind.ANALOG)
    assert (out.values[spikes.values == 0] == 0).all()
    fired = out.values[spikes.values == 1]
    assert ((fired > 0) & (fired < 1)).all()


def test_without_weights_the_gate_is_one_half() -> None:
    module = gate(4, 3)
    for parameter in module.parameters():
        nn.init.zeros_(parameter)
    spikes, current = signals(4, 2, 3, 6, 5, constant=True)
    assert torch.equal(run(module, spikes, current).values, spikes.values / 2)


def test_ternary_spikes_and_coefficients_pass() -> None:
    spikes, current = signals(4, 2, 3, 6, 5, constant=True)
    module, coefficient = gate(4, 3), torch.rand(4)
    signed = Signal(-spikes.values, 4, Kind.TERNARY, coefficient, delay=2)
    out = run(module, signed, current)
    assert (out.coefficient is coefficient, out.delay) == (True, 2)
    torch.testing.assert_close(out.values, -run(module, spikes, current).values)


@pytest.mark.parametrize("kernel", KERNELS)
def test_constant_current_is_the_repeated_one(kernel: int) -> None:
    module = gate(4, 3, kernel_size=kernel)
    spikes, current = signals(4, 2, 3, 6, 5, constant=True)
    repeated = current.with_values(current.values.expand(4, -1, -1, -1, -1))
    once, every_step = run(module, spikes, current), run(module, spikes, repeated)
    torch.testing.assert_close(once.values, every_step.values)
    assert (once.delay, every_step.delay) == (0, 3)  # what changes is pooled over the whole window first


@given(seed=st.integers(0, 10_000), steps=st.integers(2, 8), ratio=st.sampled_from([1, 2]))
def test_static_image_has_spatial_attention_without_time_and_temporal_attention_of_two_profiles(
    seed: int, steps: int, ratio: int
) -> None:
    torch.manual_seed(seed)
    module = gate(steps, 2, (4, 4), time_ratio=ratio).double()
    offset = 2 * torch.randn(9, 1, 1, 1, dtype=torch.float64)  # means and maxima of either sign
    image = (torch.randn(1, 9, 2, 4, 4, dtype=torch.float64) + offset).expand(steps, -1, -1, -1, -1)
    maps = Signal(image, steps, Kind.ANALOG)
    hidden = module.squeeze(maps)
    spatial = module.excite(hidden.with_values(hidden.values.relu())).values
    torch.testing.assert_close(spatial.var(0), torch.zeros_like(spatial[0]), rtol=0, atol=1e-20)
    assert rank(module.temporal(image)) <= 2
    positive = image.mean((2, 3, 4))[0] > 0  # then the maximum is, too
    assert rank(module.temporal(image[:, positive])) <= 1


def rank(matrix: Tensor) -> int:
    """Return the rank up to rounding, on the scale of the weights and inputs of these tests."""
    return int((torch.linalg.svdvals(matrix) > 1e-12).sum())


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@pytest.mark.parametrize("kernel", KERNELS)
def test_padding_is_that_of_torch(kernel: int) -> None:
    ours, theirs = SameConv2d(3, 4, kernel), nn.Conv2d(3, 4, kernel, padding="same", bias=False)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, 3, 6, 5)
    torch.testing.assert_close(ours(x), theirs(x))


@pytest.mark.parametrize("kernel", KERNELS)
def test_even_kernels_look_one_pixel_further_behind_than_ahead(kernel: int) -> None:
    conv = SameConv2d(1, 1, kernel)
    nn.init.ones_(conv.weight)
    x = torch.zeros(1, 1, 15, 15)
    x[0, 0, 7, 7] = 1
    front = (kernel - 1) // 2
    # output o sees o - front ... o + (k - 1 - front), so the pixel reaches o = 7 - (k - 1 - front) ... 7 + front
    assert conv(x)[0, 0, 7].nonzero().flatten().tolist() == list(range(7 - (kernel - 1 - front), 7 + front + 1))


def test_fully_connected_neurons_are_maps_of_one_pixel() -> None:
    module = gate(4, 8, (1, 1), kernel_size=7)
    assert isinstance(module.squeeze.weight, nn.Conv2d)
    assert module.squeeze.weight.kernel_size == (1, 1)
    spikes, current = signals(4, 3, 8, constant=True)
    maps = [signal.with_values(signal.values[..., None, None]) for signal in (spikes, current)]
    out = run(module, spikes, current).values
    torch.testing.assert_close(out, run(module, maps[0], maps[1]).values[..., 0, 0])
    assert module.operations(spikes, current) == module.operations(maps[0], maps[1])


@pytest.mark.parametrize("constant", [False, True])
def test_layout_stays(constant: bool) -> None:
    spikes, current = (
        signal.with_values(fold(signal.values, lambda x: x.contiguous(memory_format=torch.channels_last)))
        for signal in signals(4, 3, 8, 6, 5, constant=constant)
    )
    out = run(gate(4, 8), spikes, current).values
    assert out.stride() == spikes.values.stride()  # so the next layer folds time into the batch without a copy


def test_only_the_first_site_is_gated() -> None:
    coding = GAC(steps=4)
    gated = [coding.between(SiteInfo(i, i, 8, (4, 4), True, stages=3)) is not None for i in range(3)]
    assert gated == [True, False, False]


def test_time_ratio_is_at_most_the_number_of_steps() -> None:
    assert GAC.domains(3) == {"time_ratio": Choice((1, 2))}
    assert GAC.domains(4) == {"time_ratio": Choice((1, 2, 4))}
    with pytest.raises(UsageError, match=r"^coding\.gac\.time_ratio: 4 is more than the 2 time steps$"):
        GAC(GACConfig(time_ratio=4), steps=2)


@pytest.mark.parametrize("regulariser", sorted(REGULARISERS))
def test_penalty_is_on_the_mean_gate_of_the_last_training_batch_once(regulariser: str) -> None:
    module = gate(4, 3, regulariser=regulariser, regulariser_weight=0.05)
    spikes, current = signals(4, 2, 3, 6, 5, constant=False)
    everywhere = spikes.with_values(torch.ones_like(spikes.values))
    expected = 0.05 * REGULARISERS[regulariser](run(module.eval(), everywhere, current).values.mean((1, 2, 3, 4)))
    assert module.penalty() == 0
    run(module.train(), *signals(4, 2, 3, 6, 5, constant=False))
    run(module, spikes, current)
    penalty = module.penalty()
    assert isinstance(penalty, Tensor)
    torch.testing.assert_close(penalty, expected)
    penalty.backward()
    assert all(parameter.grad is not None for parameter in module.parameters())
    assert module.penalty() == 0


def small_network(**config: Any) -> tuple[Network, GatedAttention]:
    flat = {"task": "digits", "coding": "gac", "neuron": "lif", "backbone": "convnet", "steps": 4}
    flat |= {"backbone.convnet.width": 4, "backbone.convnet.stages": 1}
    flat |= {f"coding.gac.{name}": value for name, value in config.items()}
    registry = load_registry(third_parties=False)
    network = assemble(from_flat(flat, registry), registry, (1, 8, 8), 10).eval()
    module = network.sites[0].between
    assert isinstance(module, GatedAttention)
    return network, module


@pytest.mark.parametrize("kernel", [3, 4])
def test_network_is_charged_once_for_the_gate_of_a_static_image(kernel: int) -> None:
    network, module = small_network(kernel_size=kernel, channel_ratio=2)
    batch = torch.rand(2, 1, 8, 8)
    entered: list[Tensor] = []
    handles = [
        part.register_forward_pre_hook(lambda _, args: entered.append(args[0].values))
        for part in (module.squeeze, module.excite)
    ]
    with torch.no_grad():
        network(batch)
    for handle in handles:
        handle.remove()
    attention = [layer for layer in count_operations(network, batch).layers if layer.role == "attention"]
    convolutions = [layer for layer in attention if layer.geometry is not None]
    assert [layer.layer.rpartition(".")[2] for layer in convolutions] == ["squeeze", "excite"]
    assert len(attention) == 3  # the gate's other operations
    for layer, values, synapse in zip(convolutions, entered, (module.squeeze, module.excite), strict=True):
        assert values.shape[:2] == (1, 2)
        assert isinstance(synapse.weight, nn.Conv2d)
        taps = sum(conv(sample, synapse.weight.weight.detach())[1] for sample in values[0])
        assert (layer.sops, layer.macs, layer.macs_every_step) == (0, taps, 4 * taps)


@pytest.mark.parametrize("kernel", KERNELS)
def test_published_cost_of_a_convolution_is_ours_with_the_padded_taps(kernel: int) -> None:
    _, taps, padded = conv(torch.ones(3, 6, 5), torch.ones(2, 3, kernel, kernel))
    along = [
        sum(length - abs(m - (kernel - 1) // 2) for m in range(kernel) if abs(m - (kernel - 1) // 2) < length)
        for length in (6, 5)
    ]
    assert taps == 2 * 3 * along[0] * along[1]
    assert taps + padded == 2 * 3 * kernel**2 * 6 * 5
