"""Records a search in MLflow: one run for the search, one child run for each trial, written from its own thread."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from spikefront.results.store import artifacts, schema
from spikefront.results.store.connection import Store, is_passing
from spikefront.results.store.entries import Point
from spikefront.results.store.runs import Runs
from spikefront.results.store.writer import Job, Writer
from spikefront.searchspace import Callbacks, Candidate, Front, SearchInfo, State, Trial, Value
from spikefront.searchspace.secrets import redact

if TYPE_CHECKING:
    from mlflow.entities import Run

_log = logging.getLogger(__name__)

_STATUS: Final = {"COMPLETE": "FINISHED", "FAIL": "FAILED", "PRUNED": "KILLED"}
_OPEN: Final = ("RUNNING", "SCHEDULED")


class MlflowRecorder(Callbacks):
    """Callbacks that write a search into MLflow and never delay it.

    Calls return at once. While a store does not answer, writes are retried in order; none is lost while the process
    lives. Use one recorder for one search, on the driver only.

    Args:
        store: where it is written.
        patience_s: once the search has ended, how many seconds to wait for a store that does not answer.

    Raises:
        UsageError: when the server does not answer or the database does not open.
    """

    def __init__(self, store: Store, patience_s: float = 30.0) -> None:
        store.check()
        self._store = store
        self._search: SearchInfo | None = None
        self._ended = False
        self._running: dict[int, Trial] = {}  # with their last epoch and its metrics
        self._problem = ""
        self._runs = runs = Runs(store)
        self._ledger = _Ledger(runs)
        self._writer = Writer(runs.worth_retrying, self._ledger.spare, patience_s)
        self._writer.put("opening the store", partial(self._open, runs))

    def search_started(self, search: SearchInfo) -> None:
        """Open the search's run, with its options."""
        self._search = search
        self._writer.put("the search", partial(self._ledger.start_search, search, _now()))
        if search.data:
            self._writer.put("the data set", self._ledger.add_data)

    def trial_started(self, number: int, candidate: Candidate, retry_of: int | None = None) -> None:
        """Open the trial's run, with its hyperparameters."""
        trial = self._running[number] = Trial(number, "RUNNING", candidate.flat(), retry_of=retry_of)
        self._writer.put(f"trial {number}", partial(self._ledger.start_trial, trial, _now()))

    def epoch_ended(self, number: int, epoch: int, metrics: Mapping[str, float]) -> None:
        """Write the metrics of an epoch. The first one opens the store, which is heavy work, when the workers run."""
        self._writer.wake()
        self._running[number] = replace(self._trial(number), epoch=epoch, metrics=dict(metrics))
        write = partial(self._ledger.add_metrics, number, dict(metrics), epoch, _now())
        self._writer.put(f"trial {number} epoch {epoch}", write)

    def trial_raised(self, number: int, traceback: str) -> None:
        """Keep the traceback until the trial's end is written."""
        self._running[number] = replace(self._trial(number), traceback=traceback)

    def points_measured(self, number: int, points: Mapping[int, Mapping[str, float]]) -> None:
        """Keep the points until the trial's end is written."""
        self._running[number] = self._trial(number).with_points(points)

    def trial_ended(
        self, number: int, state: State, reason: str, metrics: Mapping[str, float], weights: Path | None
    ) -> None:
        """Write how the trial ended, close its run, and update the tags of the front."""
        self._writer.wake()
        last = self._trial(number)
        self._running.pop(number, None)
        trial = replace(last, state=state, reason=reason, metrics=dict(metrics), weights=weights)
        trial = trial.with_points({point.cut: point.metrics for point in last.points})
        news = {name: value for name, value in metrics.items() if last.metrics.get(name) != value}
        self._writer.put(f"trial {number} end", partial(self._ledger.end_trial, trial, news, _now()))
        if trial.traceback:
            self._writer.put(_label(trial.name, schema.ERROR_FILE), partial(self._ledger.add_error, trial))

    def _trial(self, number: int) -> Trial:
        return self._running.get(number, Trial(number, "RUNNING"))

    def search_ended(self, reason: str) -> None:
        """Close what is open, repair the tags, add the artifacts and wait until all is written, or given up."""
        if self._ended:
            return
        self._ended = True
        for number in list(self._running):
            self.trial_ended(number, "FAIL", "the search ended before it did", {}, None)
        if self._search is not None:
            self._writer.put("the end", partial(self._ledger.wind_up, self._writer, reason, _now()))
        self._writer.close(self._say_progress)
        self._report_losses()

    @property
    def missing(self) -> tuple[str, ...]:
        """What the store lacks of the search that has ended, and its journal has."""
        return tuple(self._writer.lost) if self._search is not None else ()

    def _say_progress(self, left: int, of: int) -> None:
        with suppress(OSError, ValueError):  # nobody reads it any more
            print(f"writing to MLflow: {left} of {of} left", file=sys.stderr, flush=True)

    def _open(self, runs: Runs) -> None:
        try:
            runs.open()
        except Exception as error:
            if not isinstance(error, ImportError) and not is_passing(error):  # the writer retries both
                self._problem = str(error).partition("\n")[0]
            raise

    def _report_losses(self) -> None:
        for name, why in list(self._runs.refused.items())[:1]:
            more = f" and {len(self._runs.refused) - 1} more" if len(self._runs.refused) > 1 else ""
            _log.warning("MLflow does not take %s%s, all else is written: %s", name, more, redact(why[:300]))
        lost = self._writer.lost
        if not lost or self._search is None:
            return
        some = ", ".join(lost[:5]) + (f" and {len(lost) - 5} more" if len(lost) > 5 else "")
        reason = redact((self._problem or self._writer.error)[:300])
        text = "not written to MLflow at %s: %s. Last error: %s. The journal in %s has it all."
        _log.warning(text, self._store.shown, some, reason, self._search.folder)


