"""Keeps a search in MLflow: one run for the search, one child run for each trial, written from a thread of its own."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from spikefront.results.front import Scoreboard, Trial
from spikefront.results.store import artifacts
from spikefront.results.store.connection import OBJECTIVES_TAG, QUALITY_TAG, check_store, is_passing, redact
from spikefront.results.store.runs import Point, Runs
from spikefront.results.store.writer import Job, Writer
from spikefront.searchspace import Candidate, EarlierTrial, SearchInfo, UsageError, Value

__all__ = ["MlflowStore", "check_store"]

_log = logging.getLogger(__name__)

_STATUS: Final = {"COMPLETE": "FINISHED", "FAIL": "FAILED", "PRUNED": "KILLED"}


class MlflowStore:
    """A listener that writes a search into MLflow and never holds it up.

    Calls return at once. A store that dies mid-search is retried until it is back; the order is kept and nothing is
    lost while the process lives. Use one store for one search, on the driver only.

    Args:
        tracking_uri: where; None means ``MLFLOW_TRACKING_URI``, or else ``mlflow.db`` in this folder.
        experiment: name of the experiment; None means the one that plain MLflow is active in.
        patience_s: once the search has ended, how many seconds to wait for a store that does not answer.

    Raises:
        UsageError: when the server does not answer or the database does not open.
    """

    def __init__(
        self, tracking_uri: str | None = None, experiment: str | None = None, *, patience_s: float = 30.0
    ) -> None:
        self.uri = check_store(tracking_uri)
        self._search: SearchInfo | None = None
        self._ended = False
        self._flat: dict[int, Mapping[str, Value]] = {}  # candidates that run, by trial number
        self._last: dict[int, tuple[int, Mapping[str, float]]] = {}  # their last epoch and its metrics
        self._opened = threading.Event()
        self._problem = ""
        runs = Runs(self.uri, experiment)
        self._ledger = _Ledger(runs)
        self._writer = Writer(runs.worth_retrying, self._ledger.spare, patience_s)
        self._writer.put("opening the store", partial(self._open, runs))

    def wait_until_open(self, timeout_s: float = 30.0) -> None:
        """Wait until the store is open, which a new SQLite database is after 3 s. Optional.

        Raises:
            UsageError: when it can't be opened; the text says why.
        """
        self._writer.wake()
        self._opened.wait(timeout_s)
        if self._problem:
            raise UsageError(f"MLflow store {redact(self.uri)} does not open: {self._problem}")

    def search_started(self, search: SearchInfo) -> None:
        """Open the search's run, with its options."""
        self._search = search
        self._writer.put("the search", partial(self._ledger.start_search, search, _now()))

    def trial_started(self, number: int, candidate: Candidate, retry_of: int | None = None) -> None:
        """Open the trial's run, with its hyperparameters."""
        self._flat[number] = candidate.flat()
        start = partial(self._ledger.start_trial, number, self._flat[number], _now(), retry_of)
        self._writer.put(f"trial {number}", start)

    def epoch_ended(self, number: int, epoch: int, metrics: Mapping[str, float]) -> None:
        """Write the metrics of an epoch. The first one opens the store, which is heavy work, when the workers run."""
        self._writer.wake()
        self._last[number] = (epoch, dict(metrics))
        write = partial(self._ledger.add_metrics, number, dict(metrics), epoch, _now())
        self._writer.put(f"trial {number} epoch {epoch}", write)

    def trial_ended(
        self, number: int, state: str, reason: str, metrics: Mapping[str, float], weights: Path | None
    ) -> None:
        """Write how the trial ended, close its run, and bring the front's tags up to date."""
        self._writer.wake()
        trial = Trial(number, dict(metrics), self._flat.pop(number, {}))
        epoch, known = self._last.pop(number, (0, {}))
        news = {name: value for name, value in metrics.items() if known.get(name) != value}
        write = partial(self._ledger.end_trial, trial, state, reason, news, epoch, weights, _now())
        self._writer.put(f"trial {number} end", write)

    def search_ended(self, reason: str) -> None:
        """Close what is open, repair the tags, add the artifacts and wait until all is written, or can't be."""
        if self._ended:
            return
        self._ended = True
        for number in list(self._flat):
            self.trial_ended(number, "FAIL", "the search ended before it did", {}, None)
        if self._search is not None:
            self._writer.put("the end", partial(self._ledger.wind_up, self._writer, reason, _now()))
        self._writer.close()
        self._report_losses()

    def _open(self, runs: Runs) -> None:
        try:
            runs.open()
        except Exception as error:
            if not isinstance(error, ImportError) and not is_passing(error):  # the writer retries both
                self._problem = str(error).partition("\n")[0]
                self._opened.set()
            raise
        self._opened.set()

    def _report_losses(self) -> None:
        lost = self._writer.lost
        if not lost or self._search is None:
            return
        some = ", ".join(lost[:5]) + (f" and {len(lost) - 5} more" if len(lost) > 5 else "")
        reason = redact((self._problem or self._writer.error)[:300])
        text = "not written to MLflow at %s: %s. Last error: %s. The journal in %s has it all."
        _log.warning(text, redact(self.uri), some, reason, self._search.folder)


