"""Keeps what confirming finds in MLflow, beside what the search left there."""

from __future__ import annotations

import json
import math
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from spikefront.results.confirmed import Confirmed, Spread
from spikefront.results.queries import axes_of, nothing_in, open_existing, search_names, searches
from spikefront.searchspace import UnknownName, UsageError, Value

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

    def repeats(self) -> dict[int, dict[int, dict[str, float]]]:
        """Return the test metrics that are known, by trial and seed."""
        found: dict[int, dict[int, dict[str, float]]] = {}
        for trial, run_id in self._ids.items():
            found[trial] = {}
            for name in self._client.get_run(run_id).data.metrics:
                if name.startswith(_TEST):
                    for point in self._client.get_metric_history(run_id, name):
                        found[trial].setdefault(point.step, {})[name.removeprefix(_TEST)] = point.value
        return found

    def add(self, trial: int, seed: int, metrics: Mapping[str, float]) -> None:
        """Keep a repeat."""
        self._log(trial, {f"{_TEST}{name}": value for name, value in metrics.items()}, seed)

    def close(self, members: Sequence[Confirmed], summary: Mapping[str, Value]) -> None:
        """Keep what came of it: spreads and tags of the members, and ``confirmed.json`` beside ``front.json``.

        Args:
            members: what ``confirm_front`` returned.
            summary: what else to say: seeds, hardware, command.
        """
        for member in members:
            for name, spread in member.spreads.items():
                self._log(member.trial, {f"confirmed.{key}": value for key, value in _named(name, spread).items()}, 0)
            self._client.set_tag(self._ids[member.trial], "confirmed", "true" if member.stays else "false")
            if member.beaten_by is not None:
                self._client.set_tag(self._ids[member.trial], "confirmed.beaten_by", str(member.beaten_by))
        for trial in self._ids.keys() - {member.trial for member in members}:
            self._client.set_tag(self._ids[trial], "confirmed", "failed")
        rows = [
            {
                "trial": member.trial,
                "stays": member.stays,
                "beaten_by": member.beaten_by,
                "candidate": self.candidates[member.trial],
                "selected": dict(member.selected),
                "test": {
                    name: _named(name, spread) | {"seeds": spread.seeds} for name, spread in member.spreads.items()
                },
            }
            for member in members
        ]
        document = {"search": self.search, "task": self.task, **summary, "members": rows}
        self._client.log_text(self._run.info.run_id, json.dumps(document, indent=2), "confirmed.json")

    def _log(self, trial: int, metrics: Mapping[str, float], step: int) -> None:
        from mlflow.entities import Metric

        at = int(time.time() * 1000)
        points = [Metric(name, value, at, step) for name, value in metrics.items() if math.isfinite(value)]
        self._client.log_batch(self._ids[trial], metrics=points)


def _named(name: str, spread: Spread) -> dict[str, float]:
    values = {name: spread.mean, f"{name}_sd": spread.sd, f"{name}_low": spread.low, f"{name}_high": spread.high}
    return {key: value for key, value in values.items() if math.isfinite(value)}
