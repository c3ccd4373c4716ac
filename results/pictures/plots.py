"""Pictures of a search in Python: ``search.plot.front()`` and the others, of which the report is made."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec

from spikefront.results.findings import Findings
from spikefront.results.pictures.activity import matrix_picture, raster_picture
from spikefront.results.pictures.front import codings_picture, front_picture, hypervolume_picture
from spikefront.results.pictures.hyperparameters import (
    importance_picture,
    learning_picture,
    parallel_picture,
    slice_picture,
)
from spikefront.results.pictures.members import energy_picture, layers_picture, twins_picture
from spikefront.results.pictures.picture import Picture
from spikefront.results.pictures.recommendation import recommendation_picture
from spikefront.searchspace import Trial, UsageError
from spikefront.searchspace.activity import Activity
from spikefront.searchspace.trial import ACTIVITY

P = ParamSpec("P")


def _of(draw: Callable[Concatenate[Findings, P], Picture]) -> Callable[Concatenate[Plots, P], Picture]:
    """Return a method that draws a picture of the search."""

    @wraps(draw)
    def method(self: Plots, /, *args: P.args, **options: P.kwargs) -> Picture:
        return draw(self._findings, *args, **options)

    return method


class Plots:
    """Pictures of a search, as objects that show themselves in a notebook and save themselves into files.

    Args:
        findings: what was found.
        read: reads what the network of a trial does, where the findings don't have it.

    Example:
        >>> search = spikefront.load_search("digits-1")  # doctest: +SKIP
        >>> search.plot.front().save("front.png")  # doctest: +SKIP
    """

    def __init__(self, findings: Findings, read: Callable[[Trial], Activity | None] = lambda trial: None) -> None:
        self._findings = findings
        self._read = read

    recommendation = _of(recommendation_picture)
    front = _of(front_picture)
    codings = _of(codings_picture)
    hypervolume = _of(hypervolume_picture)
    energy = _of(energy_picture)
    layers = _of(layers_picture)
    twins = _of(twins_picture)
    importance = _of(importance_picture)
    parallel = _of(parallel_picture)
    slice = _of(slice_picture)
    learning = _of(learning_picture)

    def raster(self, trial: int | str | None = None) -> Picture:
        """Return the spikes of one validation sample over time, through the coding and each spiking layer of a member.

        Args:
            trial: number of its trial, or name of the point; None for the knee, or for its trial where the knee is a
                point that was not drawn.

        Raises:
            UsageError: when there is no such trial, or it left nothing of what its network does.
        """
        return raster_picture(*self._activity(trial))

    def matrix(self, trial: int | str | None = None) -> Picture:
        """Return the confusion matrix of a member, or its predicted against true values, on the validation split.

        Args:
            trial: as in ``raster``.

        Raises:
            UsageError: when there is no such trial, it left nothing of what its network does, or it has neither.
        """
        activity, of = self._activity(trial)
        picture = matrix_picture(activity, of)
        if picture is None:
            raise UsageError(f"{of}, of task {self._findings.task!r} has no matrix: nothing is classified or predicted")
        return picture

    def _activity(self, wanted: int | str | None) -> tuple[Activity, str]:
        """Return what the network of a trial does, and which trial it is, in words."""
        found = self._findings
        named = (one for trial in found.trials for one in (trial, *trial.points) if one.name == str(wanted))
        trial = found.knee if wanted is None else next(named, None)
        if trial is None and wanted is None:
            raise UsageError(f"search {found.name!r} has an empty front: no trial was evaluated at full budget")
        if trial is None:
            raise UsageError(f"no trial {wanted} of search {found.name!r}; list: spikefront pareto")
        activity = found.activities.get(trial.name) or self._read(trial)
        if activity is None and wanted is None and trial.cut:  # a point has none until it is drawn, its trial has
            return self._activity(trial.number)
        if activity is None:
            make = f"make it of a member: spikefront picture {found.name}/{trial.name}"
            raise UsageError(f"trial {trial.name} of search {found.name!r} has no {ACTIVITY} that can be read; {make}")
        return activity, f"trial {trial.name}, {trial.coding}"
