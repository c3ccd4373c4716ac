"""TPE with the draws of Optuna's own, fast enough for thousands of trials."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution
from optuna.samplers._tpe import _truncnorm
from optuna.samplers._tpe.sampler import _split_trials, default_gamma, default_gamma_multiobjective
from optuna.trial import FrozenTrial, TrialState

_JUDGED: Final = (TrialState.COMPLETE, TrialState.PRUNED)


class _Side(list[FrozenTrial]):
    """One side of TPE's split, the good trials or the others, in the order of their numbers."""

    def __init__(self, trials: Iterable[FrozenTrial]) -> None:
        super().__init__(trials)
        self.running = [trial for trial in self if trial.state not in _JUDGED]
        self.holds = np.zeros(1 + max((trial.number for trial in self), default=0), dtype=np.bool_)
        self.holds[[trial.number for trial in self if trial.state in _JUDGED]] = True

    def among(self, numbers: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which finished trials are on this side, by their numbers in ascending order."""
        mask = np.zeros(len(numbers), dtype=np.bool_)
        inside = numbers[: np.searchsorted(numbers, len(self.holds))]
        mask[: len(inside)] = self.holds[inside]
        return mask


class _Column:
    """The values of one hyperparameter in the finished trials that have it, as the sampler sees them."""

    def __init__(self, name: str, domain: BaseDistribution) -> None:
        self._name, self._domain = name, domain
        self._seen = 0
        self._numbers = np.zeros(0, dtype=np.int64)  # ascending
        self._values = np.zeros(0)

    def read(self, judged: list[FrozenTrial]) -> None:
        """Read the trials that finished since the last call; ``judged`` only grows."""
        numbers, values = self._of(judged[self._seen :])
        self._seen = len(judged)
        if len(numbers):
            places = np.searchsorted(self._numbers, numbers)
            self._numbers, self._values = (
                np.insert(self._numbers, places, numbers),
                np.insert(self._values, places, values),
            )

    def _of(self, trials: Iterable[FrozenTrial]) -> tuple[list[int], list[float]]:
        """Return numbers and values in the order of the numbers."""
        mine = sorted((trial.number, trial.params[self._name]) for trial in trials if self._name in trial.params)
        return [number for number, _ in mine], [self._domain.to_internal_repr(value) for _, value in mine]

    def on(self, side: _Side) -> NDArray[np.float64]:
        """Return the values on one side of the split in the order of the trials' numbers."""
        mask = side.among(self._numbers)
        numbers, values = self._of(side.running)
        if not numbers:
            return self._values[mask]
        return np.insert(self._values[mask], np.searchsorted(self._numbers[mask], numbers), values)


@contextmanager
def _scipys_normal() -> Iterator[None]:
    """Replace Optuna's logarithm of the normal distribution function, which is in Python, by SciPy's."""
    from scipy.special import log_ndtr

    theirs = _truncnorm._log_ndtr
    _truncnorm._log_ndtr = log_ndtr
    try:
        yield
    finally:
        _truncnorm._log_ndtr = theirs


class SplitOnceTPE(optuna.samplers.TPESampler):
    """TPE with one split for each candidate.

    TPE splits the trials into good ones and others and fits a density to each side's values of a hyperparameter.
    Optuna makes the split and collects the values anew for each hyperparameter of a candidate, which at 1,000 trials is
    most of the time. Here a candidate's split is made once, and the values are in columns that only grow. What
    was half of the rest, the normal distribution in plain Python, is SciPy's here, equal but for rounding.

    It serves one study, in one process. What it overrides is private to Optuna, so sampler ``tpe`` uses it only with
    the versions with which a test compares it.
    """

    def __init__(self, *, seed: int | None = None) -> None:
        super().__init__(seed=seed, multivariate=False)  # as by default, for several objectives
        self._split: tuple[int, _Side, _Side] | None = None  # with the number of the trial that it is for
        self._judged: dict[int, FrozenTrial] = {}
        self._columns: dict[tuple[str, BaseDistribution], _Column] = {}

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Forget the split: one more trial is running."""
        self._split = None
        super().before_trial(study, trial)

    def after_trial(self, study: optuna.Study, trial: FrozenTrial, state: TrialState, values: Any) -> None:
        """Forget the split: one more trial has finished."""
        self._split = None
        super().after_trial(study, trial, state, values)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Draw one hyperparameter."""
        if self._split is None or self._split[0] != trial.number:
            return super().sample_independent(study, trial, param_name, param_distribution)
        # nothing has happened since the trial's first: no need to count again whether enough trials were judged
        return self._sample(study, trial, {param_name: param_distribution})[param_name]

    def _sample(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        if self._split is None or self._split[0] != trial.number:
            self._split = (trial.number, *self._split_for(study, trial))
        _, good, others = self._split
        with _scipys_normal():
            return self._drawn(study, search_space, good, others)

    def _drawn(
        self, study: optuna.Study, search_space: dict[str, BaseDistribution], good: _Side, others: _Side
    ) -> dict[str, Any]:
        below = self._build_parzen_estimator(study, search_space, good, handle_below=True)
        above = self._build_parzen_estimator(study, search_space, others, handle_below=False)
        drawn = below.sample(self._rng.rng, self._n_ei_candidates)
        best = self._compare(drawn, self._compute_acquisition_func(drawn, below, above))
        return {name: domain.to_external_repr(best[name]) for name, domain in search_space.items()}

    def _split_for(self, study: optuna.Study, trial: FrozenTrial) -> tuple[_Side, _Side]:
        known = study.get_trials(deepcopy=False, states=(*_JUDGED, TrialState.RUNNING))
        trials = [other for other in known if other.number != trial.number]
        judged = [other for other in trials if other.state in _JUDGED]
        self._judged.update((other.number, other) for other in judged if other.number not in self._judged)
        gamma = default_gamma if len(study.directions) == 1 else default_gamma_multiobjective
        good, others = _split_trials(study, trials, gamma(len(judged)))
        return _Side(good), _Side(others)

    def _get_internal_repr(
        self, trials: list[FrozenTrial], search_space: dict[str, BaseDistribution], study: optuna.Study
    ) -> dict[str, NDArray[np.float64]]:
        assert isinstance(trials, _Side)
        judged, found = list(self._judged.values()), {}
        for name, domain in search_space.items():
            column = self._columns.setdefault((name, domain), _Column(name, domain))
            column.read(judged)
            found[name] = column.on(trials)
        return found
