"""Distance between candidates, and the nearest trial of a search that learnt.

The distance is a sum over hyperparameters that both candidates have: 4 for another coding, neuron or backbone, 2 for
another optimiser, surrogate gradient or loss, and of each other hyperparameter its difference as a share of its range,
on the range's own scale (0 to 1), or 1 for another choice; time steps on a logarithmic scale from 1 to 128. What only
one of them has comes with a plugin that the other lacks, for which that plugin's name counts.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from spikefront.plugins.stopping.silent import LEARNT_NOTHING
from spikefront.searchspace.candidate import FAMILIES, JOINT_FAMILIES, Catalogue, domain_of
from spikefront.searchspace.domains import Choice
from spikefront.searchspace.trial import Trial

Flat = Mapping[str, object]

_LEARNT: Final = 0.5
_JOINT: Final = 4.0
_TRAINING: Final = 2.0
_MOST_STEPS: Final = 128
_IDLE: Final = ("task", "seed")


@dataclass(frozen=True, slots=True)
class Neighbour:
    """The trial nearest to another one among those that learnt.

    Attributes:
        trial: the trial.
        distance: from the other one.
        differences: setting, its value in the other one, its value in this one; None where one has no such setting.
    """

    trial: Trial
    distance: float
    differences: tuple[tuple[str, object, object], ...]

    def value(self, name: str) -> object:
        """Return its value of a setting; None where it has no such setting."""
        return self.trial.candidate.get(name)


def learnt_share(quality: float, chance: float, best: float) -> float:
    """Return how far a quality is on the way from chance (0) to the best possible one (1)."""
    return (quality - chance) / (best - chance) if best != chance else 0.0


def nearest_learnt(
    flat: Flat, trials: Iterable[Trial], catalogue: Catalogue, *, chance: float, best: float
) -> Neighbour | None:
    """Return the nearest trial that learnt: it is complete, and at least half as far from chance as the best trial.

    Args:
        flat: flat form of a candidate.
        trials: all trials of its search.
        catalogue: contains the plugins, of which some may be missing.
        chance: quality of the best constant output.
        best: the best possible quality.

    Returns:
        Of several that are equally near the better one; None where nothing learnt.
    """
    reached = {
        trial.number: share
        for trial in trials
        if trial.state == "COMPLETE"
        and (share := learnt_share(trial.metrics.get("quality", math.nan), chance, best)) > LEARNT_NOTHING
    }
    bar = _LEARNT * max(reached.values(), default=math.inf)
    learnt = [trial for trial in trials if reached.get(trial.number, -math.inf) >= bar]
    ranked = [
        (distance(flat, trial.candidate, catalogue), -reached[trial.number], trial.number, trial) for trial in learnt
    ]
    if not ranked:
        return None
    way, _, _, trial = min(ranked)
    return Neighbour(trial, way, differences(flat, trial.candidate))


def distance(one: Flat, other: Flat, catalogue: Catalogue) -> float:
    """Return the distance between two candidates in their flat form; see the module's docstring."""
    shared = [name for name in one if name in other and name not in _IDLE]
    return sum(_apart(name, one[name], other[name], catalogue) for name in shared)


def differences(one: Flat, other: Flat) -> tuple[tuple[str, object, object], ...]:
    """Return the settings that differ, with both values, those that decide about others first."""
    names = [name for name in (*FAMILIES, *one, *other) if name not in _IDLE]
    pairs = ((name, one.get(name), other.get(name)) for name in dict.fromkeys(names))
    return tuple(pair for pair in pairs if not _same(pair[1], pair[2]))


def _apart(name: str, one: object, other: object, catalogue: Catalogue) -> float:
    if _same(one, other):
        return 0.0
    if name in FAMILIES:
        return _JOINT if name in JOINT_FAMILIES else _TRAINING
    first, second = _number(one), _number(other)
    if name == "steps" and first and second:
        return min(1.0, abs(math.log(first / second)) / math.log(_MOST_STEPS))
    domain = domain_of(name, catalogue)
    if domain is None or isinstance(domain, Choice) or first is None or second is None:
        return 1.0
    low, high = float(domain.low), float(domain.high)  # type: ignore[attr-defined]
    if domain.log:  # type: ignore[attr-defined]
        if min(first, second, low) <= 0:
            return 1.0
        first, second, low, high = map(math.log, (first, second, low, high))
    return min(1.0, abs(first - second) / (high - low)) if high > low else 1.0


def _same(one: object, other: object) -> bool:
    first, second = _number(one), _number(other)
    return first == second if first is not None and second is not None else str(one) == str(other)


def _number(value: object) -> float | None:
    """Return a number, which a store may have as text; None for anything else."""
    if isinstance(value, bool) or value is None:
        return None
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
