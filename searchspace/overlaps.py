"""What is left of a domain: of one that is narrowed, of two that must both hold."""

from __future__ import annotations

from collections.abc import Iterable

from spikefront.searchspace.domains import Choice, Domain, Float, Int, contains
from spikefront.searchspace.narrowing import Narrowing


def intersect(narrowing: Narrowing, domain: Domain) -> Domain | None:
    """Keep of a numeric domain what a narrowing keeps, which may be nothing."""
    if isinstance(domain, Choice):
        kept = [value for value in domain.choices if isinstance(value, int) and _keeps(narrowing, value)]
        return Choice(kept) if kept else None
    assert isinstance(domain, Int)
    if narrowing.bounds is None:
        kept = [int(text) for text in narrowing.values if contains(domain, int(text))]
        return Choice(kept) if kept else None
    low, high = max(domain.low, int(narrowing.bounds[0])), min(domain.high, int(narrowing.bounds[1]))
    return _int_between(domain, low, high)


def _keeps(narrowing: Narrowing, value: int) -> bool:
    if narrowing.bounds is None:
        return str(value) in narrowing.values
    return int(narrowing.bounds[0]) <= value <= int(narrowing.bounds[1])


def overlap(domain: Domain, tighter: Domain) -> Domain | None:
    """Keep of a narrowed domain what the plugin allows at this T, which may be nothing."""
    if isinstance(domain, Choice):
        kept = [choice for choice in domain.choices if contains(tighter, choice)]
        return Choice(kept) if kept else None
    if isinstance(tighter, Choice):
        return overlap(tighter, domain)
    assert isinstance(domain, (Int, Float)) and isinstance(tighter, (Int, Float))
    low, high = max(domain.low, tighter.low), min(domain.high, tighter.high)
    if isinstance(domain, Int):
        return _int_between(domain, int(low), int(high))
    return Float(low, high, log=domain.log) if low <= high else None


def members(domain: Domain | None) -> Iterable[int]:
    """List the steps that a domain of steps holds."""
    if isinstance(domain, Choice):
        return [int(choice) for choice in domain.choices if isinstance(choice, int)]
    return range(domain.low, domain.high + 1, domain.step) if isinstance(domain, Int) else ()


def _int_between(domain: Int, low: int, high: int) -> Int | None:
    """Keep the members of ``domain`` from ``low``, which is not below its own, to ``high``."""
    low += (domain.low - low) % domain.step
    high -= (high - low) % domain.step
    return Int(low, high, log=domain.log, step=domain.step) if low <= high else None
