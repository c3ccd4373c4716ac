"""What a report is made from: a search, its trials and what was confirmed, read from MLflow once."""

from __future__ import annotations

import json
import math
import sqlite3
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from spikefront.results.front import spread
from spikefront.results.kept import read_kept
from spikefront.results.queries import (
    axes_of,
    children,
    find_knee,
    nothing_in,
    open_existing,
    search_names,
    searches,
)
from spikefront.results.store.connection import ADDED_LATER, QUALITY_TAG, database_file, resolve_uri
from spikefront.searchspace import ENERGY, Objective, UnknownName
from spikefront.searchspace.front import Losses, losses, nondominated, volume

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

_TAGS: Final = ("trial.number", "trial.state", "trial.reason", "trial.retry_of", "plugin.energy")
_PICTURED: Final = 0.95
_LAYERED: Final = 200
"""Most members of the front whose layers are read, evenly spaced; each takes 5 ms."""
_PICTURES: Final = 12
"""Most members whose pictures of what they make are shown; one of clothes takes 30 kB."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A trial as the store has it.

    Attributes:
        number: its number, from 0.
        run_id: its MLflow run.
        state: COMPLETE, PRUNED, FAIL or RUNNING.
        reason: why it failed or was stopped; empty otherwise.
        ended: seconds from the search's start to its end; NaN while it runs.
        params: its hyperparameters, as text.
        metrics: its last metrics.
        tags: those of ``_TAGS`` that it has.
    """

    number: int
    run_id: str
    state: str
    reason: str
    ended: float
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]

    @property
    def coding(self) -> str:
        """The name of its coding; empty where it died before one was chosen."""
        return self.params.get("coding", "")


