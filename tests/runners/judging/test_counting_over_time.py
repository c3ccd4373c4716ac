"""Counts of edges that vary over time: coefficients, constants and delays."""

from __future__ import annotations

import pytest
import torch
from tests.runners.judging.test_counting import Chain, Given, lif
from torch import nn

from spikefront.plugins import (
    Add,
    Kind,
    Operations,
    Signal,
    Site,
    SiteInfo,
    Synapse,
)
from spikefront.plugins.neurons.tsa import TSA, TSAConfig
from spikefront.plugins.surrogates.atan import ATan
from spikefront.runners.judging.counting import count_operations
from spikefront.runners.judging.network import Network


@pytest.mark.parametrize(
    ("coefficient", "steps"),
    [((0.5, 0.25, 0.125), 3), ((2.0, 0.0, 1.0), 1), ((0.5,), 0), (((0.5, 0.1),), 0), (((0.5, 0.1), (1, 1), (0, 2)), 2)],
    ids=["all", "neither 0 nor 1", "constant", "constant by channel", "by channel"],
)
def test_coefficient_costs_a_multiply_per_output_at_the_steps_that_it_weights(
    coefficient: tuple[object, ...], steps: int
) -> None:
    weighted = Given(torch.ones(3, 2, 2), Kind.BINARY, torch.tensor(coefficient))
    counts = count_operations(Network(weighted, Chain(Synapse(nn.Linear(2, 7)))), torch.zeros(2, 1))
    assert counts.layers[0].operations == Operations(multiplies=steps * 2 * 7)
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


def test_constant_that_is_presented_once_is_charged_once_by_either_convention() -> None:
    once = Given(torch.rand(1, 2, 4), Kind.ANALOG, torch.tensor([2.0, 0.0, 0.0]), steps=3)
    (layer,) = count_operations(Network(once, Chain(Synapse(nn.Linear(4, 5)))), torch.zeros(2, 1)).layers[:1]
    assert (layer.macs, layer.macs_every_step) == (2 * 4 * 5, 2 * 4 * 5)


def test_weighted_edge_into_neurons_costs_a_multiply_per_event() -> None:
    x = torch.tensor([[[1.0, 0.0, 1.0]], [[0.0, 0.0, 1.0]]])
    coding = Given(x, Kind.BINARY, torch.tensor([0.5, 0.25]))
    counts = count_operations(Network(coding, Chain(lif())), torch.zeros(1, 1))
    assert [c.operations for c in counts.layers if c.role == "residual"] == [Operations(multiplies=3)]


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
