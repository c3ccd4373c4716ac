from __future__ import annotations

import math
from itertools import combinations

import pytest
import torch
from torch import Tensor

from spikefront.plugins.bases.attention import (
    NORMALISERS,
    REGULARISERS,
    effective_steps,
    effective_steps_l2,
    entropy,
    sparsemax,
)

SIMPLEX = ("softmax", "sum1", "sparsemax")


@pytest.fixture(params=[1, 2, 5, 16], ids=lambda steps: f"T={steps}")
def u(request: pytest.FixtureRequest) -> Tensor:
    return 2 * torch.randn(request.param, generator=torch.Generator().manual_seed(request.param))


def project(u: Tensor) -> Tensor:
    """Nearest point of the simplex, by trying every support: the face's own projection, if it is feasible."""
    best, distance = u, math.inf
    for size in range(1, len(u) + 1):
        for support in combinations(range(len(u)), size):
            point = torch.zeros_like(u)
            chosen = list(support)
            point[chosen] = u[chosen] - (u[chosen].sum() - 1) / size
            if (point >= 0).all() and float((point - u).square().sum()) < distance:
                best, distance = point, float((point - u).square().sum())
    return best


@pytest.mark.parametrize("name", SIMPLEX)
def test_simplex_normaliser_is_positive_and_sums_to_1(name: str, u: Tensor) -> None:
    a = NORMALISERS[name](u)
    assert (a >= 0).all()
    assert a.sum().item() == pytest.approx(1, abs=1e-6)


def test_mean1_sums_to_the_number_of_steps(u: Tensor) -> None:
    assert NORMALISERS["mean1"](u).sum().item() == pytest.approx(len(u), rel=1e-5)


def test_l2_has_unit_norm_and_any_sign(u: Tensor) -> None:
    a = NORMALISERS["l2"](u)
    assert a.square().sum().item() == pytest.approx(1, abs=1e-6)
    assert torch.equal(a.sign(), u.sign())


def test_bounded_normalisers_keep_their_bounds(u: Tensor) -> None:
    assert ((NORMALISERS["sigmoid"](u) > 0) & (NORMALISERS["sigmoid"](u) < 1)).all()
    assert (NORMALISERS["tanh"](u).abs() < 1).all()
    assert torch.equal(NORMALISERS["none"](u), u)


@pytest.mark.parametrize("name", sorted(NORMALISERS))
def test_larger_parameter_never_gives_a_smaller_coefficient(name: str, u: Tensor) -> None:
    ordered = NORMALISERS[name](u.sort().values)
    assert (ordered.diff() >= -1e-7).all()


@pytest.mark.parametrize("seed", range(20))
def test_sparsemax_is_the_nearest_point_of_the_simplex(seed: int) -> None:
    u = torch.randn(5, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) * (0.1 + seed / 10)
    torch.testing.assert_close(sparsemax(u), project(u))


def test_sparsemax_has_exact_zeros() -> None:
    assert sparsemax(torch.tensor([3.0, 0.0, 0.0])).tolist() == [1, 0, 0]
    assert sparsemax(torch.zeros(4)).tolist() == [0.25] * 4


@pytest.mark.parametrize("name", ["softmax", "mean1", "sparsemax"])
def test_gradient_sums_to_0_over_time_where_a_shift_changes_nothing(name: str) -> None:
    u = torch.linspace(0.3, -0.3, 6, requires_grad=True)  # near enough for sparsemax to keep several
    (NORMALISERS[name](u) * torch.randn(6)).sum().backward()
    assert u.grad is not None
    assert u.grad.any()
    assert u.grad.sum().item() == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("name", sorted(NORMALISERS))
def test_effective_steps_and_entropy_keep_their_range(name: str, u: Tensor) -> None:
    a = NORMALISERS[name](u)
    assert -1e-6 <= entropy(a) <= math.log(len(u)) + 1e-6
    assert 1 - 1e-6 <= effective_steps(a) <= len(u) * (1 + 1e-6)
    assert 1 - 1e-6 <= effective_steps_l2(a) <= effective_steps(a) * (1 + 1e-5)


