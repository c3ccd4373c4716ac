"""Reads searches, trials and their files from a store."""

from __future__ import annotations

import gc
import math
import os
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from spikefront.results.store import schema
from spikefront.results.store.connection import Store, tag_is
from spikefront.results.store.documents import checked, layers_of, parsed
from spikefront.searchspace.activity import Activity
from spikefront.searchspace.errors import one_line, shown
from spikefront.searchspace.records import LayerEnergy, Spread
from spikefront.searchspace.trial import Trial

if TYPE_CHECKING:
    from mlflow.entities import Run

_PAGE: Final = 1000
_Point = tuple[str, int, str, int, float]
"""A value of a metric: name of the trial, epoch, name, time in milliseconds, value."""
_AT_ONCE: Final = 8
"""Members whose files are read at the same time: in a remote store each takes several round trips."""


@dataclass(frozen=True, slots=True)
class MemberFiles:
    """What a trial has among its artifacts, beside its weights.

    Attributes:
        layers: energy by layer; empty where ``layers.json`` is missing or can't be read.
        picture: the bytes of ``picture.png``; empty where it is missing, or was not wanted.
        activity: what its network does; None where ``activity.json`` is missing, can't be read, or was not wanted.
    """

    layers: Sequence[LayerEnergy] = ()
    picture: bytes = b""
    activity: Activity | None = None


def search_runs(store: Store, name: str | None = None) -> Iterator[Run]:
    """Yield the runs of searches, of a name if one is given, the newest first."""
    wanted = [tag_is(schema.ROLE, "search"), *([] if name is None else [tag_is(schema.SEARCH, name)])]
    return pages(store, wanted, 1 if name is None else 2)


def search_run(store: Store, key: str) -> Run | None:
    """Return the run of the search that has an id, or that is the run of this id; None where there is none."""
    from mlflow.exceptions import MlflowException

    found = next(pages(store, [tag_is(schema.ROLE, "search"), tag_is(schema.ID, key)], 1), None)
    if found is not None:
        return found
    try:
        run = store.client.get_run(key)
    except MlflowException:
        return None
    return run if run.data.tags.get(schema.ROLE) == "search" else None


def is_in_store(store: Store, name: str) -> bool:
    """Return whether the experiment has a search of a name; False where it can't be asked."""
    if store.file is not None:
        if not os.path.exists(store.file):
            return False
        with suppress(sqlite3.Error):  # tables of another version of MLflow
            return _is_in_tables(store, store.file, name)
    with suppress(Exception):  # a search does not end because this can't be said
        store.open_existing()
        return next(search_runs(store, name), None) is not None
    return False


def _is_in_tables(store: Store, file: Path, name: str) -> bool:
    """Ask SQLite directly: MLflow takes seconds to be imported, and the search waits."""
    column, experiment = store.wanted
    with closing(sqlite3.connect(file, timeout=5)) as connection:
        found = connection.execute(
            "SELECT 1 FROM tags a JOIN tags b ON a.run_uuid = b.run_uuid JOIN runs r ON r.run_uuid = a.run_uuid "
            "JOIN experiments e ON e.experiment_id = r.experiment_id WHERE a.key = ? AND a.value = ? AND b.key = ? "
            f"AND b.value = ? AND e.{column} = ? AND r.lifecycle_stage = 'active' LIMIT 1",
            [schema.SEARCH, name, schema.ROLE, "search", experiment],
        )
        return found.fetchone() is not None


def trial_runs(store: Store, search_run: str, conditions: Sequence[str] = (), page: int = _PAGE) -> Iterator[Run]:
    """Yield the runs of a search's trials.

    Args:
        store: where.
        search_run: id of the search's run.
        conditions: further conditions in MLflow's filter language.
        page: runs to read at a time.
    """
    return pages(store, [tag_is(schema.PARENT, search_run), *conditions], page)


