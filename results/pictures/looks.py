"""Looks that all pictures share: colours and marks of codings, axes of objectives, marks that a selection dims."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import altair as alt

from spikefront.searchspace import Objective, Trial

_COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#B8860B", "#56B4E9", "#7F7F7F", "#8A5CC2")
"""Okabe and Ito's palette, told apart by colour-blind readers; mid tones, legible on white and on black."""
_STAR: Final = "M0,-1.1L.27,-.37L1.05,-.34L.43,.14L.65,.89L0,.45L-.65,.89L-.43,.14L-1.05,-.34L-.27,-.37Z"
_SHAPES: Final = {
    "circle": "●",
    "square": "■",
    "diamond": "◆",
    "triangle-up": "▲",
    "triangle-down": "▼",
    "cross": "✚",
    "triangle-right": "▶",
    "triangle-left": "◀",
    _STAR: "★",
}
"""Shapes of Vega, with the letters that look like them."""
PICKED: Final = "picked"
"""Parameter of every picture of trials: null, or an object that has the numbers of the trials to be shown alone."""
CHOSEN: Final = "chosen"
"""Parameter of the front: null, or the number of the trial that a page tells about."""
_DIM: Final = 0.06
WIDTH: Final = 640
HEIGHT: Final = 380
LINE: Final = _COLOURS[0]
"""Colour of a line that belongs to no coding."""
MISTAKE: Final = _COLOURS[1]
"""Colour of what is wrong, or negative."""


def look(index: int) -> tuple[str, str]:
    """Return colour and shape of the coding at this place; 72 of them differ, since 8 and 9 share no divisor."""
    return _COLOURS[index % len(_COLOURS)], list(_SHAPES)[index % len(_SHAPES)]


def letter(index: int) -> tuple[str, str]:
    """Return colour and shape of the coding at this place, the shape as a letter, for legends in text."""
    colour, shape = look(index)
    return colour, _SHAPES[shape]


def coding_scales(codings: Sequence[str], title: str | None = None) -> dict[str, Any]:
    """Return the channels that give each coding its colour and its shape."""
    looks = [look(at) for at in range(len(codings))]
    legend = alt.Legend(title=title, symbolOpacity=1, symbolSize=90)
    return {
        "color": alt.Color("coding:N", legend=legend).scale(domain=codings, range=[one for one, _ in looks]),
        "shape": alt.Shape("coding:N", legend=legend).scale(domain=codings, range=[one for _, one in looks]),
    }


def picked() -> alt.Parameter:
    """Return the parameter ``PICKED``, for the top of a chart."""
    return alt.param(name=PICKED, value=None)


def dimmed(opacity: float = 1.0) -> alt.OpacityValue:
    """Return the opacity of marks of trials: that given, and next to none for those that are not picked."""
    return alt.OpacityValue(_DIM, condition={"test": f"!{PICKED} || {PICKED}[datum.trial]", "value": opacity})


def tips(*fields: str | alt.Tooltip) -> list[alt.Tooltip]:
    """Return what is shown when a mark is pointed at; Altair itself takes 10 ms for each field given as text."""
    return [field if isinstance(field, alt.Tooltip) else alt.Tooltip(field) for field in fields]


def edges(values: Sequence[float], log: bool) -> tuple[float, float]:
    """Return the ends of an axis on which all values have a place, with 4 % to spare; of one value, with room."""
    known = [math.log10(value) if log else value for value in values]
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    spare = 0.04 * (high - low) if high > low else max(0.05 * abs(low), 0.1)
    low, high = low - spare, high + spare
    return (10**low, 10**high) if log else (low, high)


def axis(objective: Objective, values: Sequence[float], title: str) -> dict[str, Any]:
    """Return title, scale and axis of a channel on which an objective lies.

    Args:
        objective: the objective.
        values: all values that are drawn, as ``position`` gives them.
        title: what the axis is called; energies have their units at the ticks.
    """
    low, high = edges(values, objective.log)
    looks: dict[str, Any] = {"labelOverlap": "greedy", "labelSeparation": 8, "tickCount": 6}
    if objective.log:
        decades = math.log10(high / low)
        shown = [1] if decades > 3.5 else [1, 3] if decades > 1.7 else [1, 2, 5] if decades > 0.8 else []
        mantissa = "round(datum.value / pow(10, floor(log(datum.value) / LN10 + 1e-9)))"
        text = _ENERGY_TEXT if objective.style == "energy" else "format(datum.value, '~g')"
        looks["labelExpr"] = f"indexof({shown}, {mantissa}) >= 0 ? {text} : ''" if shown else text
    elif objective.style == "energy":
        looks["labelExpr"] = _ENERGY_TEXT
    scale = alt.Scale(type="log" if objective.log else "linear", domain=[low, high], nice=False)
    return {"title": title, "scale": scale, "axis": alt.Axis(**looks)}


_UNITS: Final = (("mJ", 1e6), ("µJ", 1e3), ("nJ", 1.0), ("pJ", 1e-3))
_ENERGY_TEXT: Final = (
    "".join(
        f"datum.value >= {0.9999 * size:g} ? format(datum.value / {size:g}, '~g') + ' {unit}' : "
        for unit, size in _UNITS
    )
    + "format(datum.value, '~g') + ' nJ'"
)
ENERGY_AXIS: Final = alt.Axis(labelExpr=_ENERGY_TEXT, labelOverlap="greedy", labelSeparation=8, tickCount=6)
"""Axis of an energy in nanojoules, whose ticks have units."""


def across_title(objective: Objective) -> str:
    """Return the title of the axis beside quality; that of energies leaves the unit to the ticks."""
    return objective.title if objective.style == "energy" else objective.label


def quality_label(quality: str, objective: Objective) -> str:
    """Return the label of an axis of quality: ``accuracy (validation)``, and where less is better, that.

    Args:
        quality: the task's own name for quality.
        objective: the objective.
    """
    return f"{quality} (validation)" + ("" if objective.maximize else ", less is better")


def position(trial: Trial, objective: Objective) -> float:
    """Return where a comparable trial lies on an axis: its value, not below the axis's floor."""
    value = trial.metrics[objective.metric]
    return value if objective.floor is None else max(value, objective.floor)
