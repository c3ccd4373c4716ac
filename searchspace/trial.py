"""Trials and searches, as records that the driver, the store and the report share."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from spikefront.searchspace.domains import Value
from spikefront.searchspace.objectives import DEFAULT_ENERGY_MODEL, Objective

State = Literal["COMPLETE", "FAIL", "PRUNED"]
"""How a trial ended: evaluated at full budget, failed, or stopped early."""

LAYERS: Final = "layers.json"
"""Name of a trial's energy by layer, beside its weights and among its artifacts."""
COUNTS: Final = "counts"
"""Name of the folder of a search with a JSON file of the operations of each trial that was evaluated at full budget."""
PICTURE: Final = "picture.png"
"""Name of the picture of what a generative trial makes, beside its weights and among its artifacts."""
ACTIVITY: Final = "activity.json"
"""Name of what a trial's network does with data of the validation split, beside its weights and among its artifacts."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One trial: a candidate and its evaluation.

    Attributes:
        number: its number, from 0.
        state: COMPLETE, PRUNED, FAIL or RUNNING.
        candidate: flat form of its candidate, as ``Candidate.flat`` writes it; values are text where they come from
            MLflow; empty where its driver died before one was chosen.
        metrics: its last metrics, by name.
        reason: why it failed or was stopped; empty otherwise.
        traceback: of the exception that it failed with, where it comes from the journal; empty otherwise.
        epoch: the epoch that ``metrics`` belong to, from 1; 0 where that is not known.
        ended_s: seconds from the start of the search to its end; NaN while it runs, or where that is not known.
        again: whether it was broken off by the end of the search and is evaluated again under another number.
        retry_of: number of the trial that evaluated the same candidate until an earlier driver ended; None for a new
            candidate.
        run_id: its MLflow run; empty where it has none.
        weights: file with its trained weights, or None.
        versions: name and version of its plugins by kind, as MLflow has them.
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

    @property
    def coding(self) -> str:
        """Name of its coding; empty where none was chosen."""
        return str(self.candidate.get("coding", ""))

    @property
    def budget(self) -> int:
        """Epochs of its full budget."""
        return int(self.candidate["training.epochs"])


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


def last_tries(trials: Mapping[int, Trial] | list[Trial]) -> list[Trial]:
    """Return trials in the order of their ends, those that run last; of a trial evaluated again only the last."""
    every = list(trials.values()) if isinstance(trials, Mapping) else trials
    again = {trial.retry_of for trial in every}
    counted = [trial for trial in every if trial.number not in again]
    return sorted(
        counted, key=lambda trial: (trial.ended_s if math.isfinite(trial.ended_s) else math.inf, trial.number)
    )
