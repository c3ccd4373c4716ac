from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spikefront.plugins import Neuron, Operations, Surrogate
from spikefront.plugins.neurons.integrate_and_fire import IF, IFConfig
from spikefront.plugins.surrogates.atan import ATan


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


@pytest.mark.parametrize("hard", [True, False])
def test_start_agrees_with_spikingjelly(
    hard: bool, surrogates: tuple[Surrogate, Any], agree: Callable[[Neuron, Any, int], None]
) -> None:
    neuron = pytest.importorskip("spikingjelly.activation_based.neuron")
    ours, theirs = surrogates
    for start, threshold in product((0.25, 0.5), (1.0, 0.5)):
        node = neuron.IFNode(threshold, 0.0 if hard else None, theirs, detach_reset=True, step_mode="m")
        node.v = start * threshold
        agree(IF(IFConfig(threshold, "hard" if hard else "soft", start=start), surrogate=ours), node, 6)


@given(a=st.floats(0, 1), steps=st.integers(1, 40), threshold=st.floats(0.3, 2.0))
def test_half_a_threshold_ahead_it_counts_the_rounded_sum(a: float, steps: int, threshold: float) -> None:
    current = torch.full((1, 1, 1), a * threshold, dtype=torch.float64)
    neuron = IF(IFConfig(threshold, reset="soft", start=0.5), surrogate=ATan())
    assert abs(neuron(current, steps).mean().item() - a) <= 0.5 / steps + 1e-9


def test_soft_reset_costs_a_subtraction_per_spike() -> None:
    assert IF(IFConfig(reset="hard"), surrogate=ATan()).spike_operations() == Operations()
    assert IF(IFConfig(reset="soft"), surrogate=ATan()).spike_operations() == Operations(adds=1)
    assert IF(surrogate=ATan()).update_operations() == Operations(adds=2)  # no leak, so nothing is multiplied
