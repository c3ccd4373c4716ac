"""Asks MLflow for the fronts that searches left there. Filters are MLflow's own; runs off the front are never read."""

from __future__ import annotations

import gc
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from spikefront.results.tracking import (
    check_store,
    database_file,
    find_experiment,
    open_client,
    quoted,
    redact,
    resolve_uri,
)
from spikefront.searchspace import UnknownName, UsageError

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

_SEARCHES: Final = "tags.`spikefront.role` = 'search'"
_PAGE: Final = 1000
_NAMES: Final = 20
"""Most names in an error message."""


def pareto(
    search: str | None = None,
    min_quality: float | None = None,
    max_energy_nj: float | None = None,
    tracking_uri: str | None = None,
    experiment: str | None = None,
) -> pandas.DataFrame:
    """Return the front of a search.

    Args:
        search: its name; None means the newest search that has a front.
        min_quality: leave out what is below, in the task's own unit.
        max_energy_nj: leave out what needs more, in nanojoules per sample.
        tracking_uri: where; None means ``MLFLOW_TRACKING_URI``, or else ``mlflow.db`` in this folder.
        experiment: name of the MLflow experiment; None means the one that plain MLflow is active in.

    Returns:
        One row for each member, with ``COLUMNS``, in the order of energy. Missing numbers are NaN.

    Raises:
        UnknownName: when there is no search of that name.
        UsageError: when there is no search at all, or the store does not answer.
    """
    client, home = _open(tracking_uri, experiment)
    limits = [f"metrics.quality >= {min_quality:.17g}"] if min_quality is not None else []
    limits += [f"metrics.energy_nj <= {max_energy_nj:.17g}"] if max_energy_nj is not None else []
    found = None
    for found in _searches(client, home, search):
        runs = list(_front(client, home, found, limits))
        if runs or search is not None or (limits and any(_front(client, home, found, []))):
            return _table(runs)
    if found is None and search is not None:
        raise UnknownName("search", search, search_names(tracking_uri, experiment, _NAMES))
    if found is None:
        raise _nothing_in(tracking_uri)
    return _table([])


def search_names(tracking_uri: str | None = None, experiment: str | None = None, limit: int = 100) -> list[str]:
    """Return the names of the newest searches, the newest first.

    Args:
        tracking_uri: where, as for ``pareto``.
        experiment: name of the MLflow experiment, as for ``pareto``.
        limit: how many at most.

    Raises:
        UsageError: when there is none, or the store does not answer.
    """
    client, home = _open(tracking_uri, experiment)
    runs = client.search_runs([home], _SEARCHES, max_results=limit)
    if not runs:
        raise _nothing_in(tracking_uri)
    return list(dict.fromkeys(run.data.tags["search"] for run in runs))


def _open(tracking_uri: str | None, experiment: str | None) -> tuple[MlflowClient, str]:
    """Return an open store and the experiment's id, and create neither."""
    uri = check_store(tracking_uri)
    file = database_file(uri)
    if file is not None and not file.exists():
        raise _nothing_in(uri)
    client = open_client(uri)
    home = find_experiment(client, experiment)
    if home is None:
        raise _nothing_in(uri)
    return client, home


def _nothing_in(uri: str | None) -> UsageError:
    return UsageError(f"no search found in {redact(resolve_uri(uri))}; run: spikefront run --task digits")


def _searches(client: MlflowClient, home: str, name: str | None) -> Iterator[Run]:
    """Yield the runs of searches, the newest first; with a name, only the newest of that name."""
    wanted = _SEARCHES if name is None else f"{_SEARCHES} and tags.search = {quoted(name)}"
    runs = _pages(client, home, wanted, 1)
    return islice(runs, None if name is None else 1)


def _front(client: MlflowClient, home: str, search: Run, limits: Sequence[str]) -> Iterator[Run]:
    here = ["tags.pareto = 'true'", f"tags.mlflow.parentRunId = '{search.info.run_id}'", *limits]
    return _pages(client, home, " and ".join(here), _PAGE)


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
    return pandas.DataFrame(rows, columns=list(COLUMNS)).sort_values("energy_nj", ignore_index=True)


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
