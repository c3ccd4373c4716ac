"""Shares of the compute of a search that its codings have had."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from spikefront.runners.engine.memory.order import trained_share
from spikefront.runners.engine.memory.study import StudyRecord


class Shares:
    """Compute that each coding of a search has had: predicted seconds by counted operations, which no clock changes.

    A trial counts as far as it was trained: one that was stopped early, or failed, by its epochs; one whose result
    does not count yet as if it were to be trained in full. A trial that converts an ANN counts the training of the ANN
    in full, also where an earlier trial has trained the same one and it is shared: so a coding's compute is what tuning
    it alone would take. A trial whose operations can't be counted counts as the mean of the others.

    Args:
        record: the study.
        codings: names of the codings.
    """

    def __init__(self, record: StudyRecord, codings: Iterable[str]) -> None:
        self._record = record
        self._codings = tuple(codings)

    def spent(self, ordinal: int | None = None) -> dict[str, float]:
        """Return the seconds of each coding, by what a training may know of those before it; or by all there is."""
        order, seen = self._record.order, self._record.seen(ordinal)
        counted = [order[one.ordinal].counted_s for one in seen]
        known = [seconds for seconds in counted if not math.isnan(seconds)]
        mean = sum(known) / len(known) if known else 1.0
        found = dict.fromkeys(self._codings, 0.0)
        for one, seconds in zip(seen, counted, strict=True):
            share = 1.0 if one.outcome is None else trained_share(one.candidate, one.outcome)
            coding = str(one.candidate["coding"])
            found[coding] = found.get(coding, 0.0) + share * (mean if math.isnan(seconds) else seconds)
        return found

    def least_first(self, ordinal: int) -> list[str]:
        """Return the codings, that with the least compute so far first."""
        spent = self.spent(ordinal)
        return sorted(self._codings, key=lambda name: (spent[name], name))


def line(spent: Mapping[str, float]) -> str:
    """Return in words which share of the compute each coding has had; empty where there is none."""
    total = sum(spent.values())
    if not total:
        return ""
    parts = (f"{name} {100 * seconds / total:.0f} %" for name, seconds in sorted(spent.items()))
    return f"compute by coding: {', '.join(parts)}"
