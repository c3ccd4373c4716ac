"""MLflow runs by a key of our own, written such that each call may be repeated after half of it was done."""

from __future__ import annotations

import re
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from spikefront.results.store.connection import (
    database_file,
    ensure_experiment,
    is_passing,
    open_client,
    prepare_environment,
    quoted,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

_LONGEST_VALUE: Final = 5_000
_FEW_TAGS: Final = 2
"""MLflow takes tags of 8,000 and params of 6,000 characters; a traceback can be longer."""

_TRIES_WHILE_IT_ANSWERS: Final = 5

Point = tuple[int, int, Mapping[str, float]]
"""Metrics of one moment: time in milliseconds, step, values by name."""


class Runs:
    """The runs of one search in one experiment. Belongs to one thread; every call may raise what MLflow raises.

    Args:
        uri: resolved tracking URI.
        experiment: its name, or None for the one plain MLflow is active in.

    Attributes:
        ids: run ids by trial number; None stands for the search itself.
    """

    def __init__(self, uri: str, experiment: str | None) -> None:
        self._uri = uri
        self._name = experiment
        self._opened: tuple[MlflowClient, str] | None = None
        self._tried: set[int | None] = set()
        self.ids: dict[int | None, str] = {}

    def open(self) -> None:
        """Import MLflow, open the store and find or create the experiment: 3 s for a new SQLite database."""
        prepare_environment(self._uri)
        from mlflow.utils.logging_utils import should_suppress_logs_in_thread

        # MLflow logs each step of opening, and each error at every retry; the store's report at the end says it once.
        should_suppress_logs_in_thread.set(True)
        client = open_client(self._uri)
        if (file := database_file(self._uri)) is not None:
            _log_ahead(file)
        self._opened = client, ensure_experiment(client, self._name)

    @property
    def _client(self) -> MlflowClient:
        return self._store[0]

    @property
    def _store(self) -> tuple[MlflowClient, str]:
        if self._opened is None:
            raise RuntimeError("the MLflow store is not open")
        return self._opened

    def create(self, key: int | None, name: str, tags: Mapping[str, str], at: int) -> str:
        """Create a run unless an earlier try did, and return its id.

        Args:
            key: trial number, or None for the search.
            name: shown by MLflow.
            tags: its first tags.
            at: start time in milliseconds; with the tags it identifies a run whose creation was never confirmed.
        """
        client, experiment = self._store
        if key not in self.ids and key in self._tried:
            for run in client.search_runs([experiment], f"attributes.start_time = {at}", max_results=100):
                if tags.items() <= run.data.tags.items():
                    self.ids[key] = run.info.run_id
        if key not in self.ids:
            self._tried.add(key)
            run = client.create_run(experiment, start_time=at, tags=dict(tags), run_name=name)
            self.ids[key] = run.info.run_id
        return self.ids[key]

    def adopt(self, search: str) -> dict[int, Mapping[str, str]]:
        """Take over the runs that an earlier process wrote for a search, and open the search's own again.

        Returns:
            The tags of each trial's run, by trial number. ``ids`` holds the runs found; of two with one number, which
            a process that died in between can leave, the second is deleted.
        """
        client, experiment = self._store
        wanted = f"tags.search = {quoted(search)} and tags.`spikefront.role` = 'search'"
        parents = client.search_runs([experiment], wanted, max_results=1, order_by=["attributes.start_time ASC"])
        if not parents:
            return {}
        self.ids[None] = parents[0].info.run_id
        client.update_run(self.ids[None], status="RUNNING")
        found: dict[int, Mapping[str, str]] = {}
        for run in self._pages(f"tags.`mlflow.parentRunId` = '{self.ids[None]}'", "attributes.start_time ASC"):
            number = int(run.data.tags["trial.number"])
            if number in found:
                client.delete_run(run.info.run_id)
            else:
                self.ids[number], found[number] = run.info.run_id, run.data.tags
        return found

    def _pages(self, wanted: str, order: str) -> Iterator[Run]:
        client, experiment = self._store
        token: str | None = None
        while True:
            page = client.search_runs([experiment], wanted, max_results=1000, page_token=token, order_by=[order])
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
        """Write metrics, params and tags together. Too long values are cut, characters MLflow refuses become ``_``."""
        from mlflow.entities import Metric, Param, RunTag

        if tags and len(tags) <= _FEW_TAGS and not metrics and not params:
            for name, value in tags.items():  # on SQLite a quarter of what a batch takes
                self._client.set_tag(run, name, value[:_LONGEST_VALUE])
            return
        named = {_name(name): str(value)[:_LONGEST_VALUE] for name, value in (params or {}).items()}
        self._client.log_batch(
            run,
            metrics=[Metric(_name(n), float(v), at, step) for at, step, values in metrics for n, v in values.items()],
            params=[Param(name, value) for name, value in named.items()],
            tags=[RunTag(name, value[:_LONGEST_VALUE]) for name, value in (tags or {}).items()],
        )

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
        wanted = f"tags.pareto = 'true' and tags.`mlflow.parentRunId` = '{self.ids[None]}'"
        return {run.info.run_id for run in self._pages(wanted, "attributes.start_time ASC")}

    def worth_retrying(self, error: Exception, tried: int) -> bool:
        """Say whether a call that failed with ``error`` at its ``tried``-th try may yet succeed."""
        if isinstance(error, ImportError):  # two threads that import at once can trip over each other
            return tried < 3
        if not is_passing(error):
            return False
        if getattr(error, "error_code", "") != "INTERNAL_ERROR" or tried < _TRIES_WHILE_IT_ANSWERS:
            return True
        return not self._answers()  # a store that answers, but never to this: the fault is in what is written

    def _answers(self) -> bool:
        try:
            client, experiment = self._store
            client.get_experiment(experiment)
        except Exception:  # no matter why: it does not answer
            return False
        return True


def _name(name: str) -> str:
    return re.sub(r"[^\w\-. :]", "_", name)


def _log_ahead(file: Path) -> None:
    """Switch a database to write-ahead logging for good: a quarter less time per trial, and readers don't block us."""
    # in use, or on a file system without shared memory, it stays as it is: slower, and as good
    with suppress(sqlite3.OperationalError), closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
