"""What a space knows of its parts: names, configs, what goes together, and what a search may begin with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from spikefront.searchspace.candidate import Catalogue
from spikefront.searchspace.domains import Int, Value


class SearchCatalogue(Catalogue, Protocol):
    """A catalogue that also knows what goes together. The plugin registry is one."""

    def problem(self, chosen: Mapping[str, str]) -> str | None:
        """Return the reason why these names, by family, can't be one network, or None."""
        ...

    def applies(self, family: str, coding: str) -> bool:
        """Return whether a family makes a difference to ``coding``."""
        ...

    def misfit(self, family: str, name: str, chosen: Mapping[str, str]) -> str | None:
        """Return the reason why a name of a family that is chosen by itself does not go with others, or None."""
        ...

    def named_only(self, family: str, name: str) -> bool:
        """Return whether a name is searched only where a narrowing of its family keeps it."""
        ...

    def open_steps(self, coding: str, task: str = "") -> Int:
        """Return the numbers of time steps that can be asked for by their value: those of ``steps``, and more."""
        ...

    def published(self, coding: str) -> Sequence[Mapping[str, Value]]:
        """Return the settings of publications of ``coding``: parts of flat candidates."""
        ...

    def starting_points(self, coding: str) -> Sequence[Mapping[str, Value]]:
        """Return settings from which a search may begin, though no publication has them: parts of flat candidates."""
        ...
