"""Searches simulated on a table of trained candidates: any sampler and any stopping rule, in seconds.

Nothing is trained, and Ray is not started. Stopping rules are spikefront's own classes, a sampler is a plugin of
spikefront or any of Optuna's, and no candidate is proposed twice, as in a search.
"""

from __future__ import annotations

import functools
import statistics
import warnings
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

import numpy as np
import optuna
from numpy.typing import ArrayLike, NDArray
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from spikefront.plugins import Sampler, StoppingRule
from spikefront.runners.engine.proposing.fresh import FreshSampler
from spikefront.runners.engine.proposing.shown import Shown
from spikefront.runners.engine.proposing.untried import Untried
from spikefront.searchspace import Objective, Space, Trial, Value
from spikefront.searchspace.answers import Suggester
from spikefront.searchspace.front import hypervolume, objective_vector

AT: Final = (15, 30, 60)
"""Full trainings after which searches are compared."""

optuna.logging.set_verbosity(optuna.logging.WARNING)
warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)


class Table(ABC):
    """Trained candidates, one a row, with what was measured after each epoch.

    Args:
        metrics: by name, shape ``(rows, epochs)``, or ``(rows,)`` where a metric is the same after each epoch.
        objectives: the axes of the front; the first is quality.
        chance: quality of the best constant output.
        best: the best possible quality.
    """

    def __init__(
        self, metrics: Mapping[str, ArrayLike], objectives: Sequence[Objective], *, chance: float, best: float
    ) -> None:
        arrays = {name: np.asarray(values, dtype=np.float64) for name, values in metrics.items()}
        self.rows, self.epochs = map(int, arrays["quality"].shape)
        self._metrics = {
            name: np.broadcast_to(values if values.ndim == 2 else values[:, None], (self.rows, self.epochs))
            for name, values in arrays.items()
        }
        self.objectives, self.chance, self.best = tuple(objectives), chance, best
        self._whole: float | None = None

    @abstractmethod
    def suggest(self, trial: Suggester) -> int:
        """Return the row of the candidate that an Optuna trial suggests."""

    def candidate(self, row: int) -> Mapping[str, Value]:
        """Return the flat candidate of a row: at least ``coding``, if it has one."""
        return {}

    def budget(self, row: int) -> int:
        """Return the epochs of a full training."""
        return self.epochs

    def cost(self, row: int) -> float:
        """Return what a full training costs, in units of a mean one."""
        return 1.0

    def metrics(self, row: int, epoch: int) -> dict[str, float]:
        """Return what was measured after an epoch, from 1."""
        return {name: float(values[row, epoch - 1]) for name, values in self._metrics.items()}

    def points(self, rows: Iterable[int] | None = None) -> NDArray[np.float64]:
        """Return the objectives of fully trained candidates, shape ``(n, m)``: of all, or of some rows."""
        some = list(range(self.rows) if rows is None else rows)
        ends = [self.budget(row) - 1 for row in some]
        columns = [self._metrics[axis.metric][some, ends] for axis in self.objectives]
        return np.stack(columns, axis=1)

    def share(self, rows: Iterable[int]) -> float:
        """Return the hypervolume of some rows as a share of the whole table's."""
        if self._whole is None:
            self._whole = hypervolume(_finite(self.points()), self.objectives)
        return hypervolume(_finite(self.points(rows)), self.objectives) / self._whole


def _finite(points: NDArray[np.float64]) -> NDArray[np.float64]:
    return points[np.isfinite(points).all(axis=1)]


@dataclass
class Played:
    """A simulated search: rows and costs of its trials in their order, and how each ended."""

    table: Table
    rows: list[int] = field(default_factory=list)
    states: list[TrialState] = field(default_factory=list)
    spent: list[float] = field(default_factory=list)  # full trainings, after each trial

    def share(self, units: float) -> float:
        """Return the share of the table's hypervolume that trials have which ended within so many full trainings."""
        ended = zip(self.rows, self.states, self.spent, strict=True)
        return self.table.share(
            row for row, state, spent in ended if state is TrialState.COMPLETE and spent <= units + 1e-9
        )


class _Unseen:
    """Stands for ``Untried`` where candidates are rows."""

    def __init__(self) -> None:
        self.seen: set[int] = set()

    def read(self, trials: Iterable[Any]) -> None:
        """Learn nothing: ``play`` adds the rows."""

    def __contains__(self, row: int) -> bool:
        return row not in self.seen

    def first(self) -> None:
        """Return that no row is looked up: a table is larger than a search."""


