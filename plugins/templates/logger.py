"""Trials of a search as rows of a CSV file in its folder.

Write here where yours logs to, what of it has to be installed, and what a resumed search does. A logger that wants
more than whole trials derives from ``Logger`` and overrides the events that it needs, such as ``epoch_ended``.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from spikefront.plugins import PINNED, Choice, Logger, SearchInfo, Trial, TrialLogger, hookimpl


@dataclass(frozen=True, slots=True)
class MyLoggerConfig:
    """Settings of my-logger."""

    stopped: Annotated[bool, Choice((True, False)), PINNED] = True
    """Whether trials that were stopped early or failed have a row, too."""


class MyLogger(TrialLogger):
    """Trials that have ended, as rows of trials.csv in the search's folder."""

    name = "my-logger"
    Config = MyLoggerConfig
    config: MyLoggerConfig

    def begin(self, search: SearchInfo) -> None:
        self._file = search.folder / "trials.csv"
        self._file.write_text("trial,state,coding,quality,energy_nj,hypervolume\n")  # a resumed search logs all again

    def log(self, trial: Trial) -> None:
        if trial.state != "COMPLETE" and not self.config.stopped:
            return
        measured = [trial.metrics.get("quality"), trial.metrics.get("energy_nj")]
        row = [trial.number, trial.state, trial.coding, *measured, self.front.hypervolume]
        with self._file.open("a", newline="") as file:
            csv.writer(file).writerow(row)


@hookimpl
def register_loggers(register: Callable[[type[Logger]], None]) -> None:
    register(MyLogger)
