from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spikefront.plugins import Operations
from spikefront.plugins.neurons.phase import Phase, PhaseConfig
from spikefront.plugins.surrogates.atan import ATan


def neuron(**hyperparameters: Any) -> Phase:
    return Phase(PhaseConfig(**hyperparameters), surrogate=ATan())


@pytest.mark.parametrize(("period", "steps"), [(3, 8), (8, 8), (4, 1), (5, 3)])
def test_equals_the_equations_neuron_by_neuron(period: int, steps: int) -> None:
    torch.manual_seed(0)
    current = torch.randn(steps, 2, 50, dtype=torch.float64)
    expected = torch.zeros_like(current)
    for b in range(2):
        for i in range(50):
            v = 0.0
            for t in range(steps):
                bound = 0.8 * 2.0 ** -(1 + t % period)
                v += current[t, b, i].item()
                if v >= bound:
                    v -= bound
                    expected[t, b, i] = 1
    assert torch.equal(neuron(period=period, threshold=0.8)(current, steps), expected)


@given(x=st.floats(0, 1, exclude_max=True), bits=st.integers(2, 8), threshold=st.floats(0.3, 2.0))
def test_charge_of_the_first_step_is_written_in_binary(x: float, bits: int, threshold: float) -> None:
    current = torch.zeros(bits, 1, 1, dtype=torch.float64)
    current[0] = x * threshold
    phase = neuron(period=bits, threshold=threshold)
    spikes = phase(current, bits)
    weights = phase.step_weights(bits, spikes)
    assert weights is not None
    error = x - (spikes.flatten() * weights).sum().item()
    assert -1e-12 < error < 2.0**-bits + 1e-12


@pytest.mark.parametrize("bits", [4, 8])
def test_agrees_with_the_phase_encoder_of_spikingjelly(bits: int) -> None:
    encoding: Any = pytest.importorskip("spikingjelly.activation_based.encoding")
    x = torch.linspace(0, 1 - 2**-bits, 100).view(1, -1)
    encoder = encoding.WeightedPhaseEncoder(bits)
    theirs = torch.stack([encoder(x) for _ in range(bits)])
    current = torch.zeros(bits, 1, 100)
    current[0] = x
    assert torch.equal(neuron(period=bits)(current, bits), theirs)


def test_weights_repeat_with_the_period_which_the_steps_may_cut_short() -> None:
    like = torch.empty(0, dtype=torch.float64)
    weights = neuron(period=3).step_weights(7, like)
    assert weights is not None
    assert weights.dtype == torch.float64
    assert weights.tolist() == [1 / 2, 1 / 4, 1 / 8, 1 / 2, 1 / 4, 1 / 8, 1 / 2]
    cut = neuron(period=8).step_weights(3, like)
    assert cut is not None
    assert cut.tolist() == [1 / 2, 1 / 4, 1 / 8]


def test_spike_takes_its_weight_from_the_potential_and_a_tie_fires() -> None:
    current = torch.tensor([0.75, 0.0, 0.5, 0.0]).view(4, 1, 1)
    # thresholds 1/2, 1/4, 1/2, 1/4: V = .25, 0, 0, 0, each spike at the very threshold but the first
    assert neuron(period=2)(current, 4).flatten().tolist() == [1, 1, 1, 0]


def test_costs_an_if_neuron_with_soft_reset() -> None:
    assert neuron().update_operations() == Operations(adds=2)
    assert neuron().spike_operations() == Operations(adds=1)