class _Whole:
    """Stands for ``Shown`` where samplers see the study itself."""

    left_out = False

    def __init__(self, study: optuna.Study) -> None:
        self.study = study

    def ordinal(self, number: int) -> int:
        """Return the number."""
        return number

    def advance(self, ordinal: int, after: object) -> None:
        """Do nothing: the study is as it is."""

    def own(self, ordinal: int) -> FrozenTrial:
        """Return a trial of the study."""
        return self.study.get_trials(deepcopy=False)[ordinal]

    def seen(self, ordinal: int) -> tuple[()]:
        """Return nothing: ``_Unseen`` knows."""
        return ()

    def keep(self, number: int, left_out: bool = False) -> None:
        """Do nothing: the study has it."""


def seed_of(seed: int, number: int) -> int:
    """Return the seed of one proposal."""
    return int(np.random.SeedSequence((seed, number)).generate_state(1)[0])


def _given(sampler: BaseSampler, seed: int) -> BaseSampler:
    return sampler


def play(
    table: Table,
    sampler: Sampler | Callable[[int], BaseSampler],
    rules: Sequence[StoppingRule] = (),
    *,
    units: float = max(AT),
    seed: int = 0,
    workers: int = 1,
    partial: bool = False,
) -> Played:
    """Search a table for so many units of full trainings; a stop at epoch e of E costs e / E of one.

    Args:
        table: what is searched.
        sampler: a plugin, of which each proposal makes a sampler anew, with a seed of its own, as a search does; or
            what makes any sampler of Optuna from a seed, once.
        rules: stopping rules, new ones: they keep what they have seen.
        units: full trainings.
        seed: seed of the sampler.
        workers: a proposal knows how trials ended but for the last ``workers - 1``.
        partial: whether the study has the values of stopped trials, as by ``--tell-stopped partial``.
    """
    for rule in rules:
        rule.begin(table.objectives, chance=table.chance, best=table.best)
    study = optuna.create_study(directions=["maximize" if axis.maximize else "minimize" for axis in table.objectives])
    unseen, played = _Unseen(), Played(table)
    once = None if isinstance(sampler, Sampler) else sampler(seed)
    untold: deque[tuple[optuna.Trial, int, TrialState, int]] = deque()
    while not played.spent or played.spent[-1] < units - 1e-9:
        own = seed_of(seed, len(played.rows))
        inner = once if once is not None else cast(Sampler, sampler).make(own)
        whole, taken = cast(Shown, _Whole(study)), cast(Untried, unseen)
        study.sampler = FreshSampler(functools.partial(_given, inner), cast(Space, table), whole, own, taken)
        trial = study.ask()
        row = table.suggest(trial)
        unseen.seen.add(row)
        trial.set_user_attr("candidate", dict(table.candidate(row)))
        state, epoch = _train(table, row, trial.number, rules)
        untold.append((trial, row, state, epoch))
        while len(untold) >= workers:
            _tell(study, table, *untold.popleft(), partial)
        played.rows.append(row)
        played.states.append(state)
        before = played.spent[-1] if played.spent else 0.0
        played.spent.append(before + table.cost(row) * epoch / table.budget(row))
    return played


def _train(table: Table, row: int, number: int, rules: Sequence[StoppingRule]) -> tuple[TrialState, int]:
    """Return how a trial ends, and after which epoch."""
    budget, history = table.budget(row), {}
    flat = {**table.candidate(row), "training.epochs": budget}
    for epoch in range(1, budget) if rules else ():
        history[epoch] = table.metrics(row, epoch)
        trial = Trial(number, "RUNNING", flat, history[epoch], epoch=epoch)
        if any(reason is not None for reason in [rule.decide(trial, history) for rule in rules]):
            return TrialState.PRUNED, epoch
    finite = bool(np.isfinite(table.points([row])).all())
    return TrialState.COMPLETE if finite else TrialState.FAIL, budget


def _tell(
    study: optuna.Study, table: Table, trial: optuna.Trial, row: int, state: TrialState, epoch: int, partial: bool
) -> None:
    metrics = table.metrics(row, epoch)
    outcome = {"state": state.name, "reason": "", "metrics": metrics, "epoch": epoch, "again": False}
    trial.set_user_attr("outcome", outcome)
    if state is TrialState.COMPLETE or (state is TrialState.PRUNED and partial):
        study.tell(trial, objective_vector(metrics, table.objectives))
    else:
        study.tell(trial, state=state)


def compared(
    table: Table,
    sampler: Sampler | Callable[[int], BaseSampler],
    rules: Callable[[], Sequence[StoppingRule]] = tuple,
    *,
    seeds: Sequence[int],
    at: Sequence[float] = AT,
    **how: Any,
) -> str:
    """Play several seeds, and return mean and standard error of the share after so many full trainings each."""
    searches = [play(table, sampler, rules(), units=max(at), seed=seed, **how) for seed in seeds]
    texts = []
    for units in at:
        shares = [search.share(units) for search in searches]
        error = statistics.stdev(shares) / len(shares) ** 0.5 if len(shares) > 1 else float("nan")
        texts.append(f"{statistics.mean(shares):.3f} ± {error:.3f}")
    return "  ".join(texts)
