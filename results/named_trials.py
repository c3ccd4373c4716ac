"""Trials by the names that users give: that of a search with a trial's number, or the id of an MLflow run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from spikefront.results.searches import Member, StoredSearch, no_trial
from spikefront.results.store import schema
from spikefront.results.store.connection import Store, tag_is
from spikefront.results.store.reading import trial_runs
from spikefront.searchspace.errors import UnknownName, UsageError
from spikefront.searchspace.trial import Trial

if TYPE_CHECKING:
    from mlflow.entities import Run

_DIGITS: Final = 9
"""Most digits of the number of a trial."""


def fetch_member(store: Store, run: str, folder: Path) -> Member:
    """Fetch a member of a front.

    Args:
        store: where.
        run: id of its MLflow run, or the name of its search and the number of its trial: ``digits-1/23``.
        folder: where its files go.

    Raises:
        UsageError: when there is no such run, it is on no front, it left no weights, or the store does not answer.
    """
    search, found = _open_trial(store, run)
    return search.member_of(found, run, folder)


def fetch_trial(store: Store, run: str) -> tuple[StoredSearch, Trial]:
    """Return any trial that has a candidate, however it ended, and its search.

    Args:
        store: where.
        run: as for ``fetch_member``.

    Raises:
        UsageError: when there is no such run, it has no candidate, or the store does not answer.
    """
    search, found = _open_trial(store, run)
    trial = schema.trial_of(found, search.began)
    if not trial.candidate:
        raise UsageError(f"run {run} has no candidate: its driver died before one was chosen")
    return search, trial


def _open_trial(store: Store, run: str) -> tuple[StoredSearch, Run]:
    from mlflow.exceptions import MlflowException

    store.open_existing()
    search, slash, number = run.rpartition("/")
    run_id: str | None = run
    if slash:
        if not number.isdecimal() or len(number) > _DIGITS:
            raise UsageError(f"{run!r} names no trial; give SEARCH/TRIAL such as digits-1/23, or an MLflow run id")
        run_id = find_run(store, search, int(number))
        if run_id is None:
            raise no_trial(store, search, int(number))
    try:
        found = store.client.get_run(str(run_id))
    except MlflowException as error:
        raise UsageError(f"no run {run!r} in {store.shown}; list: spikefront pareto --format csv") from error
    if found.data.tags.get(schema.ROLE) != "trial":
        raise UsageError(f"run {run} is not a trial of a search; list: spikefront pareto --format csv")
    try:
        parent = store.client.get_run(found.data.tags.get(schema.PARENT, ""))
    except MlflowException as error:
        raise UsageError(f"the search of run {run} is not in {store.shown}; list: spikefront pareto") from error
    return StoredSearch(store, parent), found


def find_run(store: Store, search: str, number: int) -> str | None:
    """Return the id of the run of a search's trial, or None; of two searches of one name the newer is taken."""
    try:
        parent = StoredSearch.open(store, search).run_id
    except UnknownName:
        return None
    found = next(trial_runs(store, parent, [tag_is(schema.NUMBER, str(number))], 1), None)
    return None if found is None else str(found.info.run_id)
