"""Keeps in MLflow how the members of a front stand against their twins."""

from __future__ import annotations

import json
import math
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import TYPE_CHECKING, Any, Final, TextIO

from spikefront.results.ended import EndedSearch
from spikefront.results.front import format_quality
from spikefront.results.kept import read_kept
from spikefront.results.store.artifacts import environment_json
from spikefront.searchspace import Value
from spikefront.searchspace.units import format_energy

if TYPE_CHECKING:
    import pandas

ARTIFACT: Final = "twins.json"
"""Name of the comparisons among the artifacts of the search's run."""
NONE: Final = "none"
"""Value of the tag ``twin`` of a member that has none; ``twin.reason`` says why."""

_METRIC: Final = "twin."


class Twins(EndedSearch):
    """The front of one search, and what its members' twins reach on the same validation split.

    Metrics of the members' runs hold it, ``twin.ann.quality``, ``twin.quantised.energy_nj`` and so on; the tag ``twin``
    says who ``wins``, who ``loses`` and where it is a trade. What is there is not measured again.
    """

    def __init__(self, search: str | None, tracking_uri: str | None, experiment: str | None) -> None:
        super().__init__(search, tracking_uri, experiment)
        self._failed: dict[int, str] = {}
        self._missing = [trial for trial, run in self.ids.items() if "twin" not in self.client.get_run(run).data.tags]

    def missing(self) -> dict[int, tuple[Mapping[str, Value], Mapping[str, float], Sequence[Mapping[str, Any]]]]:
        """Return candidate, metrics and energy by layer of the members whose twins are not known yet."""
        kept = read_kept(self.client, {trial: self.ids[trial] for trial in self._missing})
        return {trial: (self.candidates[trial], self.selected[trial], one.layers) for trial, one in kept.items()}

    def keep(self, stream: TextIO | None = None) -> Callable[[int, Any, bool], None]:
        """Return what takes in each comparison: it writes it to the member's run, and says how far things are.

        It is called with the number of a trial, a ``Comparison`` of ``spikefront.runners.judging.twins`` or the reason
        why there is none, and whether that will stay so; else it failed, and is tried again when asked again.

        Args:
            stream: where to say it; None means stderr.
        """
        number = count(1)

        def take(trial: int, comparison: Any, lasting: bool) -> None:
            told = comparison if isinstance(comparison, str) else _spoken(comparison)
            if not lasting:
                self._failed[trial] = comparison
                told = f"failed ({comparison})"
            elif isinstance(comparison, str):
                told = f"no twin ({comparison})"
                self.client.set_tag(self.ids[trial], "twin.reason", comparison)
                self.client.set_tag(self.ids[trial], "twin", NONE)
            else:
                self._log(trial, comparison)
            head = f"[{next(number)}/{len(self._missing)}] trial {trial}: "
            print(head + told, file=stream or sys.stderr, flush=True)

        return take

    def _log(self, trial: int, comparison: Any) -> None:
        from mlflow.entities import Metric, RunTag

        twins = comparison.twins
        values = {"quantised.bits": float(twins.bits)}
        for name, twin in (("ann", twins.ann), ("quantised", twins.quantised)):
            values |= {f"{name}.quality": twin.quality, f"{name}.energy_nj": twin.energy_nj, f"{name}.macs": twin.macs}
            values[f"{name}.break_even_rate"] = getattr(comparison, f"{name}_break_even_rate")
        at = int(time.time() * 1000)
        known = {name: value for name, value in values.items() if math.isfinite(value)}
        points = [Metric(f"{_METRIC}{name}", value, at, 0) for name, value in known.items()]
        self.client.log_batch(self.ids[trial], metrics=points, tags=[RunTag("twin", comparison.verdict)])

    def conclude(self) -> tuple[pandas.DataFrame, list[str]]:
        """Keep all comparisons as ``twins.json``, and say what came of them.

        Returns:
            A row for each member, cheapest first, and sentences.
        """
        import pandas

        order = sorted(self.ids, key=lambda trial: (self.selected[trial].get("energy_nj", math.inf), trial))
        members = [self._member(trial) for trial in order if trial not in self._failed]
        document = {
            "search": self.search,
            "task": self.task,
            "split": "validation",
            "environment": json.loads(environment_json()),
            "members": members,
            "failed": {str(trial): reason for trial, reason in self._failed.items()},
        }
        self.client.log_text(self.run_id, json.dumps(document, indent=2), ARTIFACT)
        return pandas.DataFrame([_row(one) for one in members]), _told(members, self._failed)

    def _member(self, trial: int) -> dict[str, Any]:
        data = self.client.get_run(self.ids[trial]).data
        found: dict[str, Any] = {"trial": trial, "verdict": data.tags["twin"]}
        if "twin.reason" in data.tags:
            found["reason"] = data.tags["twin.reason"]
        for name, value in sorted(data.metrics.items()):
            if name.startswith(_METRIC):
                twin, _, metric = name.removeprefix(_METRIC).partition(".")
                found.setdefault(twin, {})[metric] = value
        return found | {"candidate": self.candidates[trial], "metrics": self.selected[trial]}


def _spoken(comparison: Any) -> str:
    twins = comparison.twins
    each = {"ANN": twins.ann, f"{twins.bits} bits": twins.quantised}
    told = [f"{name} {format_quality(twin.quality)} for {format_energy(twin.energy_nj)}" for name, twin in each.items()]
    return f"{comparison.verdict}; {', '.join(told)}"


def _row(member: Mapping[str, Any]) -> dict[str, object]:
    candidate, metrics = member["candidate"], member["metrics"]
    ann, quantised = member.get("ann", {}), member.get("quantised", {})
    return {
        "trial": member["trial"],
        "coding": candidate["coding"],
        "quality": metrics["quality"],
        "energy_nj": metrics["energy_nj"],
        "ann": ann.get("quality", math.nan),
        "ann_energy_nj": ann.get("energy_nj", math.nan),
        "bits": quantised.get("bits", math.nan),
        "quantised": quantised.get("quality", math.nan),
        "quantised_energy_nj": quantised.get("energy_nj", math.nan),
        "rate": metrics.get("spike_rate", math.nan),
        "break_even_rate": quantised.get("break_even_rate", math.nan),
        "twin": member["verdict"],
    }


def without_twins(members: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say of members of ``twins.json`` which have no twin, and why: a sentence for each reason."""
    trials: dict[str, list[str]] = {}
    for one in sorted(members, key=lambda one: int(one["trial"])):
        if one["verdict"] == NONE:
            trials.setdefault(one.get("reason", ""), []).append(str(one["trial"]))
    heads = {why: f"Trial{'s' * (len(each) > 1)} {', '.join(each)}" for why, each in trials.items()}
    return [f"{heads[why]} {'have' if len(each) > 1 else 'has'} no twin: {why}." for why, each in trials.items()]


def _told(members: list[dict[str, Any]], failed: Mapping[int, str]) -> list[str]:
    by = Counter(one["verdict"] for one in members)
    compared = sum(count for name, count in by.items() if name != NONE)
    told = []
    if compared:
        losers = [str(one["trial"]) for one in members if one["verdict"] == "loses"]
        whose = f" (trial {', '.join(losers)})" if losers else ""
        told.append(
            f"Of {compared} members, {by['loses']} lose to a twin{whose}: one that is at least as good and costs no "
            f"more; {by['wins']} win against both; {by['trades']} trade quality for energy."
        )
    told += without_twins(members)
    return told + [f"The twins of trial {trial} failed: {reason}." for trial, reason in failed.items()]
