"""Confirmation of a front: repeats under several seeds in the store, and what they say of its members."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from itertools import count
from typing import TYPE_CHECKING, Final, Protocol, TextIO

from spikefront.results.confirmed import (
    Confirmed,
    Repeats,
    Selection,
    confirm_front,
    problem_of,
    selection_of,
    successes,
    summary,
)
from spikefront.results.ended import EndedFront
from spikefront.results.store import schema
from spikefront.results.store.artifacts import environment_json
from spikefront.results.verdicts import LEVEL
from spikefront.searchspace.records import Repeat, Spread
from spikefront.searchspace.units import format_energy, format_quality

if TYPE_CHECKING:
    import pandas

_RULE: Final = (
    f"A member stays where its probability of being on the front is {LEVEL:g} or more, falls where it is "
    f"{1 - LEVEL:.3g} or less, and is undecided otherwise; p is of a paired one-sided t test against the best member "
    "that costs no more, adjusted for all members (Holm)."
)


class TakeRepeat(Protocol):
    """Writes a repeat to the store, and prints how it ended."""

    def __call__(self, repeat: Repeat, *, alone: bool = False) -> None:
        """Take a repeat; ``alone`` where it was trained on the training split alone."""


class Confirmations(EndedFront):
    """The front of one search, and the repeats of its members.

    The repeats are metrics of the members' runs, ``test.NAME``, with the seed for a step; a repeat that is there is not
    trained again. ``confirmed.NAME`` and ``confirmed.NAME_sd``, ``_low``, ``_high`` hold mean, standard deviation and
    95 % interval, the tag ``confirmed.verdict`` what they say, with ``confirmed.probability`` and ``confirmed.p``; the
    tag ``confirmed`` is ``true`` where the member stays. ``training_alone.NAME`` is of repeats that were trained on the
    training split alone, and measured on the test split.
    """

    def missing(self, seeds: Sequence[int], *, alone: bool = False) -> list[tuple[str, int]]:
        """Return names and seeds of the repeats that the store does not have: all members under the first seed first.

        Args:
            seeds: those that are wanted.
            alone: whether to return those to be trained on the training split alone.
        """
        known = successes(self._repeats(alone), self.search.objectives)
        return [(trial, seed) for seed in seeds for trial in self._runs if seed not in known[trial]]

    def _repeats(self, alone: bool = False) -> dict[str, dict[int, dict[str, float]]]:
        prefixes = (schema.ALONE_METRIC,) if alone else (schema.FRESH_TEST_METRIC, schema.TEST_METRIC)
        found: dict[str, dict[int, dict[str, float]]] = {trial: {} for trial in self._runs}
        for prefix in prefixes:  # what spikefront recommend has measured counts as well
            for trial, by_seed in found.items():
                by_seed |= self._by_seed(trial, prefix)
        return found

    def record(self, total: int, stream: TextIO | None = None) -> TakeRepeat:
        """Return a callback that writes the metrics of each repeat to the store, and prints the progress.

        Args:
            total: number of repeats to come.
            stream: where to print; None means stderr.
        """
        number = count(1)

        def take(repeat: Repeat, *, alone: bool = False) -> None:
            on = "seed" if not alone else "training split alone, seed"
            line = f"[{next(number)}/{total}] trial {repeat.trial}, {on} {repeat.seed}: "
            reason = repeat.reason or problem_of(repeat.metrics, self.search.objectives)
            if reason:
                line += f"failed ({reason})"
                if not alone:
                    self._failed[repeat.trial] = reason
            else:
                prefix = schema.ALONE_METRIC if alone else schema.TEST_METRIC
                metrics = {f"{prefix}{name}": value for name, value in repeat.metrics.items()}
                self._log(repeat.trial, metrics, repeat.seed)
                line += f"quality {format_quality(repeat.metrics['quality'])}"
                line += f", energy {format_energy(repeat.metrics['energy_nj'])}"
            print(line, file=stream or sys.stderr, flush=True)

        return take

    def conclude(self, seeds: Sequence[int]) -> tuple[pandas.DataFrame, list[str]]:
        """Decide which members stay on the front, write that to the store, and return it with a summary.

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
        objectives = self.search.objectives
        members, alone = confirm_front(self.members, repeats, objectives), self._repeats(alone=True)
        confirmed = {member.trial.name for member in members}
        failed = {trial: self._failed.get(trial, _why(repeats[trial], self)) for trial in repeats.keys() - confirmed}
        selection = selection_of(members, alone, objectives)
        self._write(members, failed, seeds, selection, alone)
        rows = [_row(member) for member in members]
        said = summary(members, failed, objectives[0].maximize, selection, len(seeds))
        return pandas.DataFrame(rows), said

    def _write(
        self,
        members: Sequence[Confirmed],
        failed: Mapping[str, str],
        seeds: Sequence[int],
        selection: Selection | None,
        alone: Repeats,
    ) -> None:
        """Write spreads and tags to the members' runs, and all of it to ``confirmed.json`` of the search."""
        for member in members:
            run = member.trial.run_id
            for name, spread in member.spreads.items():
                values = {f"{schema.CONFIRMED_METRIC}{key}": value for key, value in _named(name, spread).items()}
                self._log(member.trial.name, values, 0)
            decided = {schema.CONFIRMED_PROBABILITY: member.probability, schema.CONFIRMED_P: member.p}
            self._log(member.trial.name, decided, 0)
            beaten_by = "" if member.beaten_by is None else member.beaten_by.name
            self._client.set_tag(run, schema.CONFIRMED_VERDICT, member.verdict)
            self._client.set_tag(run, schema.CONFIRMED, schema.TRUE if member.stays else schema.FALSE)
            self._client.set_tag(run, schema.BEATEN_BY, beaten_by)
            self._client.set_tag(run, schema.CONFIRMED_SEEDS, ",".join(map(str, seeds)))
        for trial in failed:
            self._client.set_tag(self._runs[trial], schema.CONFIRMED, "failed")
            self._client.set_tag(self._runs[trial], schema.CONFIRMED_VERDICT, "failed")
        document = {
            "search": self.search.name,
            "task": self.search.task,
            "split": "test; trained on training and validation",
            "seeds": list(seeds),
            "rule": _RULE,
            "selection": None if selection is None else _selection(selection, alone),
            "environment": json.loads(environment_json()),
            "members": [
                {
                    "trial": member.trial.label,
                    "verdict": member.verdict,
                    "probability": _finite(member.probability),
                    "rival": None if member.rival is None else member.rival.label,
                    "p": _finite(member.p),
                    "more_seeds": member.more_seeds,
                    "stays": member.stays,
                    "beaten_by": None if member.beaten_by is None else member.beaten_by.label,
                    "candidate": member.trial.candidate,
                    "selected": member.trial.metrics,
                    "test": {name: _named(name, spread) for name, spread in member.spreads.items()},
                }
                for member in members
            ],
            "failed": dict(failed),
        }
        self._client.log_text(self.search.run_id, json.dumps(document, indent=2), schema.CONFIRMED_FILE)


