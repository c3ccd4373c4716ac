"""Keeps what confirming finds in MLflow, beside what the search left there."""

from __future__ import annotations

import json
import math
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TextIO

from spikefront.results.artifacts import environment_json
from spikefront.results.confirmed import Confirmed, Spread, confirm_front, verdict
from spikefront.results.queries import axes_of, nothing_in, open_existing, search_names, searches
from spikefront.searchspace import UnknownName, UsageError, Value
from spikefront.searchspace.units import format_energy

if TYPE_CHECKING:
    import pandas

_TEST: Final = "test."
_NAMES: Final = 20


class Confirmations:
    """The front of one search, and the repeats of its members.

    The repeats are metrics of the members' runs, ``test.NAME``, with the seed for a step; a repeat that is there is not
    made again. ``confirmed.NAME`` and ``confirmed.NAME_sd``, ``_low``, ``_high`` hold mean, standard deviation and 95 %
    interval, the tag ``confirmed`` whether the member is on the front of the means.

    Args:
        search: name of the search; None for the newest.
        tracking_uri: MLflow server or store.
        experiment: MLflow experiment.

    Raises:
        UnknownName: when there is no search of that name.
        UsageError: when there is no search at all, it has no front yet, or the store does not answer.

    Attributes:
        search: its name.
        task: its task.
        options: what it was asked for, as text.
        candidates: flat candidates of the members, by the numbers of their trials.
        selected: their metrics on the validation split.
        objectives: the axes of the front.
    """

    def __init__(self, search: str | None, tracking_uri: str | None, experiment: str | None) -> None:
        self._client, home = open_existing(tracking_uri, experiment)
        run = next(searches(self._client, home, search), None)
        if run is None and search is not None:
            raise UnknownName("search", search, search_names(tracking_uri, experiment, _NAMES))
        if run is None:
            raise nothing_in(tracking_uri)
        self._run = run
        self.search, self.task = run.data.tags["search"], run.data.tags["task"]
        self.options: Mapping[str, str] = run.data.params
        front = self._front()
        self._ids: dict[int, str] = {member["trial"]: member["run_id"] for member in front}
        self.candidates: dict[int, dict[str, Value]] = {member["trial"]: member["candidate"] for member in front}
        self.selected: dict[int, dict[str, float]] = {member["trial"]: member["metrics"] for member in front}
        self.objectives = axes_of(run)
        self._failed: dict[int, str] = {}

    def _front(self) -> list[dict[str, Any]]:
        from mlflow.exceptions import MlflowException

        try:
            with tempfile.TemporaryDirectory() as folder:
                path = self._client.download_artifacts(self._run.info.run_id, "front.json", folder)
                front: list[dict[str, Any]] = json.loads(Path(path).read_text())["front"]
        except (MlflowException, OSError) as error:
            raise UsageError(
                f"search {self.search!r} has left no front.json: it runs, or died; end it, or go on with it: "
                f"spikefront run --resume {self.search}"
            ) from error
        if not front:
            raise UsageError(f"search {self.search!r} has nobody on its front: no trial was judged to its end")
        return front

    def known(self, seeds: Iterable[int]) -> set[tuple[int, int]]:
        """Return trials and seeds of the repeats that are there already."""
        wanted = set(seeds)
        return {(trial, seed) for trial, by_seed in self._repeats().items() for seed in by_seed if seed in wanted}

    def _repeats(self) -> dict[int, dict[int, dict[str, float]]]:
        found: dict[int, dict[int, dict[str, float]]] = {}
        for trial, run_id in self._ids.items():
            found[trial] = {}
            for name in self._client.get_run(run_id).data.metrics:
                if name.startswith(_TEST):
                    for point in self._client.get_metric_history(run_id, name):
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
                said += f"quality {repeat.metrics['quality']:.4f}, energy {format_energy(repeat.metrics['energy_nj'])}"
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
        return pandas.DataFrame(rows), verdict(members, failed)

    def _keep(self, members: Sequence[Confirmed], failed: Mapping[int, str], seeds: Sequence[int]) -> None:
        """Write spreads and tags to the members' runs, and all of it to ``confirmed.json`` beside ``front.json``."""
        for member in members:
            run = self._ids[member.trial]
            for name, spread in member.spreads.items():
                self._log(member.trial, {f"confirmed.{key}": value for key, value in _named(name, spread).items()}, 0)
            self._client.set_tag(run, "confirmed", "true" if member.stays else "false")
            self._client.set_tag(run, "confirmed.beaten_by", "" if member.beaten_by is None else str(member.beaten_by))
            self._client.set_tag(run, "confirmed.seeds", ",".join(map(str, seeds)))
        for trial in failed:
            self._client.set_tag(self._ids[trial], "confirmed", "failed")
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
        self._client.log_text(self._run.info.run_id, json.dumps(document, indent=2), "confirmed.json")

    def _log(self, trial: int, metrics: Mapping[str, float], step: int) -> None:
        from mlflow.entities import Metric

        at = int(time.time() * 1000)
        points = [Metric(name, value, at, step) for name, value in metrics.items() if math.isfinite(value)]
        self._client.log_batch(self._ids[trial], metrics=points)


def _named(name: str, spread: Spread) -> dict[str, float]:
    values = {name: spread.mean, f"{name}_sd": spread.sd, f"{name}_low": spread.low, f"{name}_high": spread.high}
    return {key: value for key, value in values.items() if math.isfinite(value)}


def _row(member: Confirmed, flat: Mapping[str, Value]) -> dict[str, object]:
    quality, energy = member.spreads["quality"], member.spreads["energy_nj"]
    interval = f"{quality.low:.4f} to {quality.high:.4f}" if quality.seeds > 1 else ""
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
