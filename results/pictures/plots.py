"""Pictures of a search in Python: ``search.plot.front()`` and the others, of which the report is made."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec

from spikefront.results.findings import Findings
from spikefront.results.pictures.front import codings_picture, front_picture, hypervolume_picture
from spikefront.results.pictures.members import energy_picture, layers_picture, twins_picture
from spikefront.results.pictures.picture import Picture

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

    Example:
        >>> search = spikefront.load_search("digits-1")  # doctest: +SKIP
        >>> search.plot.front().save("front.png")  # doctest: +SKIP
    """

    def __init__(self, findings: Findings) -> None:
        self._findings = findings

    front = _of(front_picture)
    codings = _of(codings_picture)
    hypervolume = _of(hypervolume_picture)
    energy = _of(energy_picture)
    layers = _of(layers_picture)
    twins = _of(twins_picture)