def _why(by_seed: Mapping[int, Mapping[str, float]], known: Confirmations) -> str:
    """Return why no repeat of a member counts."""
    problems = (problem_of(metrics, known.search.objectives) for metrics in by_seed.values())
    return next(filter(None, problems), "no repeat")


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _named(name: str, spread: Spread) -> dict[str, float]:
    values = {name: spread.mean, f"{name}_sd": spread.sd, f"{name}_low": spread.low, f"{name}_high": spread.high}
    return {key: value for key, value in values.items() if math.isfinite(value)}


def _selection(selection: Selection, alone: Repeats) -> dict[str, object]:
    """Return what ``confirmed.json`` says of selection and more data."""
    return {
        "split": "test; trained on training alone",
        "seeds": sorted({seed for by_seed in alone.values() for seed in by_seed}),
        "members": selection.members,
        **_named("flatters", selection.flatters),
        **_named("more_data", selection.more_data),
    }


def _row(member: Confirmed) -> dict[str, object]:
    quality, energy = member.spreads["quality"], member.spreads["energy_nj"]
    interval = f"{format_quality(quality.low)} to {format_quality(quality.high)}" if quality.seeds > 1 else ""
    return {
        "trial": member.trial.label,
        "coding": member.trial.coding,
        "validation": member.trial.metrics["quality"],
        "test": quality.mean,
        "sd": quality.sd,
        "95 % interval": interval,
        "energy_nj": energy.mean,
        "energy_sd_nj": energy.sd,
        "seeds": quality.seeds,
        "front": member.verdict,
        "probability": member.probability,
        "rival": "" if member.rival is None else member.rival.name,
        "p": member.p,
    }
