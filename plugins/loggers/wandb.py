"""Weights & Biases: a search as a W&B run, or each of its trials as one.

Project, entity and mode are W&B's own variables: ``WANDB_PROJECT`` (``spikefront`` unless set), ``WANDB_ENTITY``, and
``WANDB_MODE=offline`` for runs that stay in the search's folder until
``wandb sync searches/digits-1/wandb/offline-run-*``.

By default the search is one run, named as the search, with its options as the config. Each trial that ends is a step of
its history: its metrics, state and coding, and hypervolume and size of the front; the table ``trials``, written at the
end, has the candidates too. W&B can't go on with a run offline, so a search that is resumed makes a new one, which
begins with the trials that ended before: it holds all of them.

With ``--set logger.wandb.runs=trial`` each trial is a run of its own, in a group that is named as the search, with the
candidate as its config and a step for each epoch: for W&B's parallel coordinates. A search that is resumed adds the
trials whose end a killed driver could not log.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final

from spikefront.plugins import (
    PINNED,
    Candidate,
    Choice,
    Logger,
    SearchInfo,
    Trial,
    TrialLogger,
    UsageError,
    hookimpl,
)

PROJECT: Final = "spikefront"


@dataclass(frozen=True, slots=True)
class WandbConfig:
    """Hyperparameters of the logger."""

    runs: Annotated[str, Choice(("search", "trial")), PINNED] = "search"
    """What is a W&B run: the search, or each trial, in a group of the search's name."""


class Wandb(TrialLogger):
    """Weights & Biases: a run for the search, or for each trial."""

    name = "wandb"
    library: ClassVar[str] = "wandb"
    Config = WandbConfig
    config: WandbConfig

    def __init__(self, config: Any = None) -> None:
        super().__init__(config)
        import wandb

        mode = os.environ.get("WANDB_MODE", "online")
        if mode == "online" and not wandb.api.api_key:
            raise UsageError("logger wandb: W&B has no key here: wandb login, or WANDB_MODE=offline")

    def begin(self, search: SearchInfo) -> None:
        self._runs: dict[int, Any] = {}
        self._rows: list[dict[str, Any]] = []
        about = {"task": search.task, "resumed": search.resumed, **search.options}
        self._course = self._open(search.name, about) if self.config.runs == "search" else None
        if self._course is not None:
            self._course.define_metric("trial")
            self._course.define_metric("hypervolume", step_metric="judged")
            self._course.define_metric("front_size", step_metric="judged")

    def is_logged(self, number: int) -> bool:
        return self._course is None and self._mark(number).exists()

    def trial_started(self, number: int, candidate: Candidate, retry_of: int | None = None) -> None:
        super().trial_started(number, candidate, retry_of)
        if self._course is None:
            self._runs[number] = self._open_trial(self.running(number))

    def epoch_ended(self, number: int, epoch: int, metrics: Mapping[str, float]) -> None:
        super().epoch_ended(number, epoch, metrics)
        if number in self._runs:
            self._runs[number].log({"epoch": epoch, **metrics})

    def log(self, trial: Trial) -> None:
        if self._course is None:
            run = self._runs.pop(trial.number, None) or self._open_trial(trial)
            run.summary.update({**trial.metrics, "state": trial.state, "reason": trial.reason})
            run.finish(exit_code=int(trial.state == "FAIL"))
            self._mark(trial.number).touch()
            return
        ended = {"trial": trial.number, "state": trial.state, "coding": trial.coding, **trial.metrics}
        front = {"judged": len(self.front.curve), "hypervolume": self.front.hypervolume}
        self._course.log({**ended, **front, "front_size": len(self.front.members)})
        row = {"trial": trial.number, "state": trial.state, "reason": trial.reason}
        self._rows.append({**row, **trial.candidate, **trial.metrics})

    def search_ended(self, reason: str) -> None:
        for run in self._runs.values():
            run.finish(exit_code=1)
        if self._course is None:
            return
        columns = list(dict.fromkeys(name for row in self._rows for name in row))
        table = [[row.get(name) for name in columns] for row in self._rows]
        import wandb

        self._course.log({"trials": wandb.Table(columns=columns, data=table, allow_mixed_types=True)})
        self._course.summary["ended"] = reason
        self._course.finish()

    def _mark(self, number: int) -> Path:
        """Return the file that is there when the run of a trial is whole."""
        return self.search.folder / "wandb" / f"ended-{number:04d}"

    def _open_trial(self, trial: Trial) -> Any:
        return self._open(f"{self.search.name}/{trial.number}", dict(trial.candidate), self.search.name)

    def _open(self, name: str, config: Mapping[str, Any], group: str | None = None) -> Any:
        import wandb

        quiet = wandb.Settings(console="off", silent=True, x_disable_stats=True)
        project = os.environ.get("WANDB_PROJECT", PROJECT)
        where: dict[str, Any] = {
            "project": project,
            "dir": str(self.search.folder),
            "group": group,
            "tags": [self.search.task],
        }
        # several runs at a time, none of which becomes the one that the user's own code logs to
        return wandb.init(name=name, config=dict(config), reinit="create_new", settings=quiet, **where)


@hookimpl
def register_loggers(register: Callable[[type[Logger]], None]) -> None:
    register(Wandb)