def pages(store: Store, conditions: Sequence[str], size: int) -> Iterator[Run]:
    """Yield the runs that meet all conditions, the newest first, read in pages."""
    token: str | None = None
    while True:
        with _collector_paused():
            page = store.client.search_runs([store.home], " and ".join(conditions), max_results=size, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Keep Python's garbage collector from walking through all of MLflow in the middle of a query.

    A query makes and drops some 4,000 objects for each 100 runs; taken for long-lived ones, they make every second call
    collect everything there is: 0.22 s in place of 0.08 s at 10,000 runs.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def read_trials(store: Store, search: Run) -> list[Trial]:
    """Return the trials of a search, in no particular order, each with those of its points that have runs."""
    if store.file is not None:
        try:
            return _whole(_from_tables(store.file, search))
        except sqlite3.Error:  # tables of another version of MLflow: use its client, which is slower
            pass
    runs = trial_runs(store, search.info.run_id)
    return _whole(trials_of(search, (run for run in runs if schema.is_member_tags(run.data.tags))))


def _whole(found: Iterable[Trial]) -> list[Trial]:
    """Return trials with the points among them; points without their trial are left out."""
    points: dict[int, list[Trial]] = {}
    trials = []
    for one in found:
        if one.cut:
            points.setdefault(one.number, []).append(one)
        else:
            trials.append(one)
    return [
        replace(one, points=tuple(sorted(points[one.number], key=lambda point: point.cut)))
        if one.number in points
        else one
        for one in trials
    ]


def trials_of(search: Run, runs: Iterable[Run]) -> list[Trial]:
    """Return the trials and points of runs of a search; those that can't be read are left out, and told in one line."""
    began = search.info.start_time
    return _readable(search.data.tags, ((run.info.run_id, partial(schema.trial_of, run, began)) for run in runs))


def _readable(search: Mapping[str, str], trials: Iterable[tuple[str, Callable[[], Trial]]]) -> list[Trial]:
    found, problems = [], []
    for run_id, make in trials:
        try:
            found.append(make())
        except ValueError as error:
            problems.append(f"run {run_id}: {error}")
    if problems:
        warn_left_out(f"of search {shown(search.get(schema.SEARCH))} ", problems)
    return found


def warn_left_out(where: str, problems: Sequence[str]) -> None:
    """Print in one line that something in the store is left out, the first problem, and how many there are."""
    more = f" (and {len(problems) - 1:,} more)" if len(problems) > 1 else ""
    print(one_line(f"spikefront: warning: {where}left out: {problems[0]}{more}"), file=sys.stderr)


def _from_tables(file: Path, search: Run) -> list[Trial]:
    """Read from SQLite directly: MLflow takes about 1 ms for each run, 10 s for 10,000, and this a tenth."""
    marks = ", ".join("?" * len(schema.TRIAL_TAGS))
    of = "JOIN tags t ON t.run_uuid = x.run_uuid AND t.key = ? AND t.value = ?"
    me = [schema.PARENT, search.info.run_id]
    tags: dict[str, dict[str, str]] = {}
    params: dict[str, dict[str, str]] = {}
    metrics: dict[str, dict[str, float]] = {}
    with closing(sqlite3.connect(file, timeout=5)) as connection:
        select = connection.execute
        select("BEGIN")  # all from one moment, while a search goes on writing
        ends = select(
            f"SELECT x.run_uuid, x.end_time FROM runs x {of} WHERE x.lifecycle_stage = 'active'", me
        ).fetchall()
        wanted = [*me, *schema.TRIAL_TAGS, f"{schema.PLUGIN}*"]
        for key, name, text in select(
            f"SELECT x.run_uuid, x.key, x.value FROM tags x {of} WHERE x.key IN ({marks}) OR x.key GLOB ?", wanted
        ):
            tags.setdefault(key, {})[name] = text
        for key, name, text in select(f"SELECT x.run_uuid, x.key, x.value FROM params x {of}", me):
            params.setdefault(key, {})[name] = text
        for key, name, value, is_nan in select(
            f"SELECT x.run_uuid, x.key, x.value, x.is_nan FROM latest_metrics x {of}", me
        ):
            metrics.setdefault(key, {})[name] = value if not is_nan and isinstance(value, float) else math.nan

    def make(key: str, end: int | None) -> Trial:
        return schema.make_trial(key, end, search.info.start_time, tags[key], params.get(key, {}), metrics.get(key, {}))

    named = ((key, end) for key, end in ends if schema.is_member_tags(tags.get(key, {})))
    return _readable(search.data.tags, ((key, partial(make, key, end)) for key, end in named))


def read_curves(
    store: Store, runs: Mapping[str, str], metrics: Sequence[str]
) -> dict[str, dict[int, dict[str, float]]]:
    """Return metrics of trials by name and epoch, in the order of the epochs; without those that it has not.

    Args:
        store: where.
        runs: ids of their runs, by name.
        metrics: names of the metrics.
    """
    found: dict[str, dict[int, dict[str, float]]] = {trial: {} for trial in runs}
    for trial, step, name, _, value in sorted(_points(store, runs, metrics)):  # of two values the later
        if step > 0 and math.isfinite(value):
            found[trial].setdefault(step, {})[name] = value
    return found


def _points(store: Store, runs: Mapping[str, str], metrics: Sequence[str]) -> list[_Point]:
    if store.file is not None:
        trial_of = {run: trial for trial, run in runs.items()}
        marks, names = (", ".join("?" * len(each)) for each in (runs, metrics))
        with suppress(sqlite3.Error), closing(sqlite3.connect(store.file, timeout=5)) as connection:
            rows = connection.execute(
                "SELECT run_uuid, step, key, timestamp, value FROM metrics "
                f"WHERE run_uuid IN ({marks}) AND key IN ({names}) AND NOT is_nan",
                [*trial_of, *metrics],
            )
            return [(trial_of[run], *rest) for run, *rest in rows]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        found = pool.map(
            lambda key: _history(store, *key), [(*item, name) for item in runs.items() for name in metrics]
        )
        return list(chain.from_iterable(found))


def _history(store: Store, trial: str, run: str, name: str) -> list[_Point]:
    from mlflow.exceptions import MlflowException

    try:
        points = store.client.get_metric_history(run, name)
    except MlflowException:  # a run that was deleted, or a server that is away
        return []
    return [(trial, point.step, name, point.timestamp, point.value) for point in points]


def read_json(store: Store, run_id: str, names: Collection[str]) -> dict[str, dict[str, Any]]:
    """Return JSON artifacts of a run by name; one that is missing or can't be read is empty."""
    from mlflow.exceptions import MlflowException

    found: dict[str, dict[str, Any]] = {name: {} for name in names}
    with tempfile.TemporaryDirectory() as folder:
        try:
            there = {artifact.path for artifact in store.client.list_artifacts(run_id)}
            for name in there.intersection(names):
                path = store.client.download_artifacts(run_id, name, folder)
                found[name] = checked(name, parsed(Path(path).read_bytes()))
        except (MlflowException, OSError):  # the artifact store may be on another machine
            return found
    return found


def read_error(store: Store, run_id: str) -> str:
    """Return the traceback that a trial left; empty where it left none, or it can't be read."""
    from mlflow.exceptions import MlflowException

    with tempfile.TemporaryDirectory() as folder, suppress(MlflowException, OSError):
        if any(artifact.path == schema.ERROR_FILE for artifact in store.client.list_artifacts(run_id)):
            file = Path(store.client.download_artifacts(run_id, schema.ERROR_FILE, folder))
            return file.read_text(encoding="utf-8", errors="replace").strip()
    return ""


def read_confirmed(store: Store, run: Run) -> Spread | None:
    """Return the quality of a member over the seeds under which it was confirmed; None where it was not.

    Args:
        store: where.
        run: the member's run.
    """
    metrics, name = run.data.metrics, f"{schema.CONFIRMED_METRIC}quality"
    wanted = [name, f"{name}_sd", f"{name}_low", f"{name}_high"]
    if any(key not in metrics for key in wanted):
        return None
    counted = {int(seed) for seed in run.data.tags.get(schema.CONFIRMED_SEEDS, "").split(",") if seed}
    measured = {
        point.step
        for prefix in (schema.TEST_METRIC, schema.FRESH_TEST_METRIC)  # what recommend has measured counts as well
        for point in store.client.get_metric_history(run.info.run_id, f"{prefix}quality")
    }
    return Spread(len(measured & counted or measured), *(metrics[key] for key in wanted))


def read_files(
    store: Store, runs: Mapping[str, str], pictures: Collection[str] = (), activities: Collection[str] = ()
) -> dict[str, MemberFiles]:
    """Return the files of trials by their names, read several at a time.

    Args:
        store: where.
        runs: ids of their runs, by name; an empty one has no files.
        pictures: names of the trials whose pictures are wanted, too.
        activities: names of the trials whose activity is wanted, too.
    """
    some = ((schema.PICTURE, pictures), (schema.ACTIVITY, activities))
    wanted = {trial: [schema.LAYERS, *(name for name, of in some if trial in of)] for trial in runs}
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        found = pool.map(lambda trial: _read_files(store, runs[trial], wanted[trial]), runs)
        return dict(zip(runs, found, strict=True))


def _read_files(store: Store, run: str, wanted: Sequence[str]) -> MemberFiles:
    from mlflow.exceptions import MlflowException
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    files: dict[str, bytes] = {}
    if not run:
        return MemberFiles()
    try:
        # the client's own download_artifacts takes 13 ms of processor time, this 2 ms
        home = get_artifact_repository(store.client.get_run(run).info.artifact_uri, store.uri)
        there = {artifact.path for artifact in home.list_artifacts()}  # servers retry what is missing
        with tempfile.TemporaryDirectory() as folder:
            for name in there.intersection(wanted):
                files[name] = Path(home.download_artifacts(name, folder)).read_bytes()
    except (MlflowException, OSError):  # the artifact store may be on another machine
        pass
    layers, activity = (parsed(files.get(name, b"")) for name in (schema.LAYERS, schema.ACTIVITY))
    return MemberFiles(layers_of(layers), files.get(schema.PICTURE, b""), Activity.from_dict(activity))
