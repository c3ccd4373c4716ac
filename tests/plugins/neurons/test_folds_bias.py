"""Neurons that take over the biases in front of them: another threshold and reset stand for a constant current."""

from __future__ import annotations

import math

import pytest
import torch

from spikefront.plugins import load_registry
from spikefront.plugins.surrogates.atan import ATan

NEURONS = {name: entry.plugin for name, entry in load_registry(third_parties=False).entries["neuron"].items()}
FOLDING = ("alif", "lif", "plif", "ternary-lif")
COUNTING = ("i-lif", "qb-lif")
LEAK, THRESHOLD = 0.5, 1.0


def test_leaky_neurons_fold_biases_and_others_do_not() -> None:
    ours = {name for name, neuron in NEURONS.items() if neuron.folds_bias and not neuron.library}
    assert ours == {*FOLDING, *COUNTING}


@pytest.mark.parametrize("reset", ["hard", "soft"])
@pytest.mark.parametrize("name", FOLDING)
@pytest.mark.parametrize("bias", [0.25, -0.125, 0.5])
def test_a_bias_is_another_threshold_and_reset(name: str, reset: str, bias: float) -> None:
    fields = {"reset": reset, "decay_input": False, "threshold": THRESHOLD}
    neuron = NEURONS[name](NEURONS[name].Config(**fields), surrogate=ATan())  # tau = 2 by default
    currents = torch.randint(-8, 12, (64, 5), generator=torch.Generator().manual_seed(0)).double() / 8  # exact sums
    biased = neuron((currents + bias).unsqueeze(1), 64).squeeze(1)

    assert biased.any()
    for column, fired in zip(currents.T.tolist(), biased.T.tolist(), strict=True):
        assert fired == shifted(column, bias / LEAK, name, reset)


def shifted(currents: list[float], shift: float, name: str, reset: str) -> list[float]:
    """Return the spikes of a neuron without a bias, whose threshold and resting potential are lower by ``shift``."""
    rho, beta = math.exp(-1 / 20), 1.8 if name == "alif" else 0.0  # the defaults of ALIF
    potential, adaptation, spikes = -shift, 0.0, []
    for current in currents:
        potential = (1 - LEAK) * potential + current
        threshold = THRESHOLD + beta * adaptation
        spike = float(potential >= threshold - shift)
        if name == "ternary-lif":
            spike -= float(potential <= -threshold - shift)
        if reset == "soft":
            potential -= threshold * spike
        elif spike:
            potential = -shift
        adaptation = rho * adaptation + (1 - rho) * spike
        spikes.append(spike)
    return spikes


@pytest.mark.parametrize("bias", [0.25, -0.125, 0.5])
def test_a_bias_of_a_neuron_of_counts_is_another_threshold_in_each_slot(bias: float) -> None:
    neuron = NEURONS["i-lif"](NEURONS["i-lif"].Config(tau=1 / LEAK, most=3), surrogate=ATan())
    currents = torch.randint(-16, 28, (64, 5), generator=torch.Generator().manual_seed(0)).double() / 8
    currents += 1 / 128  # no potential is half a threshold
    biased = neuron((currents + bias).unsqueeze(1), 64).squeeze(1)

    shift = bias / LEAK
    assert biased.max() > 1
    for column, fired in zip(currents.T.tolist(), biased.T.tolist(), strict=True):
        potential, counts = -shift, []
        for current in column:
            potential = (1 - LEAK) * potential + current
            count = sum(potential - slot > 0.5 - shift for slot in range(3))
            potential -= count
            counts.append(count)
        assert fired == counts
