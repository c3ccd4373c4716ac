"""Candidates that a search begins with: defaults, published settings and starting points."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from spikefront.searchspace.answers import Ask, answering
from spikefront.searchspace.candidate import Candidate, from_flat
from spikefront.searchspace.catalogue import SearchCatalogue
from spikefront.searchspace.domains import Value


@dataclass(frozen=True, slots=True)
class Prior:
    """A candidate that a search begins with.

    Attributes:
        candidate: the candidate.
        answers: values of what is searched, by parameter name, as for ``Study.enqueue_trial``.
        pinned: values of what the space holds at one value, by flat name.
        kind: what its settings are: ``published settings``, ``a starting point``, or empty for defaults.
    """

    candidate: Candidate
    answers: Mapping[str, Value]
    pinned: Mapping[str, Value] = field(default_factory=dict)
    kind: str = ""


class Walkable(Protocol):
    """What of a space makes candidates."""

    task: str

    def walk(self, ask: Ask, pinned: Mapping[str, Value] = ...) -> Candidate: ...


class Priors:
    """The priors of a space, and which settings it has no room for.

    A coding's defaults stay in the space, wherever it was narrowed to. Settings of a publication, and starting points,
    are taken exactly as they are, pinned hyperparameters included, or left out: where the space was narrowed to
    anything else. Published settings name their task, and are those of no other.

    Args:
        space: the space.
        catalogue: where the codings' settings are looked up.
        codings: those of the space.
        held: returns whether a value, by flat name, may be let through although the space holds another: that of a
            pinned hyperparameter which nobody has opened.
    """

    def __init__(
        self,
        space: Walkable,
        catalogue: SearchCatalogue,
        codings: Sequence[str],
        held: Callable[[str, Mapping[str, Value]], bool],
    ) -> None:
        self._space = space
        self._catalogue = catalogue
        self._codings = codings
        self._held = held
        self.found: list[Prior] = []
        self.left_out: list[str] = []
        for coding in codings:
            self._add({"coding": coding})
        for kind, settings in self._settings():
            if (misfit := self._add(settings, kind)) is not None:
                self.left_out.append(f"{kind} of {settings['coding']} ({misfit})")

    def _settings(self) -> Iterator[tuple[str, dict[str, Value]]]:
        for coding in self._codings:
            for settings in self._catalogue.published(coding):
                if settings.get("task", self._space.task) == self._space.task:
                    yield "published settings", {**settings, "coding": coding}
        for coding in self._codings:
            for settings in self._catalogue.starting_points(coding):
                yield "a starting point", {**settings, "coding": coding}

    def _add(self, wanted: Mapping[str, Value], kind: str = "") -> str | None:
        """Add a prior unless it is there; return what does not fit, of settings that must be taken exactly, or None."""
        pinned = {name: value for name, value in wanted.items() if self._held(name, wanted)}
        answers: dict[str, Value] = {}
        candidate = self._space.walk(answering(wanted, answers), pinned)
        if kind and (misfit := self._misfit(wanted, candidate)) is not None:
            return misfit
        if all(prior.candidate != candidate for prior in self.found):
            self.found.append(Prior(candidate, answers, pinned, kind))
        return None

    def _misfit(self, wanted: Mapping[str, Value], candidate: Candidate) -> str | None:
        """Return which of the settings a candidate does not have, as ``NAME=VALUE``; None when it has all of them."""
        asked = from_flat({"task": self._space.task, **wanted}, self._catalogue).flat()
        flat = candidate.flat()
        others = [f"{name}={asked[name]}" for name in wanted if name in asked and flat.get(name) != asked[name]]
        return ", ".join(others[:3]) + (", ..." if len(others) > 3 else "") if others else None
