"""Stopping rules of a search, and what they know of it when they decide about a training."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from spikefront.plugins import StoppingRule
from spikefront.runners.engine.memory.journal import JournalError
from spikefront.runners.engine.memory.study import StudyRecord
from spikefront.runners.engine.parts import restore_rule
from spikefront.runners.failures import one_line
from spikefront.searchspace import Trial

_log = logging.getLogger(__name__)


class Rules:
    """Stopping rules of a search, asked in their order.

    In a search that repeats, each training has rules of its own, which know the trainings whose results count for it;
    else one set of rules knows all that came before. Rules know a training by its ordinal.

    Args:
        make: returns new rules that have begun.
        record: the study, in which they store what they know.
    """

    def __init__(self, make: Callable[[], Sequence[StoppingRule]], record: StudyRecord) -> None:
        self._make = make
        self._record = record
        self._of: dict[int, list[StoppingRule]] = {}
        self._warned: set[str] = set()
        self._restored: set[str] = set()
        self._shared = None if record.order.repeats else self._new(None)

    def _new(self, ordinal: int | None) -> list[StoppingRule]:
        """Return rules that know what counts for a training, and of itself what was stored; or all, without one."""
        rules = list(self._make())
        known = None if ordinal is None else {*self._record.order.counting(ordinal), ordinal}
        for rule in rules:
            states = self._record.states(rule.name)
            kept = states if known is None else {other: states[other] for other in states if other in known}
            restore_rule(rule, kept, warn=rule.name not in self._restored)
            self._restored.update([rule.name] if kept else [])
        return rules

    def decide(self, trial: Trial, history: Mapping[int, Mapping[str, float]]) -> str | None:
        """Return the reason to stop a trial after its last epoch, or None.

        A rule that raises is left out, with one warning.

        Raises:
            JournalError: when the journal can't be written.
        """
        ordinal = self._record.order.ordinal(trial.number)
        rules = self._shared
        if rules is None:
            rules = self._of[ordinal] = self._of.get(ordinal) or self._new(ordinal)
        for rule in list(rules):
            try:
                reason = rule.decide(replace(trial, number=ordinal), history)
                self._record.note_state(trial.number, rule.name, rule.state(ordinal))
            except JournalError:
                raise
            except Exception as error:  # a plugin may raise anything; the search goes on
                rules.remove(rule)
                if rule.name not in self._warned:
                    self._warned.add(rule.name)
                    _log.warning("stopping rule %s failed and is left out from now on: %s", rule.name, one_line(error))
                continue
            if reason is not None:
                return reason
        return None

    def forget(self, number: int) -> None:
        """Drop the rules of a trial that has ended."""
        self._of.pop(self._record.order.ordinal(number), None)
