"""Asks MLflow for the fronts that searches left there. Filters are MLflow's own; what they leave out is never read."""

from __future__ import annotations

import gc
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from spikefront.results.store.connection import (
    OBJECTIVES_TAG,
    QUALITY_TAG,
    check_store,
    database_file,
    find_experiment,
    open_client,
    quoted,
    redact,
    resolve_uri,
)
from spikefront.searchspace import ENERGY, Objective, UnknownName, UsageError
from spikefront.searchspace.front import losses, nondominated

if TYPE_CHECKING:
    import pandas
    from mlflow import MlflowClient
    from mlflow.entities import Run

COLUMNS: Final = (
    "search",
    "trial",
    "quality",
    "energy_nj",
    "latency_steps",
    "coding",
    "neuron",
    "backbone",
    "steps",
    "run_id",
    "spike_rate",
    "sops",
    "macs",
)
"""Columns of ``pareto``."""

Order = Literal["energy", "quality", "latency"]
"""Cheapest first, best first, fewest time steps first."""

_AXES: Final = (Objective("quality", maximize=True, worst=0.0, best=1.0), ENERGY)
_SEARCHES: Final = "tags.`spikefront.role` = 'search'"
_PAGE: Final = 1000
_SWEEP: Final = 50
_NAMES: Final = 20
"""Most names in an error message."""


def pareto(
    search: str | None = None,
    min_quality: float | None = None,
    max_energy_nj: float | None = None,
    tracking_uri: str | None = None,
    experiment: str | None = None,
    *,
    max_latency: float | None = None,
    coding: str | Sequence[str] = (),
    order: Order = "energy",
    knee: bool = False,
    per_coding: bool = False,
) -> pandas.DataFrame:
    """Return the front of a search.

    Args:
        search: its name; None means the newest search that has a front.
        min_quality: leave out what is worse (above it, where the task's quality is minimised), in the task's own unit.
        max_energy_nj: leave out what needs more, in nanojoules per sample.
        tracking_uri: where; None means ``MLFLOW_TRACKING_URI``, or else ``mlflow.db`` in this folder.
        experiment: name of the MLflow experiment; None means the one that plain MLflow is active in.
        max_latency: leave out what takes more time steps.
        coding: name or names of codings; leave out all others. Empty means none is left out.
        order: what comes first.
        knee: leave only the knee of what the filters leave, as ``find_knee`` has it.
        per_coding: the front of each coding among the trials judged at full budget, in place of the front of all, and
            with ``knee`` its knee.

    Returns:
        One row for each member, with ``COLUMNS``, in the order asked for, codings one after the other with
        ``per_coding``. Missing numbers are NaN. ``attrs["quality"]`` has the task's own name for quality, and says
        where less is better.

    Raises:
        UnknownName: when there is no search of that name, no trial in it has one of the codings, or no such order.
        UsageError: when there is no search at all, the store does not answer, or a limit is not finite.
    """
    if order not in get_args(Order):
        raise UnknownName("order", order, get_args(Order))
    for limit in (min_quality, max_energy_nj, max_latency):
        if limit is not None and not math.isfinite(limit):
            raise UsageError(f"limit {limit:g} must be a finite number; leave it out for no limit")
    coding = [coding] if isinstance(coding, str) else coding
    client, home = open_existing(tracking_uri, experiment)
    found = None
    for found in searches(client, home, search):
        axes = axes_of(found)
        limits = _limits(axes[0], min_quality, max_energy_nj, None if per_coding else max_latency, coding)
        members = _members(client, home, found, axes, limits, per_coding)
        if members or search is not None or (limits and any(_members(client, home, found, axes, [], per_coding))):
            break
    else:
        if search is not None:
            raise UnknownName("search", search, search_names(tracking_uri, experiment, _NAMES))
        if found is None:
            raise nothing_in(tracking_uri)
        return _table([])
    frame = _table(members)
    _check_codings(client, home, found, set(coding) - set(frame["coding"]))
    if coding:
        frame = frame[frame["coding"].isin(coding)]
    if max_latency is not None:
        frame = frame[frame["latency_steps"] <= max_latency]
    frame = _arrange(frame, axes, order, knee, per_coding)
    better = "" if axes[0].maximize else ", less is better"
    frame.attrs["quality"] = found.data.tags.get(QUALITY_TAG, "quality") + better
    return frame


