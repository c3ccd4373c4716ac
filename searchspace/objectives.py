"""Objectives and limits of a search: the axes of a front, with direction, scale and format, and bounds on metrics."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Final

from spikefront.searchspace.errors import UnknownName, UsageError, shown
from spikefront.searchspace.units import format_energy, format_quality


def format_number(value: float) -> str:
    """Write a number with four digits; from 10,000 on, whole and with thousands separated."""
    return f"{value:,.0f}" if abs(value) >= 10_000 and math.isfinite(value) else f"{value:.4g}"


_STYLES: Final[Mapping[str, Callable[[float], str]]] = {
    "number": format_number,
    "quality": format_quality,
    "energy": format_energy,
}


@dataclass(frozen=True, slots=True)
class Objective:
    """One axis of the front.

    Attributes:
        metric: name of the metric.
        maximize: whether more is better.
        worst: value that counts as no achievement; hypervolume is measured from here.
        best: the ideal value.
        log: whether the axis is logarithmic (base 10).
        name: what users call it, for example ``energy``; the metric's name when empty.
        title: heading of tables and axes, in lower case; the name in words when empty.
        unit: unit of the metric, for example ``nJ``; empty for a count or a share.
        style: how a value is written: ``number``, ``quality`` or ``energy``.
        floor: on a logarithmic axis, the value below which all count the same; None where values must be positive.
        measure: computes the metric from the measured ones; None where it is measured itself.
    """

    metric: str
    maximize: bool
    worst: float
    best: float
    log: bool = False
    name: str = ""
    title: str = ""
    unit: str = ""
    style: str = "number"
    floor: float | None = None
    measure: Callable[[Mapping[str, float]], float] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.name or self.metric)
        object.__setattr__(self, "title", self.title or self.name.replace("_", " ").replace("-", " "))
        if self.style not in _STYLES:
            raise UnknownName("style", self.style, _STYLES)
        if not (math.isfinite(self.worst) and math.isfinite(self.best)) or self.worst == self.best:
            raise UsageError(
                f"objective {self.name}: worst {self.worst:g} and best {self.best:g} must be finite, differ"
            )
        if (self.best > self.worst) != self.maximize:
            raise UsageError(
                f"objective {self.name}: best {self.best:g} must lie {'above' if self.maximize else 'below'} "
                f"worst {self.worst:g}"
            )
        if self.log and min(self.best, self.worst, 1.0 if self.floor is None else self.floor) <= 0:
            raise UsageError(f"objective {self.name}: a logarithmic axis needs best, worst and floor above 0")

    def problem(self, metrics: Mapping[str, float]) -> str | None:
        """Return why a trial with these metrics has no place on this axis, or None."""
        if self.metric not in metrics:
            return f"{self.metric} is missing"
        value = metrics[self.metric]
        if not math.isfinite(value) or (self.log and self.floor is None and value <= 0):
            return f"{self.metric} is {value:g}"
        return None

    def scaled(self, value: float) -> float:
        """Return the value as the sampler sees it: its logarithm where the axis is logarithmic."""
        if not self.log:
            return value
        return math.log10(value if self.floor is None else max(value, self.floor))

    def loss(self, value: float) -> float:
        """Return the value on a scale to be minimised, on which ``best`` is 0 and ``worst`` is 1."""
        worst, best = self.scaled(self.worst), self.scaled(self.best)
        return (self.scaled(value) - best) / (worst - best)

    def format(self, value: float | None) -> str:
        """Write a value with its unit; empty for None and NaN."""
        if value is None or math.isnan(value):
            return ""
        if self.style == "energy" and not (0 < value < math.inf):
            return "0 nJ" if value == 0 else ""
        text = _STYLES[self.style](value)
        return f"{text} {self.unit}" if self.unit and self.style == "number" else text

    @property
    def label(self) -> str:
        """Heading with the unit of the raw value, for example ``energy per sample (nJ)``."""
        return f"{self.title} ({self.unit})" if self.unit else self.title

    def heading(self, quality: str) -> str:
        """Return the heading of its column: its short name, of quality the task's own name for quality."""
        return quality if self.metric == "quality" else self.name.replace("-", " ").replace("_", " ")

    def plain(self) -> dict[str, Any]:
        """Return the fields that JSON holds: all but ``measure``."""
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name != "measure"}


