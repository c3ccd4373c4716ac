"""Candidates of a space that a search has not tried yet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

from spikefront.runners.engine.memory.outcome import points_in
from spikefront.runners.engine.memory.study import Seen
from spikefront.runners.failures import LOST_WORKER
from spikefront.searchspace import Candidate, Space, Value
from spikefront.searchspace.candidate import identity

_LOSSES: Final = 2  # trials that lost their worker, after which the candidate is taken for the cause

Key = frozenset[tuple[str, object]]
Answers = dict[str, Value]


class Untried:
    """The candidates of a space that no trial of a search has tried.

    A candidate is tried when a trial has it, also one that runs, failed or was stopped early: evaluated again under the
    same seed, it ends alike. It is not tried yet when its trial was broken off by the end of the search, or lost its
    worker, the first time. A conversion over T steps has tried those over the T' < T that were measured besides: they
    are the same networks.

    Args:
        space: what is searched.

    Attributes:
        settled: ordinals of the trainings that are known to have ended, of which ``read`` needs to hear no more.
    """

    def __init__(self, space: Space) -> None:
        self._space = space
        self.settled: set[int] = set()
        self._keys: dict[int, Key] = {}  # of their candidates
        self._tried: set[Key] = set()
        self._running: set[Key] = set()
        self._lost: Counter[Key] = Counter()
        self._ahead: Iterator[tuple[Answers, Candidate]] = space.candidates()
        self._passed: list[tuple[Answers, Key]] = []  # not tried when they were enumerated

    def read(self, trainings: Iterable[Seen]) -> None:
        """Learn what was tried from the trainings that are known, besides those that are settled."""
        self._running = set()
        for training in trainings:
            if training.ordinal not in self._keys:
                self._keys[training.ordinal] = self._space.identity(training.candidate)
            key = self._keys[training.ordinal]
            if training.outcome is None:
                self._running.add(key)
                continue
            self.settled.add(training.ordinal)
            self._lost[key] += training.outcome["reason"] == LOST_WORKER
            if training.outcome["reason"] != LOST_WORKER or self._lost[key] >= _LOSSES:
                self._tried |= {key, *self._within(training, key)}

    def _within(self, training: Seen, key: Key) -> Iterator[Key]:
        """Yield the keys of a conversion's candidates over fewer steps that were measured with it."""
        flat = training.candidate
        if training.outcome is not None and self._space.converts(str(flat["coding"])):
            for cut in points_in(training.outcome):
                yield key - {("steps", flat["steps"])} | {("steps", cut)}

    def __contains__(self, candidate: Candidate) -> bool:
        key = identity(candidate.flat())
        return key not in self._tried and key not in self._running

    @property
    def count(self) -> int:
        """Number of candidates that were tried or are being tried."""
        return len(self._tried | self._running)

    def first(self) -> Answers | None:
        """Return the suggestions that make one that is not tried; None when all candidates of the space are."""
        self._passed = [(answers, key) for answers, key in self._passed if key not in self._tried]
        for answers, key in self._passed:
            if key not in self._running:
                return answers
        for answers, candidate in self._ahead:
            key = identity(candidate.flat())
            if key not in self._tried:
                self._passed.append((answers, key))
                if key not in self._running:
                    return answers
        return None