def find_knee(losses: ArrayLike) -> int:
    """Return the row of the knee of a front: the member farthest from the line between its extremes.

    The extremes are the best member in either objective; distance counts towards the ideal. The knee stays the same
    when an axis is stretched or shifted, so only the axes' kind (linear or logarithmic) matters. Members that others
    dominate in this plane are never the knee. Where no member lies on the ideal's side of the line, as with two
    members or on a concave front, it is the extreme with the smaller sum of losses; of one member it is that one; of
    equals it is the first.

    Source: Das 1999, "On characterizing the 'knee' of the Pareto curve based on Normal-Boundary Intersection",
    Structural Optimization 18.

    Args:
        losses: two objectives to be minimised, shape ``(n, 2)``, on the scale of ``Objective.loss``.

    Raises:
        ValueError: when there is no row, or not two columns.
    """
    points = np.asarray(losses, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or len(points) == 0:
        raise ValueError(f"a knee needs points of shape (n, 2) with n > 0, not {points.shape}")
    one, other = (points[np.lexsort((points[:, 1 - axis], points[:, axis]))[0]] for axis in (0, 1))
    line, away = other - one, points - one
    towards_ideal = line[1] * away[:, 0] - line[0] * away[:, 1]  # 0 at both extremes, without rounding
    area = abs(line[0] * line[1]) or 1.0
    return int(np.lexsort((points.sum(axis=1), -np.round(towards_ideal / area, 12)))[0])


def axes_of(search: Run) -> tuple[Objective, ...]:
    """Return the objectives of a search, quality first.

    Args:
        search: its run. Without the tag ``OBJECTIVES_TAG`` they are quality, from 0 to 1, and energy.
    """
    kept = search.data.tags.get(OBJECTIVES_TAG)
    return tuple(Objective(**fields) for fields in json.loads(kept)) if kept else _AXES


def search_names(tracking_uri: str | None = None, experiment: str | None = None, limit: int = 100) -> list[str]:
    """Return the names of the newest searches, the newest first.

    Args:
        tracking_uri: where, as for ``pareto``.
        experiment: name of the MLflow experiment, as for ``pareto``.
        limit: how many at most.

    Raises:
        UsageError: when there is none, or the store does not answer.
    """
    client, home = open_existing(tracking_uri, experiment)
    runs = client.search_runs([home], _SEARCHES, max_results=limit)
    if not runs:
        raise nothing_in(tracking_uri)
    return list(dict.fromkeys(run.data.tags["search"] for run in runs))


def open_existing(tracking_uri: str | None, experiment: str | None) -> tuple[MlflowClient, str]:
    """Return an open store and the experiment's id, and create neither.

    Raises:
        UsageError: when there is none, or the store does not answer.
    """
    uri = check_store(tracking_uri)
    file = database_file(uri)
    if file is not None and not file.exists():
        raise nothing_in(uri)
    client = open_client(uri)
    home = find_experiment(client, experiment)
    if home is None:
        raise nothing_in(uri)
    return client, home


def nothing_in(uri: str | None) -> UsageError:
    """Return the error that says so of a store."""
    return UsageError(f"no search found in {redact(resolve_uri(uri))}; run: spikefront run --task digits")


def searches(client: MlflowClient, home: str, name: str | None) -> Iterator[Run]:
    """Yield the runs of searches, the newest first; with a name, only the newest of that name."""
    wanted = _SEARCHES if name is None else f"{_SEARCHES} and tags.search = {quoted(name)}"
    runs = _pages(client, home, wanted, 1)
    return islice(runs, None if name is None else 1)


def children(
    client: MlflowClient, home: str, search: Run, limits: Sequence[str] = (), page: int | None = None
) -> Iterator[Run]:
    """Yield the runs of a search's trials, with conditions in MLflow's filter language, read in pages of so many."""
    here = [f"tags.mlflow.parentRunId = '{search.info.run_id}'", *limits]
    return _pages(client, home, " and ".join(here), page or _PAGE)


def _limits(
    quality: Objective,
    min_quality: float | None,
    max_energy_nj: float | None,
    max_latency: float | None,
    coding: Sequence[str],
) -> list[str]:
    """Write filters for MLflow. It knows no OR, so several codings are told apart later."""
    sign = ">=" if quality.maximize else "<="
    limits = [f"metrics.quality {sign} {min_quality:.17g}"] if min_quality is not None else []
    limits += [f"metrics.energy_nj <= {max_energy_nj:.17g}"] if max_energy_nj is not None else []
    limits += [f"metrics.latency_steps <= {max_latency:.17g}"] if max_latency is not None else []
    return limits + ([f"params.coding = {quoted(coding[0])}"] if len(coding) == 1 else [])


def _members(
    client: MlflowClient, home: str, search: Run, axes: Sequence[Objective], limits: Sequence[str], per_coding: bool
) -> list[Run]:
    """Read the front, or find those of the codings. Limits on objectives may come first: they cut no front short."""
    if not per_coding:
        return list(children(client, home, search, ["tags.pareto = 'true'", *limits]))
    here = [f"tags.mlflow.parentRunId = '{search.info.run_id}'", "tags.`trial.state` = 'COMPLETE'", *limits]
    members: list[Run] = []
    others = "params.coding != ''"
    while (run := next(_pages(client, home, " and ".join([*here, others]), 1), None)) is not None:
        coding = quoted(_coding(run))
        mine = [*here, f"params.coding = {coding}"]
        members += _sweep(client, home, mine, axes) if axes[1:] == (ENERGY,) else _scan(client, home, mine, axes)
        others += f" and params.coding != {coding}"
    return members


def _scan(client: MlflowClient, home: str, wanted: Sequence[str], axes: Sequence[Objective]) -> list[Run]:
    """Read all runs and keep the front."""
    return _on_front([run for run in _pages(client, home, " and ".join(wanted), _PAGE) if compares(run, axes)], axes)


def _sweep(client: MlflowClient, home: str, wanted: Sequence[str], axes: Sequence[Objective]) -> list[Run]:
    """Find the front from the cheapest run up, reading only what beats the best so far: a few dozen of thousands."""
    quality = axes[0]
    order = ["metrics.energy_nj ASC", f"metrics.quality {'DESC' if quality.maximize else 'ASC'}"]
    size, better = _SWEEP, "metrics.energy_nj > 0"
    found: list[Run] = []
    while True:
        with _collector_paused():
            page = client.search_runs([home], " and ".join([*wanted, better]), max_results=size, order_by=order)
        runs = [run for run in page if compares(run, axes)]
        if len(page) < size:
            return _on_front(found + runs, axes)
        # equals of the last one may follow on the next page, so it is left for then
        whole = [run for run in runs if _place(run) != _place(runs[-1])]
        found += _on_front(whole, axes)
        size = size if whole else 2 * size
        if whole:
            best = min(whole, key=lambda run: quality.loss(run.data.metrics["quality"])).data.metrics["quality"]
            better = f"metrics.energy_nj > 0 and metrics.quality {'>' if quality.maximize else '<'} {best:.17g}"


def _place(run: Run) -> tuple[float, float]:
    return run.data.metrics["energy_nj"], run.data.metrics["quality"]


def _on_front(runs: Sequence[Run], axes: Sequence[Objective]) -> list[Run]:
    mask = nondominated(losses([[run.data.metrics[axis.metric] for axis in axes] for run in runs], axes))
    return [run for run, is_member in zip(runs, mask, strict=True) if is_member]


def compares(run: Run, axes: Sequence[Objective]) -> bool:
    """Say whether a run has a finite value on each axis, positive on logarithmic ones: others are on no front."""
    values = [(run.data.metrics.get(axis.metric, math.nan), axis.log) for axis in axes]
    return all(math.isfinite(value) and (value > 0 or not log) for value, log in values)


def _coding(run: Run) -> str:
    return str(run.data.params.get("coding", ""))


def _check_codings(client: MlflowClient, home: str, search: Run, wanted: Iterable[str]) -> None:
    for name in wanted:
        if next(children(client, home, search, [f"params.coding = {quoted(name)}"], 1), None) is None:
            known = {_coding(run) for run in children(client, home, search)}
            raise UnknownName(f"coding in search {search.data.tags['search']}:", name, known)


def _arrange(
    frame: pandas.DataFrame, axes: Sequence[Objective], order: Order, knee: bool, per_coding: bool
) -> pandas.DataFrame:
    """Order the rows and leave only the knee, of all or of each coding."""
    column = {"energy": "energy_nj", "quality": "quality", "latency": "latency_steps"}[order]
    up = order != "quality" or not axes[0].maximize
    by = [column, *(name for name in ("energy_nj", "trial") if name != column)]
    frame = frame.sort_values(by, ascending=[up, *[True] * (len(by) - 1)])
    if knee and len(frame):
        plane = (axes[0], ENERGY)
        groups = [rows for _, rows in frame.groupby("coding")] if per_coding else [frame]
        kept = [rows.index[find_knee(losses(rows[[axis.metric for axis in plane]], plane))] for rows in groups]
        frame = frame.loc[[row for row in frame.index if row in kept]]
    return frame.sort_values("coding", kind="stable", ignore_index=True) if per_coding else frame.reset_index(drop=True)


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


def _pages(client: MlflowClient, home: str, wanted: str, size: int) -> Iterator[Run]:
    token: str | None = None
    while True:
        with _collector_paused():
            page = client.search_runs([home], wanted, max_results=size, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _table(runs: Sequence[Run]) -> pandas.DataFrame:
    import pandas

    rows = [{name: _cell(run, name) for name in COLUMNS} for run in runs]
    return pandas.DataFrame(rows, columns=list(COLUMNS))


def _cell(run: Run, column: str) -> Any:
    data = run.data
    if column == "run_id":
        return run.info.run_id
    if column == "search":
        return data.tags["search"]
    if column == "trial":
        return int(data.tags["trial.number"])
    if column == "steps":
        return int(data.params["steps"])
    if column in ("coding", "neuron", "backbone"):
        return data.params.get(column, "")
    return data.metrics.get(column, math.nan)
