"""Idempotent writes to MLflow runs, keyed by the names of trials and points."""

from __future__ import annotations

import math
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from spikefront.results.store import schema
from spikefront.results.store.connection import Store, is_passing, prepare_environment, tag_is
from spikefront.results.store.data_inputs import inputs_of
from spikefront.results.store.entries import SHORT_VALUE, Point, batches, name_for, param_texts, text_for
from spikefront.searchspace import SearchInfo, Trial

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param, Run, RunTag

E = TypeVar("E", "Metric", "Param")

_FEW_TAGS: Final = 2
_REFUSALS: Final = ("INVALID_PARAMETER_VALUE", "BAD_REQUEST", "MALFORMED_REQUEST")
"""What MLflow answers when it does not take a name or a value."""

_TRIES_WHILE_IT_ANSWERS: Final = 5


class Runs:
    """The runs of one search in one experiment. For one thread; every call may raise what MLflow raises.

    Args:
        store: where they are written.

    Attributes:
        ids: run ids by the names of trials and points; None stands for the search itself.
        refused: why MLflow did not take a param or metric, by its name.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._is_open = False
        self._tried: set[str | None] = set()
        self.ids: dict[str | None, str] = {}
        self.refused: dict[str, str] = {}

    def open(self) -> None:
        """Import MLflow, open the store and find or create the experiment: 3 s for a new SQLite database."""
        prepare_environment(self._store.uri)
        from mlflow.utils.logging_utils import should_suppress_logs_in_thread

        # MLflow logs each step of opening, and each error at every retry; the recorder reports them once, at the end.
        should_suppress_logs_in_thread.set(True)
        self._store.ensure()
        if self._store.file is not None:
            _log_ahead(self._store.file)
        self._is_open = True

    @property
    def _client(self) -> MlflowClient:
        if not self._is_open:
            raise RuntimeError("the MLflow store is not open")
        return self._store.client

    def create(self, key: str | None, name: str, tags: Mapping[str, str], at: int) -> str:
        """Create a run unless an earlier try did, and return its id.

        Args:
            key: name of the trial or point, or None for the search.
            name: shown by MLflow.
            tags: its first tags.
            at: start time in milliseconds; with the tags it identifies a run whose creation was never confirmed.
        """
        tags = {tag: text_for(value) for tag, value in tags.items()}
        if key not in self.ids and key in self._tried:
            for run in self._client.search_runs([self._store.home], f"attributes.start_time = {at}", max_results=100):
                if tags.items() <= run.data.tags.items():
                    self.ids[key] = run.info.run_id
        if key not in self.ids:
            self._tried.add(key)
            run = self._client.create_run(self._store.home, start_time=at, tags=tags, run_name=text_for(name))
            self.ids[key] = run.info.run_id
        return self.ids[key]

    def adopt(self, search: SearchInfo) -> dict[str, Run]:
        """Find the runs that an earlier driver wrote for a search, and reopen the search's own.

        They are known by the search's id. Those of an earlier version have none: such a run is the search's if it has
        its name, and its trials are those of the journal. No run is taken whose trials contradict the journal.

        Returns:
            The run of each trial and point, by its name. ``ids`` holds the ids of the runs found; of two with one name,
            which a driver that died in between can leave, the second is deleted, and so is one that was begun of a
            trial that the journal does not have.
        """
        known = _in_journal(search)
        for parent in self._parents(search):
            found: dict[str, Run] = {}
            needless = []
            for run in self._oldest_first(tag_is(schema.PARENT, parent.info.run_id)):
                try:
                    name = schema.name_of_run(run.data.tags)
                except ValueError:
                    continue  # a run of the user's own below the search
                if name in found or (name not in known and run.data.tags.get(schema.STATE) == "RUNNING"):
                    needless.append(run.info.run_id)
                else:
                    found[name] = run
            if not _is_of(parent, found, search):
                continue
            for run_id in needless:
                self._client.delete_run(run_id)
            self._name(parent, found, search)
            self.ids = {None: parent.info.run_id, **{name: run.info.run_id for name, run in found.items()}}
            return found
        return {}

    def _parents(self, search: SearchInfo) -> Iterator[Run]:
        """Yield the runs that may be the search's own: by its id, and those without any by its name, newest first."""
        is_search = tag_is(schema.ROLE, "search")
        if search.id:
            yield from self._oldest_first(f"{is_search} and {tag_is(schema.ID, search.id)}")
        named = list(self._oldest_first(f"{is_search} and {tag_is(schema.SEARCH, search.name)}"))
        yield from (run for run in reversed(named) if schema.ID not in run.data.tags)

    def _name(self, parent: Run, trials: Mapping[str, Run], search: SearchInfo) -> None:
        """Reopen the search's run, and give all runs the id and name that the search has now."""
        for run in (*trials.values(), parent):
            if run.data.tags.get(schema.SEARCH) != search.name:
                self._client.set_tag(run.info.run_id, schema.SEARCH, search.name)
        if search.id and parent.data.tags.get(schema.ID) != search.id:
            self._client.set_tag(parent.info.run_id, schema.ID, search.id)
        self._client.update_run(parent.info.run_id, status="RUNNING", name=search.name)

    def _oldest_first(self, wanted: str) -> Iterator[Run]:
        token: str | None = None
        while True:
            page = self._client.search_runs(
                [self._store.home],
                wanted,
                max_results=1000,
                page_token=token,
                order_by=["attributes.start_time ASC"],
            )
            yield from page
            token = page.token
            if not token:
                return

    def log(
        self,
        run: str,
        metrics: Sequence[Point] = (),
        params: Mapping[str, object] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Write metrics, params and tags, together where MLflow takes that many at once.

        Names and values are brought into the form that MLflow takes. One that it refuses all the same is left out, and
        is in ``refused``; the others are written.
        """
        from mlflow.entities import Metric, Param, RunTag

        if tags and len(tags) <= _FEW_TAGS and not metrics and not params:
            for name, value in tags.items():  # on SQLite a quarter of what a batch takes
                self._client.set_tag(run, name, text_for(value))
            return
        named = param_texts(params or {})
        for batch in batches(
            [Metric(name_for(n), float(v), at, step) for at, step, values in metrics for n, v in values.items()],
            [Param(name, value) for name, value in named.items()],
            [RunTag(name, text_for(value)) for name, value in (tags or {}).items()],
        ):
            self._log_batch(run, *batch)

    def _log_batch(self, run: str, metrics: Sequence[Metric], params: Sequence[Param], tags: Sequence[RunTag]) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self._client.log_batch(run, metrics, params, tags)
        except MlflowException as error:
            if error.error_code not in _REFUSALS or not (metrics or params):
                raise
            refused = [
                *_write_some(lambda some: self._client.log_batch(run, params=some), params, _shortened),
                *_write_some(lambda some: self._client.log_batch(run, metrics=some), metrics),
            ]
            if len(refused) == len(metrics) + len(params):  # the fault is not in one of them
                raise
            self.refused.update(refused)
            if tags:
                self._client.log_batch(run, tags=tags)

    def add_data(self, run: str, search: SearchInfo) -> None:
        """Add the splits of a search as inputs of a run; a store that does not take them has it in ``refused``."""
        from mlflow.exceptions import MlflowException

        try:
            self._client.log_inputs(run, inputs_of(search))
        except MlflowException as error:
            if is_passing(error):
                raise
            self.refused["the data set"] = str(error).partition("\n")[0]

    def end(self, run: str, status: str, at: int) -> None:
        """Close a run with one of MLflow's statuses, at a time in milliseconds."""
        self._client.set_terminated(run, status, end_time=at)

    def add_text(self, run: str, name: str, text: str) -> None:
        """Add an artifact from memory."""
        self._client.log_text(run, text, name)

    def add_file(self, run: str, path: Path, name: str) -> None:
        """Add an artifact from a file."""
        if name == path.name:
            self._client.log_artifact(run, str(path))
            return
        with tempfile.TemporaryDirectory() as folder:  # MLflow keeps a file under the name that it has
            self._client.log_artifact(run, str(shutil.copy(path, Path(folder) / name)))

    def shown_as_front(self) -> set[str]:
        """Return the ids of the search's runs that the store shows as its front."""
        wanted = f"{tag_is(schema.PARETO, schema.TRUE)} and {tag_is(schema.PARENT, self.ids[None])}"
        return {run.info.run_id for run in self._oldest_first(wanted)}

    def worth_retrying(self, error: Exception, tried: int) -> bool:
        """Return whether a call that failed with ``error`` at its ``tried``-th try may yet succeed."""
        if isinstance(error, ImportError):  # two threads that import at once can trip over each other
            return tried < 3
        if not is_passing(error):
            return False
        if getattr(error, "error_code", "") != "INTERNAL_ERROR" or tried < _TRIES_WHILE_IT_ANSWERS:
            return True
        return not self._answers()  # a store that answers, but never to this: the fault is in what is written

    def _answers(self) -> bool:
        try:
            self._client.get_experiment(self._store.home)
        except Exception:  # whatever the reason, it does not answer
            return False
        return True


def _in_journal(search: SearchInfo) -> dict[str, Trial]:
    """Return the trials that ended under earlier drivers, and their points, by name."""
    return {one.name: one for trial in search.earlier or () for one in (trial, *trial.points)}


def _is_of(parent: Run, trials: Mapping[str, Run], search: SearchInfo) -> bool:
    """Return whether runs can be those of a search: its id is tagged, or a trial is the same; and none is another."""
    journal = _in_journal(search)
    agree = [name in journal and _agree(run, journal[name]) for name, run in trials.items()]
    is_tagged = bool(search.id) and parent.data.tags.get(schema.ID) == search.id
    return all(agree) and (is_tagged or any(run.data.params for run in trials.values()))


def _agree(run: Run, trial: Trial) -> bool:
    """Return whether a run has the candidate of a trial, and, if it ended as the trial did, the same metrics."""
    params = param_texts(trial.candidate)
    for name, value in run.data.params.items():
        whole = params.get(name, value)
        if value not in (whole, whole[:SHORT_VALUE]):
            return False
    if run.data.tags.get(schema.STATE) != trial.state:
        return True
    both = [
        (value, run.data.metrics[name_for(name)])
        for name, value in trial.metrics.items()
        if math.isfinite(value) and name_for(name) in run.data.metrics  # MLflow writes infinity as the largest number
    ]
    return all(math.isclose(value, stored, rel_tol=1e-6, abs_tol=1e-9) for value, stored in both)


def _write_some(
    write: Callable[[Sequence[E]], object], entries: Sequence[E], mend: Callable[[E], E | None] = lambda entry: None
) -> Iterator[tuple[str, str]]:
    """Write entries of which MLflow refuses some, by halves, and yield name and reason of each that it refuses.

    Args:
        write: writes entries, all or none.
        entries: what is to be written.
        mend: returns what to write in place of an entry that is refused; None where there is nothing.
    """
    from mlflow.exceptions import MlflowException

    if not entries:
        return
    try:
        write(entries)
    except MlflowException as error:
        if error.error_code not in _REFUSALS:
            raise
        middle = len(entries) // 2
        if middle:
            yield from _write_some(write, entries[:middle], mend)
            yield from _write_some(write, entries[middle:], mend)
        elif (other := mend(entries[0])) is not None:
            yield from _write_some(write, [other])
        else:
            yield entries[0].key, str(error).partition("\n")[0]


def _shortened(param: Param) -> Param | None:
    from mlflow.entities import Param

    return Param(param.key, param.value[:SHORT_VALUE]) if len(param.value) > SHORT_VALUE else None


def _log_ahead(file: Path) -> None:
    """Switch a database permanently to write-ahead logging: a quarter less time per trial, no waiting for readers."""
    # in use, or on a file system without shared memory, it stays as it is: slower, and as good
    with suppress(sqlite3.OperationalError), closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
