"""The contract of a sampler."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import optuna
from optuna.trial import TrialState

from spikefront.plugins.contracts import Sampler
from spikefront.plugins.registry import Registry, load_registry
from spikefront.plugins.testing.base import PluginContract, sample_configs
from spikefront.searchspace import Candidate, Domain, Space, Value, from_flat

TRIALS = 14
"""Trials of a search: more than those that samplers of Optuna draw at random before they learn."""


class SamplerContract(PluginContract):
    """What every sampler must do, in searches over all codings with two objectives."""

    kind = "sampler"

    def test_proposes_candidates_of_the_space(self, plugin: type[Sampler]) -> None:
        for config in sample_configs(plugin.Config, count=3):
            _, candidates = _search(plugin(config).make(0))
            for candidate in candidates:
                _registry().refuse(candidate)
                assert from_flat(candidate.flat(), _registry()) == candidate

    def test_same_seed_draws_the_same(self, plugin: type[Sampler]) -> None:
        first, second = (_search(plugin().make(3))[1] for _ in range(2))
        assert first == second

    def test_another_seed_draws_others(self, plugin: type[Sampler]) -> None:
        assert _search(plugin().make(0), trials=4)[1] != _search(plugin().make(1), trials=4)[1]

    def test_goes_on_after_trials_that_failed_were_stopped_or_still_run(self, plugin: type[Sampler]) -> None:
        ends = {2: TrialState.FAIL, 4: TrialState.PRUNED, 5: TrialState.RUNNING, TRIALS - 2: TrialState.FAIL}
        study, candidates = _search(plugin().make(0), end=lambda number: ends.get(number, TrialState.COMPLETE))
        assert len(candidates) == TRIALS
        assert [trial.state for trial in study.trials] == [ends.get(n, TrialState.COMPLETE) for n in range(TRIALS)]

    def test_queued_candidate_passes_it_by(self, plugin: type[Sampler]) -> None:
        study, _ = _search(plugin().make(0), trials=2)
        prior = _space().priors()[-1]
        study.enqueue_trial(dict(prior.answers))
        assert _space().suggest(_ask(study), prior.pinned) == prior.candidate

    def test_draws_several_candidates_for_one_trial(self, plugin: type[Sampler]) -> None:
        study, _ = _search(plugin().make(0))
        _ask(study)
        frozen = study.get_trials(deepcopy=False)[-1]
        for _ in range(3):
            candidate = _space().walk(_drawing(study, frozen))
            assert from_flat(candidate.flat(), _registry()) == candidate


def _drawing(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> Callable[[str, Domain, Value], Any]:
    sampler = study.sampler
    joint = sampler.infer_relative_search_space(study, trial)
    values = sampler.sample_relative(study, trial, joint)
    drawn: dict[str, Any] = {}

    def ask(name: str, domain: Domain, default: Value) -> Any:
        if name not in drawn:
            fits = name in values and joint[name] == domain
            drawn[name] = values[name] if fits else sampler.sample_independent(study, trial, name, domain)
        return drawn[name]

    return ask


def _search(
    sampler: optuna.samplers.BaseSampler,
    trials: int = TRIALS,
    end: Callable[[int], TrialState] = lambda number: TrialState.COMPLETE,
) -> tuple[optuna.Study, list[Candidate]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
    candidates = []
    for number in range(trials):
        trial = _ask(study)
        candidate = _space().suggest(trial)
        candidates.append(candidate)
        state = end(number)
        if state is TrialState.COMPLETE:
            study.tell(trial, [1 / candidate.steps, float(candidate.steps + len(candidate.flat()))])
        elif state is not TrialState.RUNNING:
            study.tell(trial, state=state)
    return study, candidates


def _ask(study: optuna.Study) -> optuna.Trial:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return study.ask()


_BUILT: list[tuple[Registry, Space]] = []


def _built() -> tuple[Registry, Space]:
    if not _BUILT:
        registry = load_registry(third_parties=False)
        _BUILT.append((registry, Space(registry, "digits")))
    return _BUILT[0]


def _registry() -> Registry:
    return _built()[0]


def _space() -> Space:
    return _built()[1]