@dataclass(slots=True)
class _Pending:
    """What of a trial is not yet written. After an outage the store catches up with one call for each trial."""

    params: Mapping[str, Value] = field(default_factory=dict)
    points: list[Point] = field(default_factory=list)


class _Ledger:
    """What is written about a search. Lives in the writer's thread; each call may be repeated after an error."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs
        self._search: SearchInfo | None = None
        self._front = Front(())
        self._marked: dict[str, int] = {}  # Pareto ranks as the store has them, of trials and points by name
        self._pending: dict[str, _Pending] = {}  # by name of a trial; written together when nothing else waits
        self._weights: dict[int, Path] = {}  # of the trials that left some, by number
        self._curve: list[Point] = []  # of the hypervolume, not yet written

    @property
    def _info(self) -> SearchInfo:
        assert self._search is not None, "search_started comes first"
        return self._search

    def start_search(self, search: SearchInfo, at: int) -> None:
        self._search = search
        self._front = Front(search.objectives)
        stored = {} if search.earlier is None else self._runs.adopt(search)
        if None not in self._runs.ids:
            run = self._runs.create(None, search.name, schema.search_tags(search), at)
            self._runs.log(run, params={name: redact(str(value)) for name, value in search.options.items()})
        for trial in search.earlier or ():
            self._catch_up(trial, stored.get(trial.name), at)
            for name in {point.name for point in trial.points} & stored.keys() & self._front.ranks.keys():
                if rank := stored[name].data.tags.get(schema.RANK):  # its last tag: the run is whole
                    self._marked[name] = int(rank)
        self._add_points(at)

    def add_data(self) -> None:
        self._runs.add_data(self._runs.ids[None], self._info)

    def _catch_up(self, trial: Trial, run: Run | None, at: int) -> None:
        """Write what the store does not have of a trial that ended under an earlier driver, but for its points."""
        tags = {} if run is None else run.data.tags
        if tags.get(schema.STATE) != trial.state:
            if trial.name not in self._runs.ids:
                self.start_trial(trial, at)
            self._pending[trial.name] = _Pending(trial.candidate)
            self._end_trial(trial, trial.metrics, at)
            if trial.traceback:
                self.add_error(trial)
            return
        if run is not None and run.info.status in _OPEN:  # it was killed between the tags and the status
            self._runs.end(run.info.run_id, _STATUS[trial.state], at)
        self._add_to_front(trial, at)
        if trial.name in self._front.ranks:
            self._marked[trial.name] = int(tags.get(schema.RANK, -1))  # wrong ones are corrected in time

    def start_trial(self, trial: Trial, at: int) -> None:
        number, flat = trial.number, trial.candidate
        tags = schema.trial_tags(self._info, self._runs.ids[None], number, flat, trial.retry_of)
        self._runs.create(trial.name, f"{number:04d} {trial.coding}".strip(), tags, at)
        self._pending[trial.name] = _Pending(flat)

    def add_metrics(self, number: int, metrics: Mapping[str, float], epoch: int, at: int) -> None:
        name = Trial(number).name
        if name not in self._runs.ids:
            raise KeyError(f"trial {name} has no run")
        self._pending.setdefault(name, _Pending()).points.append((at, epoch, self._named(metrics)))

    def _named(self, metrics: Mapping[str, float]) -> Mapping[str, float]:
        """Add quality under the task's own name for it."""
        return {**metrics, self._info.quality: metrics["quality"]} if "quality" in metrics else metrics

    def end_trial(self, trial: Trial, news: Mapping[str, float], at: int) -> None:
        self._end_trial(trial, news, at)
        self._add_points(at)

    def _end_trial(self, trial: Trial, news: Mapping[str, float], at: int) -> None:
        name, run = trial.name, self._runs.ids[trial.name]
        self._add_to_front(trial, at)
        rank = self._front.ranks.get(name)
        pending = self._pending.get(name, _Pending())
        points = [*pending.points, (at, trial.epoch, self._named(news))]
        self._runs.log(run, points, pending.params, schema.end_tags(trial.state, trial.reason, rank))
        self._pending.pop(name, None)
        if rank is not None:
            self._marked[name] = rank
        self._runs.end(run, _STATUS[trial.state], at)
        for other in self._stale():
            if 0 in (self._marked[other], self._front.ranks[other]):  # joined the front or left it
                self._mark(other)

    def _add_points(self, at: int) -> None:
        """Write the points that joined the front, each as a run of its own."""
        for point in self._front.members:
            if not point.cut or point.name in self._marked:
                continue
            tags = schema.point_tags(self._info, self._runs.ids[None], point, self._runs.ids[Trial(point.number).name])
            title = f"{point.number:04d}@{point.cut} {point.coding}".strip()
            run = self._runs.create(point.name, title, tags, at)
            measured = [(at, point.epoch, self._named(point.metrics))]
            self._runs.log(run, measured, point.candidate, schema.rank_tags(0))
            self._runs.end(run, "FINISHED", at)
            self._marked[point.name] = 0

    def add_error(self, trial: Trial) -> None:
        self._runs.add_text(self._runs.ids[trial.name], schema.ERROR_FILE, trial.traceback)

    def _add_to_front(self, trial: Trial, at: int) -> None:
        if trial.weights is not None:
            self._weights[trial.number] = trial.weights
        if self._front.add(trial):
            values = {
                schema.HYPERVOLUME: self._front.hypervolume,
                schema.FRONT_SIZE: float(len(self._front.members)),
            }
            self._curve.append((at, len(self._front.curve), values))

    def _stale(self) -> list[str]:
        ranks = self._front.ranks
        return [name for name, rank in self._marked.items() if ranks[name] != rank]

    def _mark(self, name: str) -> None:
        rank = self._front.ranks[name]
        self._runs.log(self._runs.ids[name], tags=schema.rank_tags(rank))
        self._marked[name] = rank

    def spare(self) -> Job | None:
        """Return the next less urgent job: a trial so far, the hypervolume, ranks that changed behind the front.

        Each job is returned once, so that one that is given up does not block the others.
        """
        for name, pending in self._pending.items():
            del self._pending[name]
            write = partial(self._runs.log, self._runs.ids[name], pending.points, pending.params)
            return Job(f"trial {name} so far", write)
        if self._curve:
            curve, self._curve = self._curve, []
            return Job("hypervolume", partial(self._runs.log, self._runs.ids[None], curve))
        for name in self._stale():
            self._marked[name] = self._front.ranks[name]
            return Job(f"trial {name} rank", partial(self._mark, name))
        return None

    def wind_up(self, writer: Writer, reason: str, at: int) -> None:
        """Queue everything that is written once the last trial has ended."""
        while (job := self.spare()) is not None:
            writer.put(job.label, job.do)
        writer.put("the front's tags", self._repair)
        search, front, ids = self._info, self._front, self._runs.ids
        self._queue_text(writer, None, schema.FRONT_FILE, lambda: artifacts.front_json(search, front, ids))
        self._queue_text(writer, None, schema.ENVIRONMENT_FILE, artifacts.environment_json)
        if any((search.folder / schema.COUNTS).glob("*.json")):
            kept = {name for name in ids if name is not None and "@" in name}  # that are or were on the front
            self._queue_text(writer, None, schema.COUNTS_FILE, partial(artifacts.counts_json, search.folder, kept))
        if any(trial.cut for trial in front.trials.values()):
            self._queue_text(writer, None, schema.POINTS_FILE, partial(artifacts.points_json, front))
        files: list[tuple[str | None, Path, str]] = [
            (None, path, path.name) for path in sorted(search.folder.glob(schema.JOURNAL_FILES))
        ]
        for trial in front.members:
            self._queue_text(writer, trial.name, schema.CANDIDATE_FILE, partial(artifacts.candidate_json, trial))
            if trial.cut and (weights := self._weights.get(trial.number)) is not None:
                files += [(trial.name, path, name) for path, name in artifacts.point_files(weights, trial.cut).items()]
        for number in dict.fromkeys(trial.number for trial in front.members):  # points have those of their trial
            if number in self._weights:
                belonging = artifacts.weights_and_files(self._weights[number])
                files += [(Trial(number).name, path, name) for path, name in belonging.items()]
        for key, path, name in files:
            writer.put(_label(key, name), partial(self._add_file, key, path, name))
        writer.put("the search's end", partial(self._end_search, reason, at))

    def _queue_text(self, writer: Writer, key: str | None, name: str, text: Callable[[], str]) -> None:
        writer.put(_label(key, name), lambda: self._runs.add_text(self._runs.ids[key], name, text()))

    def _add_file(self, key: str | None, path: Path, name: str) -> None:
        if key is not None:
            self._runs.add_file(self._runs.ids[key], path, name)
            return
        with TemporaryDirectory() as folder:  # an earlier version wrote the journal with the password of the store
            self._runs.add_file(self._runs.ids[key], artifacts.redacted_file(path, Path(folder)), name)

    def _repair(self) -> None:
        """Make the runs that the store shows as the front exactly those that are on it."""
        front = {self._runs.ids[trial.name] for trial in self._front.members if trial.name in self._runs.ids}
        for run in front ^ self._runs.shown_as_front():
            self._runs.log(run, tags={schema.PARETO: schema.TRUE if run in front else schema.FALSE})

    def _end_search(self, reason: str, at: int) -> None:
        self._runs.log(self._runs.ids[None], tags={schema.ENDED: reason})
        self._runs.end(self._runs.ids[None], "FINISHED", at)


def _now() -> int:
    return int(time.time() * 1000)


def _label(key: str | None, name: str) -> str:
    return name if key is None else f"trial {key} {name}"
