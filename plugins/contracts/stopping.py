"""The contract of a rule that stops trials early."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spikefront.plugins.contracts.plugin import Plugin
from spikefront.searchspace.objectives import Objective
from spikefront.searchspace.trial import Trial


class StoppingRule(Plugin):
    """A rule that stops trials early, on the driver; the search waits for each call.

    In a search that repeats, each trial has an instance of its own, which is given by ``restore`` what the rule stored
    of the trials whose results count for this one: all of them had ended when it began. In one that is limited by time,
    one instance serves all trials. Trials are numbered in the order of their beginning.

    Args:
        config: its ``Config``, or None for the defaults.
    """

    def __init__(self, config: Any = None) -> None:
        self._configure(config)

    def begin(self, objectives: Sequence[Objective], *, chance: float, best: float) -> None:
        """Start a search. Called once, before any other method.

        Args:
            objectives: the axes of the front; the first is quality.
            chance: quality of the best constant output.
            best: the best possible quality; less than ``chance`` when quality is minimised.
        """

    def decide(self, trial: Trial, history: Mapping[int, Mapping[str, float]]) -> str | None:
        """Return the reason to stop a trial, or None. Called after each epoch of a trial but its last.

        A trial that lost its worker repeats epochs, so an epoch may come twice.

        Args:
            trial: the trial; ``trial.epoch`` is the epoch that ended, from 1, and ``trial.budget`` its epochs in all.
            history: metrics by epoch, also of those that were trained before the search was resumed.
        """
        raise TypeError(f"{type(self).__name__} must define decide(trial, history)")

    def state(self, number: int) -> Any:
        """Return what to store in the journal of a trial, as plain JSON; None for nothing."""
        return None

    def restore(self, number: int, state: Any) -> None:
        """Take what ``state`` returned of a trial. Called after ``begin``, before any ``decide``.

        Args:
            number: the trial's number.
            state: what ``state`` returned last for the trial; of a journal that was edited, or from another version of
                the rule, anything that JSON holds. Any exception leaves it out, and the search goes on.
        """
