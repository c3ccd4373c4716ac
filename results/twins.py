"""Comparison of front members with their ANN twins, in the store: the same seeds, the same split, a paired test."""

from __future__ import annotations

import json
import math
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any, Final, Literal, TextIO

import numpy as np

from spikefront.results.confirmed import successes
from spikefront.results.ended import EndedFront
from spikefront.results.store import schema
from spikefront.results.store.artifacts import environment_json
from spikefront.results.store.connection import Store
from spikefront.results.verdicts import Order, holm, orders, paired_p
from spikefront.searchspace.errors import OptionError
from spikefront.searchspace.records import LayerEnergy, Repeat, Verdict
from spikefront.searchspace.trial import read_name
from spikefront.searchspace.units import format_energy, format_quality

if TYPE_CHECKING:
    import pandas

Pairs = list[tuple[str, int]]
"""Names of trials, and seeds."""

NONE: Final = "none"
"""Value of the tag ``twin`` of a member that has none; ``twin.reason`` has the reason."""
UNCONFIRMED_SEEDS: Final = 3
"""Seeds under which members of a front that was not confirmed are compared."""
_TWINS: Final = ("ann", "quantised")
_MEMBER: Final = "member"
MEMBER_METRIC: Final = f"{schema.TWIN_METRIC}validation.{_MEMBER}."
"""Prefix of the metrics of members themselves, by seed, that were trained to be compared on the validation split."""


