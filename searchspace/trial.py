"""Trials and searches, as records that the driver, the store and the report share."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Final, Literal

from spikefront.searchspace.domains import Value
from spikefront.searchspace.objectives import DEFAULT_ENERGY_MODEL, Objective

State = Literal["COMPLETE", "FAIL", "PRUNED"]
"""How a trial ended: evaluated at full budget, failed, or stopped early."""

COMPUTE: Final = "compute_s"
"""Metric of a trial with its compute: predicted seconds of the epochs that it trained, by counted operations."""
LAYERS: Final = "layers.json"
"""Name of a trial's energy by layer, beside its weights and among its artifacts."""
COUNTS: Final = "counts"
"""Name of the folder of a search with a JSON file of the operations of each trial that was evaluated at full budget."""
PICTURE: Final = "picture.png"
"""Name of the picture of what a generative trial makes, beside its weights and among its artifacts."""
CUT: Final = "cut"
"""Key of the flat form of a candidate whose network is stopped after fewer steps than it was trained with."""
ACTIVITY: Final = "activity.json"
"""Name of what a trial's network does with data of the validation split, beside its weights and among its artifacts."""


_NAME: Final = re.compile("([0-9]{1,9})(?:@([1-9][0-9]{0,5}))?")


def read_name(name: str) -> tuple[int, int]:
    """Return number and cut that ``Trial.name`` is made of; the cut of a training is 0.

    Example:
        >>> read_name("12"), read_name("12@4")
        ((12, 0), (12, 4))

    Raises:
        ValueError: when it names no trial.
    """
    found = _NAME.fullmatch(name)
    if found is None:
        raise ValueError(f"{name[:40]!r} names no trial; a trial has a number, such as 12, and its point at T = 4 12@4")
    return int(found[1]), int(found[2] or 0)


@dataclass(frozen=True, slots=True)
class Trial:
    """One trial: a candidate and its evaluation; or a point of one: its trained network, stopped after fewer steps.

    Attributes:
        number: its number, from 0; a point has that of the trial that trained its network.
        state: COMPLETE, PRUNED, FAIL or RUNNING.
        candidate: flat form of its candidate, as ``Candidate.flat`` writes it; values are text where they come from
            MLflow; empty where its driver died before one was chosen.
        metrics: its last metrics, by name.
        reason: why it failed or was stopped; empty otherwise.
        epoch: the epoch that ``metrics`` belong to, from 1; 0 where that is not known.
        ended_s: seconds from the start of the search to its end; NaN while it runs, or where that is not known.
        again: whether it was broken off by the end of the search and is evaluated again under another number.
        retry_of: number of the trial that evaluated the same candidate until an earlier driver ended; None for a new
            candidate.
        run_id: its MLflow run; empty where it has none.
        weights: file with its trained weights, or None.
        versions: name and version of its plugins by kind, as MLflow has them.
        traceback: of the exception that it failed with, where it comes from the journal; empty otherwise.
        cut: step T' after which the network is stopped, from 1 to T - 1; 0 for the trial itself, which runs all T.
        points: the points of a trial, by ascending T'; a point has none.
    """

    number: int
    state: str = "COMPLETE"
    candidate: Mapping[str, Value] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    reason: str = ""
    epoch: int = 0
    ended_s: float = math.nan
    again: bool = False
    retry_of: int | None = None
    run_id: str = ""
    weights: Path | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    traceback: str = ""
    cut: int = 0
    points: tuple[Trial, ...] = ()

    @property
    def name(self) -> str:
        """What no other trial or point of its search is called: ``12``, or ``12@4`` for the point of 12 at T' = 4."""
        return f"{self.number}@{self.cut}" if self.cut else str(self.number)

    @property
    def label(self) -> int | str:
        """What tables and documents call it: the number of a trial, the name of a point."""
        return self.name if self.cut else self.number

    def with_points(self, points: Mapping[int, Mapping[str, float]]) -> Trial:
        """Return the trial with points that have its candidate, epoch, end and weights.

        Args:
            points: metrics by T'.
        """
        made = (
            replace(self, cut=cut, candidate={**self.candidate, CUT: cut}, metrics=metrics, points=(), run_id="")
            for cut, metrics in sorted(points.items())
        )
        return replace(self, points=tuple(made))

    def __eq__(self, other: object) -> bool:
        """Return whether all fields are equal, the same NaN with itself too, which Python 3.13's dataclasses deny."""
        if not isinstance(other, Trial):
            return NotImplemented
        mine, others = ([getattr(one, each.name) for each in fields(one)] for one in (self, other))
        return mine == others  # a list takes what is the same object for equal

    @property
    def steps(self) -> Value:
        """Time steps that its network runs, in words: T, or ``4 of 8`` of a point; empty where none were chosen."""
        whole = self.candidate.get("steps", "")
        return f"{self.cut} of {whole}" if self.cut else whole

    @property
    def coding(self) -> str:
        """Name of its coding; empty where none was chosen."""
        return str(self.candidate.get("coding", ""))

    @property
    def budget(self) -> int:
        """Epochs of its full budget."""
        return int(self.candidate["training.epochs"])


@dataclass(frozen=True, slots=True)
class DataSplit:
    """A split of a data set, by its content.

    Attributes:
        name: ``training`` or ``validation``.
        digest: name of its content: no other has it.
        shape: of its inputs, ``(N, ...)``.
        dtype: of its inputs, such as ``uint8``.
    """

    name: str
    digest: str
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True, slots=True)
class SearchInfo:
    """What is known of a search when it starts.

    Attributes:
        name: the search's name, unique among its neighbours.
        task: name of the task.
        quality: the task's own name for its quality metric, for example ``accuracy``.
        objectives: the axes of the front; the first is quality.
        folder: where it keeps its files.
        trials: trials asked for, or None when only the time is limited.
        time_s: seconds asked for, or None.
        options: all settings, for the record.
        plugins: version of each plugin by ``kind.name``.
        earlier: trials that ended before this driver started; None for a new search.
        energy_model: name of the energy model.
        inputs: kind of the task's inputs, such as ``static`` or ``events``; empty where it is not known.
        data: the splits that it trains and measures on, for the default candidate; empty where they are not known.
        id: its own random id, by which it is told from others of its name; empty where it has none.
    """

    name: str
    task: str
    quality: str
    objectives: tuple[Objective, ...]
    folder: Path
    trials: int | None
    time_s: float | None
    options: Mapping[str, Value]
    plugins: Mapping[str, str]
    earlier: tuple[Trial, ...] | None = None
    energy_model: str = DEFAULT_ENERGY_MODEL
    id: str = ""
    inputs: str = ""
    data: tuple[DataSplit, ...] = ()

    @property
    def resumed(self) -> bool:
        """Whether the search was begun by an earlier driver."""
        return self.earlier is not None


def last_tries(trials: Mapping[int, Trial] | list[Trial]) -> list[Trial]:
    """Return trials in the order of their ends, those that run last; of a trial evaluated again only the last."""
    every = list(trials.values()) if isinstance(trials, Mapping) else trials
    again = {trial.retry_of for trial in every}
    counted = [trial for trial in every if trial.number not in again]
    return sorted(
        counted, key=lambda trial: (trial.ended_s if math.isfinite(trial.ended_s) else math.inf, trial.number)
    )
