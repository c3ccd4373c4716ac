from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor

from spikefront.plugins.network.membrane import integrate_and_fire
from spikefront.plugins.surrogates.atan import ATan
from spikefront.plugins.surrogates.sigmoid import Sigmoid
from spikefront.plugins.surrogates.triangle import Triangle

RULES = [
    {"hard_reset": hard, "decay_input": decay, "detach_reset": detach}
    for hard, decay, detach in product((True, False), repeat=3)
]


def rule_name(rule: dict[str, bool]) -> str:
    return " ".join(name for name, on in rule.items() if on) or "none"


def atan_primitive(x: Tensor) -> Tensor:
    return torch.atan(math.pi * x) / math.pi  # ATan(alpha=2), integrated


def sigmoid_primitive(x: Tensor) -> Tensor:
    return torch.sigmoid(4 * x)


def fired(x: Tensor, primitive: Callable[[Tensor], Tensor]) -> Tensor:
    smooth = primitive(x)
    return (x >= 0).to(x.dtype) + (smooth - smooth.detach())


def reference(
    current: Tensor,
    steps: int,
    *,
    leak: float | Tensor,
    thresholds: list[float],
    primitive: Callable[[Tensor], Tensor],
    hard_reset: bool,
    decay_input: bool,
    detach_reset: bool,
    ternary: bool = False,
    start: float = 0.0,
) -> Tensor:
    """The membrane equation step by step, its gradient by autograd through the primitive of the surrogate."""
    v = torch.full_like(current[0], start)
    spikes = []
    for t, threshold in zip(range(steps), thresholds, strict=True):
        x = current[t] if len(current) > 1 else current[0]
        h = v + leak * (x - v) if decay_input else (1 - leak) * v + x
        upper, lower = fired(h - threshold, primitive), fired(-h - threshold, primitive) if ternary else 0
        s, size = upper - lower, upper + lower
        reset = size if hard_reset else s
        if detach_reset:
            reset = reset.detach()
        v = h * (1 - reset) if hard_reset else h - threshold * reset
        spikes.append(s)
    return torch.stack(spikes)


