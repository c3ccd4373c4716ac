"""Searches simulated on a table of trained candidates: any sampler and any stopping rule, in seconds.

Nothing is trained, and Ray is not started. Stopping rules are spikefront's own classes, a sampler is a plugin of
spikefront or any of Optuna's, and no candidate is proposed twice, as in a search.
"""

from __future__ import annotations

import statistics
import warnings
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

import numpy as np
import optuna
from numpy.typing import ArrayLike, NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import FrozenTrial, TrialState

from spikefront.plugins import Sampler, StoppingRule
from spikefront.searchspace import Objective, Trial, Value
from spikefront.searchspace.answers import Suggester
from spikefront.searchspace.front import hypervolume, objective_vector

AT: Final = (15, 30, 60)
"""Full trainings after which searches are compared."""
PROPOSALS: Final = 4
DRAWS: Final = 32
"""Of a trial: the first ``PROPOSALS`` are the sampler's, the others random."""

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

    def cuts(self, row: int) -> NDArray[np.float64]:
        """Return the objectives of the points that a full training gives besides, shape ``(n, m)``."""
        return np.empty((0, len(self.objectives)))

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


class _Draft:
    """Draft of an Optuna trial, which a sampler may draw several of: the methods that a table calls."""

    def __init__(self, sampler: BaseSampler, study: optuna.Study, trial: FrozenTrial) -> None:
        self._sampler, self._study, self._trial = sampler, study, trial
        self._joint = sampler.infer_relative_search_space(study, trial)
        self._relative = sampler.sample_relative(study, trial, self._joint)
        self.params: dict[str, Any] = {}
        self.distributions: dict[str, BaseDistribution] = {}

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """Return a number."""
        return float(self._drawn(name, FloatDistribution(low, high, step=step, log=log)))

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """Return a whole number."""
        return int(self._drawn(name, IntDistribution(low, high, step=step, log=log)))

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """Return a choice."""
        return self._drawn(name, CategoricalDistribution(choices))

    def _drawn(self, name: str, domain: BaseDistribution) -> Any:
        if name not in self.params:
            fits = name in self._relative and self._joint[name] == domain
            drawn = self._sampler.sample_independent(self._study, self._trial, name, domain) if not fits else None
            self.params[name] = self._relative[name] if fits else drawn
            self.distributions[name] = domain
        return self.params[name]


class _Fresh(BaseSampler):
    """Wrapper of a sampler that takes the first of four proposals that is new, or else a random one, as searches do."""

    def __init__(self, inner: BaseSampler, table: Table, seed: int, seen: Collection[int]) -> None:
        self._inner, self._table, self._seed, self._seen = inner, table, seed, seen

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        for number in range(DRAWS):
            sampler = self._inner if number < PROPOSALS else RandomSampler(seed=seed_of(self._seed, number))
            self._draft = _Draft(sampler, study, trial)
            if self._table.suggest(self._draft) not in self._seen:
                break
        return self._draft.distributions

    def sample_relative(self, study: optuna.Study, trial: FrozenTrial, search_space: Any) -> dict[str, Any]:
        return self._draft.params

    def sample_independent(self, study: optuna.Study, trial: FrozenTrial, name: str, domain: BaseDistribution) -> Any:
        raise AssertionError(f"{name} is in the draft")

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        self._inner.before_trial(study, trial)

    def after_trial(
        self, study: optuna.Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        self._inner.after_trial(study, trial, state, values)


def seed_of(*path: int) -> int:
    """Return a seed for the draws of this path of numbers."""
    return int(np.random.SeedSequence(path).generate_state(1)[0])


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
    seen, played = set[int](), Played(table)
    once = None if isinstance(sampler, Sampler) else sampler(seed)
    untold: deque[tuple[optuna.Trial, int, TrialState, int]] = deque()
    while not played.spent or played.spent[-1] < units - 1e-9:
        own = seed_of(seed, len(played.rows))
        study.sampler = _Fresh(once if once is not None else cast(Sampler, sampler).make(own), table, own, seen)
        trial = study.ask()
        row = table.suggest(trial)
        seen.add(row)
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
    cuts = [
        [axis.scaled(value) for axis, value in zip(table.objectives, point, strict=True)] for point in table.cuts(row)
    ]
    rows = np.array([[*point, 0.0] for point in cuts if state is TrialState.COMPLETE])
    trial.set_user_attr("points", rows.reshape(-1, len(table.objectives) + 1))
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
