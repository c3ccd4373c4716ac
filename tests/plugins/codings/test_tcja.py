from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from spikefront.plugins import Kind, Operations, Signal, SiteInfo, fold, load_registry
from spikefront.plugins.bases.attention import REGULARISERS
from spikefront.plugins.codings.tcja import TCJA, JointAttention, TCJAConfig
from spikefront.runners.judging.counting import count_operations
from spikefront.runners.judging.network import assemble
from spikefront.searchspace import Choice, UsageError, from_flat

FUSIONS = ("product", "sum", "time", "channel")


def gate(steps: int, channels: int, **config: Any) -> JointAttention:
    site = SiteInfo(0, stage=0, channels=channels, size=(4, 4), last_of_stage=True)
    module = TCJA(TCJAConfig(**config), steps=steps).between(site)
    assert isinstance(module, JointAttention)
    return module


def spikes_of(*shape: int, kind: Kind = Kind.BINARY) -> Signal:
    low = -1 if kind is Kind.TERNARY else 0
    return Signal(torch.randint(low, 2, shape).float(), shape[0], kind)


def run(module: JointAttention, spikes: Signal) -> Signal:
    out: Signal = module(spikes, spikes.current(spikes.values))
    return out


def zeros(rows: int, columns: int) -> list[list[float]]:
    return [[0.0] * columns for _ in range(rows)]


class Tally:
    """Scalar arithmetic that counts what it does."""

    def __init__(self) -> None:
        self.adds = self.multiplies = self.padded = 0

    def add(self, a: float, b: float) -> float:
        self.adds += 1
        return a + b

    def multiply(self, a: float, b: float) -> float:
        self.multiplies += 1
        return a * b

    def same_conv(self, x: list[list[float]], weight: list[list[list[float]]]) -> list[list[float]]:
        """Convolve channels x length, tap by tap; taps on padding are skipped and counted apart."""
        length, kernel = len(x[0]), len(weight[0][0])
        out = zeros(len(weight), length)
        for o in range(len(weight)):
            for position in range(length):
                for n in range(len(x)):
                    for m in range(kernel):
                        source = position + m - (kernel - 1) // 2
                        if 0 <= source < length:
                            product = self.multiply(weight[o][n][m], x[n][source])
                            out[o][position] = self.add(out[o][position], product)
                        else:
                            self.padded += 1
        return out

    def fuse(self, fusion: str, along_time: float, along_channels: float) -> float:
        if fusion == "product":
            return self.multiply(along_time, along_channels)
        if fusion == "sum":
            return self.add(along_time, along_channels)
        return along_time if fusion == "time" else along_channels

    def sigmoid(self, x: float) -> float:
        self.add(self.multiply(0, 0), 0)  # one line segment, on hardware
        return 1 / (1 + math.exp(-x))


def reference(module: JointAttention, x: Tensor, fusion: str) -> tuple[Tensor, Tally]:
    """Section by section of the equations, one scalar at a time: ``(T, B, C, H, W)`` to the gated spikes."""
    tally = Tally()
    steps, samples, channels, height, width = x.shape
    out = torch.zeros_like(x)
    for b in range(samples):
        z = zeros(steps, channels)
        for t, c, h, w in x[:, b].nonzero().tolist():
            z[t][c] = tally.add(z[t][c], float(x[t, b, c, h, w]))
        z = [[total / (height * width) for total in row] for row in z]  # folds into the weights
        along_time, along_channels = zeros(channels, steps), zeros(steps, channels)
        if module.along_time is not None:
            along_time = tally.same_conv([[row[c] for row in z] for c in range(channels)], weights(module.along_time))
        if module.along_channels is not None:
            along_channels = tally.same_conv(z, weights(module.along_channels))
        for t in range(steps):
            for c in range(channels):
                f = tally.sigmoid(tally.fuse(fusion, along_time[c][t], along_channels[t][c]))
                for h, w in x[t, b, c].nonzero().tolist():
                    out[t, b, c, h, w] = tally.multiply(f, float(x[t, b, c, h, w]))
    return out, tally


def weights(conv: torch.nn.Conv1d) -> list[list[list[float]]]:
    values: list[list[list[float]]] = conv.weight.tolist()
    return values


