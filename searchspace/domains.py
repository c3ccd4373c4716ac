"""Hyperparameter domains: Optuna's distributions."""

from __future__ import annotations

import math
from typing import Final

from optuna.distributions import BaseDistribution as Domain
from optuna.distributions import CategoricalDistribution as Choice
from optuna.distributions import FloatDistribution as Float
from optuna.distributions import IntDistribution as Int

from spikefront.searchspace.errors import UsageError

__all__ = [
    "Choice",
    "Domain",
    "Float",
    "Int",
    "Value",
    "check",
    "contains",
    "describe",
    "held",
    "member",
    "nearest",
    "on_grid",
    "size",
]

Value = bool | int | float | str
"""What a hyperparameter can be: anything that JSON, Optuna and MLflow all carry unchanged."""

_OFF_GRID: Final = 1e-8  # steps, as Optuna has it


def contains(domain: Domain, value: object) -> bool:
    """Return whether ``value`` has the domain's type and lies in it."""
    if isinstance(domain, Choice):
        return any(value == choice and type(value) is type(choice) for choice in domain.choices)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    assert isinstance(domain, (Int, Float))
    if not domain.low <= value <= domain.high:
        return False
    if isinstance(domain, Int):
        return isinstance(value, int) and (value - domain.low) % domain.step == 0
    if domain.step is None:
        return True
    steps = (value - domain.low) / domain.step
    return abs(steps - round(steps)) < _OFF_GRID


def on_grid(domain: Domain, value: Value) -> Value:
    """Return a value of a domain without the error of rounding that a step brings: 0.3, not 0.30000000000000004.

    Two ways to the same point of the grid thus give equal candidates.
    """
    if not isinstance(domain, Float) or domain.step is None or isinstance(value, str):
        return value
    step = domain.step
    snapped = float(f"{domain.low + round((value - domain.low) / step) * step:.12g}")
    return min(max(snapped, domain.low), domain.high)


def nearest(domain: Domain) -> Value:
    """Return a value of the domain for a default that lies outside it: the lowest, which is also the cheapest T."""
    if isinstance(domain, Choice):
        first = domain.choices[0]
        assert first is not None
        return first
    assert isinstance(domain, (Int, Float))
    return domain.low


def held(domain: Domain, default: Value) -> Value:
    """Return the default, or what takes its place where it lies outside of the domain."""
    return default if contains(domain, default) else nearest(domain)


def size(domain: Domain) -> int | None:
    """Return the number of values of a domain; None for a continuous one."""
    if isinstance(domain, Choice):
        return len(domain.choices)
    assert isinstance(domain, (Int, Float))
    if domain.single():
        return 1
    return None if domain.step is None else round((domain.high - domain.low) / domain.step) + 1


def member(domain: Domain, number: int) -> Value:
    """Return the value of this number, from 0 to ``size(domain) - 1``; of a continuous range any number has its own.

    Those of a continuous range are spread evenly over it, on its scale: the van der Corput sequence.
    """
    if isinstance(domain, Choice):
        choice = domain.choices[number]
        assert choice is not None
        return choice
    assert isinstance(domain, (Int, Float))
    if domain.step is not None:
        return on_grid(domain, domain.low + number * domain.step)
    share, part = 0.0, 0.5
    while number:
        share, number, part = share + part * (number & 1), number >> 1, part / 2
    if domain.log:
        value = domain.low * math.exp(share * math.log(domain.high / domain.low))
        return min(value, domain.high)
    return domain.low + share * (domain.high - domain.low)


def check(domain: Domain, value: object, where: str) -> None:
    """Raise ``UsageError`` naming ``where`` unless ``value`` lies in ``domain``."""
    if not contains(domain, value):
        raise UsageError(f"{where}: {value!r} is outside {describe(domain)}")


def describe(domain: Domain) -> str:
    """Write a domain as a user writes it: ``0.3..2.0``, ``4..32 (log)``, ``0..1 (step 0.25)``, ``hard, soft``."""
    if isinstance(domain, Choice):
        return ", ".join(map(str, domain.choices))
    assert isinstance(domain, (Int, Float))
    marks = " (log)" if domain.log else ""
    if domain.step not in (None, 1) or (isinstance(domain, Float) and domain.step is not None):
        marks = f" (step {domain.step:g})"
    low, high = (str(b) if isinstance(domain, Int) else f"{b:g}" for b in (domain.low, domain.high))
    return f"{low}..{high}{marks}"
