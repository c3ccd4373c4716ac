from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from spikefront.plugins import Surrogate
from spikefront.plugins.surrogates.atan import ATan
from spikefront.plugins.surrogates.erf import Erf
from spikefront.plugins.surrogates.fast_sigmoid import FastSigmoid
from spikefront.plugins.surrogates.piecewise_exp import PiecewiseExp
from spikefront.plugins.surrogates.q_pseudo_spike import QPseudoSpike
from spikefront.plugins.surrogates.rectangle import Rectangle
from spikefront.plugins.surrogates.sigmoid import Sigmoid
from spikefront.plugins.surrogates.softsign import SoftSign
from spikefront.plugins.surrogates.straight_through import StraightThrough
from spikefront.plugins.surrogates.triangle import Triangle


def triangle_primitive(x: Tensor, gamma: float) -> Tensor:
    inside = x.clamp(-gamma, gamma) / gamma
    return inside - inside * inside.abs() / 2 + 0.5


def exponential_primitive(x: Tensor, alpha: float) -> Tensor:
    return 0.5 + x.sign() * (1 - torch.exp(-alpha * x.abs())) / 2


def q_primitive(x: Tensor, alpha: float) -> Tensor:
    return 0.5 + x.sign() * (1 - (1 + 2 * x.abs() / (alpha - 1)) ** (1 - alpha)) / 2


UNIT_AREA: list[tuple[Surrogate, Callable[[Tensor], Tensor]]] = [
    (ATan(2.0), lambda x: torch.atan(math.pi / 2 * 2 * x) / math.pi),
    (ATan(7.0), lambda x: torch.atan(math.pi / 2 * 7 * x) / math.pi),
    (Sigmoid(4.0), lambda x: 1 / (1 + torch.exp(-4 * x))),
    (Sigmoid(20.0), lambda x: 1 / (1 + torch.exp(-20 * x))),
    (Triangle(1.0), lambda x: triangle_primitive(x, 1.0)),
    (Triangle(0.5), lambda x: triangle_primitive(x, 0.5)),
    (Rectangle(1.0), lambda x: (x + 0.5).clamp(0, 1)),
    (Rectangle(4.0), lambda x: (4 * x + 0.5).clamp(0, 1)),
    (SoftSign(2.0), lambda x: x / (0.5 + x.abs()) / 2),
    (SoftSign(0.5), lambda x: x / (2 + x.abs()) / 2),
    (PiecewiseExp(1.0), lambda x: exponential_primitive(x, 1.0)),
    (PiecewiseExp(5.0), lambda x: exponential_primitive(x, 5.0)),
    (Erf(2.0), lambda x: torch.erf(2 * x) / 2),
    (Erf(0.5), lambda x: torch.erf(0.5 * x) / 2),
    (QPseudoSpike(2.0), lambda x: q_primitive(x, 2.0)),
    (QPseudoSpike(1.5), lambda x: q_primitive(x, 1.5)),
]
CASES = [
    *UNIT_AREA,
    (FastSigmoid(25.0), lambda x: x / (1 + 25 * x.abs())),
    (FastSigmoid(1.0), lambda x: x / (1 + x.abs())),
    (StraightThrough(), lambda x: x),
]

cases = pytest.mark.parametrize(("surrogate", "primitive"), CASES, ids=[repr(surrogate) for surrogate, _ in CASES])


@cases
def test_equals_the_slope_of_its_primitive(surrogate: Surrogate, primitive: Callable[[Tensor], Tensor]) -> None:
    x = torch.linspace(-3, 3, 1000, dtype=torch.float64)  # even, so that no point lies on a corner
    slope = (primitive(x + 1e-6) - primitive(x - 1e-6)) / 2e-6
    torch.testing.assert_close(surrogate(x), slope, rtol=1e-6, atol=1e-6)


def area(surrogate: Surrogate) -> float:
    x = torch.linspace(-30, 30, 400_000, dtype=torch.float64).sinh()  # dense at the threshold, and far into the tails
    return torch.trapezoid(surrogate(x), x).item()


@pytest.mark.parametrize("surrogate", [surrogate for surrogate, _ in UNIT_AREA], ids=repr)
def test_has_unit_area(surrogate: Surrogate) -> None:
    assert area(surrogate) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("k", [1.0, 25.0])
def test_fast_sigmoid_has_the_area_2_over_k(k: float) -> None:
    assert area(FastSigmoid(k)) == pytest.approx(2 / k, rel=1e-3)


@cases
def test_is_even_and_highest_at_the_threshold(surrogate: Surrogate, primitive: Callable[[Tensor], Tensor]) -> None:
    x = torch.linspace(0, 3, 301)
    torch.testing.assert_close(surrogate(x), surrogate(-x))
    assert (surrogate(x).diff() <= 0).all()


@pytest.mark.parametrize(
    ("surrogate", "peak"),
    [
        (ATan(3.0), 1.5),
        (Sigmoid(8.0), 2.0),
        (Triangle(0.5), 2.0),
        (Rectangle(3.0), 3.0),
        (FastSigmoid(7.0), 1.0),
        (SoftSign(3.0), 1.5),
        (PiecewiseExp(3.0), 1.5),
        (Erf(3.0), 3 / math.sqrt(math.pi)),
        (QPseudoSpike(3.0), 1.0),
        (StraightThrough(0.3), 1.0),
    ],
    ids=repr,
)
def test_peak_is_as_documented(surrogate: Surrogate, peak: float) -> None:
    assert surrogate(torch.zeros(1)).item() == pytest.approx(peak)


@pytest.mark.parametrize(
    ("ours", "theirs", "parameters"),
    [
        (ATan(2.0), "ATan", (2.0,)),
        (ATan(9.0), "ATan", (9.0,)),
        (Sigmoid(4.0), "Sigmoid", (4.0,)),
        (Triangle(1.0), "PiecewiseQuadratic", (1.0,)),
        (Triangle(0.5), "PiecewiseQuadratic", (2.0,)),
        (Rectangle(2.0), "Rect", (2.0,)),
        (FastSigmoid(1.0), "SuperSpike", (1.0,)),  # theirs scales the peak, never the width
        (SoftSign(2.0), "SoftSign", (2.0,)),
        (SoftSign(5.0), "SoftSign", (5.0,)),
        (PiecewiseExp(3.0), "PiecewiseExp", (3.0,)),
        (Erf(0.7), "Erf", (0.7,)),
        (QPseudoSpike(2.5), "QPseudoSpike", (2.5,)),
        (StraightThrough(0.2), "LeakyKReLU", (0.2, 1.0)),
        (StraightThrough(1.0), "LeakyKReLU", (1.0, 1.0)),
    ],
    ids=repr,
)
def test_agrees_with_spikingjelly(ours: Surrogate, theirs: str, parameters: tuple[float, ...]) -> None:
    module: Any = pytest.importorskip("spikingjelly.activation_based.surrogate")
    x = torch.linspace(-3, 3, 1001, requires_grad=True)
    (gradient,) = torch.autograd.grad(getattr(module, theirs)(*parameters)(x).sum(), x)
    torch.testing.assert_close(ours(x.detach()), gradient, rtol=1e-5, atol=1e-6)


def test_straight_through_leaks_below_the_threshold_alone() -> None:
    x = torch.tensor([-5.0, -1e-7, 0.0, 5.0])
    torch.testing.assert_close(StraightThrough(0.25)(x), torch.tensor([0.25, 0.25, 1.0, 1.0]))
    assert torch.equal(StraightThrough(1.0)(x), torch.ones(4))
