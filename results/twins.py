"""Comparison of front members with their ANN twins, in the store."""

from __future__ import annotations

import json
import math
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from itertools import count
from typing import TYPE_CHECKING, Any, Final, TextIO

from spikefront.results.ended import EndedFront
from spikefront.results.store import schema
from spikefront.results.store.artifacts import environment_json
from spikefront.results.store.connection import Store
from spikefront.searchspace.records import LayerEnergy, TwinComparison, TwinPair
from spikefront.searchspace.trial import Trial
from spikefront.searchspace.units import format_energy, format_quality

if TYPE_CHECKING:
    import pandas

NONE: Final = "none"
"""Value of the tag ``twin`` of a member that has none; ``twin.reason`` has the reason."""


class Twins(EndedFront):
    """The front of one search, and the results of its members' twins on the same validation split.

    Metrics of the members' runs hold them, ``twin.ann.quality``, ``twin.quantised.energy_nj`` and so on; the tag
    ``twin`` holds the verdict. What the store has is not measured again.
    """

    def __init__(self, store: Store, name: str | None = None) -> None:
        super().__init__(store, name)
        self._missing = [
            trial for trial in self.members if schema.TWIN not in self._client.get_run(trial.run_id).data.tags
        ]

    def missing(self) -> list[tuple[Trial, Sequence[LayerEnergy]]]:
        """Return the members without known twins, each with its energy by layer, which is empty where unknown."""
        files = self.search.files(self._missing)
        return [(trial, files[trial.number].layers) for trial in self._missing]

    def record(self, stream: TextIO | None = None) -> Callable[[TwinComparison], None]:
        """Return a callback that writes each comparison to the member's run, and prints the progress.

        Failed comparisons are not written, so that the next call repeats them.

        Args:
            stream: where to print; None means stderr.
        """
        number = count(1)

        def take(comparison: TwinComparison) -> None:
            trial, reason = comparison.trial, comparison.reason
            run = self._runs[trial]
            if comparison.verdict is None:
                self._failed[trial] = reason
                line = f"failed ({reason})"
            elif comparison.twins is None:
                self._client.set_tag(run, schema.TWIN_REASON, reason)
                self._client.set_tag(run, schema.TWIN, comparison.verdict)
                line = f"no twin ({reason})"
            else:
                self._log(trial, _metrics(comparison.twins))
                self._client.set_tag(run, schema.TWIN, comparison.verdict)  # last: with it nothing is measured again
                line = _line(comparison.twins, comparison.verdict)
            head = f"[{next(number)}/{len(self._missing)}] trial {trial}: "
            print(head + line, file=stream or sys.stderr, flush=True)

        return take

    def conclude(self) -> tuple[pandas.DataFrame, list[str]]:
        """Write all comparisons to ``twins.json``, and summarise them.

        Returns:
            A row for each member, cheapest first, and sentences.
        """
        import pandas

        order = sorted(self.members, key=lambda one: (one.metrics.get("energy_nj", math.inf), one.number))
        members = [self._member(trial) for trial in order if trial.number not in self._failed]
        document = {
            "search": self.search.name,
            "task": self.search.task,
            "split": "validation",
            "environment": json.loads(environment_json()),
            "members": members,
            "failed": {str(trial): reason for trial, reason in self._failed.items()},
        }
        self._client.log_text(self.search.run_id, json.dumps(document, indent=2), schema.TWINS_FILE)
        return pandas.DataFrame([_row(one) for one in members]), _summary(members, self._failed)

    def _member(self, trial: Trial) -> dict[str, Any]:
        data = self._client.get_run(trial.run_id).data
        found: dict[str, Any] = {"trial": trial.number, "verdict": data.tags[schema.TWIN]}
        if schema.TWIN_REASON in data.tags:
            found["reason"] = data.tags[schema.TWIN_REASON]
        for name, value in sorted(data.metrics.items()):
            if name.startswith(schema.TWIN_METRIC):
                twin, _, metric = name.removeprefix(schema.TWIN_METRIC).partition(".")
                found.setdefault(twin, {})[metric] = value
        return found | {"candidate": trial.candidate, "metrics": trial.metrics}


def _metrics(twins: TwinPair) -> dict[str, float]:
    """Return the metrics of twins under the names that the store has."""
    found = {f"{schema.TWIN_METRIC}quantised.bits": float(twins.bits)}
    for name, twin in (("ann", twins.ann), ("quantised", twins.quantised)):
        found |= {f"{schema.TWIN_METRIC}{name}.{metric}": value for metric, value in asdict(twin).items()}
    return found


def _line(twins: TwinPair, verdict: str) -> str:
    each = {"ANN": twins.ann, f"{twins.bits} bits": twins.quantised}
    parts = [
        f"{name} {format_quality(twin.quality)} for {format_energy(twin.energy_nj)}" for name, twin in each.items()
    ]
    return f"{verdict}; {', '.join(parts)}"


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
    """Return which members of ``twins.json`` have no twin, and why: a sentence for each reason."""
    trials: dict[str, list[str]] = {}
    for one in sorted(members, key=lambda one: int(one["trial"])):
        if one["verdict"] == NONE:
            trials.setdefault(one.get("reason", ""), []).append(str(one["trial"]))
    heads = {why: f"Trial{'s' * (len(each) > 1)} {', '.join(each)}" for why, each in trials.items()}
    return [f"{heads[why]} {'have' if len(each) > 1 else 'has'} no twin: {why}." for why, each in trials.items()]


def _summary(members: list[dict[str, Any]], failed: Mapping[int, str]) -> list[str]:
    by = Counter(one["verdict"] for one in members)
    compared = sum(count for name, count in by.items() if name != NONE)
    lines = []
    if compared:
        losers = [str(one["trial"]) for one in members if one["verdict"] == "loses"]
        which = f" (trial {', '.join(losers)})" if losers else ""
        lines.append(
            f"Of {compared} members, {by['loses']} lose to a twin{which}: one that is at least as good and costs no "
            f"more; {by['wins']} win against both; {by['trades']} trade quality for energy."
        )
    lines += without_twins(members)
    return lines + [f"The twins of trial {trial} failed: {reason}." for trial, reason in failed.items()]
