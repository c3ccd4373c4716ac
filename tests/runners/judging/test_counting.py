"""The op counter against a hand-made oracle, a brute-force loop and SpikingJelly."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from spikefront.plugins import (
    AvgPool,
    Backbone,
    Between,
    Coding,
    Flatten,
    Geometry,
    Kind,
    MaxPool,
    Neuron,
    Operations,
    Signal,
    Site,
    SiteInfo,
    Synapse,
)
from spikefront.plugins.energy.loihi_1 import Loihi1
from spikefront.plugins.neurons.lif import LIF, LIFConfig
from spikefront.plugins.surrogates.atan import ATan
from spikefront.runners.judging.counting import count_operations
from spikefront.runners.judging.events import EdgeKindError
from spikefront.runners.judging.network import Network


class Given(Coding):
    """Feeds a prepared signal, whatever the batch holds."""

    name = "given"
    inputs = frozenset({"static", "events"})

    def __init__(self, values: Tensor, kind: Kind, coefficient: Tensor | None = None, steps: int = 0) -> None:
        super().__init__(steps=steps or len(values))
        self.signal = Signal(values, self.steps, kind, coefficient)

    def encode(self, x: Tensor) -> Signal:
        return self.signal


class Chain(Backbone):
    """The layers it is given."""

    name = "chain"

    def __init__(self, *layers: nn.Module) -> None:
        nn.Module.__init__(self)
        self.layers = nn.Sequential(*layers)


def lif(**config: object) -> Site:
    return Site(SiteInfo(0, 0, 1, (1, 1), True), LIF(LIFConfig(**config), surrogate=ATan()), None)  # type: ignore[arg-type]


def count(coding: Coding, *layers: nn.Module, batch: int = 2) -> dict[str, tuple[int, int]]:
    counts = count_operations(Network(coding, Chain(*layers)), torch.zeros(batch, 1))
    return {c.layer.removeprefix("backbone.layers."): (c.sops, c.macs) for c in counts.layers if c.role == "synapse"}


# The oracle: two small layers whose weights and inputs are given by formulas, counted by hand and by five other tools.


def pattern(shape: tuple[int, ...], modulus: int, offset: int) -> Tensor:
    i = torch.arange(int(torch.tensor(shape).prod()))
    return (((3 * i * i + 5 * i + 1) % modulus) - offset).float().view(shape)


def oracle_layers() -> list[nn.Module]:
    conv, linear = nn.Conv2d(1, 2, 3, padding=1, bias=False), nn.Linear(50, 3)
    with torch.no_grad():
        conv.weight.copy_(pattern((2, 1, 3, 3), 5, 2) / 2)
        linear.weight.copy_(pattern((3, 50), 7, 3) / 4)
        assert linear.bias is not None
        linear.bias.copy_(torch.tensor([0.1, 0.2, 0.3]))
    return [Synapse(conv), lif(), Flatten(), Synapse(linear), lif()]


def oracle_input(analog: bool) -> Tensor:
    t, b, h, w = torch.meshgrid(*(torch.arange(n) for n in (2, 2, 5, 5)), indexing="ij")
    if analog:
        return (((3 * b + 5 * h + w * w) % 4) / 4).float().unsqueeze(2)  # t = 0 at both steps
    return ((7 * t + 3 * b + 5 * h + w * w) % 3 == 0).float().unsqueeze(2)


def test_oracle_net_on_binary_input_costs_456_and_144_accumulates() -> None:
    x = oracle_input(analog=False)
    network = Network(Given(x, Kind.BINARY), Chain(*oracle_layers()))
    counts = count_operations(network, torch.zeros(2, 1))
    by_layer = {c.layer.removeprefix("backbone.layers."): c for c in counts.layers}
    assert by_layer["0"].events == 34
    assert (by_layer["0"].sops, by_layer["3"].sops) == (456, 144)
    assert (by_layer["1.neuron"].events, by_layer["4.neuron"].events) == (48, 2)
    assert counts.macs == 0
    assert counts.sops == (456 + 144) / 2  # per sample


def test_oracle_net_on_analog_input_costs_988_multiply_accumulates_and_165_accumulates() -> None:
    costs = count(Given(oracle_input(analog=True), Kind.ANALOG), *oracle_layers())
    assert costs == {"0": (0, 988), "3": (165, 0)}


def test_constant_input_is_charged_once_and_reported_per_step_beside() -> None:
    once = oracle_input(analog=True)[:1]
    counts = count_operations(Network(Given(once, Kind.ANALOG, steps=2), Chain(*oracle_layers())), torch.zeros(2, 1))
    first, second = (c for c in counts.layers if c.role == "synapse")
    assert (first.macs, first.macs_every_step) == (494, 988)
    assert second.sops == 165  # the spikes are those of the repeated input


@pytest.mark.parametrize("kind", [Kind.TERNARY, Kind.BINARY])
def test_two_spikes_on_a_padded_map_cost_36_accumulates_whatever_their_sign(kind: Kind) -> None:
    # 4x4 map, 3x3 kernel, padding 1, 2 output channels: an inner position reaches 9 outputs of each channel
    x = torch.zeros(1, 1, 1, 4, 4)
    x[0, 0, 0, 1, 1] = 1
    x[0, 0, 0, 2, 2] = -1 if kind is Kind.TERNARY else 1
    assert count(Given(x, kind), Synapse(nn.Conv2d(1, 2, 3, padding=1)), batch=1) == {"0": (36, 0)}


def brute_force(conv: nn.Conv2d, x: Tensor) -> int:
    """Count (event, tap, output channel) triples that land inside the output, one by one."""
    out = conv(x[0])
    per_group = conv.out_channels // conv.groups
    assert not isinstance(conv.padding, str)
    (ph, pw), (sh, sw), (dh, dw) = conv.padding, conv.stride, conv.dilation
    total = 0
    for _, _, _, h, w in (x != 0).nonzero().tolist():
        for i in range(conv.kernel_size[0]):
            for j in range(conv.kernel_size[1]):
                row, column = h + ph - i * dh, w + pw - j * dw
                inside = row % sh == 0 and column % sw == 0
                if inside and 0 <= row // sh < out.shape[-2] and 0 <= column // sw < out.shape[-1]:
                    total += per_group
    return total


@settings(max_examples=60, deadline=None)
@given(
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    padding=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    dilation=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    groups=st.sampled_from([1, 2]),
    size=st.tuples(st.integers(7, 9), st.integers(7, 9)),
    seed=st.integers(0, 10_000),
)
def test_convolutions_agree_with_brute_force(
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
    groups: int,
    size: tuple[int, int],
    seed: int,
) -> None:
    torch.manual_seed(seed)
    conv = nn.Conv2d(2, 4, kernel, stride, padding, dilation, groups)
    x = (torch.rand(3, 2, 2, *size) < 0.3).float()
    assert count(Given(x, Kind.BINARY), Synapse(conv)) == {"0": (brute_force(conv, x), 0)}


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@pytest.mark.parametrize("kernel", [2, 3, 4])
def test_same_padding_is_that_of_the_convolution(kernel: int) -> None:
    # the outputs that one input changes are the outputs that it reaches
    conv = nn.Conv2d(1, 1, kernel, padding="same", bias=False)
    nn.init.ones_(conv.weight)
    for position in range(25):
        x = torch.zeros(1, 1, 1, 25)
        x[..., position] = 1
        image = x.view(1, 1, 1, 5, 5)
        reached = int(torch.count_nonzero(conv(image[0])))
        assert count(Given(image, Kind.BINARY), Synapse(conv), batch=1) == {"0": (reached, 0)}


@settings(max_examples=30, deadline=None)
@given(features=st.integers(1, 20), outputs=st.integers(1, 20), seed=st.integers(0, 10_000))
def test_linear_layers_cost_events_times_outputs(features: int, outputs: int, seed: int) -> None:
    torch.manual_seed(seed)
    x = (torch.rand(4, 2, features) < 0.4).float()
    expected = sum(outputs for value in x.flatten().tolist() if value)
    assert count(Given(x, Kind.BINARY), Synapse(nn.Linear(features, outputs))) == {"0": (expected, 0)}


def test_agrees_with_spikingjelly_on_binary_input() -> None:
    pytest.importorskip("spikingjelly")
    from spikingjelly.activation_based import functional, layer, neuron
    from spikingjelly.activation_based.op_counter import DispatchCounterMode, SynOpCounter

    ours = oracle_layers()
    theirs = nn.Sequential(
        layer.Conv2d(1, 2, 3, padding=1, bias=False),
        neuron.LIFNode(tau=2.0, v_threshold=1.0, v_reset=0.0),
        layer.Flatten(),
        layer.Linear(50, 3),
        neuron.LIFNode(tau=2.0, v_threshold=1.0, v_reset=0.0),
    )
    functional.set_step_mode(theirs, "m")
    with torch.no_grad():
        for index in (0, 3):
            synapse = ours[index]
            assert isinstance(synapse, Synapse)
            theirs[index].load_state_dict(synapse.weight.state_dict())
    x = oracle_input(analog=False)
    counter = SynOpCounter()
    with torch.no_grad(), DispatchCounterMode([counter]):
        theirs(x)
    sops = sum(sop for sop, _ in count(Given(x, Kind.BINARY), *ours).values())
    assert counter.get_total() == sops == 600


def test_average_pooling_folds_into_the_next_synapse() -> None:
    # 2x2 pooling then 3x3 convolution is one 6x6 stride-2 connection: count the outputs that each input changes
    conv = nn.Conv2d(1, 2, 3, padding=1, bias=False)
    nn.init.ones_(conv.weight)
    torch.manual_seed(0)
    x = (torch.rand(2, 3, 1, 8, 8) < 0.3).float()
    reached = 0
    for _, _, c, h, w in x.nonzero().tolist():
        one = torch.zeros(1, 1, 8, 8)
        one[0, c, h, w] = 1
        reached += int(torch.count_nonzero(conv(nn.functional.avg_pool2d(one, 2))))
    costs = count(Given(x, Kind.BINARY), AvgPool(2), Synapse(conv), batch=3)
    assert costs == {"1": (reached, 0)}


def test_average_pooling_in_front_of_a_linear_layer_counts_covered_events() -> None:
    x = torch.ones(1, 1, 1, 5, 5)  # a 2x2 pooling of 5x5 drops the last row and column
    costs = count(Given(x, Kind.BINARY), AvgPool(2), Flatten(), Synapse(nn.Linear(4, 3)), batch=1)
    assert costs == {"2": (16 * 3, 0)}


def test_coefficient_keeps_accumulates_and_costs_one_product_per_output_and_step() -> None:
    x = (torch.rand(3, 2, 10, generator=torch.Generator().manual_seed(0)) < 0.5).float()
    plain = Given(x, Kind.BINARY)
    weighted = Given(x, Kind.BINARY, torch.tensor([0.5, 0.25, 0.125]))
    layer = Synapse(nn.Linear(10, 7))
    assert count(plain, layer) == count(weighted, layer)
    counts = count_operations(Network(weighted, Chain(layer)), torch.zeros(2, 1))
    assert counts.layers[0].operations == Operations(shifts=3 * 2 * 7)  # powers of two


@pytest.mark.parametrize(
    ("kind", "value"), [(Kind.BINARY, 0.5), (Kind.BINARY, -1.0), (Kind.BINARY, 2.0), (Kind.TERNARY, 0.5)]
)
def test_an_edge_that_breaks_its_declaration_is_an_error(kind: Kind, value: float) -> None:
    x = torch.zeros(1, 1, 4)
    x[0, 0, 1] = value
    with pytest.raises(EdgeKindError, match=f"backbone.layers.0 is declared {kind} but carries {value:g}"):
        count(Given(x, kind), Synapse(nn.Linear(4, 2)), batch=1)


def test_max_pooled_spikes_stay_accumulates() -> None:
    x = torch.ones(1, 1, 1, 4, 4)
    costs = count(Given(x, Kind.BINARY), MaxPool(2), Flatten(), Synapse(nn.Linear(4, 3)), batch=1)
    assert costs == {"2": (12, 0)}


def test_neuron_updates_and_soft_resets_are_charged() -> None:
    current = torch.full((2, 1, 5), 3.0)  # every neuron fires at every step
    counts = count_operations(Network(Given(current, Kind.ANALOG), Chain(lif(reset="soft"))), torch.zeros(1, 1))
    neuron = counts.layers[0]
    # 10 neuron-steps: 2 additions and 1 shift each, and 1 subtraction for each of 10 spikes
    assert neuron.operations == Operations(adds=30, shifts=10)
    assert counts.spike_rate == 1.0


def test_attention_modules_are_charged_what_they_say() -> None:
    class Halve(Between):
        def forward(self, spikes: Signal, current: Signal) -> Signal:
            return replace(spikes, values=spikes.values / 2, kind=Kind.ANALOG)

        def operations(self, spikes: Signal, current: Signal) -> Operations:
            return Operations(multiplies=spikes.values.numel())

    site = Site(SiteInfo(0, 0, 5, (1, 1), True), LIF(surrogate=ATan()), Halve())
    current = torch.full((2, 1, 5), 3.0)
    network = Network(Given(current, Kind.ANALOG), Chain(site, Synapse(nn.Linear(5, 4))))
    counts = count_operations(network, torch.zeros(1, 1))
    assert next(c for c in counts.layers if c.role == "attention").operations == Operations(multiplies=10)
    assert counts.macs == 10 * 4  # gated spikes are analog


def test_counting_leaves_the_network_as_it_was() -> None:
    network = Network(Given(oracle_input(analog=False), Kind.BINARY), Chain(*oracle_layers()))
    network.train()
    count_operations(network, torch.zeros(2, 1))
    assert network.training
    assert not any(module._forward_hooks for module in network.modules())


def test_spikes_that_arrive_together_are_an_accumulate_each() -> None:
    x = torch.tensor([[[0.0, 1.0, 2.0, 3.0]]])
    assert count(Given(x, Kind.COUNT), Synapse(nn.Linear(4, 5)), batch=1) == {"0": (6 * 5, 0)}
    maps = torch.zeros(1, 1, 1, 4, 4)
    maps[..., 0, 0] = 3  # a corner: 4 of the 9 taps of a padded 3x3 kernel
    assert count(Given(maps, Kind.COUNT), Synapse(nn.Conv2d(1, 2, 3, padding=1)), batch=1) == {"0": (3 * 4 * 2, 0)}


class Bursting(Neuron):
    """Fires as often in a step as the current is large."""

    name = "bursting"
    kind = Kind.COUNT

    def forward(self, current: Tensor, steps: int) -> Tensor:
        return current.expand(steps, *current.shape[1:]).clamp(min=0).floor()

    def update_operations(self) -> Operations:
        return Operations(adds=1)

    def spike_operations(self) -> Operations:
        return Operations(adds=3, multiplies=2)


def test_spikes_of_a_neuron_that_fires_several_times_a_step_are_counted_one_by_one() -> None:
    x = torch.tensor([[[0.5, 1.0, 4.0, 3.5]], [[0.0, 0.0, 2.0, 8.0]]])  # (T=2, B=1, 4): 8 and 10 spikes at 5 places
    site = Site(SiteInfo(0, 0, 4, (1, 1), True), Bursting(surrogate=ATan()), None)
    network = Network(Given(x, Kind.ANALOG), Chain(site, Synapse(nn.Linear(4, 5))))
    counts = count_operations(network, torch.zeros(1, 1))
    neurons = next(layer for layer in counts.layers if layer.role == "neuron")
    behind = next(layer for layer in counts.layers if layer.role == "synapse")
    assert (neurons.events, neurons.active, neurons.sites) == (18, 5, 8)
    assert (behind.events, behind.sops) == (18, 18 * 5)
    assert neurons.operations == Operations(adds=8 + 18 * 3, multiplies=18 * 2)
    assert counts.spike_rate == 18 / 8
    assert counts.layer_rates == {"backbone.layers.0.neuron": 18 / 8}
    twice = counts + counts
    assert next(layer for layer in twice.layers if layer.role == "neuron").active == 10
    # Loihi: 4 neurons, accessed and updated at both steps and the one in which the last spikes are summed; 18 spikes
    price = Loihi1().layer_energy_nj(counts)["backbone.layers.0.neuron"]
    assert price == pytest.approx((12 * 51.2 + 12 * 21.6 + 18 * 69.3) / 1000)


@pytest.mark.parametrize("value", [-1.0, 0.5])
def test_counts_are_whole_and_not_negative(value: float) -> None:
    with pytest.raises(EdgeKindError, match=f"is declared count but carries {value:g}"):
        count(Given(torch.full((1, 1, 4), value), Kind.COUNT), Synapse(nn.Linear(4, 2)), batch=1)


def test_synapses_inside_attention_are_charged_to_it() -> None:
    class Gate(Between):
        def __init__(self) -> None:
            super().__init__()
            self.inner = Synapse(nn.Linear(5, 5, bias=False))

        def forward(self, spikes: Signal, current: Signal) -> Signal:
            return Signal(spikes.values * self.inner(current).values.sigmoid(), spikes.steps, Kind.ANALOG)

        def operations(self, spikes: Signal, current: Signal) -> Operations:
            return Operations(multiplies=1)

    site = Site(SiteInfo(0, 0, 5, (1, 1), True), LIF(surrogate=ATan()), Gate())
    network = Network(Given(torch.full((1, 2, 5), 3.0), Kind.ANALOG, steps=4), Chain(site))
    attention = [c for c in count_operations(network, torch.zeros(2, 1)).layers if c.role == "attention"]
    assert [(c.macs, c.operations.multiplies) for c in attention] == [(2 * 5 * 5, 0), (0, 1)]


def test_geometry_is_that_of_the_synapse() -> None:
    coding = Given(torch.ones(2, 3, 4, 8, 8), Kind.BINARY)
    layer = Synapse(nn.Conv2d(4, 6, (3, 5), stride=2, padding=1), nn.BatchNorm2d(6))
    counts = count_operations(
        Network(coding, Chain(layer, Flatten(), Synapse(nn.Linear(72, 7, bias=False)))), torch.zeros(3, 1)
    )
    first, second = (c.geometry for c in counts.layers if c.role == "synapse")
    assert first == Geometry(4 * 64, 6 * 4 * 3, 6, 6 * 4 * 15, (3, 5), (2, 2), True)
    assert second == Geometry(72, 7, 7, 72 * 7)
