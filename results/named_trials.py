"""Trials by the names that users give: that of a search with a trial's or point's, or the id of an MLflow run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from spikefront.results.member import Member, no_trial, not_on_front
from spikefront.results.searches import StoredSearch
from spikefront.results.store import schema
from spikefront.results.store.connection import Store
from spikefront.searchspace.errors import UnknownName, UsageError
from spikefront.searchspace.trial import Trial, read_name

if TYPE_CHECKING:
    from mlflow.entities import Run


def fetch_member(store: Store, run: str, folder: Path) -> Member:
    """Fetch a member of a front.

    Args:
        store: where.
        run: id of its MLflow run, or the names of its search and of the trial or point: ``digits-1/23``,
            ``digits-1/23@4``.
        folder: where its files go.

    Raises:
        UsageError: when there is no such run, it is on no front, it left no weights, or the store does not answer.
    """
    search, name, found = _open_trial(store, run)
    if found is None:
        raise not_on_front(run, search.find(name))
    return search.member_of(found, run, folder)


def fetch_trial(store: Store, run: str) -> tuple[StoredSearch, Trial]:
    """Return any trial that has a candidate, however it ended, or any point that was measured, and its search.

    Args:
        store: where.
        run: as for ``fetch_member``.

    Raises:
        UsageError: when there is no such run, it has no candidate, or the store does not answer.
    """
    search, name, found = _open_trial(store, run)
    trial = search.find(name) if found is None else schema.trial_of(found, search.began)
    if not trial.candidate:
        raise UsageError(f"run {run} has no candidate: its driver died before one was chosen")
    return search, trial


def _open_trial(store: Store, run: str) -> tuple[StoredSearch, str, Run | None]:
    """Return the search of a trial or point, the name that it was given by, and its run; None for one that has none."""
    from mlflow.exceptions import MlflowException

    store.open_existing()
    search, slash, name = run.rpartition("/")
    if slash:
        return _open_named(store, search, name, run)
    try:
        found = store.client.get_run(run)
    except MlflowException as error:
        raise UsageError(f"no run {run!r} in {store.shown}; list: spikefront pareto --format csv") from error
    if found.data.tags.get(schema.ROLE) not in ("trial", "point"):
        raise UsageError(f"run {run} is not a trial of a search; list: spikefront pareto --format csv")
    try:
        parent = store.client.get_run(found.data.tags.get(schema.PARENT, ""))
    except MlflowException as error:
        raise UsageError(f"the search of run {run} is not in {store.shown}; list: spikefront pareto") from error
    return StoredSearch(store, parent), "", found


def _open_named(store: Store, search: str, name: str, given: str) -> tuple[StoredSearch, str, Run | None]:
    try:
        number, cut = read_name(name)
    except ValueError:
        raise UsageError(
            f"{given!r} names no trial; give SEARCH/TRIAL such as digits-1/23, SEARCH/TRIAL@T for a point such as "
            "digits-1/23@4, or an MLflow run id"
        ) from None
    try:
        opened = StoredSearch.open(store, search)
    except UnknownName:
        raise no_trial(store, search, number) from None
    found = opened.run_of(name)
    if found is None and not cut:
        raise no_trial(store, search, number)
    return opened, Trial(number, cut=cut).name, found


def find_run(store: Store, search: str, trial: int | str) -> str | None:
    """Return the id of the run of a search's trial or point, or None; of two searches of one name the newer is taken.

    Args:
        store: where.
        search: name of the search.
        trial: number of the trial, or name of the point.
    """
    try:
        found = StoredSearch.open(store, search).run_of(str(trial))
    except UnknownName:
        return None
    return None if found is None else str(found.info.run_id)