@dataclass(slots=True)
class _Pending:
    """What of a trial is not yet written. A store that was away catches up with one call for each trial."""

    params: Mapping[str, Value] = field(default_factory=dict)
    points: list[Point] = field(default_factory=list)


class _Ledger:
    """What is written about a search. Lives in the writer's thread; each call may be repeated after an error."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs
        self._search: SearchInfo | None = None
        self._board = Scoreboard(())
        self._marked: dict[int, int] = {}  # Pareto ranks as the store has them
        self._pending: dict[int, _Pending] = {}  # by trial number; written together when nothing else waits
        self._curve: list[Point] = []  # of the hypervolume, not yet written
        self._weights: dict[int, Path] = {}

    @property
    def _info(self) -> SearchInfo:
        assert self._search is not None, "the engine tells of the search first"
        return self._search

    def start_search(self, search: SearchInfo, at: int) -> None:
        self._search = search
        self._board = Scoreboard(search.objectives)
        kept = {} if search.earlier is None else self._runs.adopt(search.name)
        if None not in self._runs.ids:
            tags = {"search": search.name, "task": search.task, "spikefront.role": "search"}
            tags[OBJECTIVES_TAG] = json.dumps([asdict(axis) for axis in search.objectives])
            tags[QUALITY_TAG] = search.quality
            run = self._runs.create(None, search.name, tags, at)
            self._runs.log(run, params={name: redact(str(value)) for name, value in search.options.items()})
        for earlier in search.earlier or ():
            self._catch_up(earlier, kept.get(earlier.number, {}), at)

    def _catch_up(self, earlier: EarlierTrial, tags: Mapping[str, str], at: int) -> None:
        """Write what the store does not hold of a trial that ended under an earlier driver."""
        number, trial = earlier.number, Trial(earlier.number, earlier.metrics, earlier.candidate)
        if tags.get("trial.state") != earlier.state:
            if number not in self._runs.ids:
                self.start_trial(number, earlier.candidate, at, earlier.retry_of)
            self._pending[number] = _Pending(earlier.candidate)
            self.end_trial(trial, earlier.state, earlier.reason, earlier.metrics, earlier.epoch, earlier.weights, at)
            return
        self._add_to_board(trial, earlier.state, earlier.weights, at)
        if number in self._board.ranks:
            self._marked[number] = int(tags.get("pareto.rank", -1))  # those that are wrong are set right in time

    def start_trial(self, number: int, flat: Mapping[str, Value], at: int, retry_of: int | None) -> None:
        tags = {
            "search": self._info.name,
            "task": self._info.task,
            "spikefront.role": "trial",
            "mlflow.parentRunId": self._runs.ids[None],
            "trial.number": str(number),
            "trial.state": "RUNNING",
        } | _plugin_tags(self._info, flat)
        if retry_of is not None:
            tags["trial.retry_of"] = str(retry_of)
        self._runs.create(number, f"{number:04d} {flat.get('coding', '')}".strip(), tags, at)
        self._pending[number] = _Pending(flat)

    def add_metrics(self, number: int, metrics: Mapping[str, float], epoch: int, at: int) -> None:
        if number not in self._runs.ids:
            raise KeyError(f"trial {number} has no run")
        self._pending.setdefault(number, _Pending()).points.append((at, epoch, self._named(metrics)))

    def _named(self, metrics: Mapping[str, float]) -> Mapping[str, float]:
        """Add quality under the task's own name for it."""
        return {**metrics, self._info.quality: metrics["quality"]} if "quality" in metrics else metrics

    def end_trial(
        self,
        trial: Trial,
        state: str,
        reason: str,
        news: Mapping[str, float],
        epoch: int,
        weights: Path | None,
        at: int,
    ) -> None:
        number, run = trial.number, self._runs.ids[trial.number]
        if number not in self._board.trials:
            self._add_to_board(trial, state, weights, at)
        rank = self._board.ranks.get(number)
        tags = {"trial.state": state} | ({"trial.reason": reason} if reason else {}) | _rank_tags(rank)
        pending = self._pending.get(number, _Pending())
        self._runs.log(run, [*pending.points, (at, epoch, self._named(news))], pending.params, tags)
        self._pending.pop(number, None)
        if rank is not None:
            self._marked[number] = rank
        self._runs.end(run, _STATUS[state], at)
        for other in self._stale():
            if 0 in (self._marked[other], self._board.ranks[other]):  # joined the front or left it
                self._mark(other)

    def _add_to_board(self, trial: Trial, state: str, weights: Path | None, at: int) -> None:
        if self._board.add(trial, state):
            values = {"hypervolume": self._board.hypervolume, "front_size": float(len(self._board.front))}
            self._curve.append((at, len(self._board.trials), values))
            if weights is not None:
                self._weights[trial.number] = weights

    def _stale(self) -> list[int]:
        ranks = self._board.ranks
        return [number for number, rank in self._marked.items() if ranks[number] != rank]

    def _mark(self, number: int) -> None:
        rank = self._board.ranks[number]
        self._runs.log(self._runs.ids[number], tags=_rank_tags(rank))
        self._marked[number] = rank

    def spare(self) -> Job | None:
        """Find the next thing that can wait: a trial so far, the hypervolume, ranks that moved behind the front.

        What it returns it won't return again, so a job that fails for good does no harm.
        """
        for number, pending in self._pending.items():
            del self._pending[number]
            write = partial(self._runs.log, self._runs.ids[number], pending.points, pending.params)
            return Job(f"trial {number} so far", write)
        if self._curve:
            curve, self._curve = self._curve, []
            return Job("hypervolume", partial(self._runs.log, self._runs.ids[None], curve))
        for number in self._stale():
            self._marked[number] = self._board.ranks[number]
            return Job(f"trial {number} rank", partial(self._mark, number))
        return None

    def wind_up(self, writer: Writer, reason: str, at: int) -> None:
        """Queue everything that is written once the last trial has ended."""
        while (job := self.spare()) is not None:
            writer.put(job.label, job.do)
        writer.put("the front's tags", self._repair)
        search, board, ids = self._info, self._board, self._runs.ids
        self._queue_text(writer, None, "front.json", lambda: artifacts.front_json(search, board, ids))
        self._queue_text(writer, None, "front.html", lambda: artifacts.front_page(search, board))
        self._queue_text(writer, None, "environment.json", artifacts.environment_json)
        files: list[tuple[int | None, Path, str]] = [
            (None, path, path.name) for path in sorted(search.folder.glob("journal*"))
        ]
        for trial in board.front:
            self._queue_text(writer, trial.number, "candidate.json", partial(artifacts.candidate_json, trial))
            if trial.number in self._weights:
                kept = artifacts.kept_beside(self._weights[trial.number])
                files += [(trial.number, path, name) for path, name in kept.items()]
        for key, path, name in files:
            writer.put(_label(key, name), partial(self._add_file, key, path, name))
        writer.put("the search's end", partial(self._end_search, reason, at))

    def _queue_text(self, writer: Writer, key: int | None, name: str, text: Callable[[], str]) -> None:
        writer.put(_label(key, name), lambda: self._runs.add_text(self._runs.ids[key], name, text()))

    def _add_file(self, key: int | None, path: Path, name: str) -> None:
        self._runs.add_file(self._runs.ids[key], path, name)

    def _repair(self) -> None:
        """Make the runs that the store shows as the front exactly those that are on it."""
        front = {self._runs.ids[trial.number] for trial in self._board.front if trial.number in self._runs.ids}
        for run in front ^ self._runs.shown_as_front():
            self._runs.log(run, tags={"pareto": "true" if run in front else "false"})

    def _end_search(self, reason: str, at: int) -> None:
        self._runs.log(self._runs.ids[None], tags={"search.ended": reason})
        self._runs.end(self._runs.ids[None], "FINISHED", at)


def _now() -> int:
    return int(time.time() * 1000)


def _label(key: int | None, name: str) -> str:
    return name if key is None else f"trial {key} {name}"


def _rank_tags(rank: int | None) -> dict[str, str]:
    """Return the tags of a trial's place; None is a trial that was not judged at full budget."""
    return {"pareto": "true" if rank == 0 else "false"} | ({} if rank is None else {"pareto.rank": str(rank)})


def _plugin_tags(search: SearchInfo, flat: Mapping[str, Value]) -> dict[str, str]:
    """Return ``plugin.<kind>`` = name and version, for each kind that the candidate or the options name."""
    tags = {}
    for kind in sorted({key.partition(".")[0] for key in search.plugins}):
        name = flat.get(kind, search.energy_model if kind == "energy" else None)
        if f"{kind}.{name}" in search.plugins:
            tags[f"plugin.{kind}"] = f"{name} {search.plugins[f'{kind}.{name}']}"
    return tags
