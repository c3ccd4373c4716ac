"""Who listens to a search: the engine tells, and does not know what becomes of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Protocol

from spikefront.searchspace.candidate import Candidate
from spikefront.searchspace.objectives import SearchInfo

State = Literal["COMPLETE", "FAIL", "PRUNED"]


class Listener(Protocol):
    """Told of each event, in order, on the driver. Must return at once: the search waits."""

    def search_started(self, search: SearchInfo) -> None:
        """Called once, before the first trial."""

    def trial_started(self, number: int, candidate: Candidate, retry_of: int | None = None) -> None:
        """Called when a candidate has been chosen and is on its way to a worker.

        Args:
            number: the trial's number, from 0.
            candidate: what it judges.
            retry_of: number of the trial that judged the same until an earlier driver ended; None for a new one.
        """

    def epoch_ended(self, number: int, epoch: int, metrics: Mapping[str, float]) -> None:
        """Called with the validation metrics of each epoch, counted from 1."""

    def trial_ended(
        self, number: int, state: State, reason: str, metrics: Mapping[str, float], weights: Path | None
    ) -> None:
        """Called once for each trial.

        Args:
            number: the trial's number, from 0.
            state: COMPLETE (judged at full budget), FAIL or PRUNED.
            reason: why it failed or was stopped; empty when it did neither.
            metrics: its last metrics; empty when there are none.
            weights: file with the trained weights, or None. What else lies there under its stem, as .json or .png,
                belongs to it.
        """

    def search_ended(self, reason: str) -> None:
        """Called once, however the search ends; ``reason`` says how, in a few words."""
