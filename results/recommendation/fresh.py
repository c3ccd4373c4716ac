"""Repeats of candidates under fresh seeds, in the store: on the validation split, and on the test split at the end."""

from __future__ import annotations

import base64
import binascii
import math
import sys
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from spikefront.results.confirmed import problem_of
from spikefront.results.recommendation.evidence import Arm, Right
from spikefront.results.store import schema
from spikefront.results.store.point_run import create_point_run
from spikefront.results.twins import MEMBER_METRIC
from spikefront.searchspace.objectives import ENERGY, LATENCY
from spikefront.searchspace.records import Repeat
from spikefront.searchspace.trial import Trial
from spikefront.searchspace.units import format_energy, format_quality

if TYPE_CHECKING:
    from spikefront.results.searches import StoredSearch

Split = Literal["validation", "test"]

_KEPT: Final = ("quality", ENERGY.metric, LATENCY.metric, "parameters", "seconds")
"""Metrics of a repeat on the validation split that are stored, beside those of further objectives."""
_LONGEST: Final = 5000
"""Most characters of a tag."""


class FreshRepeats:
    """Repeats of a search's candidates under fresh seeds.

    Those on the validation split are metrics of the trials' runs, ``fresh.NAME``, with the seed for a step, and the tag
    ``fresh.right.SEED`` says which samples were classified correctly. Those on the test split are ``fresh.test.NAME``.
    What is there is not measured again, and neither is what ``spikefront confirm`` and ``twin`` have trained under the
    same seeds.

    Args:
        search: the search.

    Attributes:
        search: the search.
        seeds: the first fresh seed; selection has used the one before.
    """

    def __init__(self, search: StoredSearch) -> None:
        self.search = search
        self.first = int(search.options.get("seed", "0")) + 1
        self._client = search.store.client
        self._arms: dict[str, Arm] = {}
        self._failed: dict[str, dict[int, str]] = {}
        self._runs: dict[str, str] = {}  # of points that had none, by name

    def arms(self, trials: Sequence[Trial]) -> list[Arm]:
        """Return candidates with the repeats that the store has of them."""
        return [self._read(trial) for trial in trials]

    @property
    def touched(self) -> set[str]:
        """Names of the trials that were trained, or were tried to be, in this process."""
        return {name for name, arm in self._arms.items() if arm.repeats or arm.failed}

    def _read(self, trial: Trial) -> Arm:
        name = trial.name
        if name not in self._arms and not trial.run_id:
            self._arms[name] = Arm(trial, {}, {}, {}, self._failed.setdefault(name, {}))
        if name not in self._arms:
            run, axes = self._client.get_run(trial.run_id), [axis.metric for axis in self.search.objectives]
            found = self._by_seed(run, MEMBER_METRIC, ["quality", ENERGY.metric])
            found |= self._by_seed(run, schema.FRESH_METRIC, self._metrics)
            test = self._by_seed(run, schema.TEST_METRIC, axes)
            test |= self._by_seed(run, schema.FRESH_TEST_METRIC, axes)
            rights = _rights(run.data.tags)
            self._arms[name] = Arm(trial, found, test, rights, self._failed.setdefault(name, {}))
        return self._arms[name]

    @property
    def _metrics(self) -> list[str]:
        return list(dict.fromkeys((*_KEPT, *(axis.metric for axis in self.search.objectives))))

    def _by_seed(self, run: object, prefix: str, names: Sequence[str]) -> dict[int, dict[str, float]]:
        """Return the repeats that did not fail by seed, of the metrics of a run that have a prefix."""
        found: dict[int, dict[str, float]] = {}
        for name in names:
            if f"{prefix}{name}" in run.data.metrics:  # type: ignore[attr-defined]
                for point in self._client.get_metric_history(run.info.run_id, f"{prefix}{name}"):  # type: ignore[attr-defined]
                    found.setdefault(point.step, {})[name] = point.value
        known = {seed: one for seed, one in found.items() if problem_of(one, self.search.objectives[:1]) is None}
        return dict(sorted(known.items()))

    def missing(self, arm: Arm, number: int, split: Split = "validation") -> list[int]:
        """Return the seeds under which a candidate is to be trained so that it has a number of repeats.

        All candidates have the same seeds in the same order. One that failed under a seed has the next instead.
        """
        known = arm.repeats if split == "validation" else arm.test
        wanted = number - len(known)
        found: list[int] = []
        for seed in count(self.first):
            if len(found) >= wanted:
                return found
            if seed not in known and (split == "test" or seed not in arm.failed):
                found.append(seed)
        return found

    def record(
        self,
        trials: Mapping[str, Trial],
        total: int,
        split: Split,
        number: Callable[[], int],
    ) -> Callable[[Repeat], None]:
        """Return a callback that writes each repeat to the store, and prints the progress.

        Args:
            trials: the candidates by name.
            total: most trainings of the whole call.
            split: what they are measured on.
            number: returns the number of the training that has ended.
        """

        def take(repeat: Repeat) -> None:
            trial = trials[repeat.trial]
            arm, name = self._read(trial), trial.name
            reason = repeat.reason or problem_of(repeat.metrics, self.search.objectives)
            on = "" if split == "validation" else " on the test split"
            line = f"[{number()}/{total}] {trial.coding}, trial {name}, seed {repeat.seed}{on}: "
            if reason:
                line += f"failed ({reason})"
                self._failed[name][repeat.seed] = reason
            else:
                self._write(trial, repeat, split)
                kept = dict(repeat.metrics)
                self._arms[name] = _with(arm, repeat, kept, split)
                line += f"quality {format_quality(kept['quality'])}, energy {format_energy(kept[ENERGY.metric])}"
            print(line, file=sys.stderr, flush=True)

        return take

    def _write(self, trial: Trial, repeat: Repeat, split: Split) -> None:
        from mlflow.entities import Metric, RunTag

        at = int(time.time() * 1000)
        prefix = schema.FRESH_METRIC if split == "validation" else schema.FRESH_TEST_METRIC
        names = self._metrics if split == "validation" else repeat.metrics
        points = [
            Metric(f"{prefix}{name}", value, at, repeat.seed)
            for name in names
            if math.isfinite(value := repeat.metrics.get(name, math.nan))
        ]
        text = packed(repeat.right) if repeat.right and split == "validation" else ""
        tags = [RunTag(f"{schema.FRESH_RIGHT}{repeat.seed}", text)] if 0 < len(text) <= _LONGEST else []
        self._client.log_batch(self._run_of(trial), metrics=points, tags=tags)

    def _run_of(self, trial: Trial) -> str:
        """Return the run that repeats of a candidate are written to; a point gets one with the first of them."""
        if not trial.run_id and trial.name not in self._runs:
            training = self._client.get_run(self.search.front.trials[str(trial.number)].run_id)
            rank = self.search.front.ranks[trial.name]
            self._runs[trial.name] = create_point_run(self._client, training, trial, rank)
        return trial.run_id or self._runs[trial.name]


