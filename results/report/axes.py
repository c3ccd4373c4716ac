"""SVG figures whose places are percentages of the box and whose text keeps its size: legible at any width."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from spikefront.results.plot import look
from spikefront.results.report.html import Html, element

_PATHS: Final = {
    "o": "M-5,0a5,5 0 1,0 10,0a5,5 0 1,0 -10,0z",
    "s": "M-4.5,-4.5h9v9h-9z",
    "D": "M0,-6L6,0L0,6L-6,0z",
    "^": "M0,-6L5.6,4.4H-5.6z",
    "v": "M0,6L5.6,-4.4H-5.6z",
    "P": "M-2,-6h4v4h4v4h-4v4h-4v-4h-4v-4h4z",
    "X": "M0,-2.6L3.2,-5.8L5.8,-3.2L2.6,0L5.8,3.2L3.2,5.8L0,2.6L-3.2,5.8L-5.8,3.2L-2.6,0L-5.8,-3.2L-3.2,-5.8z",
    "*": "M0,-7L1.7,-2.3L6.7,-2.2L2.7,.9L4.1,5.7L0,2.9L-4.1,5.7L-2.7,.9L-6.7,-2.2L-1.7,-2.3z",
    ">": "M6,0L-4.4,5.6V-5.6z",
}
"""Outlines of Matplotlib's markers, about 11 px wide around the origin."""
_OTHERS: Final = {"square": "M-5,-5h10v10h-10z", "diamond": "M0,-6.5L6.5,0L0,6.5L-6.5,0z", "stroke": "M-8,8L8,-8"}
"""Marks of other things than codings, by name."""
_FEW: Final = 5
"""Most labels below a picture that have room at 400 px."""

_DURATIONS: Final = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14_400, 21_600, 43_200)
"""Seconds between ticks on an axis of time."""


@dataclass(frozen=True, slots=True)
class Scale:
    """One axis of a picture.

    Attributes:
        low: value at the left or lower edge.
        high: value at the other edge.
        log: whether it is logarithmic.
        time: whether it is linear, in seconds.
    """

    low: float
    high: float
    log: bool = False
    time: bool = False

    @classmethod
    def around(cls, values: Iterable[float], log: bool = False) -> Scale:
        """Return a scale on which all values have a place, with 4 % to spare; of one value, with room around it."""
        known = [math.log10(value) if log else value for value in values]
        low, high = (min(known), max(known)) if known else (0.0, 1.0)
        spare = 0.04 * (high - low) if high > low else max(0.05 * abs(low), 0.1)
        low, high = low - spare, high + spare
        return cls(10**low, 10**high, True) if log else cls(low, high)

    def share(self, value: float) -> float:
        """Return the place of a value, in percent from the low end."""
        low, high = (math.log10(self.low), math.log10(self.high)) if self.log else (self.low, self.high)
        return 100 * ((math.log10(value) if self.log else value) - low) / (high - low)

    def ticks(self) -> list[float]:
        """Return four to nine round values, where there are such."""
        if self.time:
            return _time_ticks(self.high)
        return _log_ticks(self.low, self.high) if self.log else _linear_ticks(self.low, self.high)


