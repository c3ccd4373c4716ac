"""End of a search whose front has all but stopped growing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from spikefront.runners.engine.memory.study import StudyRecord
from spikefront.searchspace import Front

WINDOW: Final = 20
"""Finished trials over which the gain is measured: with 10, searches end too soon, with 30, hardly any ends at all."""


def hardly_gains(curve: Sequence[float], share: float, window: int = WINDOW) -> bool:
    """Return whether the last finished trials added less than a share of the hypervolume.

    Args:
        curve: hypervolume after each finished trial.
        share: of the last hypervolume.
        window: how many trials; with no more than these, the answer is no.
    """
    return len(curve) > window and curve[-1] - curve[-1 - window] < share * curve[-1]


class Patience:
    """Rule that ends a search: the next 20 finished trials are expected to add less than a share of the hypervolume.

    Expected is what the last 20 have added. Finished are trials evaluated at full budget: those that were stopped early
    or failed don't count. The rule reads the journal alone, in the order of the trainings, so that a search that was
    killed and resumed ends where it would have ended.

    Args:
        record: the study.
        share: of the hypervolume, from 0 to 1; None or 0 for a search that does not end so.

    Attributes:
        reason: why the search is to end; empty while it goes on.
    """

    def __init__(self, record: StudyRecord, share: float | None) -> None:
        self._record = record
        self._share = share or 0.0
        self._front = Front(record.objectives)
        self._read = 0
        self.reason = ""

    def looks(self, ordinal: int) -> str:
        """Return the reason to begin no training of this ordinal, which would be a new one; empty if there is none."""
        if self._share == 0.0 or self.reason:
            return self.reason
        known = self._record.order.settled(ordinal)
        for training in self._record.ended(known[self._read :]):
            self._read += 1
            before = len(self._front.curve)
            self._front.add(training)
            curve = self._front.curve
            if len(curve) > before and hardly_gains(curve, self._share):
                gain, total = curve[-1] - curve[-1 - WINDOW], curve[-1]
                part = f"{100 * gain / total:.2f} % of the hypervolume of {total:.4f}"
                less = f"less than the {100 * self._share:g} % of --patience"
                self.reason = f"the last {WINDOW} finished trials added {part}, {less}"
                break
        return self.reason
