from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from spikefront.plugins import Neuron, Surrogate
from spikefront.plugins.surrogates.atan import ATan
from spikefront.plugins.surrogates.rectangle import Rectangle
from spikefront.plugins.surrogates.sigmoid import Sigmoid
from spikefront.plugins.surrogates.triangle import Triangle

SURROGATES = [ATan(2.0), ATan(5.0), Sigmoid(4.0), Triangle(0.5), Rectangle(1.0)]


@pytest.fixture(params=SURROGATES, ids=repr)
def surrogates(request: pytest.FixtureRequest) -> tuple[Surrogate, Any]:
    """One of our surrogates and SpikingJelly's."""
    theirs = pytest.importorskip("spikingjelly.activation_based.surrogate")
    ours = request.param
    match ours:
        case ATan(alpha):
            return ours, theirs.ATan(alpha)
        case Sigmoid(alpha):
            return ours, theirs.Sigmoid(alpha)
        case Triangle(gamma):
            return ours, theirs.PiecewiseQuadratic(1 / gamma)
        case Rectangle(alpha):
            return ours, theirs.Rect(alpha)
    raise AssertionError(ours)


@pytest.fixture
def agree() -> Callable[[Neuron, Any, int], None]:
    """Check that our neuron and SpikingJelly's fire alike and have the same gradients."""
    return _agree


def _agree(ours: Neuron, theirs: Any, steps: int) -> None:
    torch.manual_seed(steps)
    current = (2 * torch.randn(steps, 4, 300)).requires_grad_()
    weight = torch.randn(steps, 4, 300)
    spikes, their_spikes = ours(current, steps), theirs(current)
    assert spikes.any()
    assert int((spikes != their_spikes).sum()) == 0
    gradient, *leak = torch.autograd.grad((spikes * weight).sum(), [current, *ours.parameters()])
    their_gradient, *their_leak = torch.autograd.grad((their_spikes * weight).sum(), [current, *theirs.parameters()])
    torch.testing.assert_close(gradient, their_gradient, rtol=0, atol=1e-5)
    torch.testing.assert_close(leak, their_leak, rtol=1e-4, atol=1e-4)  # the sum over thousands of neurons
