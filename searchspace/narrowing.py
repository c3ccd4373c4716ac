"""Narrowing a space: ``coding=gac,sac``, ``neuron.*.threshold=0.5..1.0``, ``steps=4``.

A narrowing keeps part of a domain. It never widens one: a value outside is an error that names the domain.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final

from spikefront.searchspace.domains import Choice, Domain, Float, Int, Value, contains, describe, on_grid, size
from spikefront.searchspace.errors import OptionError, UnknownName, UsageError, cut, shown

_SWITCHES: Final = {"yes": "true", "on": "true", "no": "false", "off": "false"}
"""Words of study files for true and false."""
_MOST_LISTED: Final = 20


@dataclass(frozen=True, slots=True)
class Narrowing:
    """Keep, of every hyperparameter whose flat name matches ``pattern``, only ``values`` or what lies in ``bounds``.

    Attributes:
        pattern: a flat name, in which ``*`` stands for any part.
        values: the values to keep, as text.
        bounds: lowest and highest value to keep, as text, or None.
        source: what to name in messages, for example ``--set steps=4`` or ``study.yaml``.
    """

    pattern: str
    values: tuple[str, ...]
    bounds: tuple[str, str] | None
    source: str

    def __str__(self) -> str:
        return f"{self.pattern}={'..'.join(self.bounds) if self.bounds else ','.join(self.values)}"

    def matches(self, name: str) -> bool:
        """Return whether the flat ``name`` matches the pattern."""
        return fnmatchcase(name, self.pattern)

    def apply(self, domain: Domain, name: str) -> Domain:
        """Return the part of ``domain`` that is kept.

        Raises:
            UsageError: for a value or bound outside the domain, or a range of a choice.
        """
        where = f"{self.source}: {name}"
        if self.bounds is None:
            return Choice(list(dict.fromkeys(read_value(text, domain, where) for text in self.values)))
        if isinstance(domain, Choice):
            raise UsageError(
                f"{where}: {'..'.join(self.bounds)} is a range, but this is a choice of {describe(domain)}"
            )
        low, high = (read_value(text, domain, where) for text in self.bounds)
        assert not isinstance(low, str) and not isinstance(high, str)
        if low > high:
            raise UsageError(f"{where}: {low}..{high} is reversed; write {high}..{low}")
        if isinstance(domain, Int):
            return Int(int(low), int(high), log=domain.log, step=domain.step)
        assert isinstance(domain, Float)
        return Float(float(low), float(high), log=domain.log, step=domain.step)


def read_value(text: str, domain: Domain, where: str) -> Value:
    """Read one value of ``domain`` from text.

    Args:
        text: a number, or the text of a choice.
        domain: what it may be.
        where: what to name in messages, such as ``--set steps=4: steps``.

    Raises:
        UsageError: when it is outside the domain.
    """
    if isinstance(domain, Choice):
        if all(isinstance(choice, bool) for choice in domain.choices):
            text = _SWITCHES.get(text.lower(), text)
        named = [choice for choice in domain.choices if str(choice) == text]
        named += [choice for choice in domain.choices if str(choice).lower() == text.lower()]
        if not named:
            raise UnknownName(f"value of {where}:", text, map(str, domain.choices))
        assert named[0] is not None
        return named[0]
    try:
        if not text.isascii():
            raise ValueError
        value: Value = int(text) if isinstance(domain, Int) else float(text)
    except ValueError:
        raise UsageError(f"{where}: {shown(text)} is not a number in {describe(domain)}") from None
    if not contains(domain, value):
        raise UsageError(f"{where}: {cut(text)} is outside {describe(domain)}; a space can be narrowed, never widened")
    return on_grid(domain, value)


def parse_set(text: str) -> Narrowing:
    """Read one ``NAME=VALUE[,VALUE...]`` or ``NAME=LOW..HIGH``.

    Raises:
        UsageError: when there is no name, no ``=`` or no value.
    """
    name, equals, value = (part.strip() for part in text.partition("="))
    if not (name and equals and value):
        raise OptionError("space", text, "must read NAME=VALUE, NAME=VALUE,VALUE or NAME=LOW..HIGH", flag="--set")
    return _narrowing(name, value, f"--set {cut(text)}")


def _narrowing(name: str, value: str, source: str) -> Narrowing:
    low, dots, high = (part.strip() for part in value.partition(".."))
    if dots and "," in value:
        raise UsageError(f"{source}: {cut(name)}: {cut(value)} mixes a range with values; {_apart(value)}")
    if dots:
        return Narrowing(name, (), (low, high), source)
    values = tuple(dict.fromkeys(part.strip() for part in value.split(",") if part.strip()))
    if not values:
        raise UsageError(f"{source}: {name} has no value")
    return Narrowing(name, values, None, source)


def _apart(value: str) -> str:
    """Return what to write in place of ranges among values: all values one by one, where they are a few integers."""
    listed: dict[str, None] = {}
    for part in value.split(","):
        ends = re.fullmatch(r"\s*([0-9]{1,9})\s*\.\.\s*([0-9]{1,9})\s*", part, re.ASCII)
        between = range(int(ends[1]), int(ends[2]) + 1) if ends else (part.strip(),)
        if (".." in part and not ends) or len(between) > _MOST_LISTED:
            return "give one range LOW..HIGH, or values alone"
        listed.update(dict.fromkeys(map(str, between)))
    return f"give one range LOW..HIGH, or values alone: {','.join(listed)}"


def parse_mapping(space: Mapping[str, object], source: str) -> list[Narrowing]:
    """Read the ``space:`` section of a study file: names to a value, a list of values or ``LOW..HIGH``.

    Raises:
        UsageError: for a value that is neither.
    """
    found = []
    for name, value in space.items():
        items: Iterable[Any] = value if isinstance(value, (list, tuple, range)) else [value]
        if not all(isinstance(item, (bool, int, float, str)) for item in items):
            raise UsageError(
                f"{source}: space: {cut(str(name))}: {shown(value)} is not a value, a list of values or LOW..HIGH"
            )
        found.append(_narrowing(str(name), ",".join(map(str, items)), source))
    return found


def intersect(narrowing: Narrowing, domain: Domain) -> Domain | None:
    """Return the part of a numeric domain that a narrowing keeps; None for nothing."""
    if isinstance(domain, Choice):
        kept = [value for value in domain.choices if isinstance(value, int) and _keeps(narrowing, value)]
        return Choice(kept) if kept else None
    assert isinstance(domain, Int)
    if narrowing.bounds is None:
        kept = [int(text) for text in narrowing.values if contains(domain, int(text))]
        return Choice(kept) if kept else None
    low, high = (int(bound) for bound in narrowing.bounds)
    return _common(domain, Int(low, high)) if low <= high else None


def _keeps(narrowing: Narrowing, value: int) -> bool:
    if narrowing.bounds is None:
        return str(value) in narrowing.values
    return int(narrowing.bounds[0]) <= value <= int(narrowing.bounds[1])


def overlap(domain: Domain, tighter: Domain) -> Domain | None:
    """Return the part of a narrowed domain that a tighter one allows; None for nothing."""
    if isinstance(domain, Choice):
        kept = [choice for choice in domain.choices if contains(tighter, choice)]
        return Choice(kept) if kept else None
    if isinstance(tighter, Choice):
        return overlap(tighter, domain)
    assert isinstance(domain, (Int, Float)) and isinstance(tighter, (Int, Float))
    if isinstance(domain, Int) and isinstance(tighter, Int):
        return _common(domain, tighter)
    if domain.step is None and tighter.step is None:
        low, high = max(domain.low, tighter.low), min(domain.high, tighter.high)
        return Float(low, high, log=domain.log) if low <= high else None
    stepped = tighter if domain.step is None else domain
    grid = (on_grid(stepped, stepped.low + number * (stepped.step or 1)) for number in range(size(stepped) or 0))
    kept = [value for value in grid if contains(domain, value) and contains(tighter, value)]
    return Choice(kept) if kept else None


def _common(domain: Int, tighter: Int) -> Int | None:
    """Return what two ranges of integers have in common, on the scale of the first; None for nothing."""
    low, high, step = max(domain.low, tighter.low), min(domain.high, tighter.high), math.lcm(domain.step, tighter.step)
    low += (domain.low - low) % domain.step
    low = next((n for n in range(low, min(high + 1, low + step), domain.step) if contains(tighter, n)), high + 1)
    high -= (high - low) % step
    return Int(low, high, log=domain.log and step == 1, step=step) if low <= high else None


def members(domain: Domain | None) -> Iterable[int]:
    """Return the steps that a domain of steps holds."""
    if isinstance(domain, Choice):
        return [int(choice) for choice in domain.choices if isinstance(choice, int)]
    return range(domain.low, domain.high + 1, domain.step) if isinstance(domain, Int) else ()
