from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
import torch

from spikefront.plugins import Neuron, Operations, Surrogate
from spikefront.plugins.neurons.lif import LIF, LIFConfig
from spikefront.plugins.neurons.ternary_lif import TernaryLIF, TernaryLIFConfig
from spikefront.plugins.surrogates.atan import ATan


@pytest.mark.parametrize("steps", [1, 4, 8])
@pytest.mark.parametrize("decay_input", [True, False])
def test_agrees_with_spikingjelly(
    steps: int, decay_input: bool, surrogates: tuple[Surrogate, Any], agree: Callable[[Neuron, Any, int], None]
) -> None:
    neuron = pytest.importorskip("spikingjelly.activation_based.neuron")
    ours, theirs = surrogates
    for hard, detach, tau in product((True, False), (True, False), (2.0, 1.3)):
        config = TernaryLIFConfig(tau, 0.8, "hard" if hard else "soft", decay_input, detach)
        reset = 0.0 if hard else None
        node = neuron.TernaryLIFNode(tau, decay_input, 0.8, reset, theirs, detach_reset=detach, step_mode="m")
        agree(TernaryLIF(config, surrogate=ours), node, steps)


@pytest.mark.parametrize("reset", ["hard", "soft"])
def test_opposite_current_gives_opposite_spikes(reset: str) -> None:
    torch.manual_seed(0)
    current = 2 * torch.randn(6, 3, 100)
    neuron = TernaryLIF(TernaryLIFConfig(reset=reset), surrogate=ATan())
    spikes = neuron(current, 6)
    assert set(spikes.unique().tolist()) == {-1.0, 0.0, 1.0}
    assert torch.equal(neuron(-current, 6), -spikes)


def test_is_a_lif_neuron_while_the_current_is_positive() -> None:
    torch.manual_seed(0)
    current = 2 * torch.rand(6, 3, 100)
    ternary, lif = TernaryLIF(surrogate=ATan()), LIF(LIFConfig(), surrogate=ATan())
    assert torch.equal(ternary(current, 6), lif(current, 6))


def test_tie_at_either_threshold_fires() -> None:
    neuron = TernaryLIF(TernaryLIFConfig(decay_input=False), surrogate=ATan())
    below = 1 - 2**-24  # the next smaller float32
    spikes = neuron(torch.tensor([[[1.0, -1.0, below, -below]]]), 1)
    assert spikes.flatten().tolist() == [1, -1, 0, 0]


def test_second_comparison_costs_an_addition_per_step() -> None:
    assert TernaryLIF(surrogate=ATan()).update_operations() == Operations(adds=3, shifts=1)
    assert TernaryLIF(surrogate=ATan()).spike_operations() == Operations()
    assert TernaryLIF(TernaryLIFConfig(reset="soft"), surrogate=ATan()).spike_operations() == Operations(adds=1)
