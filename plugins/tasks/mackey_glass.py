"""Mackey-Glass: forecast of a chaotic series, fed with its own forecasts, as in NeuroBench; generated, nothing to load.

The series is that of ``x' = 0.2 x(t - 17) / (1 + x(t - 17)^10) - 0.1 x(t)``, at 75 points for each Lyapunov time of
197, with the constant past 0.7206597. A sample is a window of 50 points, and its target the next one. The first 750
points are known, of which the last 150 validate; the next 750 test. **Quality is autonomous**: the network starts from
the last known window and gets its own forecasts from then on; it is the symmetric mean absolute percentage error
(sMAPE) of all of them, 0 to 200, and the lower the better. A step forward from true points, as training has it, is
``smape_one_step``.

The series is chaotic, so that no two machines make the same one for long (to five digits until t = 394 here): figures
of it are **on an own series**. NeuroBench reports the mean over 30 series, each begun 37.5 points later than the one
before, rounded down: ``task.mackey-glass.repeat``, 0 to 29. Its networks keep their state where ours reads a window
again for each point.

Reference: Yik et al., "The NeuroBench framework for benchmarking neuromorphic computing algorithms and systems", Nature
Communications 16 (2025), version 2.3 of its code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from spikefront.plugins import PINNED, Choice, Data, Int, SearchData, Task, hookimpl
from spikefront.plugins.contracts.task import Generator

Array = NDArray[Any]

WINDOW: Final = 50
KNOWN: Final = 750
FORECAST: Final = 750
_VALIDATED: Final = 150
_PER_REPEAT: Final = 37.5
_PAST, _DELAY, _DECAY = 0.7206597, 17.0, 0.1
_LYAPUNOV, _POINTS = 197.0, 75
_STEP: Final = 0.01
_MEAN, _SD, _CHANGE_SD, _LARGEST = 0.9, 0.25, 0.1, 1.5


def series(times: Array) -> Array:
    """Return the series at some times of at least 0: Runge-Kutta 4, delayed values linear between steps of 0.01.

    The steps of one delay are computed at once: what they read of the past is known, and the rest is linear.
    """
    from scipy.signal import lfilter  # here, where it is needed: importing it takes a while

    lag, z = round(_DELAY / _STEP), _DECAY * _STEP
    kept = 1 - z + z**2 / 2 - z**3 / 6 + z**4 / 24
    blocks = -(-int(np.ceil(times.max() / _STEP) + 1) // lag)
    grid = np.full((blocks + 1) * lag + 1, _PAST)  # from t = -17 on
    for first in range(lag, len(grid) - 1, lag):
        past = grid[first - lag : first + 1]
        drives = [_drive(one) for one in (past[:-1], (past[:-1] + past[1:]) / 2, past[1:])]
        one = drives[0]
        two = drives[1] - z / 2 * one
        three = drives[1] - z / 2 * two
        four = drives[2] - z * three
        added = _STEP / 6 * (one + 2 * two + 2 * three + four)
        grid[first + 1 : first + lag + 1] = lfilter([1.0], [1.0, -kept], added, zi=[kept * grid[first]])[0]
    read: Array = np.interp(times / _STEP, np.arange(len(grid) - lag), grid[lag:])
    return read


def _drive(delayed: Array) -> Array:
    driven: Array = 0.2 * delayed / (1 + delayed**10)
    return driven


def smape(forecast: Tensor, truth: Tensor) -> float:
    """Return the symmetric mean absolute percentage error, 0 to 200; 200 where it is not a number.

    Example:
        >>> round(smape(torch.tensor([1, 0.5, 1.2]), torch.tensor([0.9, 0.6, 1.2])), 4)
        9.5694
    """
    forecast, truth = forecast.double(), truth.double()
    error = 200 * float(((forecast - truth).abs() / (forecast.abs() + truth.abs())).mean())
    return error if np.isfinite(error) else 200.0


@dataclass(frozen=True, slots=True)
class MackeyGlassConfig:
    """Which part of the series is learnt."""

    repeat: Annotated[int, Int(0, 29), PINNED] = 0
    """Number of the series, each begun 37.5 points later than the one before."""
    change: Annotated[bool, Choice((False, True)), PINNED] = False
    """Whether the network says by how much the next point differs from the last one, which is then added to it."""


class MackeyGlass(Task):
    """Autonomous forecast of the Mackey-Glass series; sMAPE."""

    name = "mackey-glass"
    inputs = "sequences"
    layout = "sequences"
    length = WINDOW
    Config = MackeyGlassConfig
    config: MackeyGlassConfig
    quality: ClassVar[str] = "smape"
    maximize = False
    worst_quality = 50.0
    best_quality = 0.0
    held_out = "the last 150 of the 750 known points, which the network forecasts from the 600 before"

    def files(self, data_dir: Path | None) -> Sequence[Path]:
        return ()

    def search_data(self, data_dir: Path | None, steps: int) -> SearchData:
        first = KNOWN - _VALIDATED + 1
        return SearchData(self._data(WINDOW, first), self._data(first, KNOWN + 1), outputs=1)

    def test_data(self, data_dir: Path | None, steps: int) -> Data:
        return self._data(KNOWN + 1, KNOWN + FORECAST + 1)

    def _data(self, first: int, end: int) -> Data:
        """Return the points of a range as targets, each with the window before it."""
        points = torch.from_numpy(_points(int(_PER_REPEAT * self.config.repeat))).float()
        windows = points[first - WINDOW : end - 1].unfold(0, WINDOW, 1).unsqueeze(2)
        known, scale = (points[first - 1 : end - 1], _CHANGE_SD) if self.config.change else (_MEAN, _SD)
        return Data(windows.contiguous(), ((points[first:end] - known) / scale).unsqueeze(1))

    def prepare(self, batch: Tensor) -> Tensor:
        return (batch.float() / _LARGEST).clamp(0, 1)

    def loss(self, output: Tensor, targets: Tensor) -> Tensor:
        return nn.functional.mse_loss(output, targets)

    def in_units(self, output: Tensor) -> Tensor:
        return output * _CHANGE_SD if self.config.change else output * _SD + _MEAN

    def points(self, windows: Tensor, output: Tensor) -> Tensor:
        """Return the points after some windows ``(N, 50, 1)`` that outputs ``(N, 1)`` stand for."""
        found = self.in_units(output)
        return found + windows[:, -1].to(found) if self.config.change else found

    def score(self, output: Tensor, targets: Tensor) -> float:
        return smape(self.in_units(output), self.in_units(targets))

    def measure_on(self, network: Generator, output: Tensor, data: Data) -> dict[str, float]:
        found = self.forecast(network, data.inputs[:1], len(data))
        truth = self.points(data.inputs, data.targets)
        return {"quality": smape(found, truth), "smape_one_step": smape(self.points(data.inputs, output), truth)}

    def forecast(self, network: Generator, window: Tensor, points: int) -> Tensor:
        """Return the points that follow a window ``(1, 50, 1)``, ``(points, 1)``, each from those before."""
        found: list[Tensor] = []
        for _ in range(points):
            found.append(self.points(window, network(self.prepare(window))))
            window = torch.cat([window[:, 1:], found[-1].to(window).unsqueeze(2)], 1)
        return torch.cat(found)

    def chance_quality(self, data: SearchData) -> float:
        """Return the quality of the mean of the training targets."""
        windows, targets = data.validation.inputs, data.validation.targets
        constant = data.train.targets.mean(0).expand(targets.shape)
        return smape(self.points(windows, constant), self.points(windows, targets))


@cache
def _points(begun: int) -> Array:
    return series((begun + np.arange(KNOWN + FORECAST + 1)) * _LYAPUNOV / _POINTS)


@hookimpl
def register_tasks(register: Callable[[type[Task]], None]) -> None:
    register(MackeyGlass)