DEFAULT_ENERGY_MODEL: Final = "horowitz-45nm"
"""Energy model of a search that names none."""

ENERGY: Final = Objective(
    "energy_nj", maximize=False, worst=1e7, best=1e-3, log=True,
    name="energy", title="energy per sample", unit="nJ", style="energy",
)  # fmt: skip
"""Energy per sample: from 1 pJ to 10 mJ, ten decades.

The ideal is about what one addition of 32 bits takes at 45 nm, with which no network does anything, so that the
hypervolume tells apart whatever is cheap. That of a search holds for the ideal that it began with, see
``EARLIER_ENERGY``.
"""

EARLIER_ENERGY: Final = replace(ENERGY, best=1.0)
"""The axis of searches that do not say theirs, which earlier versions wrote: from 1 nJ on, and 0.76 nJ exists."""

ENERGY_ERROR: Final = "energy_se_nj"
"""Metric with the standard error of the energy, over the samples that it was measured on."""

LATENCY: Final = Objective(
    "latency_steps", maximize=False, worst=64.0, best=1.0, log=True, name="latency", unit="steps"
)
"""Time steps from the first input to the output."""

OBJECTIVES: Final[Mapping[str, Objective]] = {
    axis.name: axis
    for axis in (
        ENERGY,
        LATENCY,
        Objective(
            "latency_us", maximize=False, worst=1e6, best=1.0, log=True,
            name="latency-us", title="time to the output", unit="µs",
        ),
        Objective(
            "edp_uj_s", maximize=False, worst=1e4, best=1e-9, log=True,
            name="edp", title="energy-delay product", unit="µJ s",
        ),
        Objective("parameters", maximize=False, worst=1e9, best=1.0, log=True, floor=1.0),
        Objective("sops", maximize=False, worst=1e12, best=1.0, log=True, floor=1.0, title="synaptic operations"),
        Objective("macs", maximize=False, worst=1e12, best=1.0, log=True, floor=1.0, title="multiply-accumulates"),
        Objective(
            "macs_every_step", maximize=False, worst=1e12, best=1.0, log=True, floor=1.0,
            name="macs-every-step", title="multiply-accumulates at every step",
        ),
        Objective(
            "attention_nj", maximize=False, worst=1e7, best=1e-3, log=True, floor=1e-3,
            name="attention", title="energy of attention", unit="nJ", style="energy",
        ),
        Objective("spike_rate", maximize=False, worst=1.0, best=0.0, name="spike-rate"),
        Objective("min_layer_rate", maximize=False, worst=1.0, best=0.0, name="min-layer-rate", title="lowest rate"),
        Objective("max_layer_rate", maximize=False, worst=1.0, best=0.0, name="max-layer-rate", title="highest rate"),
        Objective("loss", maximize=False, worst=10.0, best=0.0, title="training loss"),
        Objective(
            "seconds", maximize=False, worst=86_400.0, best=1e-3, log=True, floor=1e-3,
            title="time of an epoch", unit="s",
        ),
        Objective(
            "peak_memory_mb", maximize=False, worst=1e6, best=100.0, log=True, floor=1.0,
            name="memory", title="peak memory of training", unit="MB",
        ),
        Objective(
            "ann_quality", maximize=True, worst=0.0, best=1.0,
            name="ann-quality", title="quality of the ANN", style="quality",
        ),
    )
}  # fmt: skip
"""Measured metrics that can be objectives beside quality, by the names that users give."""


OF_THE_MACHINE: Final = ("seconds", "ann_trained", "peak_memory_mb", "peak_gpu_memory_mb", "recomputed")
"""Metrics that another training of the same candidate need not repeat."""


def quality_objective(*, maximize: bool, worst: float, best: float) -> Objective:
    """Return the first axis of every front: the task's quality."""
    return Objective("quality", maximize, worst, best, style="quality")


_NARROWEST: Final = 1e-30
"""Least distance of best and worst, beyond which a hypervolume has no digits left."""


