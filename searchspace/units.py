"""Quantities with units: energies in nanojoules, durations in seconds, as people write them."""

from __future__ import annotations

import math
import re
from typing import Final

from spikefront.searchspace.errors import UsageError, shown

_ENERGY: Final = {"pJ": 1e-3, "nJ": 1.0, "µJ": 1e3, "mJ": 1e6, "J": 1e9}
_MICRO: Final = {"uJ": "µJ", "\u03bcJ": "µJ"}  # ASCII, and the Greek letter beside the micro sign
_DURATION: Final = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0}
_COUNT: Final = {"": 1.0, "k": 1e3, "M": 1e6}
_NUMBER: Final = r"([0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?|\.[0-9]+)"
_LONGEST: Final = 200
"""Most characters of a quantity."""


def _match(pattern: str, text: str) -> re.Match[str] | None:
    return re.fullmatch(pattern, text) if len(text) <= _LONGEST else None


def parse_energy(text: str) -> float:
    """Return an energy in nanojoules: ``500nJ``, ``2uJ``, ``2 µJ``, ``1mJ``.

    Raises:
        UsageError: when there is no number above 0 or no unit.
    """
    match = _match(rf"\s*{_NUMBER}\s*([a-zA-Zµ\u03bc]+)\s*", text)
    unit = _MICRO.get(match[2], match[2]) if match else ""
    found = float(match[1]) * _ENERGY.get(unit, math.nan) if match else math.nan
    if not 0 < found < math.inf:
        raise UsageError(
            f"{shown(text)} is not an energy: give a number above 0 and a unit of pJ, nJ, uJ, mJ, J, like 500nJ"
        )
    return found


def format_energy(nanojoules: float, error: float = math.nan) -> str:
    """Write an energy with three digits and the unit that keeps it short: ``1.23 µJ``, ``12.3 ± 0.2 nJ``.

    Args:
        nanojoules: the energy.
        error: its standard error, in nanojoules; NaN where it is not known. It has as many decimals as the energy, and
            one digit where it is smaller than they show.
    """
    unit, size = next(((u, s) for u, s in reversed(_ENERGY.items()) if nanojoules >= s * 0.9995), ("pJ", 1e-3))
    value = nanojoules / size
    digits = 2 if value < 9.995 else 1 if value < 99.95 else 0
    if math.isnan(error):
        return f"{value:.{digits}f} {unit}"
    spread = f"{error / size:.{digits}f}"
    return f"{value:.{digits}f} ± {spread if float(spread) or not error else f'{error / size:.1g}'} {unit}"


def parse_count(text: str) -> float:
    """Return a number of things: ``100k``, ``1.5M``, ``20000``.

    Raises:
        UsageError: when it has no such form, or is 0.
    """
    match = _match(rf"\s*{_NUMBER}\s*([kM]?)\s*", text)
    number = float(match[1]) * _COUNT[match[2]] if match else 0.0
    if not 0 < number < math.inf:
        raise UsageError(
            f"{shown(text)} is not a count: give a number above 0, with k or M or without: 20000, 100k, 1.5M"
        )
    return number


def parse_shares(text: str) -> tuple[float, ...]:
    """Return shares between 0 and 1: ``0.15,0.45`` or ``15%,45%``.

    Raises:
        UsageError: when it has no such form.
    """
    shares = []
    for part in text.split(","):
        match = _match(rf"\s*{_NUMBER}\s*(%?)\s*", part)
        shares.append(float(match[1]) / (100 if match[2] else 1) if match else math.nan)
    if not all(0 < share < 1 for share in shares):
        raise UsageError(f"{shown(text)} is not a list of shares: give numbers between 0 and 1, like 0.15,0.45")
    return tuple(shares)


def parse_duration(text: str) -> float:
    """Return a duration in seconds: ``2h``, ``30m``, ``90s``, ``1h30m``.

    Raises:
        UsageError: when it has no such form, or is 0.
    """
    whole = _match(rf"(\s*{_NUMBER}\s*[dhms]\s*)+", text)
    parts = re.findall(rf"{_NUMBER}\s*([dhms])", text) if whole else []
    seconds = sum(float(number) * _DURATION[unit] for number, unit in parts)
    if not 0 < seconds < math.inf:
        raise UsageError(
            f"{shown(text)} is not a duration: give a number above 0 and a unit of s, m, h, d, like 90s or 1h30m"
        )
    return seconds


def format_duration(seconds: float) -> str:
    """Write a duration with its two largest units, for example ``1h02m``, ``3m05s`` or ``42s``."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3_600:
        return f"{whole // 60}m{whole % 60:02d}s"
    minutes = round(seconds / 60)
    if minutes < 24 * 60:
        return f"{minutes // 60}h{minutes % 60:02d}m"
    hours = round(seconds / 3_600)
    return f"{hours // 24}d{hours % 24:02d}h"


def format_quality(value: float) -> str:
    """Write a quality with four digits behind the point, from 10 on with five in all: ``0.9614``, ``173.12``."""
    digits = 4 if abs(value) < 10 or not math.isfinite(value) else max(0, 4 - math.floor(math.log10(abs(value))))
    return f"{value:.{digits}f}"
