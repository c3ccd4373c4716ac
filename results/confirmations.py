"""Confirmation of a front: repeats under several seeds in the store, their statistics, and the recomputed front."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, count
from typing import TYPE_CHECKING, TextIO

import numpy as np

from spikefront.results.ended import EndedFront
from spikefront.results.store import schema
from spikefront.results.store.artifacts import environment_json
from spikefront.searchspace.front import losses, nondominated
from spikefront.searchspace.objectives import Objective
from spikefront.searchspace.records import Repeat, Spread
from spikefront.searchspace.trial import Trial
from spikefront.searchspace.units import format_energy, format_quality

if TYPE_CHECKING:
    import pandas

Repeats = Mapping[int, Mapping[int, Mapping[str, float]]]
"""Test metrics by trial and seed."""


class Confirmations(EndedFront):
    """The front of one search, and the repeats of its members.

    The repeats are metrics of the members' runs, ``test.NAME``, with the seed for a step; a repeat that is there is not
    trained again. ``confirmed.NAME`` and ``confirmed.NAME_sd``, ``_low``, ``_high`` hold mean, standard deviation and
    95 % interval, the tag ``confirmed`` whether the member is on the front of the means.
    """

    def known(self, seeds: Iterable[int]) -> set[tuple[int, int]]:
        """Return trials and seeds of the repeats that the store has already."""
        wanted = set(seeds)
        return {(trial, seed) for trial, by_seed in self._repeats().items() for seed in by_seed if seed in wanted}

    def _repeats(self) -> dict[int, dict[int, dict[str, float]]]:
        found: dict[int, dict[int, dict[str, float]]] = {}
        for trial, run in self._runs.items():
            found[trial] = {}
            for name in self._client.get_run(run).data.metrics:
                if name.startswith(schema.TEST_METRIC):
                    for point in self._client.get_metric_history(run, name):
                        metrics = found[trial].setdefault(point.step, {})
                        metrics[name.removeprefix(schema.TEST_METRIC)] = point.value
        return found

    def record(self, total: int, stream: TextIO | None = None) -> Callable[[Repeat], None]:
        """Return a callback that writes the metrics of each repeat to the store, and prints the progress.

        Args:
            total: number of repeats to come.
            stream: where to print; None means stderr.
        """
        number = count(1)

        def take(repeat: Repeat) -> None:
            line = f"[{next(number)}/{total}] trial {repeat.trial}, seed {repeat.seed}: "
            if repeat.reason:
                self._failed[repeat.trial] = repeat.reason
                line += f"failed ({repeat.reason})"
            else:
                metrics = {f"{schema.TEST_METRIC}{name}": value for name, value in repeat.metrics.items()}
                self._log(repeat.trial, metrics, repeat.seed)
                line += f"quality {format_quality(repeat.metrics['quality'])}"
                line += f", energy {format_energy(repeat.metrics['energy_nj'])}"
            print(line, file=stream or sys.stderr, flush=True)

        return take

    def conclude(self, seeds: Sequence[int]) -> tuple[pandas.DataFrame, list[str]]:
        """Recompute the front, write it to the store, and summarise it.

        Args:
            seeds: the repeats that count.

        Returns:
            A row for each member, cheapest first, and sentences.
        """
        import pandas

        repeats = {
            trial: {seed: metrics for seed, metrics in by_seed.items() if seed in seeds}
            for trial, by_seed in self._repeats().items()
        }
        members = confirm_front(self.members, repeats, self.search.objectives)
        failed = {trial: self._failed.get(trial, "no repeat") for trial, by_seed in repeats.items() if not by_seed}
        self._write(members, failed, seeds)
        rows = [_row(member) for member in members]
        return pandas.DataFrame(rows), summary(members, failed, self.search.objectives[0].maximize)

    def _write(self, members: Sequence[Confirmed], failed: Mapping[int, str], seeds: Sequence[int]) -> None:
        """Write spreads and tags to the members' runs, and all of it to ``confirmed.json`` of the search."""
        for member in members:
            run = member.trial.run_id
            for name, spread in member.spreads.items():
                values = {f"{schema.CONFIRMED_METRIC}{key}": value for key, value in _named(name, spread).items()}
                self._log(member.trial.number, values, 0)
            beaten_by = "" if member.beaten_by is None else str(member.beaten_by)
            self._client.set_tag(run, schema.CONFIRMED, schema.TRUE if member.stays else schema.FALSE)
            self._client.set_tag(run, schema.BEATEN_BY, beaten_by)
            self._client.set_tag(run, schema.CONFIRMED_SEEDS, ",".join(map(str, seeds)))
        for trial in failed:
            self._client.set_tag(self._runs[trial], schema.CONFIRMED, "failed")
        document = {
            "search": self.search.name,
            "task": self.search.task,
            "split": "test; trained on training and validation",
            "seeds": list(seeds),
            "environment": json.loads(environment_json()),
            "members": [
                {
                    "trial": member.trial.number,
                    "stays": member.stays,
                    "beaten_by": member.beaten_by,
                    "candidate": member.trial.candidate,
                    "selected": member.trial.metrics,
                    "test": {name: _named(name, spread) for name, spread in member.spreads.items()},
                }
                for member in members
            ],
            "failed": {str(trial): reason for trial, reason in failed.items()},
        }
        self._client.log_text(self.search.run_id, json.dumps(document, indent=2), schema.CONFIRMED_FILE)


