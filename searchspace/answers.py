"""Sources of parameter values while a space is walked: an Optuna trial, fixed settings, or all values in turn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from spikefront.searchspace.domains import Choice, Domain, Float, Int, Value, contains, member, nearest, on_grid, size

Ask = Callable[[str, Domain, Value], Value]
"""Returns a value for a parameter, from its name, domain and default."""


class Suggester(Protocol):
    """The methods of an Optuna trial that a space calls."""

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float: ...
    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int: ...
    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any: ...


def suggested_by(trial: Suggester) -> Ask:
    """Return a source of the values that an Optuna trial suggests."""

    def ask(name: str, domain: Domain, default: Value) -> Value:
        if isinstance(domain, Choice):
            value: Value = trial.suggest_categorical(name, domain.choices)
            return value
        if isinstance(domain, Int):
            return trial.suggest_int(name, domain.low, domain.high, step=domain.step, log=domain.log)
        assert isinstance(domain, Float)
        drawn = trial.suggest_float(name, domain.low, domain.high, step=domain.step, log=domain.log)
        return on_grid(domain, drawn)

    return ask


def answering(wanted: Mapping[str, Value], asked: dict[str, Value]) -> Ask:
    """Return a source of fixed values.

    Args:
        wanted: values by the flat name of a parameter; all others take their default.
        asked: receives each value under the name that was asked for.
    """

    def ask(name: str, domain: Domain, default: Value) -> Value:
        value = wanted.get(name.partition("|")[0], default)
        asked[name] = value if contains(domain, value) else default if contains(domain, default) else nearest(domain)
        return asked[name]

    return ask


def unless_single(ask: Ask, name: str, domain: Domain, default: Value) -> Value:
    """Return a value of ``ask``, or the only one of a domain with one value."""
    return nearest(domain) if domain.single() else ask(name, domain, default)


class Odometer:
    """Source of all values in turn: the last parameter that was asked for turns fastest.

    Attributes:
        answers: the values of the current walk, by the name that was asked for.
    """

    def __init__(self) -> None:
        self.answers: dict[str, Value] = {}
        self._wheels: list[tuple[int, int | None]] = []  # position and number of values, None for no end

    def ask(self, name: str, domain: Domain, default: Value) -> Value:
        """Return the value of a parameter in the current walk."""
        place = len(self.answers)
        if place == len(self._wheels):
            self._wheels.append((0, size(domain)))
        self.answers[name] = member(domain, self._wheels[place][0])
        return self.answers[name]

    def advance(self) -> bool:
        """Turn to the next walk, and return whether there is one."""
        self.answers = {}
        while self._wheels:
            position, count = self._wheels.pop()
            if count is None or position + 1 < count:
                self._wheels.append((position + 1, count))
                return True
        return False
