"""Pictures of a search in Python: ``search.plot.front()`` and the others, of which the report is made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spikefront.results.findings import Findings

if TYPE_CHECKING:
    from spikefront.results.pictures.picture import Picture


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

    def front(self) -> Picture:
        """Return quality over energy: the front, its knee, and the other judged trials."""
        from spikefront.results.pictures.front import front_picture

        return front_picture(self._findings)

    def codings(self) -> Picture:
        """Return the front of each coding by itself."""
        from spikefront.results.pictures.front import codings_picture

        return codings_picture(self._findings)

    def hypervolume(self, over: str = "trials") -> Picture:
        """Return the hypervolume of the front over judged trials, or over ``time``."""
        from spikefront.results.pictures.front import hypervolume_picture

        return hypervolume_picture(self._findings, over)