@dataclass(frozen=True)
class Findings:
    """A search and all that a report says of it.

    Attributes:
        name: the search's name.
        task: its task.
        quality: the task's own name for quality.
        axes: the objectives; the first is quality.
        run_id: MLflow's run of the search.
        options: what it was asked for, as text.
        ended: why it ended; empty while it runs, or when its driver died.
        began: its start, in milliseconds since 1970.
        seconds: from its start to its end, or to the end of its last trial.
        trials: in the order in which they ended, those that run last; of a trial judged again only the last.
        environment: what ``environment.json`` has; empty before the search has ended.
        confirmed: what ``confirmed.json`` has; empty before ``spikefront confirm``.
        twins: what ``twins.json`` has; empty before ``spikefront twin``.
        layers: energies of members of the front by layer, as their ``layers.json`` has them, by the numbers of trials.
        pictures: PNG files of what members of the front make, evenly spaced among them, by the numbers of trials.
    """

    name: str
    task: str
    quality: str
    axes: tuple[Objective, ...]
    run_id: str
    options: Mapping[str, str]
    ended: str
    began: int
    seconds: float
    trials: tuple[Judged, ...]
    environment: Mapping[str, Any] = field(default_factory=dict)
    confirmed: Mapping[str, Any] = field(default_factory=dict)
    twins: Mapping[str, Any] = field(default_factory=dict)
    layers: Mapping[int, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    pictures: Mapping[int, bytes] = field(default_factory=dict)

    @cached_property
    def judged(self) -> tuple[Judged, ...]:
        """The trials judged at full budget, with a finite value on each axis: all that compare."""
        return tuple(trial for trial in self.trials if trial.state == "COMPLETE" and self._compares(trial))

    def _compares(self, trial: Judged) -> bool:
        values = [(trial.metrics.get(axis.metric, math.nan), axis.log) for axis in self.axes]
        return all(math.isfinite(value) and (value > 0 or not log) for value, log in values)

    @cached_property
    def front(self) -> tuple[Judged, ...]:
        """The members of the front, cheapest first."""
        return self.front_of(self.judged)

    def front_of(self, trials: Sequence[Judged]) -> tuple[Judged, ...]:
        """Return those that no other of these dominates, cheapest first."""
        members = [one for one, on in zip(trials, nondominated(self.losses_of(trials)), strict=True) if on]
        return tuple(sorted(members, key=lambda one: (one.metrics[self.across.metric], one.number)))

    def losses_of(self, trials: Sequence[Judged]) -> Losses:
        """Return losses of judged trials, shape ``(n, m)``."""
        return losses([[one.metrics[axis.metric] for axis in self.axes] for one in trials], self.axes)

    def hypervolume_of(self, trials: Sequence[Judged]) -> float:
        """Return the share of the space between worst and ideal that judged trials dominate."""
        return volume(self.losses_of(trials))

    @cached_property
    def across(self) -> Objective:
        """The axis beside quality that pictures have: energy where it is one."""
        return next((axis for axis in self.axes if axis == ENERGY), self.axes[-1])

    @cached_property
    def knee(self) -> Judged | None:
        """The best compromise of the front between quality and ``across``."""
        plane = (self.axes[0], self.across)
        points = [[one.metrics[axis.metric] for axis in plane] for one in self.front]
        return self.front[find_knee(losses(points, plane))] if points else None

    @cached_property
    def losers(self) -> frozenset[int]:
        """The numbers of the members of the front that lose to a twin."""
        return frozenset(one["trial"] for one in self.twins.get("members", ()) if one["verdict"] == "loses")

    @cached_property
    def codings(self) -> tuple[str, ...]:
        """The names of the codings that were tried, sorted."""
        return tuple(sorted({one.coding for one in self.trials if one.coding}))

    @cached_property
    def fronts(self) -> Mapping[str, tuple[Judged, ...]]:
        """The front of each coding by itself, where it has judged trials."""
        mine = {name: [one for one in self.judged if one.coding == name] for name in self.codings}
        return {name: self.front_of(trials) for name, trials in mine.items() if trials}

    @cached_property
    def shown(self) -> tuple[Judged, ...]:
        """The judged trials that pictures have room for.

        These are all members of the codings' fronts, and all trials no further from the best in quality than half as
        far again as the better 95 %: a few trials at chance would flatten all others.
        """
        if not self.judged:
            return ()
        worse = self.losses_of(self.judged)[:, 0]
        members = [one for front in self.fronts.values() for one in front]
        best, most = float(worse.min()), float(np.quantile(worse, _PICTURED))
        floor = max(best + 1.5 * (most - best), float(self.losses_of(members)[:, 0].max()))
        return tuple(one for one, loss in zip(self.judged, worse, strict=True) if loss <= floor)

    @cached_property
    def hypervolume(self) -> NDArray[np.float64]:
        """The hypervolume after each of ``judged``, in the order in which they ended, shape ``(n,)``."""
        front, now, found = np.empty((0, len(self.axes))), 0.0, []
        for point in self.losses_of(self.judged):
            if not (front <= point).all(axis=1).any():
                front = np.vstack([front[~(point <= front).all(axis=1)], point])
                now = volume(front)
            found.append(now)
        return np.array(found, dtype=np.float64)


def read_findings(
    search: str | None = None, tracking_uri: str | None = None, experiment: str | None = None
) -> tuple[Findings, MlflowClient]:
    """Read a search.

    Args:
        search: its name; None means the newest.
        tracking_uri: where; None means ``MLFLOW_TRACKING_URI``, or else ``mlflow.db`` in this folder.
        experiment: name of the MLflow experiment; None means the one that plain MLflow is active in.

    Returns:
        What was found, and the open store.

    Raises:
        UnknownName: when there is no search of that name.
        UsageError: when there is no search at all, or the store does not answer.
    """
    client, home = open_existing(tracking_uri, experiment)
    run = next(searches(client, home, search), None)
    if run is None and search is not None:
        raise UnknownName("search", search, search_names(tracking_uri, experiment, 20))
    if run is None:
        raise nothing_in(tracking_uri)
    trials = _in_order(_read_trials(client, home, run, resolve_uri(tracking_uri)))
    began, ended = run.info.start_time, run.info.end_time
    last = max((one.ended for one in trials if math.isfinite(one.ended)), default=0.0)
    kept = _artifacts(client, run)
    found = Findings(
        name=run.data.tags["search"],
        task=run.data.tags.get("task", ""),
        quality=run.data.tags.get(QUALITY_TAG) or str(kept["front.json"].get("quality", "quality")),
        axes=axes_of(run),
        run_id=run.info.run_id,
        options=run.data.params,
        ended=run.data.tags.get("search.ended", ""),
        began=began,
        seconds=(ended - began) / 1000 if ended else last,
        trials=trials,
        environment=kept["environment.json"],
        confirmed=kept["confirmed.json"],
        twins=kept["twins.json"],
    )
    return (_with_kept(found, client) if found.ended else found), client


def _with_kept(found: Findings, client: MlflowClient) -> Findings:
    """Add what members of the front keep beside their metrics."""
    shown = frozenset(one.number for one in spread(spread(found.front, _LAYERED), _PICTURES))
    kept = read_kept(client, {one.number: one.run_id for one in spread(found.front, _LAYERED)}, shown)
    return replace(
        found,
        layers={trial: one.layers for trial, one in kept.items() if one.layers},
        pictures={trial: one.picture for trial, one in kept.items() if one.picture},
    )


def _in_order(trials: Sequence[Judged]) -> tuple[Judged, ...]:
    again = {trial.tags.get("trial.retry_of") for trial in trials}
    counted = [trial for trial in trials if str(trial.number) not in again]
    return tuple(sorted(counted, key=lambda one: (one.ended if math.isfinite(one.ended) else math.inf, one.number)))


def _artifacts(client: MlflowClient, run: Run) -> dict[str, dict[str, Any]]:
    """Read the search's JSON artifacts; one that is not there, or can't be read, is empty."""
    from mlflow.exceptions import MlflowException

    found: dict[str, dict[str, Any]] = {
        "front.json": {},
        "environment.json": {},
        "confirmed.json": {},
        "twins.json": {},
    }
    with tempfile.TemporaryDirectory() as folder:
        try:
            there = {artifact.path for artifact in client.list_artifacts(run.info.run_id)}
            for name in found.keys() & there:
                path = client.download_artifacts(run.info.run_id, name, folder)
                found[name] = json.loads(Path(path).read_text(encoding="utf-8"))
        except (MlflowException, OSError, ValueError):  # the artifact store may be another machine's: say what is known
            return found
    return found


def _read_trials(client: MlflowClient, home: str, run: Run, uri: str) -> list[Judged]:
    file = database_file(uri)
    if file is not None:
        try:
            return _from_tables(file, run)
        except sqlite3.Error:  # tables of another version of MLflow: ask MLflow itself, which is slower
            pass
    return _from_client(client, home, run)


def _from_client(client: MlflowClient, home: str, run: Run) -> list[Judged]:
    start = run.info.start_time
    return [
        _trial(
            one.info.run_id,
            one.info.end_time,
            start,
            {name: one.data.tags[name] for name in _TAGS if name in one.data.tags},
            one.data.params,
            {name: value for name, value in one.data.metrics.items() if not name.startswith(ADDED_LATER)},
        )
        for one in children(client, home, run)
        if "trial.number" in one.data.tags
    ]


def _from_tables(file: Path, run: Run) -> list[Judged]:
    """Read from SQLite directly: MLflow takes about 1 ms for each run, 10 s for 10,000, and this a tenth."""
    marks = ", ".join("?" * len(_TAGS))
    of = "JOIN tags t ON t.run_uuid = x.run_uuid AND t.key = 'mlflow.parentRunId' AND t.value = ?"
    me = run.info.run_id
    tags: dict[str, dict[str, str]] = {}
    params: dict[str, dict[str, str]] = {}
    metrics: dict[str, dict[str, float]] = {}
    with closing(sqlite3.connect(file, timeout=5)) as connection:
        ask = connection.execute
        connection.execute("BEGIN")  # all from one moment, while a search goes on writing
        ends = ask(
            f"SELECT x.run_uuid, x.end_time FROM runs x {of} WHERE x.lifecycle_stage = 'active'", [me]
        ).fetchall()
        for key, name, text in ask(
            f"SELECT x.run_uuid, x.key, x.value FROM tags x {of} WHERE x.key IN ({marks})", [me, *_TAGS]
        ):
            tags.setdefault(key, {})[name] = text
        for key, name, text in ask(f"SELECT x.run_uuid, x.key, x.value FROM params x {of}", [me]):
            params.setdefault(key, {})[name] = text
        for key, name, value, is_nan in ask(
            f"SELECT x.run_uuid, x.key, x.value, x.is_nan FROM latest_metrics x {of}", [me]
        ):
            if not name.startswith(ADDED_LATER):
                metrics.setdefault(key, {})[name] = math.nan if is_nan else value
    return [
        _trial(key, end, run.info.start_time, tags[key], params.get(key, {}), metrics.get(key, {}))
        for key, end in ends
        if "trial.number" in tags.get(key, {})
    ]


def _trial(
    run_id: str,
    end: int | None,
    start: int,
    tags: Mapping[str, str],
    params: Mapping[str, str],
    metrics: Mapping[str, float],
) -> Judged:
    ended = math.nan if end is None else (end - start) / 1000
    state, reason = tags.get("trial.state", ""), tags.get("trial.reason", "")
    return Judged(int(tags["trial.number"]), run_id, state, reason, ended, params, metrics, tags)
