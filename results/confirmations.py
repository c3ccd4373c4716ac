"""Keeps what confirming finds in MLflow, beside what the search left there."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import count
from typing import TYPE_CHECKING, Any, Final, TextIO

from spikefront.results.confirmed import Confirmed, Spread, confirm_front, verdict
from spikefront.results.ended import EndedSearch
from spikefront.results.front import format_quality
from spikefront.results.store.artifacts import environment_json
from spikefront.searchspace import Value
from spikefront.searchspace.units import format_energy

if TYPE_CHECKING:
    import pandas

_TEST: Final = "test."


class Confirmations(EndedSearch):
    """The front of one search, and the repeats of its members.

    The repeats are metrics of the members' runs, ``test.NAME``, with the seed for a step; a repeat that is there is not
    made again. ``confirmed.NAME`` and ``confirmed.NAME_sd``, ``_low``, ``_high`` hold mean, standard deviation and 95 %
    interval, the tag ``confirmed`` whether the member is on the front of the means.
    """

    def __init__(self, search: str | None, tracking_uri: str | None, experiment: str | None) -> None:
        super().__init__(search, tracking_uri, experiment)
        self._failed: dict[int, str] = {}

    def known(self, seeds: Iterable[int]) -> set[tuple[int, int]]:
        """Return trials and seeds of the repeats that are there already."""
        wanted = set(seeds)
        return {(trial, seed) for trial, by_seed in self._repeats().items() for seed in by_seed if seed in wanted}

    def _repeats(self) -> dict[int, dict[int, dict[str, float]]]:
        found: dict[int, dict[int, dict[str, float]]] = {}
        for trial, run_id in self.ids.items():
            found[trial] = {}
            for name in self.client.get_run(run_id).data.metrics:
                if name.startswith(_TEST):
                    for point in self.client.get_metric_history(run_id, name):
                        found[trial].setdefault(point.step, {})[name.removeprefix(_TEST)] = point.value
        return found

    def keep(self, asked: int, stream: TextIO | None = None) -> Callable[[Any], None]:
        """Return what takes in each repeat: it keeps its metrics, and says on stderr how far things are.

        Args:
            asked: how many will come.
            stream: where to say it; None means stderr.
        """
        number = count(1)

        def take(repeat: Any) -> None:
            said = f"[{next(number)}/{asked}] trial {repeat.trial}, seed {repeat.seed}: "
            if repeat.reason:
                self._failed[repeat.trial] = repeat.reason
                said += f"failed ({repeat.reason})"
            else:
                metrics = {f"{_TEST}{name}": value for name, value in repeat.metrics.items()}
                self._log(repeat.trial, metrics, repeat.seed)
                said += f"quality {format_quality(repeat.metrics['quality'])}"
                said += f", energy {format_energy(repeat.metrics['energy_nj'])}"
            print(said, file=stream or sys.stderr, flush=True)

        return take

    def conclude(self, seeds: Sequence[int]) -> tuple[pandas.DataFrame, list[str]]:
        """Compute the front anew, keep it, and say what came of it.

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
        members = confirm_front(self.selected, repeats, self.objectives)
        failed = {trial: self._failed.get(trial, "no repeat") for trial, by_seed in repeats.items() if not by_seed}
        self._keep(members, failed, seeds)
        rows = [_row(member, self.candidates[member.trial]) for member in members]
        return pandas.DataFrame(rows), verdict(members, failed, self.objectives[0].maximize)

    def _keep(self, members: Sequence[Confirmed], failed: Mapping[int, str], seeds: Sequence[int]) -> None:
        """Write spreads and tags to the members' runs, and all of it to ``confirmed.json`` beside ``front.json``."""
        for member in members:
            run = self.ids[member.trial]
            for name, spread in member.spreads.items():
                self._log(member.trial, {f"confirmed.{key}": value for key, value in _named(name, spread).items()}, 0)
            self.client.set_tag(run, "confirmed", "true" if member.stays else "false")
            self.client.set_tag(run, "confirmed.beaten_by", "" if member.beaten_by is None else str(member.beaten_by))
            self.client.set_tag(run, "confirmed.seeds", ",".join(map(str, seeds)))
        for trial in failed:
            self.client.set_tag(self.ids[trial], "confirmed", "failed")
        document = {
            "search": self.search,
            "task": self.task,
            "split": "test; trained on training and validation",
            "seeds": list(seeds),
            "environment": json.loads(environment_json()),
            "members": [
                {
                    "trial": member.trial,
                    "stays": member.stays,
                    "beaten_by": member.beaten_by,
                    "candidate": self.candidates[member.trial],
                    "selected": dict(member.selected),
                    "test": {name: _named(name, spread) for name, spread in member.spreads.items()},
                }
                for member in members
            ],
            "failed": {str(trial): reason for trial, reason in failed.items()},
        }
        self.client.log_text(self.run_id, json.dumps(document, indent=2), "confirmed.json")

    def _log(self, trial: int, metrics: Mapping[str, float], step: int) -> None:
        from mlflow.entities import Metric

        at = int(time.time() * 1000)
        points = [Metric(name, value, at, step) for name, value in metrics.items() if math.isfinite(value)]
        self.client.log_batch(self.ids[trial], metrics=points)


def _named(name: str, spread: Spread) -> dict[str, float]:
    values = {name: spread.mean, f"{name}_sd": spread.sd, f"{name}_low": spread.low, f"{name}_high": spread.high}
    return {key: value for key, value in values.items() if math.isfinite(value)}


def _row(member: Confirmed, flat: Mapping[str, Value]) -> dict[str, object]:
    quality, energy = member.spreads["quality"], member.spreads["energy_nj"]
    interval = f"{format_quality(quality.low)} to {format_quality(quality.high)}" if quality.seeds > 1 else ""
    return {
        "trial": member.trial,
        "coding": flat["coding"],
        "validation": member.selected["quality"],
        "test": quality.mean,
        "sd": quality.sd,
        "95 % interval": interval,
        "energy_nj": energy.mean,
        "energy_sd_nj": energy.sd,
        "seeds": quality.seeds,
        "front": "stays" if member.stays else f"beaten by {member.beaten_by}",
    }
