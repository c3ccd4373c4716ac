"""Recommending: which candidates of a search are to be trained next, and the answer that their repeats give."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count
from typing import Final

import numpy as np

from spikefront.results.recommendation import PER_CODING
from spikefront.results.recommendation.answer import Recommendation, conclude
from spikefront.results.recommendation.candidates import (
    along_energy,
    chosen,
    ranked,
    refuse_empty,
    within,
)
from spikefront.results.recommendation.document import as_json, document
from spikefront.results.recommendation.evidence import START, Arm, Evidence
from spikefront.results.recommendation.fresh import FreshRepeats, Split
from spikefront.results.recommendation.segments import segments_of
from spikefront.results.recommendation.sentences import Words
from spikefront.results.searches import StoredSearch
from spikefront.results.store import schema
from spikefront.results.store.artifacts import keep_text
from spikefront.results.store.connection import Store
from spikefront.searchspace.errors import OptionError
from spikefront.searchspace.front import spread
from spikefront.searchspace.objectives import Limits
from spikefront.searchspace.records import Repeat
from spikefront.searchspace.trial import Trial

Pairs = list[tuple[str, int]]
"""Names of trials or points, and seeds."""

PER_CANDIDATE: Final = 5
"""Trainings for each candidate, on average, where no number is given."""
RIVALS: Final = 3
"""Most candidates beside the winner for which the test split is read."""
_SEED: Final = 20_234
_MOST_SEEDS: Final = 1000
"""Most trainings of one candidate."""


class Recommending:
    """The best candidates of a search within limits, their repeats, and the answer.

    Args:
        store: where the search is.
        name: its name; None for the newest.
        limits: on energy, latency and quality; without one on energy, the answer is given for each budget.
        per_coding: candidates of each coding; None for the default.
        trainings: most trainings, with those of earlier calls; None for the default.
        test_seeds: trainings of the winner and its rivals for the test split; 0 for none.
        delta: the lead below which codings count as equally good; None for the error of the split.

    Raises:
        UnknownName: when there is no search of that name.
        UsageError: when no candidate keeps to the limits, or the trainings don't suffice for a start.

    Attributes:
        search: the search.
        candidates: all that may be trained: the best within limits of each coding, and those that take their places.
    """

    def __init__(
        self,
        store: Store,
        name: str | None,
        limits: Limits,
        *,
        per_coding: int | None = None,
        trainings: int | None = None,
        test_seeds: int = 3,
        delta: float | None = None,
    ) -> None:
        self.search = StoredSearch.open(store, name)
        self.limits, self.delta, self._test_seeds = limits, delta, test_seeds
        objectives = self.search.objectives
        _ = self.search.members  # raises unless it has ended, with a front
        comparable = list(self.search.front.trials.values())
        found = within(comparable, limits, objectives)
        if not found:
            raise refuse_empty(self.search.name, comparable, limits, objectives[0])
        self.candidates = found
        self._per_coding = per_coding or (PER_CODING if limits.max_energy_nj is not None else 1)
        self._fresh = FreshRepeats(self.search)
        self._by_name = {trial.name: trial for trial in found}
        self._earlier = self._known_before(comparable)
        self._number = count(1)
        self._done = 0
        self._share = 0.0
        arms = self._active
        self._reserved = test_seeds * min(1 + RIVALS, len({arm.trial.coding for arm in arms}))
        least = START * len(arms) + self._reserved
        if trainings is not None and trainings < least:
            raise OptionError(
                "trainings", trainings,
                f"is fewer than the {least} that a start takes: {START} of each of {len(arms)} candidates"
                + (f", {self._reserved} for the test split" if self._reserved else "")
                + ("" if self._per_coding == 1 else "; fewer do with --candidates 1"),
            )  # fmt: skip
        self.trainings = trainings or PER_CANDIDATE * len(arms) + self._reserved

    def _known_before(self, trials: Sequence[Trial]) -> list[Trial]:
        """Return the trials that earlier calls have repeated."""
        names = {one["trial"] for one in self.search.artifact(schema.RECOMMENDED_FILE).get("members", ())}
        return [trial for trial in trials if trial.name in names]

    def _choose(self) -> list[Arm]:
        """Return the candidates to be trained; in the places of those that are out, the next of their codings."""
        axis, out = self.search.objectives[0], set[str]()
        while True:
            if self.limits.max_energy_nj is None:
                trials = along_energy(self.candidates, self.search.objectives, self._per_coding, out)
            else:
                trials = chosen(ranked(self.candidates, axis), self._per_coding, out)
            arms = self._fresh.arms(trials)
            gone = {arm.name for arm in arms if self._is_out(arm)}
            if not gone:
                return arms
            out |= gone

    @property
    def chosen(self) -> list[Trial]:
        """The candidates that are trained: the best of each coding within limits."""
        return [arm.trial for arm in self._choose()]

    def _is_out(self, arm: Arm) -> bool:
        """Return whether its repeats say that a candidate fails, or costs more than it may."""
        return len(arm.repeats) + len(arm.failed) >= START and bool(arm.out(self.limits))

    @property
    def arms(self) -> list[Arm]:
        """All candidates that have repeats, of earlier calls too, or are to be trained."""
        found = {arm.name: arm for arm in self._choose()}
        others = [trial for trial in (*self.candidates, *self._earlier) if trial.name not in found]
        known = {trial.name for trial in self._earlier} | self._fresh.touched
        found |= {arm.name: arm for arm in self._fresh.arms([one for one in others if one.name in known])}
        return list(found.values())

    @property
    def _active(self) -> list[Arm]:
        """The candidates that are compared: those to be trained, and others that count and have repeats."""
        return [arm for arm in self.arms if not self._is_out(arm) and (arm.repeats or arm.name in self._by_name)]

    @property
    def evidence(self) -> Evidence:
        """All candidates with their repeats, and how much of the trainings is spent."""
        most = max(1, self.trainings - self._reserved)
        return Evidence(self.arms, self.search.objectives, max(self._share, self.spent / most), self.delta)

    @property
    def spent(self) -> int:
        """Trainings of the candidates that are compared, for the validation split."""
        return sum(len(arm.repeats) + len(arm.failed) for arm in self._active)

    def left(self) -> int:
        """Return how many trainings are left, with those for the test split."""
        return max(0, self.trainings - max(self.spent, self._done))

    def start(self) -> Pairs:
        """Return the repeats that every candidate begins with and that are missing: all under the first seed first."""
        wanted = [(arm, seed) for arm in self._choose() for seed in self._fresh.missing(arm, START)]
        order = sorted(wanted, key=lambda pair: pair[1])
        return [(arm.name, seed) for arm, seed in order[: self.left()]]

    def next(self, batch: int) -> Pairs:
        """Return the repeats to be made next, where they decide most; none once all is decided, or spent.

        Args:
            batch: how many at a time.
        """
        batch = min(batch, self.trainings - self._reserved - self.spent)
        if batch < 1:
            return []
        evidence, random = self.evidence, np.random.default_rng((_SEED, self.spent))
        drawn = evidence.next(self._questions(evidence), random, batch)
        found: Pairs = []
        for name in dict.fromkeys(arm.name for arm in drawn):
            arm = next(one for one in drawn if one.name == name)
            more = sum(one.name == name for one in drawn)
            if len(arm.repeats) < _MOST_SEEDS:
                found += [(name, seed) for seed in self._fresh.missing(arm, len(arm.repeats) + more)]
        return found

    def _questions(self, evidence: Evidence) -> list[Limits]:
        if self.limits.max_energy_nj is not None:
            return [self.limits]
        return [replace(self.limits, max_energy_nj=budget) for budget in evidence.budgets]

    def has_time(self, elapsed: float, limit: float) -> bool:
        """Return whether there is time for more trainings before those for the test split.

        Args:
            elapsed: seconds since the first training of this call began.
            limit: seconds that there are.
        """
        last = 0.0 if not self._done else self._reserved * elapsed / self._done
        self._share = max(self._share, min(1.0, elapsed / max(limit - last, 1e-9)))
        return elapsed + last < limit

    def to_test(self) -> Pairs:
        """Return the repeats for the test split that are missing: of the winner, and of its likeliest rivals."""
        if not self._test_seeds:
            return []
        found = [(arm, seed) for arm in self._rivals() for seed in self._fresh.missing(arm, self._test_seeds, "test")]
        return [(arm.name, seed) for arm, seed in sorted(found, key=lambda pair: pair[1])]

    def _rivals(self) -> list[Arm]:
        """Return the winner and its rivals, or, without an energy budget, the winners of some budgets."""
        evidence = self.evidence
        if self.limits.max_energy_nj is None:
            arms = {arm.name: arm for arm in evidence.arms}
            winners = dict.fromkeys(one.trials[-1] for one in segments_of(evidence, self.limits))
            return spread([arms[name] for name in winners], 1 + RIVALS)
        verdict = evidence.verdict(self.limits)
        if verdict is None or math.isnan(verdict.probability):
            return []
        order = sorted(verdict.codings, key=verdict.probability_of, reverse=True)
        others = [verdict.best[name] for name in order if name in verdict.tied or verdict.best[name] is verdict.rival]
        found = {arm.name: arm for arm in (verdict.winner, verdict.leader, *others)}
        return list(found.values())[: 1 + RIVALS]

    def record(self, split: Split) -> Callable[[Repeat], None]:
        """Return a callback that writes each repeat to the store, and prints the progress."""
        take = self._fresh.record(self._by_name, self.left(), split, lambda: next(self._number))

        def taken(repeat: Repeat) -> None:
            self._done += 1
            take(repeat)

        return taken

    def conclude(self, where: str = "") -> Recommendation:
        """Return the answer, and write it to ``recommended.json`` of the search.

        Args:
            where: options of the store, for the commands that the answer has.
        """
        evidence = self.evidence
        members = frozenset(trial.name for trial in self.search.front.members)
        words = Words(self.search.name, self.search.quality, members, where)
        found = conclude(evidence, self.limits, words, self.search)
        told = document(found, evidence, self.limits, self.search.task, self._fresh.first)
        keep_text(self.search.store, self.search.run_id, as_json(told), schema.RECOMMENDED_FILE)
        return found
