"""Counts of edges that vary over time: coefficients, constants and delays."""

from __future__ import annotations

import pytest
import torch
from tests.runners.judging.test_counting import Chain, Given, lif
from torch import Tensor, nn

from spikefront.plugins import (
    Add,
    Between,
    Kind,
    Neuron,
    Operations,
    Signal,
    Site,
    SiteInfo,
    Synapse,
)
from spikefront.plugins.codings.direct import Direct
from spikefront.plugins.neurons.integrate_and_fire import IF
from spikefront.plugins.neurons.lif import LIF
from spikefront.plugins.neurons.tsa import TSA, TSAConfig
from spikefront.plugins.surrogates.atan import ATan
from spikefront.runners.judging.counting import count_operations
from spikefront.runners.judging.events import EdgeKindError
from spikefront.runners.judging.network import Network


@pytest.mark.parametrize(
    ("coefficient", "multiplied", "shifted"),
    [
        ((0.5, 0.3, 0.7), 2, 1),
        ((3.0, 0.0, 1.0), 1, 0),
        ((0.5,), 0, 0),
        (((0.5, 0.1),), 0, 0),
        (((0.5, 0.1), (1, 1), (0, 2)), 1, 1),  # a step costs as much as its most expensive channel
        ((0.5, 0.25, -0.125), 0, 3),
        ((0.3, 0.15, 0.075), 0, 2),  # 0.3, which all have in common, is part of the weights
        ((0.7, 0.0, 0.7), 0, 0),  # so is a constant
        ((2.0, 0.0, 0.0), 0, 0),
        ((0.5, 0.0, 0.5), 0, 0),
        (((0.3, 0.5), (0.3, 0.25), (0.3, 0.125)), 0, 3),
        ((2.01, 1.0, 1.0), 1, 0),  # near a power of two is not one
    ],
)
def test_coefficient_costs_a_product_per_output_at_the_steps_that_it_weights(
    coefficient: tuple[object, ...], multiplied: int, shifted: int
) -> None:
    weighted = Given(torch.ones(3, 2, 2), Kind.BINARY, torch.tensor(coefficient))
    counts = count_operations(Network(weighted, Chain(Synapse(nn.Linear(2, 7)))), torch.zeros(2, 1))
    assert counts.layers[0].operations == Operations(multiplies=multiplied * 2 * 7, shifts=shifted * 2 * 7)
    assert (counts.layers[0].sops, counts.layers[0].macs) == (3 * 2 * 2 * 7, 0)


@pytest.mark.parametrize(
    ("coefficient", "weighted"),
    [([[0.5, 1.0], [0.0, 0.25], [2.0, 2.0]], 4), ([[0.5, 1.0]], 3), ([[1.0, 1.0], [0.0, 1.0], [1.0, 0.0]], 0)],
    ids=["over time", "constant over time", "picks samples"],
)
def test_coefficient_by_sample_keeps_accumulates_and_costs_a_multiply_per_output_where_it_weights(
    coefficient: list[list[float]], weighted: int
) -> None:
    values = torch.ones(3, 2, 2)
    signal = Given(values, Kind.BINARY, torch.tensor(coefficient).unsqueeze(2))
    layer = Synapse(nn.Linear(2, 7))
    network = Network(signal, Chain(layer))
    counts = count_operations(network, torch.zeros(2, 1))
    assert counts.layers[0].operations == Operations(multiplies=weighted * 7)
    assert (counts.layers[0].sops, counts.layers[0].macs) == (3 * 2 * 2 * 7, 0)
    by_hand = layer.weight(values * torch.tensor(coefficient).unsqueeze(2))
    torch.testing.assert_close(layer(signal.signal).values, by_hand)


@pytest.mark.parametrize("steps", [4, 8])
def test_each_spike_of_a_task_that_gives_them_is_an_accumulate_per_synapse(steps: int) -> None:
    spikes = torch.randint(0, 4, (3, 4, 6)).float()
    network = Network(Direct(steps=steps), Chain(Synapse(nn.Linear(6, 7))), "spikes")
    (layer,) = count_operations(network, spikes).layers[:1]
    assert (layer.sops, layer.macs, layer.events) == (7 * int(spikes.sum()), 0, int(spikes.sum()))


def test_constant_that_is_presented_once_is_charged_once_by_either_convention() -> None:
    once = Given(torch.rand(1, 2, 4), Kind.ANALOG, torch.tensor([2.0, 0.0, 0.0]), steps=3)
    (layer,) = count_operations(Network(once, Chain(Synapse(nn.Linear(4, 5)))), torch.zeros(2, 1)).layers[:1]
    assert (layer.macs, layer.macs_every_step) == (2 * 4 * 5, 2 * 4 * 5)


def test_weighted_edge_into_neurons_costs_a_product_per_event() -> None:
    x = torch.tensor([[[1.0, 0.0, 1.0]], [[0.0, 0.0, 1.0]]])
    coding = Given(x, Kind.BINARY, torch.tensor([0.5, 0.3]))
    counts = count_operations(Network(coding, Chain(lif())), torch.zeros(1, 1))
    assert [c.operations for c in counts.layers if c.role == "residual"] == [Operations(multiplies=1, shifts=2)]