class Twins(EndedFront):
    """The front of one search, and the results of its members' twins.

    Where the front was confirmed, the twins are trained under the seeds of the confirmation on training and validation
    split, and compared with the repeats of the confirmation on the test split. Where it was not, members and twins are
    trained under the same fresh seeds on the training split, and compared on the validation split: as selected, a
    member would be the best of many on one seed, and its twin one draw.

    ``twin.SPLIT.ann.quality`` and the like are metrics of the members' runs, with the seed for a step;
    ``twin.ann.quality``, ``twin.member.quality`` and so on hold their means; the tag ``twin`` holds the verdict. What
    the store has is not measured again. That goes for comparisons of earlier versions too, unless seeds are asked for.

    Args:
        store: where the search is.
        name: its name; None for the newest.
        seeds: how many; None for all of the confirmation, or else 3.

    Raises:
        OptionError: for more seeds than those of the confirmation.

    Attributes:
        split: ``test`` or ``validation``.
        seeds: the seeds.
    """

    def __init__(self, store: Store, name: str | None = None, seeds: int | None = None) -> None:
        super().__init__(store, name)
        self._tags = {trial: self._client.get_run(run).data.tags for trial, run in self._runs.items()}
        confirmed = successes(
            {trial: self._by_seed(trial, schema.TEST_METRIC) for trial in self._runs}, self.search.objectives
        )
        self.split: Literal["test", "validation"] = "test" if any(confirmed.values()) else "validation"
        self._confirmed = confirmed if self.split == "test" else None
        self.seeds = self._seeds(seeds)
        self._again = seeds is not None

    def _seeds(self, wanted: int | None) -> list[int]:
        if self._confirmed is not None:
            known = sorted({seed for by_seed in self._confirmed.values() for seed in by_seed})
            if wanted is not None and wanted > len(known):
                raise OptionError(
                    "seeds", wanted, f"is more than the {len(known)} that the front is confirmed under; first run "
                    f"spikefront confirm --search {self.search.name} --seeds {wanted}"
                )  # fmt: skip
            return known[:wanted]
        if wanted is None and (known := sorted({seed for each in self._runs for seed in self._compared(each)})):
            return known
        first = int(self.search.options.get("seed", "0")) + 1  # selection has used the one before
        return list(range(first, first + (wanted or UNCONFIRMED_SEEDS)))

    def _is_settled(self, trial: str) -> bool:
        """Return whether nothing is to be trained for a member: it has no twin, or an earlier version compared it."""
        tags = self._tags[trial]
        is_earlier = schema.TWIN in tags and schema.TWIN_SEEDS not in tags and not self._again
        return tags.get(schema.TWIN) == NONE or is_earlier

    def _own(self, trial: str) -> dict[int, Mapping[str, float]]:
        """Return the repeats of a member itself by seed."""
        if self._confirmed is not None:
            return dict(self._confirmed[trial])
        return _whole(self._by_seed(trial, f"{schema.TWIN_METRIC}{self.split}.{_MEMBER}."), "quality", "energy_nj")

    def _compared(self, trial: str) -> dict[int, Mapping[str, float]]:
        """Return the repeats of a member's twins by seed."""
        needed = [f"{twin}.{metric}" for twin in _TWINS for metric in ("quality", "energy_nj")]
        return _whole(self._by_seed(trial, f"{schema.TWIN_METRIC}{self.split}."), *needed)

    def missing(self) -> tuple[Pairs, Pairs]:
        """Return what is to be trained: trials and seeds of members themselves, and of twins."""
        members, twins = Pairs(), Pairs()
        for trial in self._runs:
            if self._is_settled(trial):
                continue
            own, compared = self._own(trial), self._compared(trial)
            members += [] if self._confirmed is not None else [(trial, seed) for seed in self.seeds if seed not in own]
            wanted = own if self._confirmed is not None else self.seeds
            twins += [(trial, seed) for seed in self.seeds if seed in wanted and seed not in compared]
        return sorted(members, key=lambda pair: pair[1]), sorted(twins, key=lambda pair: pair[1])

    def has_none(self, trial: str, reason: str) -> None:
        """Write that a member has no twin, and why."""
        for tag, value in ((schema.TWIN_REASON, reason), (schema.TWIN, NONE)):
            self._client.set_tag(self._runs[trial], tag, value)
            self._tags[trial] = {**self._tags[trial], tag: value}

    def record(self, total: int, stream: TextIO | None = None) -> Callable[[Repeat], None]:
        """Return a callback that writes each repeat, of a member or its twins, to the store, and prints the progress.

        Failed repeats are not written, so that the next call makes them again.

        Args:
            total: number of repeats to come.
            stream: where to print; None means stderr.
        """
        number = count(1)

        def take(repeat: Repeat) -> None:
            head = f"[{next(number)}/{total}] trial {repeat.trial}, seed {repeat.seed}: "
            if repeat.reason:
                self._failed[repeat.trial] = repeat.reason
                line = f"failed ({repeat.reason})"
            else:
                is_twin = "ann.quality" in repeat.metrics
                wanted = (
                    repeat.metrics if is_twin else {name: repeat.metrics[name] for name in ("quality", "energy_nj")}
                )
                prefix = f"{schema.TWIN_METRIC}{self.split}." + ("" if is_twin else f"{_MEMBER}.")
                self._log(repeat.trial, {f"{prefix}{name}": value for name, value in wanted.items()}, repeat.seed)
                line = _line(repeat.metrics)
            print(head + line, file=stream or sys.stderr, flush=True)

        return take

    def conclude(
        self, break_even: Callable[[Sequence[LayerEnergy], float], float]
    ) -> tuple[pandas.DataFrame, list[str]]:
        """Compare members with their twins, write that to the store and to ``twins.json``, and summarise it.

        Args:
            break_even: returns the rate at which a network with some layers costs as much as a twin.

        Returns:
            A row for each member, cheapest first, and sentences.
        """
        import pandas

        order = sorted(self.members, key=lambda one: (one.metrics.get("energy_nj", math.inf), one.number, one.cut))
        layers = {trial: files.layers for trial, files in self.search.files(self.members).items()}
        members = []
        for trial in order:
            found = self._found(trial.name, partial(break_even, layers[trial.name]))
            if found:
                members.append(
                    {"trial": trial.label} | found | {"candidate": trial.candidate, "metrics": trial.metrics}
                )
        document = {
            "search": self.search.name,
            "task": self.search.task,
            "split": self.split,
            "seeds": self.seeds,
            "environment": json.loads(environment_json()),
            "members": members,
            "failed": dict(self._failed),
        }
        self._client.log_text(self.search.run_id, json.dumps(document, indent=2), schema.TWINS_FILE)
        frame = pandas.DataFrame([_row(one) for one in members])
        return frame, _summary(members, self._failed, self.split, self.seeds)

    def _found(self, trial: str, break_even: Callable[[float], float]) -> dict[str, Any]:
        """Return what ``twins.json`` says of a member, all but candidate and metrics; empty where repeats failed."""
        if self._is_settled(trial):
            return self._stored(trial)
        own, compared = self._own(trial), self._compared(trial)
        seeds = [seed for seed in self.seeds if seed in own and seed in compared]
        if not seeds:
            self._failed.setdefault(trial, "the member has no repeat to compare with; run spikefront confirm again")
            return {}
        found = compare(own, compared, seeds, maximize=self.search.objectives[0].maximize)
        for twin in _TWINS:
            found[twin]["break_even_rate"] = break_even(found[twin]["energy_nj"])
            found[twin] = {name: value for name, value in found[twin].items() if math.isfinite(value)}
        self._failed.pop(trial, None)
        each = {twin: found[twin] for twin in (_MEMBER, *_TWINS)}
        metrics = {
            f"{schema.TWIN_METRIC}{twin}.{name}": value for twin, of in each.items() for name, value in of.items()
        }
        self._log(trial, metrics)
        tags = {schema.TWIN_SPLIT: self.split, schema.TWIN_SEEDS: ",".join(map(str, seeds))}
        for tag, value in (tags | {schema.TWIN: found["verdict"]}).items():
            self._client.set_tag(self._runs[trial], tag, value)
        return {"split": self.split, "seeds": seeds, **found}

    def _stored(self, trial: str) -> dict[str, Any]:
        """Return what an earlier version found, or that there is no twin."""
        data = self._client.get_run(self._runs[trial]).data
        found: dict[str, Any] = {"verdict": data.tags[schema.TWIN]}
        if schema.TWIN_REASON in data.tags:
            found["reason"] = data.tags[schema.TWIN_REASON]
        for name, value in sorted(data.metrics.items()):
            twin, _, metric = name.removeprefix(schema.TWIN_METRIC).partition(".")
            if name.startswith(schema.TWIN_METRIC) and twin in _TWINS:
                found.setdefault(twin, {})[metric] = value
        return found


