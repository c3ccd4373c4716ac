from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
import torch

from spikefront.plugins import Neuron, Surrogate
from spikefront.plugins.neurons.lif import LIF, LIFConfig
from spikefront.plugins.neurons.plif import PLIF, PLIFConfig
from spikefront.plugins.surrogates.atan import ATan


@pytest.mark.parametrize("steps", [1, 4, 8])
@pytest.mark.parametrize("decay_input", [True, False])
def test_spikes_and_learnt_leak_agree_with_spikingjelly(
    steps: int, decay_input: bool, surrogates: tuple[Surrogate, Any], agree: Callable[[Neuron, Any, int], None]
) -> None:
    neuron = pytest.importorskip("spikingjelly.activation_based.neuron")
    ours, theirs = surrogates
    for hard, detach, tau in product((True, False), (True, False), (2.0, 1.3)):
        config = PLIFConfig(tau, 0.8, "hard" if hard else "soft", decay_input, detach)
        reset = 0.0 if hard else None
        node = neuron.ParametricLIFNode(tau, decay_input, 0.8, reset, theirs, detach_reset=detach, step_mode="m")
        agree(PLIF(config, surrogate=ours), node, steps)


def test_starts_as_a_lif_neuron() -> None:
    torch.manual_seed(0)
    current = 2 * torch.randn(6, 3, 100)
    lif = LIF(LIFConfig(tau=3.0), surrogate=ATan())
    plif = PLIF(PLIFConfig(init_tau=3.0), surrogate=ATan())
    assert torch.equal(plif(current, 6), lif(current, 6))


def test_has_one_parameter_per_layer() -> None:
    (w,) = PLIF(PLIFConfig(init_tau=4.0), surrogate=ATan()).parameters()
    assert w.shape == ()
    assert w.sigmoid().item() == pytest.approx(1 / 4)
