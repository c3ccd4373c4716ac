"""Events of a search as JSON lines: one file, one line for each event, written as it comes.

The file is ``events.jsonl`` in the search's folder. Each line is an object with ``event``, the time ``at`` (UTC, ISO
8601) and what belongs to it: ``search_started``, ``trial_started`` (with the ``candidate``), ``epoch``, ``trial_ended``
(with state, reason, metrics, those of its points by T', and a traceback) and ``search_ended``. Numbers that JSON has
not, such as NaN, are ``null``. A search that is resumed goes on in the same file, with another ``search_started``,
whose ``resumed`` is true; then come the ends of trials that a killed driver could not write.

Example:
    ``jq -c 'select(.event == "trial_ended") | [.trial, .state, .metrics.quality]' searches/digits-1/events.jsonl``
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

from spikefront.plugins import PINNED, Candidate, Choice, Logger, SearchInfo, Trial, TrialLogger, hookimpl
from spikefront.searchspace.objectives import write_objectives

FILE: Final = "events.jsonl"


@dataclass(frozen=True, slots=True)
class JsonLinesConfig:
    """Hyperparameters of the logger."""

    epochs: Annotated[bool, Choice((True, False)), PINNED] = True
    """Whether there is a line for each epoch, too."""


class JsonLines(TrialLogger):
    """Events of a search as lines of JSON: events.jsonl in its folder."""

    name = "jsonl"
    Config = JsonLinesConfig
    config: JsonLinesConfig

    def begin(self, search: SearchInfo) -> None:
        self._file = search.folder / FILE
        self._ended = {line["trial"] for line in read(self._file) if line["event"] == "trial_ended"}
        if self._file.exists() and not self._file.read_bytes().endswith(b"\n"):  # a driver was killed while it wrote
            self._append("\n")
        self._write(
            "search_started",
            search=search.name,
            id=search.id,
            task=search.task,
            quality=search.quality,
            objectives=json.loads(write_objectives(search.objectives)),
            options=dict(search.options),
            plugins=dict(search.plugins),
            data=[asdict(split) for split in search.data],
            resumed=search.resumed,
        )

    def is_logged(self, number: int) -> bool:
        return number in self._ended

    def trial_started(self, number: int, candidate: Candidate, retry_of: int | None = None) -> None:
        super().trial_started(number, candidate, retry_of)
        self._write("trial_started", trial=number, candidate=candidate.flat(), retry_of=retry_of)

    def epoch_ended(self, number: int, epoch: int, metrics: Mapping[str, float]) -> None:
        super().epoch_ended(number, epoch, metrics)
        if self.config.epochs:
            self._write("epoch", trial=number, epoch=epoch, metrics=dict(metrics))

    def log(self, trial: Trial) -> None:
        points = {str(point.cut): dict(point.metrics) for point in trial.points}
        known = {"points": points, "traceback": trial.traceback, "weights": trial.weights and str(trial.weights)}
        more = {name: value for name, value in known.items() if value}
        ended = {"state": trial.state, "reason": trial.reason, "epoch": trial.epoch, "metrics": dict(trial.metrics)}
        self._write("trial_ended", trial=trial.number, **ended, **more)

    def search_ended(self, reason: str) -> None:
        self._write("search_ended", reason=reason)

    def _write(self, event: str, **more: Any) -> None:
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._append(json.dumps(_plain({"event": event, "at": at, **more}), allow_nan=False) + "\n")

    def _append(self, text: str) -> None:
        with self._file.open("a", encoding="utf-8") as file:
            file.write(text)


def read(file: Path) -> Iterator[dict[str, Any]]:
    """Yield the events of a file, without lines that were cut short; none where there is no file."""
    with suppress(FileNotFoundError), file.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            with suppress(ValueError):
                yield json.loads(line)


def _plain(value: Any) -> Any:
    """Return a value with None for the numbers that JSON has not."""
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


@hookimpl
def register_loggers(register: Callable[[type[Logger]], None]) -> None:
    register(JsonLines)