def _linear_ticks(low: float, high: float, about: int = 5) -> list[float]:
    size: float = 10.0 ** math.floor(math.log10((high - low) / about))
    step = next(size * by for by in (1, 2, 5, 10) if (high - low) / (size * by) <= about + 1)
    return [at * step for at in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _time_ticks(high: float, most: int = 6) -> list[float]:
    days = [86_400.0 * 2**power for power in range(20)]
    step = next((step for step in (*_DURATIONS, *days) if high / step <= most), high)
    return [at * step for at in range(math.floor(high / step) + 1)] if high >= _DURATIONS[0] else [0.0]


def _log_ticks(low: float, high: float) -> list[float]:
    decades = math.log10(high / low)
    if decades < 0.5:
        return [value for value in _linear_ticks(low, high) if value > 0]
    by = (1.0,) if decades > 3.5 else (1.0, 3.0) if decades > 1.7 else (1.0, 2.0, 5.0)
    each = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [10.0**power * times for power in each for times in by if low <= 10.0**power * times <= high]


def percent(value: float) -> str:
    """Write a place in percent, to a hundredth."""
    return f"{value:.2f}%"


def energy_tick(nanojoules: float) -> str:
    """Write a round energy: ``500 nJ``, ``2 µJ``."""
    unit, size = next(
        ((u, s) for u, s in (("mJ", 1e6), ("µJ", 1e3), ("nJ", 1.0)) if nanojoules >= 0.9999 * s), ("pJ", 1e-3)
    )
    return f"{nanojoules / size:.6g} {unit}"


def markers() -> Html:
    """Return the shapes that ``mark`` uses, once for the page."""
    shapes = [element("path", id=f"m{at}", d=path) for at, path in enumerate(_PATHS.values())]
    shapes += [element("path", id=name, d=path) for name, path in _OTHERS.items()]
    return element("svg", element("defs", shapes), width="0", height="0", class_="shapes", aria_hidden="true")


def colours(count: int) -> str:
    """Return style rules that give the coding at each place its colour."""
    return "\n".join(f".c{at} {{ color: {look(at)['color']}; }}" for at in range(count))


def shape(which: int | str) -> str:
    """Return where a shape is: that of the coding at a place, or another by its name."""
    return f"#{which}" if isinstance(which, str) else f"#m{list(_PATHS).index(look(which)['marker'])}"


def mark(which: int | str, x: float, y: float, **attributes: object) -> Html:
    """Return a coding's marker, or another, at a place in percent from the lower left corner."""
    return element("use", href=shape(which), x=percent(x), y=percent(100 - y), **attributes)


def key(which: int | str, kind: str | None = None) -> Html:
    """Return a coding's marker, or another of some class, as it stands in a legend or a table."""
    inside = element("use", href=shape(which), x="8", y="8", class_=kind)
    colour = "key" if isinstance(which, str) else f"key c{which}"
    return element("svg", inside, class_=colour, width="16", height="16", aria_hidden="true")


def steps(places: Sequence[tuple[float, float]], right: float = 100.0, **attributes: object) -> Html:
    """Return a line that goes from each place straight on, then up or down to the next, and on to the right edge.

    Args:
        places: in percent from the lower left corner, from left to right.
        right: where it ends.
        attributes: of the group of lines.
    """
    lines: list[Html] = []
    for (x, y), (after, level) in zip(places, [*places[1:], *((right, y) for _, y in places[-1:])], strict=True):
        lines.append(segment(x, y, after, y))
        if level != y:
            lines.append(segment(after, y, after, level))
    return element("g", lines, **attributes)


def segment(x: float, y: float, to_x: float, to_y: float, **attributes: object) -> Html:
    """Return a straight line between two places in percent from the lower left corner."""
    ends = {"x1": percent(x), "y1": percent(100 - y), "x2": percent(to_x), "y2": percent(100 - to_y)}
    return element("line", **ends, **attributes)


def picture(
    body: Sequence[Html],
    across: tuple[Scale, str, Sequence[str]],
    up: tuple[Scale, str],
    label: str,
    **attributes: object,
) -> Html:
    """Return a picture with axes, gridlines and labels.

    Args:
        body: what is drawn.
        across: scale, name and the texts of its ticks.
        up: scale and name of the vertical axis.
        label: the description that screen readers read.
        attributes: of the picture.
    """
    (scale, name, texts), (height, up_name) = across, up
    grid, labels = [], []
    for place, (value, text) in enumerate(zip(scale.ticks(), texts, strict=True)):
        at = scale.share(value)
        dense = "dense" if place % 2 and len(texts) > _FEW else None  # left out where the page is narrow
        grid.append(segment(at, 0, at, 100))
        labels.append(element("text", text, x=percent(at), y="100%", dy="20", text_anchor="middle", class_=dense))
    for value in height.ticks():
        at = height.share(value)
        grid.append(segment(0, at, 100, at))
        labels.append(element("text", f"{value:.4g}", x="-8", y=percent(100 - at), dy=".35em", text_anchor="end"))
    frame = [segment(0, 0, 100, 0), segment(0, 0, 0, 100)]
    drawn = [
        element("g", grid, class_="grid", aria_hidden="true"),
        element("g", frame, class_="axis", aria_hidden="true"),
        element("g", labels, class_="labels", aria_hidden="true"),
        *body,
    ]
    role = attributes.pop("role", "img")
    svg = element("svg", drawn, role=role, aria_label=label, **attributes)
    over = element("div", up_name, class_="up", aria_hidden="true")
    under = element("div", name, class_="across", aria_hidden="true")
    return element("div", over, element("div", svg, class_="plot"), under, class_="picture")
