from __future__ import annotations

import math
from itertools import product

import pytest
import torch
from torch import Tensor

from spikefront.plugins import Operations
from spikefront.plugins.neurons.alif import ALIF, ALIFConfig
from spikefront.plugins.neurons.lif import LIF, LIFConfig
from spikefront.plugins.surrogates.atan import ATan

CONFIGS = [
    ALIFConfig(1.5, 0.7, 0.9, 3.0, reset, decay_input, detach)
    for reset, decay_input, detach in product(("hard", "soft"), (True, False), (True, False))
]


def reference(current: Tensor, config: ALIFConfig) -> Tensor:
    """The equations step by step, their gradient by autograd through the primitive of ATan(2)."""
    rho = math.exp(-1 / config.tau_adaptation)
    v = a = s = torch.zeros_like(current[0])
    spikes = []
    for x in current:
        h = v + (x - v) / config.tau if config.decay_input else v - v / config.tau + x
        a = rho * a + (1 - rho) * s
        threshold = config.threshold + config.adaptation * a
        smooth = torch.atan(math.pi * (h - threshold)) / math.pi
        s = (h >= threshold).to(h.dtype) + smooth - smooth.detach()
        lost = s * (h if config.reset == "hard" else threshold)
        if config.detach_reset:
            lost = s.detach() * h if config.reset == "hard" else lost.detach()
        v = h - lost
        spikes.append(s)
    return torch.stack(spikes)


@pytest.mark.parametrize("config", CONFIGS, ids=repr)
@pytest.mark.parametrize("length", [1, 7], ids=["constant", "changing"])
def test_spikes_and_gradients_equal_autograd_step_by_step(config: ALIFConfig, length: int) -> None:
    torch.manual_seed(0)
    current = (2 * torch.randn(length, 3, 40, dtype=torch.float64)).requires_grad_()
    weight = torch.randn(7, 3, 40, dtype=torch.float64)
    ours = ALIF(config, surrogate=ATan(2.0))(current, 7)
    theirs = reference(current.expand(7, -1, -1), config)
    assert ours.unique().tolist() == [0, 1]
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(
        torch.autograd.grad((ours * weight).sum(), current), torch.autograd.grad((theirs * weight).sum(), current)
    )


@pytest.mark.parametrize("reset", ["hard", "soft"])
def test_is_a_lif_neuron_without_adaptation(reset: str) -> None:
    torch.manual_seed(0)
    current = 2 * torch.randn(6, 3, 200)
    alif = ALIF(ALIFConfig(adaptation=0.0, reset=reset), surrogate=ATan())
    lif = LIF(LIFConfig(reset=reset), surrogate=ATan())
    assert lif(current, 6).any()
    assert torch.equal(alif(current, 6), lif(current, 6))


def fire(current: list[float], **hyperparameters: float | str) -> list[float]:
    config = ALIFConfig(tau=2.0, tau_adaptation=2.0, decay_input=False, **hyperparameters)  # type: ignore[arg-type]
    neuron = ALIF(config, surrogate=ATan())
    return neuron(torch.tensor(current).view(-1, 1, 1), len(current)).flatten().tolist()  # type: ignore[no-any-return]


def test_spike_raises_the_threshold_from_the_next_step_on() -> None:
    # rho = .6065, b = 1: thresholds 1, 1.3935, 1.2387; H = 1.2 (fires, V = 0), 1.2, .6 + 1.2 (fires)
    assert fire([1.2, 1.2, 1.2], adaptation=1.0) == [1, 0, 1]
    assert fire([1.2, 1.4], adaptation=1.0) == [1, 1]  # just above 1.3935


def test_soft_reset_subtracts_the_raised_threshold() -> None:
    # H = 1 (V = 0), 2 (threshold 1.787, V = .2131), .1065 + 1.5 (threshold 1 + 2 (.6065 .3935 + .3935) = 2.264)
    assert fire([1.0, 2.0, 1.5], adaptation=2.0, reset="soft") == [1, 1, 0]
    # H = 1 (V = 0), 1.8 (threshold 1.787, V = .0131), 2.26 + .0065 (fires); with V = .8 less than 1.9 would do
    assert fire([1.0, 1.8, 2.26], adaptation=2.0, reset="soft") == [1, 1, 1]
    assert fire([1.0, 1.8, 2.0], adaptation=2.0, reset="soft") == [1, 1, 0]


def test_tie_at_the_threshold_fires() -> None:
    assert fire([1.0]) == [1]
    assert fire([1 - 2**-24]) == [0]  # the next smaller float32


def test_adaptation_costs_a_decay_per_step_and_an_addition_per_spike() -> None:
    assert ALIF(surrogate=ATan()).update_operations() == Operations(adds=3, multiplies=1, shifts=1)
    assert ALIF(surrogate=ATan()).spike_operations() == Operations(adds=1)
    assert ALIF(ALIFConfig(reset="soft"), surrogate=ATan()).spike_operations() == Operations(adds=2)