def test_effective_steps_count_equal_coefficients() -> None:
    assert effective_steps(torch.full((8,), 3.0)).item() == pytest.approx(8)
    assert effective_steps(torch.tensor([0.0, 0.7, 0.7, 0.0])).item() == pytest.approx(2)
    assert effective_steps(torch.tensor([0.0, 1.0, 0.0])).item() == 1
    assert entropy(torch.tensor([0.5, 0.25, 0.25])).item() == pytest.approx(1.5 * math.log(2))
    assert effective_steps_l2(torch.full((8,), 3.0)).item() == pytest.approx(8)
    assert effective_steps_l2(torch.tensor([0.0, 1.0, 0.0])).item() == 1
    assert effective_steps_l2(torch.tensor([2.0, -1.0, 1.0])).item() == pytest.approx(1 / (1 / 4 + 1 / 16 + 1 / 16))


@pytest.mark.parametrize(
    ("name", "better", "worse"),
    [
        ("spread", [0.5, 0.5], [1.0, 0.0]),
        ("concentrate", [1.0, 0.0], [0.5, 0.5]),
        ("uniform", [0.5, 0.5], [0.9, 0.1]),
        ("geometric", [2 / 3, 1 / 3], [0.5, 0.5]),
        ("one-hot", [1.0, 0.0], [0.0, 1.0]),
        ("l1", [0.1, -0.1], [1.0, -1.0]),
        ("smooth", [0.5, 0.5], [0.0, 1.0]),
        ("early", [1.0, 0.0], [0.0, 1.0]),
    ],
)
def test_penalty_prefers_what_its_name_says(name: str, better: list[float], worse: list[float]) -> None:
    assert REGULARISERS[name](torch.tensor(better)) < REGULARISERS[name](torch.tensor(worse))


def test_each_penalty_is_compared_above() -> None:
    assert set(REGULARISERS) == {
        "spread",
        "concentrate",
        "uniform",
        "geometric",
        "one-hot",
        "l1",
        "smooth",
        "early",
    }


@pytest.mark.parametrize(
    ("name", "a", "value"),
    [
        ("uniform", [1.0, 2.0, 1.0], 1 / 9 + 4 / 9 + 1 / 9),  # the mean is 4/3
        ("geometric", [4.0, 2.0, 1.0], 0.0),
        ("geometric", [1.0, 2.0, 4.0], 9.0 + 9.0),  # from 4, 2, 1, which has the same sum
        ("one-hot", [3.0, 0.0, 0.0], 0.0),
        ("one-hot", [1.0, 2.0, 1.0], 9.0 + 4.0 + 1.0),  # from 4, 0, 0
        ("l1", [1.0, -2.0, 0.5], 3.5),
        ("smooth", [1.0, 2.0, 0.5], 1.0 + 2.25),
        ("early", [1.0, 2.0, 0.5, 1.0], 1.0 + 0.5),
        ("spread", [2.0, 1.0, 1.0], -1.5 * math.log(2)),
        ("concentrate", [2.0, 1.0, 1.0], 1.5 * math.log(2)),
    ],
)
def test_hand_computed_penalty(name: str, a: list[float], value: float) -> None:
    assert REGULARISERS[name](torch.tensor(a)).item() == pytest.approx(value)


@pytest.mark.parametrize("name", sorted(REGULARISERS))
def test_penalty_is_finite_with_a_finite_gradient_at_exact_zeros(name: str) -> None:
    a = torch.tensor([1.0, 0.0, 0.0], requires_grad=True)
    REGULARISERS[name](a).backward()
    assert a.grad is not None
    assert a.grad.isfinite().all()


@pytest.mark.parametrize("name", sorted(NORMALISERS))
def test_channels_are_normalised_each_by_itself(name: str) -> None:
    u = 2 * torch.randn(6, 5)
    by_channel = torch.stack([NORMALISERS[name](channel) for channel in u.T], dim=1)
    torch.testing.assert_close(NORMALISERS[name](u), by_channel)


@pytest.mark.parametrize("name", [*sorted(REGULARISERS), "entropy", "effective_steps", "effective_steps_l2"])
def test_number_of_several_channels_is_the_mean_of_theirs(name: str) -> None:
    functions = {"entropy": entropy, "effective_steps": effective_steps, "effective_steps_l2": effective_steps_l2}
    function = (REGULARISERS | functions)[name]
    a = torch.randn(6, 5)
    assert function(a).shape == ()
    torch.testing.assert_close(function(a), torch.stack([function(channel) for channel in a.T]).mean())