@pytest.mark.parametrize("rule", RULES, ids=rule_name)
@pytest.mark.parametrize("length", [1, 6], ids=["constant", "changing"])
@pytest.mark.parametrize(
    "primitive", [(ATan(2.0), atan_primitive), (Sigmoid(4.0), sigmoid_primitive)], ids=["atan", "sigmoid"]
)
@pytest.mark.parametrize(
    "more",
    [{}, {"ternary": True}, {"start": 0.4}, {"threshold": [0.8, 0.4, 0.2] * 2}],
    ids=["plain", "ternary", "start", "thresholds"],
)
def test_spikes_and_gradients_equal_autograd_step_by_step(
    rule: dict[str, bool], length: int, primitive: Any, more: dict[str, Any]
) -> None:
    torch.manual_seed(0)
    surrogate, smooth = primitive
    arguments = {"threshold": 0.7, **rule, **more}
    threshold = arguments["threshold"]
    expected = {**rule, **more, "thresholds": threshold if isinstance(threshold, list) else [threshold] * 6}
    expected.pop("threshold", None)
    current = (2 * torch.randn(length, 3, 40, dtype=torch.float64)).requires_grad_()
    leak = torch.tensor(0.4, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(6, 3, 40, dtype=torch.float64)
    ours = integrate_and_fire(current, 6, leak=leak, surrogate=surrogate, **arguments)
    theirs = reference(current, 6, leak=leak, primitive=smooth, **expected)
    assert ours.unique().tolist() == ([-1, 0, 1] if arguments.get("ternary") else [0, 1])
    assert torch.equal(ours, theirs)
    torch.testing.assert_close(
        torch.autograd.grad((ours * weight).sum(), (current, leak)),
        torch.autograd.grad((theirs * weight).sum(), (current, leak)),
        rtol=1e-10,
        atol=1e-10,
    )


@pytest.mark.parametrize("rule", RULES, ids=rule_name)
def test_leak_that_is_a_number_equals_one_that_is_learnt(rule: dict[str, bool]) -> None:
    current = (2 * torch.randn(5, 2, 30, dtype=torch.float64)).requires_grad_()
    gradients = []
    for leak in (0.25, torch.tensor(0.25, dtype=torch.float64)):
        spikes = integrate_and_fire(current, 5, leak=leak, threshold=1.0, surrogate=Triangle(), **rule)
        gradients.append(torch.autograd.grad(spikes.sum(), current)[0])
    torch.testing.assert_close(gradients[0], gradients[1])


def fire(current: list[float], **rule: Any) -> list[float]:
    x = torch.tensor(current).view(-1, 1, 1)
    return integrate_and_fire(x, len(current), threshold=1.0, surrogate=ATan(), **rule).flatten().tolist()


def test_hand_computed_perfect_integrator() -> None:
    # hard: H = .75, 1.5 (fires, V = 0), .75, 1.5   soft: H = .75, 1.5 (V = .5), 1.25 (V = .25), 1.0 (V = 0)
    assert fire([0.75] * 4, leak=0.0, hard_reset=True) == [0, 1, 0, 1]
    assert fire([0.75] * 4, leak=0.0, hard_reset=False) == [0, 1, 1, 1]


def test_hand_computed_leaky_integrator() -> None:
    # tau = 2; H = V/2 + X: .75, 1.125 (fires)   with the input divided too, H = V/2 + X/2: .375, .5625, .65625
    assert fire([0.75] * 3, leak=0.5, decay_input=False) == [0, 1, 0]
    assert fire([0.75] * 3, leak=0.5, decay_input=True) == [0, 0, 0]
    # H = 1 (fires), then hard: -> V = 0, H = .5; soft: H = 1.5 -> V = .5, H = .25 + .75 = 1 (fires)
    assert fire([1.5, 0.75], leak=0.5, decay_input=False, hard_reset=True) == [1, 0]
    assert fire([1.5, 0.75], leak=0.5, decay_input=False, hard_reset=False) == [1, 1]


def test_tie_at_the_threshold_fires() -> None:
    below = math.nextafter(1.0, 0.0) - 1e-7  # the next smaller float32
    assert fire([1.0], leak=0.0) == [1]
    assert fire([below], leak=0.0) == [0]


def test_tie_at_minus_the_threshold_fires_negatively() -> None:
    assert fire([-1.0, 1.0], leak=0.0, ternary=True) == [-1, 1]
    assert fire([-1.0 + 1e-6], leak=0.0, ternary=True) == [0]


def test_hand_computed_ternary_neuron() -> None:
    # hard: H = -1.5 (fires, V = 0), .75, 1.5 (V = 0), -.5   soft: H = -1.5 (V = -.5), .25, 1 (V = 0), -.5
    assert fire([-1.5, 0.75, 0.75, -0.5], leak=0.0, ternary=True, hard_reset=True) == [-1, 0, 1, 0]
    assert fire([-1.5, 0.75, 0.75, -0.5], leak=0.0, ternary=True, hard_reset=False) == [-1, 0, 1, 0]
    # H = -1.75 (hard: V = 0; soft: V = -.75), then hard: -.5; soft: -1.25
    assert fire([-1.75, -0.5], leak=0.0, ternary=True, hard_reset=True) == [-1, 0]
    assert fire([-1.75, -0.5], leak=0.0, ternary=True, hard_reset=False) == [-1, -1]


def test_start_is_charge_already_there() -> None:
    assert fire([0.5, 0.5], leak=0.0, start=0.5) == [1, 0]
    assert fire([0.5, 0.5], leak=0.0, start=0.25) == [0, 1]
    assert fire([0.5, 0.5], leak=0.5, start=0.5) == [0, 0]  # it leaks: H = .25 + .5, .375 + .5


def test_threshold_may_change_from_step_to_step() -> None:
    x = torch.tensor([0.75, 0.0, 0.0]).view(-1, 1, 1)
    spikes = integrate_and_fire(x, 3, leak=0.0, threshold=[0.5, 0.5, 0.25], surrogate=ATan(), hard_reset=False)
    assert spikes.flatten().tolist() == [1, 0, 1]  # V = .25, .25, 0


def test_silent_step_between_two_leaves_the_potential_to_decay() -> None:
    assert fire([0.8, 0.0, 0.8], leak=0.5) == [0, 0, 1]  # H = .8, .4, .2 + .8
    assert fire([0.8, 0.0, 0.75], leak=0.5) == [0, 0, 0]


def test_gradient_is_not_computed_where_nobody_asks() -> None:
    spikes = integrate_and_fire(torch.ones(2, 1, 1), 2, leak=0.5, threshold=1.0, surrogate=ATan())
    assert not spikes.requires_grad


def test_current_is_left_as_it_was() -> None:
    current = torch.randn(4, 2, 8, requires_grad=True)
    before = current.detach().clone()
    integrate_and_fire(current, 4, leak=0.5, threshold=0.5, surrogate=ATan(), decay_input=True).sum().backward()
    assert torch.equal(current, before)


@pytest.mark.parametrize("length", [4, 1])
def test_layout_does_not_change_the_spikes(length: int) -> None:
    torch.manual_seed(0)
    current = 2 * torch.randn(length, 3, 5, 6, 7)
    last = current.flatten(0, 1).to(memory_format=torch.channels_last).unflatten(0, (length, 3))
    results = []
    for x in (current.requires_grad_(), last.requires_grad_()):
        spikes = integrate_and_fire(x, 4, leak=0.5, threshold=1.0, surrogate=ATan())
        results.append((spikes, torch.autograd.grad(spikes.square().sum(), x)[0]))
    assert torch.equal(results[0][0], results[1][0])
    torch.testing.assert_close(results[0][1], results[1][1])
