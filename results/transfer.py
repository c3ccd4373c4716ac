"""Export and import of searches between MLflow stores, as one archive file each."""

from __future__ import annotations

import os
import re
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from spikefront.results.archive import HEAD, SEARCH_KEY, Record, SearchArchive, head_json, key_of
from spikefront.results.searches import StoredSearch
from spikefront.results.store import schema
from spikefront.results.store.artifacts import redacted_file
from spikefront.results.store.connection import Store
from spikefront.results.store.reading import search_runs, trial_runs
from spikefront.searchspace.errors import UsageError
from spikefront.searchspace.secrets import redact, redact_values
from spikefront.searchspace.targets import check_target

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

_UNFINISHED: Final = ".part"
_PAIRS: Final = 100
_METRICS: Final = 1000
"""Most params or tags, and most metrics, that MLflow takes at once."""


def export_search(store: Store, search: str, file: Path | str) -> int:
    """Write a search with its trials, their metrics' whole history and all artifacts into one archive.

    Args:
        store: where the search is.
        search: its name, of two of one name the newer is taken; or its id, or that of its run.
        file: the archive; must not exist. It appears when it is complete.

    Returns:
        Number of trials in it.

    Raises:
        UnknownName: when there is no search of that name.
        UsageError: when the file exists or can't be written, the store does not answer, or a run is too large.
    """
    file = Path(file)
    if os.path.lexists(file):
        raise UsageError(f"archive {file} exists already; choose another name")
    check_target(file, "archive", beside=_UNFINISHED)
    found = StoredSearch.open(store, search)
    parent = found.run
    children = trial_runs(store, parent.info.run_id)
    trials = {key_of(run.data.tags): run for run in children if schema.is_member_tags(run.data.tags)}
    runs = {SEARCH_KEY: parent, **dict(sorted(trials.items()))}
    unfinished = file.with_name(f"{file.name}{_UNFINISHED}")
    try:
        with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED, strict_timestamps=False) as archive:
            archive.writestr(HEAD, head_json(found.name, list(runs)))
            for key, run in runs.items():
                _write_run(archive, f"runs/{key}", store.client, run)
        unfinished.rename(file)
    except OSError as error:
        raise UsageError(f"archive {file} can't be written: {error.strerror or error}") from error
    finally:
        unfinished.unlink(missing_ok=True)
    return sum(not schema.is_point(run.data.tags) for run in trials.values())


def _write_run(archive: zipfile.ZipFile, folder: str, client: MlflowClient, run: Run) -> None:
    info, data = run.info, run.data
    points = [point for name in sorted(data.metrics) for point in client.get_metric_history(info.run_id, name)]
    metrics = [(point.key, point.value, point.timestamp, point.step) for point in points]
    name = info.run_name or ""
    params, tags = redact_values(dict(data.params)), redact_values(dict(data.tags))
    record = Record(info.run_id, name, info.status, info.start_time, info.end_time, params, tags, metrics)
    archive.writestr(f"{folder}/run.json", record.to_json())
    with tempfile.TemporaryDirectory() as scratch, tempfile.TemporaryDirectory() as redacted:
        for path in _artifacts(client, info.run_id):
            file = Path(client.download_artifacts(info.run_id, path, scratch))
            archive.write(redacted_file(file, Path(redacted)), f"{folder}/artifacts/{path}")


def _artifacts(client: MlflowClient, run: str, folder: str | None = None) -> Iterator[str]:
    for entry in client.list_artifacts(run, folder):
        if entry.is_dir:
            yield from _artifacts(client, run, entry.path)
        else:
            yield entry.path


def import_search(store: Store, file: Path | str) -> tuple[str, int]:
    """Write the search of an archive into a store. Times, numbers and artifacts are as they were; run ids are new.

    The archive is checked as a whole first, and if a call to MLflow fails, the runs made until then are deleted. In
    ``front.json`` the new run ids take the place of the old ones; every other artifact keeps its bytes.

    Args:
        store: where to; a database or experiment that does not exist is created.
        file: what ``export_search`` wrote.

    Returns:
        The search's name and its number of trials.

    Raises:
        UsageError: when the file is no such archive or damaged, a search of that name is there already, or the store
            does not answer.
    """
    file = Path(file)
    with SearchArchive(file) as archive:
        store.check()
        _ensure(store)
        if next(search_runs(store, archive.search), None) is not None:
            todo = "choose another with --experiment or --tracking-uri"
            raise UsageError(f"search {archive.search!r} is already in {store.shown}; {todo}")
        client = store.client
        with _all_or_nothing(client, file) as made:
            for key in archive.keys:
                _create(client, store.home, archive.record(key), made)
            for key in archive.keys:
                record = archive.record(key)
                _add_artifacts(client, archive, key, made[record.run_id], made)
                _close(client, made[record.run_id], record)
    return archive.search, sum("@" not in key for key in archive.keys) - 1


def _ensure(store: Store) -> None:
    from mlflow.utils.logging_utils import suppress_logs_in_thread

    with suppress_logs_in_thread():  # each table of a new database, and the new experiment
        store.ensure()


@contextmanager
def _all_or_nothing(client: MlflowClient, file: Path) -> Iterator[dict[str, str]]:
    """Yield the map from old to new run ids, and delete the new runs after an error."""
    made: dict[str, str] = {}
    try:
        yield made
    except BaseException as error:
        for run in reversed(made.values()):
            with suppress(Exception):  # the first error is the one to report
                client.delete_run(run)
        if isinstance(error, Exception) and not isinstance(error, UsageError):  # stores raise anything
            reason = redact(str(error)).partition("\n")[0]
            raise UsageError(f"import of {file} failed and is undone: {reason}; try again") from error
        raise


def _create(client: MlflowClient, home: str, record: Record, made: dict[str, str]) -> None:
    """Make a run with all but its artifacts; ``made`` maps the ids of old runs to those of new ones."""
    from mlflow.entities import Metric, Param, RunTag

    tags = dict(record.tags)
    parent = made.get(tags.pop(schema.PARENT, ""))  # a search may have one, which is not in the archive
    tags |= {} if parent is None else {schema.PARENT: parent}
    tags |= {schema.POINT_RUN: made[tags[schema.POINT_RUN]]} if schema.is_point(tags) else {}
    made[record.run_id] = run = client.create_run(home, record.start_time, run_name=record.name).info.run_id
    metrics = [Metric(name, value, at, step) for name, value, at, step in record.metrics]
    params, pairs = [Param(*item) for item in record.params.items()], [RunTag(*item) for item in tags.items()]
    for start in range(0, max(len(params), len(pairs)), _PAIRS):
        client.log_batch(run, (), params[start : start + _PAIRS], pairs[start : start + _PAIRS])
    for start in range(0, len(metrics), _METRICS):
        client.log_batch(run, metrics[start : start + _METRICS])


def _add_artifacts(client: MlflowClient, archive: SearchArchive, key: str, run: str, made: Mapping[str, str]) -> None:
    if not archive.artifacts[key]:
        return
    with tempfile.TemporaryDirectory() as scratch:
        for path in archive.artifacts[key]:
            copy = archive.extract(key, path, Path(scratch))
            if path == schema.FRONT_FILE:
                text = copy.read_text(encoding="utf-8")
                copy.write_text(re.sub(r"\b[0-9a-f]{32}\b", lambda found: made.get(found[0], found[0]), text), "utf-8")
        client.log_artifacts(run, scratch)


def _close(client: MlflowClient, run: str, record: Record) -> None:
    if record.end_time is None:
        client.update_run(run, status=record.status)
    else:
        client.set_terminated(run, record.status, record.end_time)
