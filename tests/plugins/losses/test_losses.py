"""Training losses against hand arithmetic."""

from __future__ import annotations

import math

import pytest
import torch

from spikefront.plugins.losses.cross_entropy import CrossEntropy
from spikefront.plugins.losses.rate_mse import RateMSE
from spikefront.plugins.losses.tet import TET

# two steps, two samples, three classes
OUTPUT = torch.tensor([[[2.0, 0.0, -1.0], [0.5, 0.5, 0.0]], [[-1.0, 3.0, 0.0], [1.0, 0.0, 2.0]]], dtype=torch.float64)
TARGETS = torch.tensor([0, 2])


def entropy(row: list[float], target: int, smoothing: float = 0.0) -> float:
    """Return the cross-entropy of one sample: the target spread, then minus the mean logarithm under it."""
    total = math.log(sum(math.exp(value) for value in row))
    share = [(target == k) * (1 - smoothing) + smoothing / len(row) for k in range(len(row))]
    return sum(part * (total - value) for part, value in zip(share, row, strict=True))


def test_tet_is_the_mean_of_each_step_s_cross_entropy_and_a_distance_from_the_mean() -> None:
    by_step = [entropy(OUTPUT[t, b].tolist(), int(TARGETS[b])) for t in range(2) for b in range(2)]
    first = sum(by_step) / 4
    distance = sum((value - 1) ** 2 for value in OUTPUT.flatten().tolist()) / 12
    assert float(TET(weight=0.0)(OUTPUT, TARGETS)) == pytest.approx(first, rel=1e-12)
    assert float(TET(weight=0.05)(OUTPUT, TARGETS)) == pytest.approx(0.95 * first + 0.05 * distance, rel=1e-12)
    assert float(TET(weight=1.0, mean=0.0)(OUTPUT, TARGETS)) == pytest.approx(float(OUTPUT.square().mean()), rel=1e-12)


def test_tet_bounds_the_cross_entropy_of_the_mean_output() -> None:
    assert TET(weight=0.0)(OUTPUT, TARGETS) > CrossEntropy()(OUTPUT.mean(0), TARGETS)  # the two steps differ
    same = OUTPUT[:1].expand(5, -1, -1)
    torch.testing.assert_close(TET(weight=0.0)(same, TARGETS), CrossEntropy()(OUTPUT[0], TARGETS))


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_label_smoothing_spreads_a_share_of_the_target_over_all_classes(smoothing: float) -> None:
    expected = sum(entropy(OUTPUT[0, b].tolist(), int(TARGETS[b]), smoothing) for b in range(2)) / 2
    assert float(CrossEntropy(smoothing)(OUTPUT[0], TARGETS)) == pytest.approx(expected, rel=1e-12)


def test_error_of_rates_is_the_mean_over_samples_and_classes() -> None:
    rates = torch.tensor([[0.5, 0.25, 0.0], [0.0, 1.0, 1.0]])
    # (0.5 - 1)^2 + 0.25^2 + 0, and 0 + 1 + 0, over two samples of three classes
    assert float(RateMSE()(rates, TARGETS)) == pytest.approx((0.25 + 0.0625 + 1) / 6)