def compare(
    own: Mapping[int, Mapping[str, float]],
    twins: Mapping[int, Mapping[str, float]],
    seeds: Sequence[int],
    *,
    maximize: bool = True,
) -> dict[str, Any]:
    """Compare a member with its twins under the same seeds.

    Args:
        own: ``quality`` and ``energy_nj`` of the member by seed.
        twins: ``ann.quality``, ``quantised.energy_nj`` and so on by seed.
        seeds: those that count, which both have.
        maximize: whether more quality is better.

    Returns:
        ``verdict``, and the means of ``member``, ``ann`` and ``quantised``. A twin also has the p values of the paired
        one-sided t tests of quality, adjusted for both twins (Holm): ``p_better``, of whether the member is better than
        it, and ``p_worse``. Energies are compared in the same way, by their logarithms.
    """
    sign = 1 if maximize else -1

    def pairs(metric: str, scale: Callable[[float], float]) -> list[tuple[list[float], list[float]]]:
        mine = [scale(own[seed][metric]) for seed in seeds]
        return [(mine, [scale(twins[seed][f"{twin}.{metric}"]) for seed in seeds]) for twin in _TWINS]

    qualities = pairs("quality", lambda value: sign * value)
    quality = orders(qualities)
    thrift = orders(pairs("energy_nj", lambda value: -math.log(max(value, 1e-12))))
    names = {name.partition(".")[2] for name in twins[seeds[0]] if name.startswith("quantised.")}
    found: dict[str, Any] = {"verdict": verdict(quality, thrift)}
    found[_MEMBER] = {name: _mean(own, name, seeds) for name in ("quality", "energy_nj")}
    better, worse = (holm([paired_p(*each) for each in side]) for side in (qualities, [p[::-1] for p in qualities]))
    for row, twin in enumerate(_TWINS):
        held = [name for name in names if f"{twin}.{name}" in twins[seeds[0]]]
        found[twin] = {name: _mean(twins, f"{twin}.{name}", seeds) for name in sorted(held)}
        found[twin] |= {"p_better": float(better[row]), "p_worse": float(worse[row])}
    return found


def _mean(repeats: Mapping[int, Mapping[str, float]], name: str, seeds: Sequence[int]) -> float:
    return float(np.mean([repeats[seed][name] for seed in seeds]))


def verdict(quality: Sequence[Order], thrift: Sequence[Order]) -> Verdict:
    """Return how a spiking network compares with its twins.

    Args:
        quality: whether its own is better (1), worse (-1) or the same (0) as that of each twin, or None.
        thrift: whether it costs less (1), more (-1) or the same (0), or None.

    Returns:
        ``loses`` where a twin is at least as good and costs no more, ``wins`` where it is itself at least as good as
        both and costs no more, ``trades`` where it is neither, and ``undecided`` where the seeds can't tell which.
    """
    each = [_against(*one) for one in zip(quality, thrift, strict=True)]
    if "loses" in each:
        return "loses"
    if "undecided" in each:
        return "undecided"
    return "wins" if set(each) == {"wins"} else "trades"


def _against(quality: Order, thrift: Order) -> Verdict:
    if quality is None or thrift is None:
        return "undecided"
    if quality <= 0 and thrift <= 0:
        return "loses"
    return "wins" if quality >= 0 and thrift >= 0 else "trades"


