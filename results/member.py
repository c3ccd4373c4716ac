"""A member of a front with its files, and the errors of those that are none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from spikefront.results.store.connection import Store
from spikefront.searchspace.errors import UsageError
from spikefront.searchspace.records import Spread
from spikefront.searchspace.trial import Trial


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a front, with all that an export writes.

    Attributes:
        search: name of the search.
        trial: its trial or point, with typed candidate, validation metrics and run id.
        weights: file with its trained weights; those of a point are its trial's.
        plugins: versions of the plugins that it was trained with, by ``kind.name``.
        energy_model: name of the energy model, with its settings.
        commit: git commit that the search ran from; empty outside of a repository.
        confirmed: its quality on the test split; None before it was measured with at least two seeds.
    """

    search: str
    trial: Trial
    weights: Path
    plugins: Mapping[str, str]
    energy_model: str
    commit: str
    confirmed: Spread | None


def no_trial(store: Store, search: str, number: int) -> UsageError:
    """Return the error of a trial that a search does not have."""
    return UsageError(f"no trial {number} of search {search!r} in {store.shown}; list: spikefront pareto")


def not_on_front(called: str, point: Trial) -> UsageError:
    """Return the error of a point that was measured, but never was on the front, so that it has no run of its own."""
    return UsageError(
        f"{called} is not on a front: trial {point.number} was measured at {point.cut} steps, where others are better; "
        "members: spikefront pareto"
    )
