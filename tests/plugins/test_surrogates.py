from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from spikefront.plugins import SURROGATES, Surrogate
from spikefront.plugins.surrogates import ATan, Rectangle, Sigmoid, Triangle


def triangle_primitive(x: Tensor, gamma: float) -> Tensor:
    inside = x.clamp(-gamma, gamma) / gamma
    return inside - inside * inside.abs() / 2 + 0.5


CASES: list[tuple[Surrogate, Callable[[Tensor], Tensor]]] = [
    (ATan(2.0), lambda x: torch.atan(math.pi / 2 * 2 * x) / math.pi),
    (ATan(7.0), lambda x: torch.atan(math.pi / 2 * 7 * x) / math.pi),
    (Sigmoid(4.0), lambda x: 1 / (1 + torch.exp(-4 * x))),
    (Sigmoid(20.0), lambda x: 1 / (1 + torch.exp(-20 * x))),
    (Triangle(1.0), lambda x: triangle_primitive(x, 1.0)),
    (Triangle(0.5), lambda x: triangle_primitive(x, 0.5)),
    (Rectangle(1.0), lambda x: (x + 0.5).clamp(0, 1)),
    (Rectangle(4.0), lambda x: (4 * x + 0.5).clamp(0, 1)),
]

cases = pytest.mark.parametrize(("surrogate", "primitive"), CASES, ids=[repr(surrogate) for surrogate, _ in CASES])


@cases
def test_equals_the_slope_of_its_primitive(surrogate: Surrogate, primitive: Callable[[Tensor], Tensor]) -> None:
    x = torch.linspace(-3, 3, 1000, dtype=torch.float64)  # even, so that no point lies on a corner
    slope = (primitive(x + 1e-6) - primitive(x - 1e-6)) / 2e-6
    torch.testing.assert_close(surrogate(x), slope, rtol=1e-6, atol=1e-6)


@cases
def test_has_unit_area(surrogate: Surrogate, primitive: Callable[[Tensor], Tensor]) -> None:
    x = torch.linspace(-200, 200, 400_000, dtype=torch.float64)  # an arc tangent's tails are long
    assert torch.trapezoid(surrogate(x), x).item() == pytest.approx(1, abs=5e-3)


@cases
def test_is_even_and_highest_at_the_threshold(surrogate: Surrogate, primitive: Callable[[Tensor], Tensor]) -> None:
    x = torch.linspace(0, 3, 301)
    torch.testing.assert_close(surrogate(x), surrogate(-x))
    assert (surrogate(x).diff() <= 0).all()


@pytest.mark.parametrize(
    ("surrogate", "peak"),
    [(ATan(3.0), 1.5), (Sigmoid(8.0), 2.0), (Triangle(0.5), 2.0), (Rectangle(3.0), 3.0)],
    ids=repr,
)
def test_peak_is_as_documented(surrogate: Surrogate, peak: float) -> None:
    assert surrogate(torch.zeros(1)).item() == pytest.approx(peak)


@pytest.mark.parametrize(
    ("ours", "theirs", "alpha"),
    [
        (ATan(2.0), "ATan", 2.0),
        (ATan(9.0), "ATan", 9.0),
        (Sigmoid(4.0), "Sigmoid", 4.0),
        (Triangle(1.0), "PiecewiseQuadratic", 1.0),
        (Triangle(0.5), "PiecewiseQuadratic", 2.0),
        (Rectangle(2.0), "Rect", 2.0),
    ],
    ids=repr,
)
def test_agrees_with_spikingjelly(ours: Surrogate, theirs: str, alpha: float) -> None:
    module: Any = pytest.importorskip("spikingjelly.activation_based.surrogate")
    x = torch.linspace(-3, 3, 1001, requires_grad=True)
    (gradient,) = torch.autograd.grad(getattr(module, theirs)(alpha)(x).sum(), x)
    torch.testing.assert_close(ours(x.detach()), gradient, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", sorted(SURROGATES))
def test_argument_and_dtype_are_kept(name: str) -> None:
    for dtype in (torch.float32, torch.float64):
        x = torch.linspace(-2, 2, 9, dtype=dtype)
        before = x.clone()
        assert SURROGATES[name]()(x).dtype == dtype
        assert torch.equal(x, before)