@pytest.mark.parametrize(
    ("steps", "channels", "k_time", "k_channel", "parameters"),
    [
        (20, 128, 4, 4, 67_136),  # DVS128 Gesture: 4 * 20^2 + 4 * 128^2
        (10, 512, 4, 4, 1_048_976),  # CIFAR10-DVS
        (14, 256, 4, 4, 262_928),  # N-Caltech101
        (14, 512, 4, 2, 1_048_968),  # N-Caltech101: 2 * 14^2 + 4 * 512^2, so 4 is the kernel along time
        (10, 128, 2, 2, 32_968),  # CIFAR10-DVS with TET
    ],
)
def test_published_modules_have_their_number_of_parameters(
    steps: int, channels: int, k_time: int, k_channel: int, parameters: int
) -> None:
    module = gate(steps, channels, k_time=k_time, k_channel=k_channel)
    assert sum(parameter.numel() for parameter in module.parameters()) == parameters
    assert parameters == k_channel * steps**2 + k_time * channels**2


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize(("k_time", "k_channel"), [(1, 1), (2, 3), (3, 2), (4, 7)])
def test_follows_the_equations_one_scalar_at_a_time_and_costs_what_they_do(
    fusion: str, k_time: int, k_channel: int
) -> None:
    module = gate(5, 4, fusion=fusion, k_time=k_time, k_channel=k_channel).double()
    spikes = spikes_of(5, 2, 4, 3, 2, kind=Kind.TERNARY)
    spikes = spikes.with_values(spikes.values.double())
    expected, tally = reference(module, spikes.values, fusion)
    torch.testing.assert_close(run(module, spikes).values, expected)
    assert module.operations(spikes, spikes) == Operations(tally.adds, tally.multiplies)


@pytest.mark.parametrize(("k_time", "k_channel"), [(2, 2), (4, 3)])
def test_published_cost_is_ours_with_the_padded_taps(k_time: int, k_channel: int) -> None:
    steps, samples, channels = 6, 2, 5
    module = gate(steps, channels, k_time=k_time, k_channel=k_channel).double()
    spikes = Signal(torch.ones(steps, samples, channels, 2, 2, dtype=torch.float64), steps, Kind.BINARY)
    _, tally = reference(module, spikes.values, "product")
    per_sample = (
        k_channel * steps**2 * channels + k_time * channels**2 * steps + 2 * steps * channels  # convolutions and gate
    )
    ours = module.operations(spikes, spikes).multiplies
    assert ours + tally.padded == samples * (per_sample + steps * channels * 4)  # and a product per spike


def test_a_coefficient_is_seen_by_the_gate_and_kept() -> None:
    module, spikes = gate(4, 3), spikes_of(4, 2, 3, 2, 2)
    weighted = spikes.weighted(torch.tensor([1.0, 0.5, 0.25, 0.125]))
    out = run(module, weighted)
    assert out.coefficient is weighted.coefficient
    plain = Signal(weighted.decoded(), 4, Kind.ANALOG)
    torch.testing.assert_close(out.decoded(), run(module, plain).values)
    extra = module.operations(weighted, weighted).multiplies - module.operations(spikes, spikes).multiplies
    assert extra == 4 * 2 * 3


@pytest.mark.parametrize("fusion", FUSIONS)
def test_gate_only_scales_spikes_down(fusion: str) -> None:
    module, spikes = gate(6, 8, fusion=fusion), spikes_of(6, 3, 8, 4, 4)
    out = run(module, spikes).values
    f = module.gate(spikes)
    assert ((f > 0) & (f < 1)).all()
    assert ((out >= 0) & (out <= spikes.values)).all()
    expected = f[..., None, None].expand_as(out)  # the same everywhere in a map
    torch.testing.assert_close(out[spikes.values > 0], expected[spikes.values > 0])


def test_no_spikes_or_no_weights_gate_by_one_half() -> None:
    module = gate(4, 3)
    silent = Signal(torch.zeros(4, 2, 3, 5, 5), 4, Kind.BINARY)
    assert (module.gate(silent) == 0.5).all()
    for parameter in module.parameters():
        torch.nn.init.zeros_(parameter)
    spikes = spikes_of(4, 2, 3, 5, 5)
    assert torch.equal(run(module, spikes).values, spikes.values / 2)


def test_order_of_the_batch_does_not_matter_but_order_of_the_channels_does() -> None:
    module, spikes = gate(4, 6), spikes_of(4, 5, 6, 3, 3)
    out, order = run(module, spikes).values, torch.randperm(5)
    torch.testing.assert_close(run(module, spikes.with_values(spikes.values[:, order])).values, out[:, order])
    flipped = run(module, spikes.with_values(spikes.values.flip(2))).values
    assert not torch.allclose(flipped, out.flip(2))


def test_fully_connected_neurons_are_maps_of_one_pixel() -> None:
    module, spikes = gate(4, 6), spikes_of(4, 5, 6)
    maps = spikes.with_values(spikes.values[..., None, None])
    torch.testing.assert_close(run(module, spikes).values, run(module, maps).values[..., 0, 0])
    assert module.operations(spikes, spikes) == module.operations(maps, maps)


