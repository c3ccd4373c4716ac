from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest

from spikefront.plugins import Neuron, Operations, Surrogate
from spikefront.plugins.neurons.lif import LIF, LIFConfig
from spikefront.plugins.surrogates.atan import ATan


@pytest.mark.parametrize("steps", [1, 4, 8])
@pytest.mark.parametrize("decay_input", [True, False])
def test_agrees_with_spikingjelly(
    steps: int, decay_input: bool, surrogates: tuple[Surrogate, Any], agree: Callable[[Neuron, Any, int], None]
) -> None:
    neuron = pytest.importorskip("spikingjelly.activation_based.neuron")
    ours, theirs = surrogates
    for hard, detach, tau in product((True, False), (True, False), (2.0, 1.3)):
        config = LIFConfig(tau, 0.8, "hard" if hard else "soft", decay_input, detach)
        node = neuron.LIFNode(tau, decay_input, 0.8, 0.0 if hard else None, theirs, detach_reset=detach, step_mode="m")
        agree(LIF(config, surrogate=ours), node, steps)


def test_leak_costs_a_product_per_step() -> None:
    assert LIF(surrogate=ATan()).update_operations() == Operations(adds=2, shifts=1)  # tau = 2
    assert LIF(LIFConfig(tau=4.0), surrogate=ATan()).update_operations() == Operations(adds=3, shifts=1)
    assert LIF(LIFConfig(tau=3.0), surrogate=ATan()).update_operations() == Operations(adds=2, multiplies=1)
    assert LIF(LIFConfig(reset="soft"), surrogate=ATan()).spike_operations() == Operations(adds=1)
