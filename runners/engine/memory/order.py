"""Order of the trainings of a search, and from which of them on the result of each may count.

Trials end in an order that depends on the machine and on what runs beside. A search that is to give the same front
again must not depend on it: whatever it decides about a training depends on the results of earlier trainings that are
named beforehand, and the training begins when all of these have ended.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from heapq import nlargest
from typing import Any, Final, TypedDict

from optuna.trial import FrozenTrial, TrialState

PLACE: Final = "place"
"""Attribute of a trial with its ``Place``."""

_SHARE: Final = 0.5  # of its epochs that a training is expected to get, while few results count
_CAUTION: Final = 0.8  # of the share expected: workers wait when the clock is ahead of them
_UNKNOWN: Final = 4.0  # mean costs that are waited for where the cost of a training is not known


class Place(TypedDict, total=False):
    """What the journal has of a training's place: plain JSON.

    ``counts`` are the ordinals of the trainings whose results count from this one on, and not before; it is missing in
    a search that does not repeat. ``begin_s`` is when it begins by predicted costs, and ``counted_s`` its own, by
    operations; None where they can't be counted.
    """

    counts: list[int]
    begin_s: float
    counted_s: float | None


@dataclass(slots=True)
class Training:
    """One training: a candidate that the search evaluates, in one trial or, broken off, in several one after another.

    Attributes:
        number: number of the trial that evaluates it, the last of several.
        first: number of its first trial.
        due: ordinal of the training from which on its result counts; infinite as long as it does not.
        begin_s: when it begins by predicted costs, in seconds since the search began.
        counted_s: predicted seconds of its evaluation, by its operations; NaN where that is not known.
        ended: whether its result is known.
        share: share of its epochs that were trained, once it has ended.
    """

    number: int
    first: int
    due: float = math.inf
    begin_s: float = math.nan
    counted_s: float = math.nan
    ended: bool = False
    share: float = 1.0


class Order:
    """The trainings of a search by ordinal: their place among them, which one that is evaluated again keeps.

    With ``workers``, a clock of predicted costs says when each training begins: when one of the workers has ended what
    it was given. The result of a training counts for those that begin when it will have ended at the latest: after its
    whole cost, times ``1 + log2(workers) / 6`` for the error of predictions. Of trainings whose results count the clock
    knows how many epochs they had, of others it takes 80 % of the mean of those. So workers are rarely idle, and what a
    training may depend on depends on no other clock.

    Args:
        workers: trainings at a time; None where results count as soon as they are there, in whatever order.
    """

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers
        self._trainings: list[Training] = []
        self._ordinals: dict[int, int] = {}  # of the trials, by number
        self._open: set[int] = set()  # ordinals of those that have not ended
        self._ends: list[int] = []  # and of the others, as they ended
        self._unplaced: set[int] = set()  # ordinals of those of which the journal does not say for which they count
        self._pending: dict[int, None] = {}  # ordinals of those whose results do not count yet
        self._counting: list[tuple[float, int]] = []  # the others, sorted: from which ordinal on they count, their own
        self._counted: list[int] = []  # their own alone, in the same order
        self._planned = 0  # for so many it is known which results count
        self._forget_clock()

    def _forget_clock(self) -> None:
        self._now_s = 0.0  # when the last training that is planned begins
        self._known: list[tuple[int, float]] = [(0, 0.0)]  # number and sum of the known costs before each ordinal
        self._heard = 0  # of so many of ``_counting`` the clock has heard
        self._trained = 0.0  # sum of their shares
        self._latest: list[float] = []  # and the last of their ends, one for each worker

    def __len__(self) -> int:
        return len(self._trainings)

    def __getitem__(self, ordinal: int) -> Training:
        return self._trainings[ordinal]

    @property
    def repeats(self) -> bool:
        """Whether nothing depends on which training ends first."""
        return self.workers is not None

    def ordinal(self, number: int) -> int:
        """Return the ordinal of the training that a trial evaluates."""
        return self._ordinals[number]

    def read(self, trials: Iterable[FrozenTrial]) -> None:
        """Take the trainings of a journal in place of all that is known."""
        for known in (self._trainings, self._ordinals, self._open, self._ends, self._unplaced, self._pending):
            known.clear()
        self._counting.clear()
        self._counted.clear()
        self._planned = 0
        self._forget_clock()
        for trial in trials:
            ordinal = self.add(trial.number, trial.user_attrs.get("retry_of"))
            if "candidate" in trial.user_attrs or PLACE in trial.user_attrs:
                self._read_place(ordinal, trial.user_attrs.get(PLACE, Place()))
            outcome = trial.user_attrs.get("outcome")
            if outcome is not None and trial.state is not TrialState.RUNNING:
                training = self._trainings[ordinal]
                if math.isnan(training.counted_s):
                    training.counted_s = _number((outcome.get("cost") or {}).get("counted_s"))
                self.end(trial.number, outcome["again"], trained_share(trial.user_attrs.get("candidate", {}), outcome))

        for ordinal in self._unplaced:
            if self._trainings[ordinal].ended:
                self._count_from(ordinal, ordinal + 1)

    def _read_place(self, ordinal: int, place: Place) -> None:
        training = self._trainings[ordinal]
        training.counted_s = _number(place.get("counted_s", training.counted_s))
        training.begin_s = place.get("begin_s", 0.0)
        self._planned = max(self._planned, ordinal + 1)
        if "counts" not in place:  # of an earlier version, or of a search that did not repeat
            self._unplaced.add(ordinal)
        for other in place.get("counts", ()):
            self._count_from(other, ordinal)

    def _count_from(self, other: int, ordinal: int) -> None:
        """Record that the result of a training counts for this ordinal and later ones, and not before."""
        training = self._trainings[other]
        if other not in self._pending:
            before = bisect_left(self._counting, (training.due, other))
            del self._counting[before], self._counted[before]
        self._pending.pop(other, None)
        training.due = ordinal
        place = bisect_left(self._counting, (training.due, other))
        self._counting.insert(place, (training.due, other))
        self._counted.insert(place, other)

    def add(self, number: int, retry_of: int | None = None) -> int:
        """Add a trial, and return the ordinal of its training."""
        if number not in self._ordinals:
            if retry_of is None:
                self._ordinals[number] = len(self._trainings)
                self._open.add(len(self._trainings))
                self._pending[len(self._trainings)] = None
                self._trainings.append(Training(number, number))
            else:
                ordinal = self._ordinals[number] = self._ordinals[retry_of]
                self._trainings[ordinal].number = number
        return self._ordinals[number]

    def place(self, ordinal: int, counted_s: float) -> Place:
        """Return the place of a training that is begun, with what counts for it as ``is_ready`` has found.

        Args:
            ordinal: its ordinal.
            counted_s: its predicted seconds, by its operations; infinite or NaN where they are not known.
        """
        training = self._trainings[ordinal]
        if math.isnan(training.counted_s):
            training.counted_s = _number(counted_s)
        found = Place(counted_s=None if math.isnan(training.counted_s) else training.counted_s)
        if self.repeats:
            self._plan(ordinal)
            training.begin_s = self._now_s if math.isnan(training.begin_s) else training.begin_s
            found["begin_s"] = training.begin_s
            first = bisect_left(self._counting, (ordinal, -1))
            found["counts"] = self.counting(ordinal)[first:]
        return found

    def _plan(self, ordinal: int) -> None:
        """Find which results count from a training on, if that is not known yet."""
        if ordinal < self._planned or self.workers is None:
            return
        mean_s, slack = self._mean_s(ordinal), 1 + math.log2(self.workers) / 6
        self._now_s = self._begins_s(ordinal, mean_s)
        for other in [other for other in self._pending if other <= ordinal - self.workers]:
            training = self._trainings[other]
            cost_s = _UNKNOWN * mean_s if math.isnan(training.counted_s) else training.counted_s
            if self.workers == 1 or training.begin_s + slack * cost_s <= self._now_s:
                self._count_from(other, ordinal)
        self._planned = ordinal + 1

    def _mean_s(self, ordinal: int) -> float:
        """Return the mean predicted cost of the trainings before one; 1 where none is known."""
        while len(self._known) <= ordinal:
            (count, total), cost_s = self._known[-1], self._trainings[len(self._known) - 1].counted_s
            self._known.append((count, total) if math.isnan(cost_s) else (count + 1, total + cost_s))
        count, total = self._known[ordinal]
        return total / count if count else 1.0

    def _begins_s(self, ordinal: int, mean_s: float) -> float:
        """Return when a training begins by predicted costs: when one of the workers has nothing more to do."""
        assert self.workers is not None
        earlier = self._trainings[ordinal - 1].begin_s if ordinal else 0.0
        if ordinal < self.workers:
            return earlier
        while self._heard < len(self._counting) and self._counting[self._heard][0] < ordinal:
            due, other = self._counting[self._heard]
            training = self._trainings[other]
            cost_s = self._mean_s(int(due)) if math.isnan(training.counted_s) else training.counted_s
            self._trained += training.share
            self._latest = nlargest(self.workers, [*self._latest, training.begin_s + cost_s * training.share])
            self._heard += 1
        expected = _CAUTION * (_SHARE * self.workers + self._trained) / (self.workers + self._heard)
        ends = list(self._latest)
        for other in (*(other for _, other in self._counting[self._heard :]), *self._pending):
            if other < ordinal:
                training = self._trainings[other]
                cost_s = mean_s if math.isnan(training.counted_s) else training.counted_s
                ends.append(training.begin_s + cost_s * expected)
        return max(earlier, nlargest(self.workers, ends)[-1])

    def end(self, number: int, again: bool, share: float = 1.0) -> None:
        """Record that a trial has ended.

        Args:
            number: its number.
            again: whether its training is evaluated again.
            share: share of the epochs that were trained.
        """
        ordinal = self._ordinals[number]
        training = self._trainings[ordinal]
        if not again and not training.ended:
            training.ended, training.share = True, share
            self._open.remove(ordinal)
            self._ends.append(ordinal)

    def counting(self, ordinal: int) -> list[int]:
        """Return the ordinals of the trainings whose results count for one, in the order in which they came to."""
        if not self.repeats:
            return list(self._ends)
        self._plan(ordinal)
        return self._counted[: bisect_right(self._counting, (ordinal, math.inf))]

    def settled(self, ordinal: int) -> list[int]:
        """Return the ordinals of trainings that have ended, in an order that does not depend on which ended first.

        They are those whose results count for a training; or, in a search that does not repeat, all before the first
        that has not ended.
        """
        if self.repeats:
            return self.counting(ordinal)
        return list(range(min(self._open, default=len(self._trainings))))

    def is_ready(self, ordinal: int) -> bool:
        """Return whether all that counts for a training, which may be the next one, has ended."""
        if not self.repeats:
            return True
        self._plan(ordinal)
        return not any(other < ordinal and self._trainings[other].due <= ordinal for other in self._open)

    def wait_for_all(self, ordinal: int) -> None:
        """Make the results of all trainings before one count for it."""
        late = [other for due, other in self._counting if other < ordinal < due]
        for other in [*late, *(other for other in self._pending if other < ordinal)]:
            self._count_from(other, ordinal)


def trained_share(flat: Mapping[str, Any], outcome: Mapping[str, Any]) -> float:
    """Return which share of a candidate's epochs a trial trained, from 0 to 1.

    Args:
        flat: the candidate.
        outcome: with ``epoch`` and ``metrics``, as the journal has it.
    """
    if "ann_trained" in outcome["metrics"]:  # the one step of a conversion coding is the whole of its budget
        return 1.0
    return min(1.0, float(outcome["epoch"]) / max(1, int(flat.get("training.epochs", 1))))


def _number(value: object) -> float:
    found = isinstance(value, (int, float)) and 0 < value < math.inf
    return float(value) if found else math.nan  # type: ignore[arg-type]