def test_layout_stays() -> None:
    spikes = spikes_of(4, 3, 8, 6, 5)
    spikes = spikes.with_values(fold(spikes.values, lambda x: x.contiguous(memory_format=torch.channels_last)))
    out = run(gate(4, 8), spikes).values
    assert out.stride() == spikes.values.stride()  # so the next layer folds time into the batch without a copy


def test_kernel_along_channels_shrinks_where_there_are_few() -> None:
    for channels, kernel in ((8, 7), (4, 3), (2, 1), (1, 1)):
        module = gate(4, channels, k_channel=7)
        assert module.along_channels is not None
        assert module.along_channels.kernel_size == (kernel,)


@pytest.mark.parametrize(
    ("config", "lag"),
    [
        ({"fusion": "channel"}, 4),
        ({"fusion": "product"}, 4),
        ({"fusion": "time", "k_time": 1}, 0),
        ({"fusion": "time", "k_time": 2}, 1),
        ({"fusion": "time", "k_time": 3}, 1),
        ({"fusion": "time", "k_time": 4}, 2),
    ],
)
def test_output_lags_by_the_steps_that_its_gate_looks_ahead(config: dict[str, Any], lag: int) -> None:
    module, spikes = gate(5, 3, **config).double(), spikes_of(5, 2, 3, 2, 2)
    x = spikes.values.double().requires_grad_()
    (gradient,) = torch.autograd.grad(module.gate(spikes.with_values(x))[0].sum(), x)
    last_seen = int(gradient.flatten(1).any(1).nonzero().max())
    assert run(module.float(), Signal(spikes.values, 5, Kind.BINARY, delay=3)).delay == 3 + lag == 3 + last_seen


@pytest.mark.parametrize(
    ("positions", "stages"), [("last-two", [2, 3]), ("last", [3]), ("first", [0]), ("all", [0, 1, 2, 3])]
)
def test_acts_at_the_end_of_the_chosen_stages(positions: str, stages: list[int]) -> None:
    coding = TCJA(TCJAConfig(positions=positions), steps=4)
    sites = [SiteInfo(2 * s + last, s, 8, (4, 4), bool(last), stages=4) for s in range(4) for last in (0, 1)]
    assert [site.stage for site in sites if coding.between(site) is not None] == stages
    assert all(coding.between(site) is None for site in sites if not site.last_of_stage)


def test_a_network_of_one_stage_has_no_last_two() -> None:
    assert TCJA(steps=4).between(SiteInfo(0, 0, 8, (4, 4), last_of_stage=True, stages=1)) is not None


def test_kernel_along_time_is_below_the_number_of_steps() -> None:
    assert TCJA.domains(3) == {"k_time": Choice((1, 2))}
    assert TCJA.domains(16) == {"k_time": Choice((1, 2, 3, 4))}
    with pytest.raises(UsageError, match=r"^coding\.tcja\.k_time: 4 is not below the 4 time steps$"):
        TCJA(TCJAConfig(k_time=4), steps=4)


@pytest.mark.parametrize("regulariser", sorted(REGULARISERS))
def test_penalty_is_on_the_mean_gate_of_the_last_training_batch_once(regulariser: str) -> None:
    module = gate(4, 3, regulariser=regulariser, regulariser_weight=0.05)
    spikes = spikes_of(4, 2, 3, 2, 2)
    assert module.penalty() == 0
    run(module, spikes_of(4, 2, 3, 2, 2))
    run(module, spikes)
    penalty = module.penalty()
    assert isinstance(penalty, Tensor)
    torch.testing.assert_close(penalty, 0.05 * REGULARISERS[regulariser](module.gate(spikes).mean((1, 2))))
    penalty.backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in module.parameters())
    assert module.penalty() == 0
    run(module.eval(), spikes)
    assert module.penalty() == 0


def test_network_is_charged_for_its_gates_and_waits_for_them() -> None:
    flat = {"task": "digits", "coding": "tcja", "neuron": "lif", "backbone": "convnet", "steps": 4}
    flat |= {"backbone.convnet.width": 4, "backbone.convnet.stages": 3}
    registry = load_registry(third_parties=False)
    network = assemble(from_flat(flat, registry), registry, (1, 8, 8), 10)
    counts = count_operations(network, torch.rand(2, 1, 8, 8))
    charged = [layer for layer in counts.layers if layer.role == "attention"]
    assert len(charged) == 2
    assert all(layer.operations.multiplies > 0 for layer in charged)
    assert counts.delay == 2 * 3  # each waits for the window's last step
