"""The contract of a logger."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from spikefront.plugins.contracts import Logger
from spikefront.plugins.testing.base import PluginContract, built_in, sample_configs
from spikefront.searchspace import ENERGY, Candidate, Objective, SearchInfo, Trial, Value, from_flat

Metrics = dict[str, float]

_AXES: Final = (Objective("quality", maximize=True, worst=0.0, best=1.0), ENERGY)
_TRACEBACK: Final = 'Traceback (most recent call last):\n  File "mine.py", line 3\nZeroDivisionError: division by zero'


class LoggerContract(PluginContract):
    """What every logger must do: hear a search of a few trials, one that is resumed, and one without any."""

    kind = "logger"

    def make(self, plugin: type[Logger], config: object = None) -> Logger:
        """Return a logger for one search."""
        return plugin(config)

    def search(self, folder: Path, **more: Any) -> SearchInfo:
        """Return a search that keeps its files in a folder, which exists."""
        options: dict[str, Value] = {"trials": 4, "seed": 0, "fair": False, "space": "whole"}
        about = SearchInfo("mine-1", "digits", "accuracy", _AXES, folder, 4, None, options, {"task.digits": "1.0"})
        return replace(about, id="a" * 32, inputs="static", **more)

    def candidate(self, coding: str = "direct") -> Candidate:
        """Return a candidate."""
        return from_flat({"task": "digits", "coding": coding, "steps": 4, "training.epochs": 2}, built_in())

    @pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
    def test_hears_a_search_whose_trials_end_in_every_way(self, plugin: type[Logger], tmp_path: Path) -> None:
        for index, config in enumerate(sample_configs(plugin.Config, count=4)):
            folder = tmp_path / str(index)
            folder.mkdir()
            tell(self.make(plugin, config), self.search(folder), self.candidate())

    def test_hears_a_search_that_a_killed_driver_left(self, plugin: type[Logger], tmp_path: Path) -> None:
        tell(self.make(plugin), self.search(tmp_path), self.candidate(), end=False)
        resumed = self.search(tmp_path, earlier=ended_before(self.candidate()))
        tell(self.make(plugin), resumed, self.candidate("rate"), first=5, retry_of=3)

    def test_hears_a_search_that_ends_before_its_first_trial(self, plugin: type[Logger], tmp_path: Path) -> None:
        logger = self.make(plugin)
        logger.search_started(self.search(tmp_path))
        logger.search_ended("time is up")

    def test_changes_nothing_that_it_hears(self, plugin: type[Logger], tmp_path: Path) -> None:
        logger, metrics = self.make(plugin), measured(0.5)
        logger.search_started(self.search(tmp_path))
        logger.trial_started(0, self.candidate())
        logger.epoch_ended(0, 1, metrics)
        logger.trial_ended(0, "COMPLETE", "", metrics, None)
        logger.search_ended("all trials done")
        assert metrics == measured(0.5)

    def test_leaves_nothing_behind_before_a_search_starts(
        self, plugin: type[Logger], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        self.make(plugin)
        assert list(tmp_path.iterdir()) == []


def measured(quality: float) -> Metrics:
    """Return metrics of an epoch."""
    return {"quality": quality, "energy_nj": 100 * quality + 1, "spike_rate": 0.1, "loss": 1 - quality}


def tell(
    logger: Logger,
    search: SearchInfo,
    candidate: Candidate,
    *,
    first: int = 0,
    retry_of: int | None = None,
    end: bool = True,
) -> None:
    """Tell a logger of four trials, which run side by side: evaluated, with a point; stopped; failed; broken off.

    Args:
        logger: the logger.
        search: the search.
        candidate: what all trials evaluate.
        first: number of the first trial.
        retry_of: the trial that the first evaluates again; None for none.
        end: whether the last trial and the search end; a driver that is killed says nothing.
    """
    logger.search_started(search)
    whole, stopped, failed, broken = range(first, first + 4)
    for number in (whole, stopped, failed, broken):
        logger.trial_started(number, candidate, retry_of if number == first else None)
    for number in (whole, stopped, broken):
        logger.epoch_ended(number, 1, measured(0.4 + number / 100))
    logger.trial_ended(stopped, "PRUNED", "stopped at epoch 1 of 2: silent", measured(0.4 + stopped / 100), None)
    logger.trial_raised(failed, _TRACEBACK)
    logger.trial_ended(failed, "FAIL", "ZeroDivisionError: division by zero (mine.py:3)", {}, None)
    logger.epoch_ended(whole, 2, {**measured(0.8), "grad": math.nan, "ratio": math.inf})
    logger.points_measured(whole, {1: measured(0.3), 2: measured(0.5)})
    logger.trial_ended(whole, "COMPLETE", "", {**measured(0.8), "grad": math.nan}, search.folder / "trial.pt")
    if end:
        logger.trial_ended(broken, "PRUNED", "time is up at epoch 1 of 2", measured(0.4 + broken / 100), None)
        logger.search_ended("time is up")


def ended_before(candidate: Candidate) -> tuple[Trial, ...]:
    """Return the trials of ``tell``, and one more whose end a killed driver told nobody, as a resume gets them."""
    flat = candidate.flat()
    return (
        Trial(0, "COMPLETE", flat, measured(0.8), epoch=2).with_points({1: measured(0.3), 2: measured(0.5)}),
        Trial(1, "PRUNED", flat, measured(0.41), "stopped at epoch 1 of 2: silent", epoch=1),
        Trial(2, "FAIL", flat, {}, "ZeroDivisionError: division by zero (mine.py:3)", traceback=_TRACEBACK),
        Trial(3, "FAIL", flat, {}, "the driver died; judged again under another number", again=True),
        Trial(4, "COMPLETE", flat, measured(0.7), epoch=2),
    )