def _named(name: str, spread: Spread) -> dict[str, float]:
    values = {name: spread.mean, f"{name}_sd": spread.sd, f"{name}_low": spread.low, f"{name}_high": spread.high}
    return {key: value for key, value in values.items() if math.isfinite(value)}


def _row(member: Confirmed) -> dict[str, object]:
    quality, energy = member.spreads["quality"], member.spreads["energy_nj"]
    interval = f"{format_quality(quality.low)} to {format_quality(quality.high)}" if quality.seeds > 1 else ""
    return {
        "trial": member.trial.number,
        "coding": member.trial.coding,
        "validation": member.trial.metrics["quality"],
        "test": quality.mean,
        "sd": quality.sd,
        "95 % interval": interval,
        "energy_nj": energy.mean,
        "energy_sd_nj": energy.sd,
        "seeds": quality.seeds,
        "front": "stays" if member.stays else f"beaten by {member.beaten_by}",
    }


@dataclass(frozen=True, slots=True)
class Confirmed:
    """A member of a front with its statistics over seeds.

    Attributes:
        trial: its trial, with the validation metrics with which it was selected.
        spreads: by metric, on the test split.
        stays: whether it is on the front of the means.
        beaten_by: number of a member that dominates it, where it does not stay.
    """

    trial: Trial
    spreads: Mapping[str, Spread]
    stays: bool
    beaten_by: int | None


def confirm_front(members: Sequence[Trial], repeats: Repeats, objectives: Sequence[Objective]) -> list[Confirmed]:
    """Recompute the front from the means over seeds.

    Args:
        members: the members of the front.
        repeats: test metrics by trial and seed. A member of which every repeat failed is left out.
        objectives: the axes of the front; the first is quality.

    Returns:
        The members, cheapest first by mean energy.
    """
    trials = [trial for trial in members if repeats.get(trial.number)]
    spreads = [_spreads(list(repeats[trial.number].values()), objectives) for trial in trials]
    scaled = losses([[spread[axis.metric].mean for axis in objectives] for spread in spreads], objectives)
    on_front = nondominated(scaled)
    found = []
    for row, trial in enumerate(trials):
        better = [i for i in range(len(trials)) if (scaled[i] <= scaled[row]).all() and (scaled[i] < scaled[row]).any()]
        beaten_by = None if on_front[row] else trials[min(better, key=lambda i: float(scaled[i].sum()))].number
        found.append(Confirmed(trial, spreads[row], bool(on_front[row]), beaten_by))
    return sorted(found, key=lambda member: member.spreads["energy_nj"].mean)


