from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest

from spikefront.plugins import Neuron, Operations, Surrogate
from spikefront.plugins.neurons.integrate_and_fire import IF, IFConfig
from spikefront.plugins.surrogates import ATan


@pytest.mark.parametrize("steps", [1, 4, 8])
def test_agrees_with_spikingjelly(
    steps: int, surrogates: tuple[Surrogate, Any], agree: Callable[[Neuron, Any, int], None]
) -> None:
    neuron = pytest.importorskip("spikingjelly.activation_based.neuron")
    ours, theirs = surrogates
    for hard, detach, threshold in product((True, False), (True, False), (1.0, 0.5)):
        config = IFConfig(threshold, "hard" if hard else "soft", detach)
        node = neuron.IFNode(threshold, 0.0 if hard else None, theirs, detach_reset=detach, step_mode="m")
        agree(IF(config, surrogate=ours), node, steps)


def test_soft_reset_costs_a_subtraction_per_spike() -> None:
    assert IF(IFConfig(reset="hard"), surrogate=ATan()).spike_operations() == Operations()
    assert IF(IFConfig(reset="soft"), surrogate=ATan()).spike_operations() == Operations(adds=1)
    assert IF(surrogate=ATan()).update_operations() == Operations(adds=2)  # no leak, so nothing is multiplied