def test_powers_of_two_are_shifted_at_each_synapse() -> None:
    powers = Given(torch.tensor([[[4.0, 0.0, -0.25]], [[1.0, 0.0, 0.0]]]), Kind.POWER)
    layer = count_operations(Network(powers, Chain(Synapse(nn.Linear(3, 5)))), torch.zeros(1, 1)).layers[0]
    assert (layer.sops, layer.macs, layer.operations) == (3 * 5, 0, Operations(shifts=3 * 5))


@pytest.mark.parametrize(("kind", "value"), [(Kind.POWER, 3.0), (Kind.SIGNED, 0.5), (Kind.COUNT, -1.0)])
def test_values_that_break_the_declaration_are_an_error(kind: Kind, value: float) -> None:
    with pytest.raises(EdgeKindError, match=f"is declared {kind} but carries {value:g}"):
        count_operations(Network(Given(torch.full((1, 1, 2), value), kind), Chain(lif())), torch.zeros(1, 1))


def test_signed_spikes_that_meet_are_accumulates() -> None:
    ternary = Signal(torch.tensor([[[1.0, -1.0, -1.0, 0.0]]]), 1, Kind.TERNARY)
    met = Add()(ternary, Add()(ternary, ternary))  # three of each
    layer = count_operations(Network(Given(met.values, met.kind), Chain(Synapse(nn.Linear(4, 5)))), torch.zeros(1, 1))
    assert (layer.layers[0].sops, layer.layers[0].macs, layer.layers[0].events) == (9 * 5, 0, 9)


def biases(neuron: Neuron, values: Tensor, kind: Kind, *, between: Between | None = None) -> list[int]:
    """Return the additions of biases of two layers, 3 -> 5 -> 2, with neurons between them."""
    first, last = Synapse(nn.Linear(3, 5)), Synapse(nn.Linear(5, 2))
    site = Site(SiteInfo(0, 0, 5, (1, 1), True), neuron, between)
    counts = count_operations(Network(Given(values, kind, steps=4), Chain(first, site, last)), torch.zeros(2, 1))
    return [layer.biases for layer in counts.layers if layer.role == "synapse"]


def test_biases_cost_an_addition_where_they_do_not_fold_into_the_neurons() -> None:
    spikes, constant = torch.ones(4, 2, 3), torch.ones(1, 2, 3)
    leaky, perfect = LIF(surrogate=ATan()), IF(surrogate=ATan())
    assert biases(leaky, spikes, Kind.BINARY) == [0, 2 * 2]  # of the output once, whose mean they shift
    assert biases(perfect, spikes, Kind.BINARY) == [4 * 2 * 5, 2 * 2]
    assert biases(perfect, constant, Kind.ANALOG) == [2 * 5, 2 * 2]  # a constant current is computed once

    class Reader(Between):
        reads_current = True

        def forward(self, spikes: Signal, current: Signal) -> Signal:
            return spikes

        def operations(self, spikes: Signal, current: Signal) -> Operations:
            return Operations()

    assert biases(leaky, spikes, Kind.BINARY, between=Reader()) == [4 * 2 * 5, 2 * 2]


def test_bias_that_comes_once_is_added_once() -> None:
    first, last = Synapse(nn.Linear(3, 5)), Synapse(nn.Linear(5, 2))
    first.bias_over_time = torch.tensor([2.0, 0.0, 0.0, 0.0])
    site = Site(SiteInfo(0, 0, 5, (1, 1), True), IF(surrogate=ATan()), None)
    network = Network(Given(torch.ones(4, 2, 3), Kind.BINARY), Chain(first, site, last))
    assert count_operations(network, torch.zeros(2, 1)).layers[0].biases == 2 * 5


def test_neuron_with_a_delay_is_charged_for_its_silent_steps() -> None:
    site = Site(SiteInfo(0, 0, 5, (1, 1), True), TSA(TSAConfig(silent_period=2), surrogate=ATan()), None)
    counts = count_operations(Network(Given(torch.zeros(3, 1, 5), Kind.ANALOG), Chain(site)), torch.zeros(1, 1))
    neuron = next(c for c in counts.layers if c.role == "neuron")
    assert neuron.operations == site.neuron.update_operations() * ((3 + 2) * 5)
    assert counts.delay == 2


def test_delay_is_that_of_the_longest_way() -> None:
    class Fork(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.sites = nn.ModuleList(
                Site(SiteInfo(i, 0, 5, (1, 1), True), TSA(TSAConfig(silent_period=1), surrogate=ATan()), None)
                for i in range(3)
            )
            self.add = Add()

        def forward(self, signal: Signal) -> Signal:
            long: Signal = self.sites[1](self.sites[0](signal))
            out: Signal = self.add(self.sites[2](signal), long)
            return out

    counts = count_operations(Network(Given(torch.ones(3, 1, 5), Kind.ANALOG), Chain(Fork())), torch.zeros(1, 1))
    assert counts.delay == 2