def _with(arm: Arm, repeat: Repeat, metrics: Mapping[str, float], split: Split) -> Arm:
    if split == "test":
        return Arm(arm.trial, arm.repeats, {**arm.test, repeat.seed: metrics}, arm.right, arm.failed)
    right = {**arm.right, repeat.seed: unpacked(packed(repeat.right))} if repeat.right else arm.right
    return Arm(arm.trial, {**arm.repeats, repeat.seed: metrics}, arm.test, right, arm.failed)


def packed(right: Sequence[bool]) -> str:
    """Return which samples were right as text: their number, and compressed bits."""
    bits = np.packbits(np.asarray(right, dtype=bool)).tobytes()
    return f"{len(right)} {base64.b64encode(zlib.compress(bits, 9)).decode()}"


def unpacked(text: str) -> Right:
    """Return what ``packed`` wrote.

    Raises:
        ValueError: when it is damaged.
    """
    number, _, coded = text.partition(" ")
    try:
        bits = np.unpackbits(np.frombuffer(zlib.decompress(base64.b64decode(coded, validate=True)), np.uint8))
    except (zlib.error, binascii.Error) as error:
        raise ValueError(f"{text[:40]!r} does not say which samples were right") from error
    if not number.isdecimal() or not 0 <= len(bits) - int(number) < 8:
        raise ValueError(f"{text[:40]!r} has not as many samples as it says")
    return bits[: int(number)].astype(bool)


def _rights(tags: Mapping[str, str]) -> dict[int, Right]:
    """Return which samples were right by seed; what is damaged is left out."""
    found = {}
    for tag, text in tags.items():
        seed = tag.removeprefix(schema.FRESH_RIGHT)
        if seed != tag and seed.isdecimal():
            try:
                found[int(seed)] = unpacked(text)
            except ValueError:
                continue
    return found
