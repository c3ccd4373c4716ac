from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from spikefront.plugins.tasks.mackey_glass import MackeyGlass, MackeyGlassConfig, series, smape


def test_series_is_that_of_an_own_hand_loop() -> None:
    found = series(np.array([0.0, 10.0, 50.0, 100.0, 197.0, 394.0]))
    assert found[:5] == pytest.approx([0.720660, 1.143033, 0.832179, 0.608359, 0.702936], abs=1e-6)
    assert found[5] == pytest.approx(0.735319, abs=2e-5)


def test_series_is_that_of_a_loop_over_steps() -> None:
    """Runge-Kutta 4 as the textbook has it, until t = 40, with the delayed values looked up by interpolation."""
    step, lag = 0.01, 1700
    past = [0.7206597] * (lag + 1)

    def slope(x: float, delayed: float) -> float:
        return 0.2 * delayed / (1 + delayed**10) - 0.1 * x

    for _ in range(4000):
        x, begin, end = past[-1], past[-1 - lag], past[-lag]
        one = slope(x, begin)
        two = slope(x + step / 2 * one, (begin + end) / 2)
        three = slope(x + step / 2 * two, (begin + end) / 2)
        past.append(x + step / 6 * (one + 2 * two + 2 * three + slope(x + step * three, end)))
    assert series(np.arange(41.0)) == pytest.approx(past[lag::100], abs=1e-12)


def test_smape_is_that_of_its_definition() -> None:
    assert smape(torch.tensor([1, 0.5, 1.2]), torch.tensor([0.9, 0.6, 1.2])) == pytest.approx(9.569378, abs=5e-6)
    assert smape(torch.tensor([float("nan"), 1.0]), torch.tensor([1.0, 1.0])) == 200


def test_splits_are_one_series_and_windows_end_before_their_target() -> None:
    task = MackeyGlass()
    data, test = task.search_data(None, 50), task.test_data(None, 50)
    assert [len(part) for part in (data.train, data.validation, test)] == [551, 150, 750]
    points = torch.cat([task.in_units(part.targets) for part in (data.train, data.validation, test)])[:, 0]
    truth = torch.from_numpy(series(np.arange(50, 1501) * 197 / 75)).float()
    torch.testing.assert_close(points, truth, atol=1e-6, rtol=0)
    torch.testing.assert_close(test.inputs[50, :, 0], points[701:751], atol=1e-6, rtol=0)


def test_repeats_begin_later() -> None:
    one, other = (MackeyGlass(MackeyGlassConfig(repeat=number)).search_data(None, 50).train for number in (0, 3))
    assert torch.equal(one.inputs[112:], other.inputs[:-112])  # int(3 * 37.5)


class Oracle:
    """A network that knows the series: it looks up what follows the last point of a window, or errs by a factor."""

    def __init__(self, known: Tensor, factor: float = 1.0, change: bool = False) -> None:
        self.known, self.factor, self.change, self.asked = known, factor, change, 0

    def __call__(self, x: Tensor) -> Tensor:
        self.asked += 1
        distance = (self.known[:, None] - x[0, :, 0] * 1.5).abs()
        windows = torch.stack([distance[i : i + 50].diagonal().sum() for i in range(len(self.known) - 50)])
        following = self.known[50 + int(windows.argmin())] * self.factor
        if self.change:
            return ((following - x[0, -1, 0] * 1.5) / 0.1).reshape(1, 1)
        return ((following - 0.9) / 0.25).reshape(1, 1)

    def sample(self, count: int) -> Tensor:
        raise AssertionError


@pytest.mark.parametrize("change", [False, True])
def test_quality_is_that_of_forecasts_from_forecasts(change: bool) -> None:
    task = MackeyGlass(MackeyGlassConfig(change=change))
    data = task.search_data(None, 50).validation
    known = torch.cat([data.inputs[0, :, 0], task.points(data.inputs, data.targets)[:, 0]])
    oracle = Oracle(known, change=change)
    assert task.measure_on(oracle, data.targets, data)["quality"] == pytest.approx(0, abs=1e-3)
    assert oracle.asked == 150
    wrong = task.measure_on(Oracle(known, factor=1.1, change=change), data.targets, data)
    assert wrong["quality"] > 200 * 0.1 / 2.1 - 0.1  # each is a tenth too large, and the next window shows it
    assert wrong["smape_one_step"] == 0


def test_changes_are_those_of_the_series() -> None:
    plain, task = MackeyGlass().search_data(None, 50), MackeyGlass(MackeyGlassConfig(change=True))
    data = task.search_data(None, 50)
    assert torch.equal(data.train.inputs, plain.train.inputs)
    points = MackeyGlass().in_units(plain.validation.targets)
    torch.testing.assert_close(task.points(data.validation.inputs, data.validation.targets), points)
    torch.testing.assert_close(task.in_units(data.validation.targets[1:]), points[1:] - points[:-1], atol=1e-6, rtol=0)


def test_chance_of_changes_is_a_constant_change() -> None:
    task = MackeyGlass(MackeyGlassConfig(change=True))
    series_ = series(np.arange(751) * 197 / 75)
    steps = np.diff(series_)
    held = series_[600:750] + steps[49:600].mean()
    truth = series_[601:751]
    expected = 200 * np.mean(abs(held - truth) / (held + truth))
    assert task.chance_quality(task.search_data(None, 50)) == pytest.approx(expected, abs=1e-3)
