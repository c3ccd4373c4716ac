"""Check of the records of the first version's journals, which have no seal.

Optuna ignores what does not fit, such as the parameters of a trial that does not exist, so that a lost line would give
the records that follow to other trials. What the driver always writes in one order must therefore be there in it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

from optuna.distributions import json_to_distribution
from optuna.trial import TrialState

_RUNNING: Final = TrialState.RUNNING.value
_WAITING: Final = TrialState.WAITING.value
_ENDED: Final = (TrialState.COMPLETE.value, TrialState.PRUNED.value, TrialState.FAIL.value)


class BadRecord(Exception):
    """A record that does not belong where it is; the text says why, as the end of a sentence about its line."""


class UnsealedCheck:
    """The check of a journal without seals: one study, trials that exist, each with its outcome before its end."""

    def __init__(self) -> None:
        self._directions = 0
        self._states: list[int] = []  # of the trials, as Optuna numbers them
        self._with_candidate: set[int] = set()
        self._with_outcome: set[int] = set()
        self._retried: set[int] = set()
        self._newest = -1  # the trial that was started last: it alone draws parameters
        self._says_what = False
        self._last = b""

    def check(self, record: Mapping[str, Any], raw: bytes) -> None:
        """Check the next record.

        Raises:
            BadRecord: when it does not belong there.
        """
        try:
            self._check(record, raw)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError, IndexError, AssertionError) as error:
            what = f"lacks {error}" if isinstance(error, KeyError) else "holds something else than a journal does"
            raise BadRecord(what) from None
        self._last = raw

    def _check(self, record: Mapping[str, Any], raw: bytes) -> None:
        code, _ = record["op_code"], _is(str, record["worker_id"])
        if (code == 0) != (self._directions == 0):
            raise BadRecord("begins a second study" if code == 0 else "comes before the study that it belongs to")
        checks: dict[Any, Callable[[Mapping[str, Any]], None]] = {
            0: self._study,
            2: self._study_attribute,
            3: self._study_attribute,
            4: self._created,
            5: self._parameter,
            6: self._state,
            8: self._attribute,
            9: self._attribute,
        }
        if type(code) is not int or code not in checks:
            raise BadRecord(f"has the unknown operation {str(code)[:20]}")
        if code == 4 and raw == self._last:
            raise BadRecord("is there twice")
        checks[code](record)

    def _study(self, record: Mapping[str, Any]) -> None:
        _is(str, record["study_name"])
        if not all(type(direction) is int and direction in (1, 2) for direction in record["directions"]):
            raise BadRecord("has a direction that is neither minimise nor maximise")
        self._directions = len(record["directions"])

    def _study_attribute(self, record: Mapping[str, Any]) -> None:
        self._of_the_study(record)
        ((name, value),) = _is(dict, record["user_attr" if record["op_code"] == 2 else "system_attr"]).items()
        if record["op_code"] == 2 and name == "search":
            _check_about(value)
            self._says_what = True
        elif record["op_code"] == 2 and name == "sessions":
            for text in _is(list, value):
                datetime.fromisoformat(text)

    def _of_the_study(self, record: Mapping[str, Any]) -> None:
        if type(record["study_id"]) is not int or record["study_id"] != 0:
            raise BadRecord("belongs to another study")

    def _created(self, record: Mapping[str, Any]) -> None:
        self._of_the_study(record)
        if not self._says_what:
            raise BadRecord("is a trial, and nothing before it says what was searched")
        for name in ("datetime_start", "datetime_complete"):
            if record.get(name) is not None:
                datetime.fromisoformat(record[name])
        state = record.get("state", _RUNNING)
        if type(state) is not int or state not in (_RUNNING, _WAITING):
            raise BadRecord("creates a trial that has ended")
        if state == _RUNNING and record["datetime_start"] is None:
            raise BadRecord("creates a trial that has no start")
        before = record.get("user_attrs", {}).get("retry_of")
        if before is not None:
            self._retry(before)
        fixed = _is(dict, record.get("system_attrs", {})).get("fixed_params", {})
        _is(dict, fixed)
        self._states.append(state)
        if state == _RUNNING:
            self._newest = len(self._states) - 1

    def _retry(self, before: Any) -> None:
        if type(before) is not int or not 0 <= before < len(self._states) or self._states[before] not in _ENDED:
            raise BadRecord("evaluates a trial again that has not ended")
        if before in self._retried:
            raise BadRecord(f"evaluates trial {before} a third time: a line is there twice")
        self._retried.add(before)

    def _trial(self, record: Mapping[str, Any]) -> int:
        number = record["trial_id"]
        if type(number) is not int or not 0 <= number < len(self._states):
            raise BadRecord(f"is about trial {str(number)[:20]}, which no line before it creates: a line is missing")
        if self._states[number] in _ENDED:
            raise BadRecord(f"changes trial {number}, which has ended: a line is missing, or there twice")
        return int(number)

    def _parameter(self, record: Mapping[str, Any]) -> None:
        number = self._trial(record)
        if number != self._newest:
            raise BadRecord(f"is a parameter of trial {number} after a later one began: a line is missing, or twice")
        _is(str, record["param_name"])
        _distribution(record["distribution"]).to_external_repr(_finite(record["param_value_internal"]))

    def _state(self, record: Mapping[str, Any]) -> None:
        number, state, values = self._trial(record), record["state"], record["values"]
        if type(state) is not int or state not in (_RUNNING, *_ENDED):
            raise BadRecord(f"has the unknown state {str(state)[:20]}")
        if state == _RUNNING:
            datetime.fromisoformat(record["datetime_start"])
            self._newest = number
        else:
            datetime.fromisoformat(record["datetime_complete"])
            if number not in self._with_outcome:
                raise BadRecord(f"ends trial {number}, and no line before it has its outcome: a line is missing")
            self._with_outcome.discard(number)
        if values is not None and len([_finite(value) for value in values]) != self._directions:
            raise BadRecord("has another number of values than the study has objectives")
        if state == TrialState.COMPLETE.value and values is None:
            raise BadRecord("completes a trial without values")
        self._states[number] = state

    def _attribute(self, record: Mapping[str, Any]) -> None:
        number = self._trial(record)
        if record["op_code"] == 9:
            ((name, value),) = _is(dict, record["system_attr"]).items()
            return
        ((name, value),) = _is(dict, record["user_attr"]).items()
        if name == "candidate":
            if not all(isinstance(each, (str, int, float, bool)) for each in _is(dict, value).values()):
                raise BadRecord("has a candidate that is not one")
            self._with_candidate.add(number)
        elif name == "outcome":
            _check_outcome(value)
            if number not in self._with_candidate and value["state"] != "FAIL":
                raise BadRecord(f"is the outcome of trial {number}, and no line before it has its candidate")
            self._with_outcome.add(number)
        elif name == "rungs":
            for rung in _is(list, value):
                _is(dict, rung)


def _check_about(about: Mapping[str, Any]) -> None:
    """Check what a search stores about itself."""
    for name in ("options", "plugins"):
        _is(dict, about[name])
    for text in (*_is(list, about["narrowings"]), about["space"]):
        _is(str, text)


def _check_outcome(outcome: Mapping[str, Any]) -> None:
    if outcome["state"] not in ("COMPLETE", "FAIL", "PRUNED"):
        raise BadRecord(f"has the unknown outcome {str(outcome['state'])[:20]}")
    for kind, name in ((str, "reason"), (int, "epoch"), (bool, "again")):
        _is(kind, outcome[name])
    for numbers in (outcome["metrics"], outcome.get("cost") or {}):
        for value in _is(dict, numbers).values():
            _finite(value)


def _is(kind: type, value: Any) -> Any:
    """Return a value after checking its type."""
    if not isinstance(value, kind):
        raise TypeError(f"{value!r} is not {kind}")
    return value


def _finite(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise BadRecord(f"has {str(value)[:20]} where a finite number belongs")
    return float(value)


@lru_cache(maxsize=4096)
def _distribution(text: str) -> Any:
    return json_to_distribution(text)