def _spreads(repeats: Sequence[Mapping[str, float]], objectives: Sequence[Objective]) -> dict[str, Spread]:
    """Return the spreads of the metrics that all repeats of a member have."""
    names = [name for name in repeats[0] if all(name in repeat for repeat in repeats)]
    values = {name: [repeat[name] for repeat in repeats] for name in names}
    return {name: spread_of(values[name], *_range(name, values[name], objectives)) for name in names}


def spread_of(values: Sequence[float], least: float = -math.inf, most: float = math.inf) -> Spread:
    """Return mean, standard deviation and 95 % interval of at least one value, by Student's t.

    The interval assumes normally distributed values, and that the seeds are all that varies: the splits are fixed.
    Of few seeds it can reach beyond what the metric can be, such as an accuracy above 1, and is cut there, which
    takes nothing from its coverage. An interval for shares (Wilson) would be of the samples drawn for the split.

    Args:
        values: one for each seed.
        least: the least that the metric can be.
        most: the most that it can be.
    """
    from scipy.stats import t

    n, mean = len(values), float(np.mean(values))
    if n == 1:
        return Spread(1, mean, math.nan, math.nan, math.nan)
    sd = float(np.std(values, ddof=1))
    half = float(t.ppf(0.975, n - 1)) * sd / math.sqrt(n)
    return Spread(n, mean, sd, max(mean - half, least), min(mean + half, most))


def _range(metric: str, values: Sequence[float], objectives: Sequence[Objective]) -> tuple[float, float]:
    """Return the least and the most that a metric can be.

    Quality ends at the best possible. Its worst is where hypervolume begins, which for accuracy is an end, too, but not
    for R2: it counts unless a value lies beyond. An axis that is logarithmic has no values below 0.
    """
    axis = next((axis for axis in objectives if axis.metric == metric), None)
    if axis is None:
        return -math.inf, math.inf
    if axis.log:
        return 0.0, math.inf
    least, most = sorted((axis.worst, axis.best))
    return (least if min(values) >= least else -math.inf, most if max(values) <= most else math.inf)


def rank_changes(members: Sequence[Confirmed]) -> tuple[int, int]:
    """Count the pairs of members whose order in quality differs between test split and selection.

    Returns:
        How many changed, and how many pairs there are; equal at selection, or in the means, is no change.
    """
    pairs = list(combinations(members, 2))
    changed = sum(
        (one.trial.metrics["quality"] - other.trial.metrics["quality"])
        * (one.spreads["quality"].mean - other.spreads["quality"].mean)
        < 0
        for one, other in pairs
    )
    return changed, len(pairs)


def optimism(members: Sequence[Confirmed]) -> float:
    """Return by how much quality at selection was above that on the test split, on average over the members."""
    return float(np.mean([member.trial.metrics["quality"] - member.spreads["quality"].mean for member in members]))


def summary(members: Sequence[Confirmed], failed: Mapping[int, str], maximize: bool = True) -> list[str]:
    """Return the result of confirming in sentences.

    Args:
        members: what ``confirm_front`` returned.
        failed: why no repeat of a member succeeded, by trial.
        maximize: whether more quality is better.
    """
    fell = [member for member in members if not member.stays]
    lines = [f"{len(members) - len(fell)} of {len(members) + len(failed)} members stay on the front"]
    lines += [
        f"trial {member.trial.number} fell off: trial {member.beaten_by} is better on the test split, "
        "on the mean over seeds"
        for member in fell
    ]
    lines += [f"trial {trial} could not be confirmed: {reason}" for trial, reason in failed.items()]
    if members:
        by = optimism(members)
        worse = by > 0 if maximize else by < 0
        why = "the best of many on one seed is in part luck" if worse else "training has the validation samples, too"
        lines.append(
            f"quality on the test split is {format_quality(abs(by))} {'worse' if worse else 'better'} than "
            f"at selection, on average: {why}"
        )
        changed, pairs = rank_changes(members)
        lines.append(f"{changed} of {pairs} pairs of members changed their order in quality")
    return lines