def find_objective(text: str, known: Mapping[str, Objective] = OBJECTIVES) -> Objective:
    """Return an objective by its name, by its metric, or as ``METRIC:BEST..WORST``, which any metric can be.

    Raises:
        UnknownName: when there is none of that name.
        UsageError: when best and worst are not two different numbers.
    """
    metric, colon, bounds = text.partition(":")
    if colon:
        best, _, worst = bounds.partition("..")
        try:
            if not (bounds.isascii() and re.fullmatch(r"[\w./ -]{1,100}", metric, re.ASCII)):
                raise ValueError
            low, high = float(best), float(worst)
        except ValueError:
            raise UsageError(f"objective {shown(text)} must read METRIC:BEST..WORST, for example loss:0..5") from None
        if math.isfinite(low + high) and low != high and not _NARROWEST <= abs(low - high) <= 1 / _NARROWEST:
            raise UsageError(
                f"objective {shown(text)}: best and worst must be between {_NARROWEST:g} and {1 / _NARROWEST:g} apart"
            )
        return Objective(metric, maximize=low > high, worst=high, best=low)
    for axis in known.values():
        if text in (axis.name, axis.metric):
            return axis
    raise UnknownName("objective", text, [*known, "quality"])


def write_objectives(objectives: Iterable[Objective]) -> str:
    """Return objectives as JSON, for ``read_objectives``."""
    return json.dumps([axis.plain() for axis in objectives])


def read_objectives(text: str) -> tuple[Objective, ...]:
    """Read objectives from JSON.

    Objectives written before they had a name, title or unit take these from the built-in objective of their metric.

    Raises:
        UsageError: when it is not what ``write_objectives`` returns.
    """
    try:
        every = json.loads(text)
    except (ValueError, RecursionError):
        every = None
    if not isinstance(every, list) or not every:
        raise UsageError("it is not JSON of a list of objectives")
    built_in = {axis.metric: axis.plain() for axis in OBJECTIVES.values()} | {"quality": {"style": "quality"}}
    found = []
    for stored in every:
        if not isinstance(stored, dict) or not stored.keys() >= _REQUIRED:
            raise UsageError(f"an objective needs {', '.join(sorted(_REQUIRED))}")
        values = {key: value for key, value in stored.items() if key in _FIELDS}
        for key, value in values.items():
            is_number = type(value) in (int, float)
            if type(value) not in _FIELDS[key] or (is_number and not abs(value) < _MOST):
                raise UsageError(f"{key} of an objective can't be {shown(value)}")
        found.append(Objective(**{**built_in.get(values["metric"], {}), **values}))
    if len({axis.metric for axis in found}) < len(found):
        raise UsageError("two objectives have the same metric")
    return tuple(found)


_FIELDS: Final[Mapping[str, tuple[type, ...]]] = {
    "metric": (str,), "maximize": (bool,), "worst": (float, int), "best": (float, int), "log": (bool,),
    "name": (str,), "title": (str,), "unit": (str,), "style": (str,), "floor": (float, int, type(None)),
}  # fmt: skip
"""Fields of an objective that JSON holds, and their types."""
_REQUIRED: Final = frozenset({"metric", "maximize", "worst", "best"})
_MOST: Final = 1e300


@dataclass(frozen=True, slots=True)
class Limits:
    """What a candidate should keep to; the sampler learns to prefer those that do.

    Attributes:
        max_energy_nj: energy per sample, in nanojoules.
        max_latency_steps: time steps to the output.
        max_parameters: learnt parameters.
        min_quality: quality on the validation split.
    """

    max_energy_nj: float | None = None
    max_latency_steps: float | None = None
    max_parameters: float | None = None
    min_quality: float | None = None

    def violations(self, metrics: Mapping[str, float], maximize: bool = True) -> dict[str, float]:
        """Return how far each limit is overstepped, 0 or less where it is kept.

        Energy, latency and parameters are compared by the logarithm of their ratio to the limit: one scale for all.

        Args:
            metrics: what was measured.
            maximize: whether more quality is better; ``min_quality`` is else the most that is allowed.
        """
        found = {}
        for metric in ("energy_nj", "latency_steps", "parameters"):
            limit = getattr(self, f"max_{metric}")
            if limit is not None:
                found[metric] = math.log10(max(metrics[metric], 1e-9) / limit)
        if self.min_quality is not None:
            found["quality"] = (self.min_quality - metrics["quality"]) * (1 if maximize else -1)
        return found


NO_LIMITS: Final = Limits()
