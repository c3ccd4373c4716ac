"""What a task needs of time and order: paired differences between a whole network and its variants, and a verdict."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from spikefront.results.confirmed import spread_of
from spikefront.results.verdicts import paired_differences
from spikefront.searchspace.records import Spread
from spikefront.searchspace.temporal import MEANINGS, OF_INPUTS, Variant
from spikefront.searchspace.units import format_quality

if TYPE_CHECKING:
    import pandas

    from spikefront.results.searches import StoredSearch
    from spikefront.searchspace import Value

Need = Literal["yes", "no", "undecided"]

EQUIVALENT: Final = 0.02
"""Share of what lies between chance and the best possible quality below which a difference counts as none."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Qualities of the variants of one candidate over seeds.

    Attributes:
        task: the task.
        candidate: the flat candidate.
        quality: name of the quality.
        maximize: whether more of it is better.
        chance: quality of the best output that is the same for every sample.
        best: the best possible quality.
        is_static: whether an input is one point that stands still.
        values: by variant and seed; of variants that were trained.
        left_out: why there are no variants of the neurons; empty where there are.
        blind: whether order makes no difference to the network without state.
        equivalent: what counts as no difference; None for ``EQUIVALENT`` of the range.
    """

    task: str
    candidate: Mapping[str, Value]
    quality: str
    maximize: bool
    chance: float
    best: float
    is_static: bool
    values: Mapping[Variant, Mapping[int, float]]
    left_out: str = ""
    blind: bool = False
    equivalent: float | None = None

    @property
    def margin(self) -> float:
        """What counts as no difference, in the unit of quality."""
        return EQUIVALENT * abs(self.best - self.chance) if self.equivalent is None else self.equivalent

    def of(self, variant: Variant) -> Mapping[int, float]:
        """Return the qualities of a variant by seed; of one that is the same as the whole network, its own."""
        same = self.is_static and variant in OF_INPUTS
        return self.values.get(Variant.FULL if same else variant, {})

    def cost(self, variant: Variant) -> Spread | None:
        """Return what a variant costs, under the seeds that it and the whole network share; None without two.

        Positive where the whole network is better.
        """
        full, other = self.of(Variant.FULL), self.of(variant)
        seeds = [seed for seed in full if seed in other]
        sign = 1.0 if self.maximize else -1.0
        found = sign * paired_differences([full[seed] for seed in seeds], [other[seed] for seed in seeds])
        return spread_of(found.tolist()) if len(found) > 1 else None

    @property
    def has_learnt(self) -> bool:
        """Whether the whole network is surely better than chance: its 95 % interval is."""
        values = list(self.of(Variant.FULL).values())
        if len(values) < 2:
            return False
        spread = spread_of(values)
        return spread.low > self.chance if self.maximize else spread.high < self.chance

    def needs(self, variant: Variant) -> Need:
        """Return whether a task needs what a variant takes away."""
        cost = self.cost(variant)
        if cost is None or not self.has_learnt:
            return "undecided"
        if cost.low > 0:
            return "yes"
        return "no" if cost.high <= self.margin else "undecided"

    @property
    def needs_order(self) -> Need:
        """Whether a task needs order.

        To shuffle each sample must cost quality; and so must the loss of state, where that makes the network blind to
        order. Else it may be that the state of a network is disturbed by shuffled points, and of no other use.
        """
        need = self.needs(Variant.SHUFFLE_EACH)
        return "undecided" if need == "yes" and self.state_is_useless else need

    @property
    def state_is_useless(self) -> bool:
        """Whether a network that is blind to order was trained, and is not surely worse than the whole one."""
        cost = self.cost(Variant.NO_STATE)
        return self.blind and cost is not None and cost.low <= 0


@dataclass(frozen=True, slots=True)
class TemporalProbe:
    """How much a task needs time and order.

    Attributes:
        task: the task.
        candidate: the flat candidate that was trained.
        needs_order: whether shuffling the points of each sample costs quality, and no network that is blind to order
            does as well: ``yes``, ``no`` or ``undecided``.
        needs_time: whether summing all points into each does.
        answer: sentences.
        values: qualities on the validation split, by the name of a variant and by seed.
        table: a row for each variant.
    """

    task: str
    candidate: Mapping[str, Value]
    needs_order: Need
    needs_time: Need
    answer: tuple[str, ...]
    values: Mapping[str, Mapping[int, float]]
    table: pandas.DataFrame = field(repr=False)

    @property
    def text(self) -> str:
        """The answer, a sentence a line."""
        return "\n".join(self.answer)

    def __str__(self) -> str:
        return self.text

    def document(self) -> dict[str, Any]:
        """Return what ``probed.json`` says; a number that is not finite is None."""
        rows = self.table.astype(object).where(self.table.notna(), None).to_dict("records")
        return {
            "task": self.task,
            "split": "validation",
            "candidate": dict(self.candidate),
            "needs_order": self.needs_order,
            "needs_time": self.needs_time,
            "answer": list(self.answer),
            "variants": rows,
        }


def keep_probe(search: StoredSearch, found: TemporalProbe) -> None:
    """Write what a task needs to ``probed.json`` of a search on it, and its report anew.

    Args:
        search: the search.
        found: the answer.
    """
    from spikefront.results.report import keep_report
    from spikefront.results.store.artifacts import keep_text
    from spikefront.results.store.schema import PROBED_FILE

    keep_text(search.store, search.run_id, json.dumps(found.document(), indent=2, allow_nan=False), PROBED_FILE)
    keep_report(search.store, search.name)


def conclude(measured: Measured) -> TemporalProbe:
    """Return what qualities say."""
    return TemporalProbe(
        task=measured.task,
        candidate=measured.candidate,
        needs_order=measured.needs_order,
        needs_time=measured.needs(Variant.SUM),
        answer=tuple(_sentences(measured)),
        values={str(variant): dict(values) for variant, values in measured.values.items()},
        table=_table(measured),
    )


def _table(measured: Measured) -> pandas.DataFrame:
    """Return a row for each variant that there is: its quality, and what it costs, with 95 % intervals."""
    import pandas

    rows = []
    for variant in Variant:
        values = list(measured.of(variant).values())
        if not values:
            continue
        spread, cost = spread_of(values), measured.cost(variant)
        is_other = variant is not Variant.FULL
        rows.append(
            {
                "variant": str(variant),
                "quality": spread.mean,
                "quality_low": spread.low,
                "quality_high": spread.high,
                "costs": cost.mean if cost and is_other else math.nan,
                "costs_low": cost.low if cost and is_other else math.nan,
                "costs_high": cost.high if cost and is_other else math.nan,
                "seeds": spread.seeds,
                "network": _meaning(variant, measured),
            }
        )
    return pandas.DataFrame(rows)


def _meaning(variant: Variant, measured: Measured) -> str:
    same = measured.is_static and variant in OF_INPUTS
    return "the same: an input is one point" if same else MEANINGS[variant]


def _sentences(measured: Measured) -> Sequence[str]:
    """Return the verdict, and what state and the gradient through time are worth."""
    if not measured.has_learnt:
        values = list(measured.of(Variant.FULL).values())
        mean = format_quality(sum(values) / len(values)) if values else "nothing"
        return [
            f"Undecided: the network has not learnt {measured.task} (mean {measured.quality} {mean}, "
            f"{format_quality(measured.chance)} without looking); give --epochs, or another network by --set."
        ]
    worth = [
        f"{what} {_said(cost, measured.quality)}."
        for variant, what in (
            (Variant.LAST, "To read out the last step only costs"),
            (Variant.NO_STATE, "To take the state of the neurons away costs"),
            (Variant.SPATIAL, "To cut the gradient through time costs"),
        )
        if (cost := measured.cost(variant)) is not None
    ]
    if measured.left_out:
        worth.append(f"What state and its gradient are worth is left out: {measured.left_out}.")
    return [*_verdict(measured), *worth]


def _verdict(measured: Measured) -> Sequence[str]:
    task = measured.task
    if measured.is_static:
        return [
            f"{task} needs neither order nor time: an input is one point that stands still, so shuffled and summed "
            "inputs are the same inputs."
        ]
    order, time = "to shuffle the points of each sample", "to sum all points into each"
    return [
        _need(measured, Variant.SHUFFLE_EACH, measured.needs_order, "order", order),
        _need(measured, Variant.SUM, measured.needs(Variant.SUM), "time", time),
    ]


def _need(measured: Measured, variant: Variant, need: Need, what: str, done: str) -> str:
    """Return whether the task needs order, or time, in a sentence."""
    task, cost = measured.task, measured.cost(variant)
    undecided = f"Whether {task} needs {what} is undecided: "
    if cost is None:
        return undecided + "fewer than two seeds were trained to the end."
    said = f"{done} costs {_said(cost, measured.quality)}"
    if need != "undecided":
        return f"{task} {'needs' if need == 'yes' else 'needs no'} {what}: {said}."
    if cost.low > 0:
        return (
            f"{undecided}{said}, but a network without state, to which order makes no difference, is not surely "
            "worse than the whole one; a network that makes more of its state decides (--epochs, --set)."
        )
    nothing = format_quality(measured.margin)
    return f"{undecided}{said}, and less than {nothing} would count as nothing; more seeds decide (--seeds)."


def _said(cost: Spread, quality: str) -> str:
    low, high = format_quality(cost.low), format_quality(cost.high)
    return f"{format_quality(cost.mean)} of {quality} (95 % interval {low} to {high}, {cost.seeds} seeds)"
