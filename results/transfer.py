"""Export and import of searches between MLflow stores, as one ZIP file of JSON and the artifacts' own files.

``search.json`` is its head; each run has ``runs/<key>/run.json``, where the key is ``search`` or the trial's number
with at least four digits, and its artifacts in ``runs/<key>/artifacts/``. Nothing in it is executed or unpickled.
"""

from __future__ import annotations

import json
import math
import re
import shutil
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from spikefront.results.searches import StoredSearch
from spikefront.results.store import schema
from spikefront.results.store.artifacts import redacted_file
from spikefront.results.store.connection import Store
from spikefront.results.store.reading import search_runs, trial_runs
from spikefront.searchspace.errors import UsageError
from spikefront.searchspace.secrets import redact, redact_values

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

_FORMAT: Final = "spikefront search"
_VERSION: Final = 1
_HEAD: Final = "search.json"
_MEMBER: Final = re.compile(r"runs/(search|[0-9]{4,})/(run\.json|artifacts/[^\\\x00]+)")
_STATUSES: Final = ("RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED")
_PAIRS: Final = 100
_METRICS: Final = 1000
"""Most params or tags, and most metrics, that MLflow takes at once."""


@dataclass(frozen=True, slots=True)
class _Record:
    """A run as the archive has it.

    Attributes:
        run_id: its id in the MLflow that it comes from.
        name: as MLflow shows it.
        status: one of MLflow's.
        start_time: in milliseconds.
        end_time: in milliseconds; None while it runs.
        params: by name.
        tags: by name.
        metrics: all that was ever written: name, value, time in milliseconds, step.
    """

    run_id: str
    name: str
    status: str
    start_time: int
    end_time: int | None
    params: Mapping[str, str]
    tags: Mapping[str, str]
    metrics: Sequence[tuple[str, float, int, int]]


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
        UsageError: when the file exists or can't be written, or the store does not answer.
    """
    file = Path(file)
    if file.exists():
        raise UsageError(f"archive {file} exists already; choose another name")
    if not file.parent.is_dir():
        raise UsageError(f"archive {file}: folder {file.parent} does not exist; create it or choose another")
    found = StoredSearch.open(store, search)
    parent = found.run
    children = trial_runs(store, parent.info.run_id)
    trials = {f"{int(run.data.tags[schema.NUMBER]):04d}": run for run in children}
    runs = {"search": parent, **dict(sorted(trials.items()))}
    unfinished = file.with_name(f"{file.name}.part")
    try:
        with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED) as archive:
            head = {"format": _FORMAT, "version": _VERSION, "search": found.name, "runs": list(runs)}
            archive.writestr(_HEAD, json.dumps(head, indent=2))
            for key, run in runs.items():
                _write_run(archive, f"runs/{key}", store.client, run)
        unfinished.rename(file)
    except OSError as error:
        raise UsageError(f"archive {file} can't be written: {error.strerror or error}") from error
    finally:
        unfinished.unlink(missing_ok=True)
    return len(trials)


def _write_run(archive: zipfile.ZipFile, folder: str, client: MlflowClient, run: Run) -> None:
    info, data = run.info, run.data
    history = [point for name in sorted(data.metrics) for point in client.get_metric_history(info.run_id, name)]
    metrics = [(point.key, _plain(point.value), point.timestamp, point.step) for point in history]
    name = info.run_name or ""
    params, tags = redact_values(dict(data.params)), redact_values(dict(data.tags))
    record = _Record(info.run_id, name, info.status, info.start_time, info.end_time, params, tags, metrics)
    archive.writestr(f"{folder}/run.json", json.dumps(asdict(record), indent=1, allow_nan=False))
    with tempfile.TemporaryDirectory() as scratch, tempfile.TemporaryDirectory() as redacted:
        for path in _artifacts(client, info.run_id):
            file = Path(client.download_artifacts(info.run_id, path, scratch))
            archive.write(redacted_file(file, Path(redacted)), f"{folder}/artifacts/{path}")


def _plain(value: float) -> Any:
    """Return a value for JSON: finite numbers keep all their bits, others become text that ``float`` reads."""
    return value if math.isfinite(value) else repr(value)


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
    archive, search, records, members = _opened(file)
    with archive:
        store.check()
        _ensure(store)
        if next(search_runs(store, search), None) is not None:
            todo = "choose another with --experiment or --tracking-uri"
            raise UsageError(f"search {search!r} is already in {store.shown}; {todo}")
        client = store.client
        with _all_or_nothing(client, file) as made:
            for record in records.values():
                _create(client, store.home, record, made)
            for key, record in records.items():
                _add_artifacts(client, archive, f"runs/{key}/artifacts/", members[key], made[record.run_id], made)
                _close(client, made[record.run_id], record)
    return search, len(records) - 1


def _ensure(store: Store) -> None:
    from mlflow.utils.logging_utils import suppress_logs_in_thread

    with suppress_logs_in_thread():  # each table of a new database, and the new experiment
        store.ensure()


@contextmanager
def _all_or_nothing(client: MlflowClient, file: Path) -> Iterator[dict[str, str]]:
    """Yield the map from old to new run ids, and delete the new runs after an error."""
    from mlflow.exceptions import MlflowException

    made: dict[str, str] = {}
    try:
        yield made
    except BaseException as error:
        for run in reversed(made.values()):
            with suppress(Exception):  # the first error is the one to report
                client.delete_run(run)
        if isinstance(error, (MlflowException, OSError)):
            reason = redact(str(error)).partition("\n")[0]
            raise UsageError(f"import of {file} failed and is undone: {reason}; try again") from error
        raise


def _opened(file: Path) -> tuple[zipfile.ZipFile, str, dict[str, _Record], dict[str, list[str]]]:
    """Open and check an archive; any fault becomes an error of one line."""
    archive = None
    if file.exists() and not file.is_file():  # a device may have no end
        raise UsageError(f"archive {file} can't be read: it is not a regular file; check its name")
    try:
        archive = zipfile.ZipFile(file)
        return archive, *_read(archive)
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, _Foreign) as error:
        if archive is not None:
            archive.close()
        if archive is None and isinstance(error, OSError):
            raise UsageError(f"archive {file} can't be read: {error.strerror or error}; check its name") from error
        reason = f" ({error})" if str(error) else ""
        raise UsageError(f"{file} is not an archive of a search, or it is damaged{reason}; export it again") from error


class _Foreign(Exception):
    """Content that no export writes."""


def _read(archive: zipfile.ZipFile) -> tuple[str, dict[str, _Record], dict[str, list[str]]]:
    """Check the whole archive and return the search's name, its runs and their artifacts' paths, by key."""
    names = archive.namelist()
    if _HEAD not in names:
        raise _Foreign(f"it has no {_HEAD}")
    if len(set(names)) < len(names):
        raise _Foreign("a name in it stands for two files")
    members: dict[str, list[str]] = {}
    for entry in archive.infolist():
        if entry.filename != _HEAD:
            key, path = _split(entry)
            members.setdefault(key, []).extend([path.removeprefix("artifacts/")] if path != "run.json" else [])
    if (broken := archive.testzip()) is not None:
        raise _Foreign(f"{broken} has another checksum")
    head = _json(archive, _HEAD)
    if not isinstance(head, dict) or head.get("format") != _FORMAT:
        raise _Foreign(f"{_HEAD} does not say {_FORMAT!r}")
    if head.get("version") != _VERSION:
        raise _Foreign(f"its version is {head.get('version')!r}, and only {_VERSION} is known")
    search, keys = head.get("search"), head.get("runs")
    if not isinstance(search, str) or not isinstance(keys, list) or keys[:1] != ["search"] or {*members} != {*keys}:
        raise _Foreign("its runs are not those that it lists")
    records = {key: _record(archive, key) for key in keys}
    _check_family(search, records)
    return search, records, members


def _split(entry: zipfile.ZipInfo) -> tuple[str, str]:
    """Return key and path of a member, which must stay in its place and be a plain file."""
    match = _MEMBER.fullmatch(entry.filename)
    parts = PurePosixPath(entry.filename).parts
    is_plain = stat.S_IFMT(entry.external_attr >> 16) in (0, stat.S_IFREG)
    if match is None or ".." in parts or "/".join(parts) != entry.filename or not is_plain:
        raise _Foreign(f"{entry.filename[:80]!r} does not belong there")
    return match[1], match[2]


def _json(archive: zipfile.ZipFile, name: str) -> Any:
    try:
        return json.loads(archive.read(name))
    except (KeyError, ValueError) as error:
        raise _Foreign(f"{name} is missing or not JSON") from error


def _record(archive: zipfile.ZipFile, key: str) -> _Record:
    name = f"runs/{key}/run.json"
    try:
        found = _Record(**_json(archive, name))
        texts = (*found.params, *found.params.values(), *found.tags, *found.tags.values())
        times = () if found.end_time is None else (found.end_time,)
        metrics = [(metric, float(value), at, step) for metric, value, at, step in found.metrics]
        whole = [found.start_time, *times, *(number for _, _, *pair in metrics for number in pair)]
        if not all(type(text) is str for text in (found.run_id, found.name, *texts, *(each[0] for each in metrics))):
            raise TypeError("a name or value is not text")
        if not all(type(number) is int for number in whole) or found.status not in _STATUSES:
            raise TypeError("a time or step is not a whole number, or the status is unknown")
    except (TypeError, ValueError, AttributeError) as error:
        raise _Foreign(f"{name} is not a run: {error}") from error
    return replace(found, metrics=metrics)


def _check_family(search: str, records: Mapping[str, _Record]) -> None:
    """Check that the runs are one search and its trials."""
    parent = records["search"]
    if len({record.run_id for record in records.values()}) < len(records):
        raise _Foreign("two of its runs have one id")
    for key, record in records.items():
        role = "search" if key == "search" else "trial"
        tags = record.tags
        if tags.get(schema.SEARCH) != search or tags.get(schema.ROLE) != role:
            raise _Foreign(f"run {key} is not a {role} of {search!r}")
        is_child = tags.get(schema.PARENT) == parent.run_id and f"{tags.get(schema.NUMBER)}".zfill(4) == key
        if role == "trial" and not is_child:
            raise _Foreign(f"run {key} belongs to another search")


def _create(client: MlflowClient, home: str, record: _Record, made: dict[str, str]) -> None:
    """Make a run with all but its artifacts; ``made`` maps the ids of old runs to those of new ones."""
    from mlflow.entities import Metric, Param, RunTag

    tags = dict(record.tags)
    if schema.PARENT in tags:
        tags[schema.PARENT] = made[tags[schema.PARENT]]
    made[record.run_id] = run = client.create_run(home, record.start_time, run_name=record.name).info.run_id
    metrics = [Metric(name, value, at, step) for name, value, at, step in record.metrics]
    params, pairs = [Param(*item) for item in record.params.items()], [RunTag(*item) for item in tags.items()]
    for start in range(0, max(len(params), len(pairs)), _PAIRS):
        client.log_batch(run, (), params[start : start + _PAIRS], pairs[start : start + _PAIRS])
    for start in range(0, len(metrics), _METRICS):
        client.log_batch(run, metrics[start : start + _METRICS])


def _add_artifacts(
    client: MlflowClient,
    archive: zipfile.ZipFile,
    folder: str,
    paths: Sequence[str],
    run: str,
    made: Mapping[str, str],
) -> None:
    if not paths:
        return
    with tempfile.TemporaryDirectory() as scratch:
        for path in paths:
            copy = Path(scratch, path)
            copy.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(folder + path) as source, copy.open("wb") as target:
                shutil.copyfileobj(source, target)
            if path == schema.FRONT_FILE:
                text = copy.read_text(encoding="utf-8")
                copy.write_text(re.sub(r"\b[0-9a-f]{32}\b", lambda found: made.get(found[0], found[0]), text), "utf-8")
        client.log_artifacts(run, scratch)


def _close(client: MlflowClient, run: str, record: _Record) -> None:
    if record.end_time is None:
        client.update_run(run, status=record.status)
    else:
        client.set_terminated(run, record.status, record.end_time)