def _whole(repeats: Mapping[int, Mapping[str, float]], *needed: str) -> dict[int, Mapping[str, float]]:
    """Return the repeats that have finite values of some metrics."""
    return {
        seed: metrics
        for seed, metrics in sorted(repeats.items())
        if all(math.isfinite(metrics.get(name, math.nan)) for name in needed)
    }


def _line(metrics: Mapping[str, float]) -> str:
    if "ann.quality" not in metrics:
        return f"itself {format_quality(metrics['quality'])} for {format_energy(metrics['energy_nj'])}"
    names = {"ANN": "ann", f"{metrics['quantised.bits']:g} bits": "quantised"}
    parts = [
        f"{name} {format_quality(metrics[f'{twin}.quality'])} for {format_energy(metrics[f'{twin}.energy_nj'])}"
        for name, twin in names.items()
    ]
    return ", ".join(parts)


def _row(member: Mapping[str, Any]) -> dict[str, object]:
    candidate, metrics = member["candidate"], member["metrics"]
    mine, ann, quantised = itself(member), member.get("ann", {}), member.get("quantised", {})
    return {
        "trial": member["trial"],
        "coding": candidate["coding"],
        "quality": mine["quality"],
        "energy_nj": mine["energy_nj"],
        "ann": ann.get("quality", math.nan),
        "ann_energy_nj": ann.get("energy_nj", math.nan),
        "bits": quantised.get("bits", math.nan),
        "quantised": quantised.get("quality", math.nan),
        "quantised_energy_nj": quantised.get("energy_nj", math.nan),
        "rate": metrics.get("spike_rate", math.nan),
        "break_even_rate": quantised.get("break_even_rate", math.nan),
        "seeds": float(len(member["seeds"])) if "seeds" in member else math.nan,
        "twin": member["verdict"],
    }


def itself(member: Mapping[str, Any]) -> Mapping[str, float]:
    """Return quality and energy with which a member of ``twins.json`` was compared; by earlier versions as selected."""
    found: Mapping[str, float] = member.get(_MEMBER, member["metrics"])
    return found


def without_twins(members: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return which members of ``twins.json`` have no twin, and why: a sentence for each reason."""
    trials: dict[str, list[str]] = {}
    for one in sorted(members, key=lambda one: read_name(str(one["trial"]))):
        if one["verdict"] == NONE:
            trials.setdefault(one.get("reason", ""), []).append(str(one["trial"]))
    heads = {why: f"Trial{'s' * (len(each) > 1)} {', '.join(each)}" for why, each in trials.items()}
    return [f"{heads[why]} {'have' if len(each) > 1 else 'has'} no twin: {why}." for why, each in trials.items()]


def _summary(members: list[dict[str, Any]], failed: Mapping[str, str], split: str, seeds: Sequence[int]) -> list[str]:
    by = Counter(one["verdict"] for one in members)
    compared = sum(count for name, count in by.items() if name != NONE)
    lines = []
    if compared:
        losers = [str(one["trial"]) for one in members if one["verdict"] == "loses"]
        which = f" (trial {', '.join(losers)})" if losers else ""
        lines.append(
            f"Of {compared} members, {by['loses']} lose to a twin{which}: one that is at least as good and costs no "
            f"more; {by['wins']} win against both; {by['trades']} trade quality for energy; {by['undecided']} are "
            "undecided."
        )
    lines += how_compared(members, split, seeds)
    lines += without_twins(members)
    return lines + [f"The twins of trial {trial} failed: {reason}." for trial, reason in failed.items()]


def how_compared(members: Sequence[Mapping[str, Any]], split: str, seeds: Sequence[int]) -> list[str]:
    """Return under which seeds and on which split members of ``twins.json`` were compared, and what is open."""
    new = [one for one in members if "seeds" in one]
    earlier = [str(one["trial"]) for one in members if "ann" in one and "seeds" not in one]
    lines = []
    if new and split == "test":
        lines.append(f"Compared on the test split, under seeds {', '.join(map(str, seeds))} of the confirmation.")
    elif new:
        lines.append(
            f"Compared on the validation split, under fresh seeds {', '.join(map(str, seeds))} for members and twins; "
            "after spikefront confirm it is on the test split, under those of the confirmation."
        )
    if new and len(seeds) < 2:
        lines.append("One seed decides nothing: no test can be made; 3 or more do: --seeds 3.")
    if earlier:
        lines.append(
            f"Trial {', '.join(earlier)}: compared by an earlier version with the member as selected, the best of many "
            "on one seed, which favours it; spikefront twin with --seeds compares anew."
        )
    return lines
