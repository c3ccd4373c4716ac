"""The contract of a rule that stops trials early."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Final

from spikefront.plugins.contracts import StoppingRule
from spikefront.plugins.testing.base import PluginContract, sample_configs
from spikefront.searchspace import ENERGY, Objective, Trial, Value

EPOCHS: Final = 12
"""Epochs of each trial."""

TRIALS: Final = 9
"""Trials that run side by side."""

CHANCE: Final = 0.1
"""Quality of the best constant output."""

Metrics = dict[str, float]


class StoppingRuleContract(PluginContract):
    """What every stopping rule must do, on trials that learn, stand still or are silent."""

    kind = "stopping"

    def make(self, plugin: type[StoppingRule], config: object = None) -> StoppingRule:
        """Return a rule that has begun a search."""
        rule = plugin(config)
        rule.begin((Objective("quality", maximize=True, worst=0.0, best=1.0), ENERGY), chance=CHANCE, best=1.0)
        return rule

    def test_returns_a_reason_in_one_line_or_none(self, plugin: type[StoppingRule]) -> None:
        for config in sample_configs(plugin.Config, count=5):
            rule = self.make(plugin, config)
            for trial, history in _epochs(1, EPOCHS):
                reason = rule.decide(trial, history)
                assert reason is None or (isinstance(reason, str) and reason and "\n" not in reason)

    def test_stops_no_trial_without_a_result(self, plugin: type[StoppingRule]) -> None:
        for config in sample_configs(plugin.Config, count=5):
            for missing in ({}, {"quality": math.nan, "energy_nj": math.nan, "spike_rate": math.nan}):
                rule = self.make(plugin, config)
                for epoch in range(1, EPOCHS):
                    for number in range(TRIALS):
                        history = {past: missing for past in range(1, epoch + 1)}
                        assert rule.decide(_trial(number, epoch, missing), history) is None

    def test_trial_that_goes_on_goes_on_when_an_epoch_is_repeated(self, plugin: type[StoppingRule]) -> None:
        for config in sample_configs(plugin.Config, count=5):
            rule = self.make(plugin, config)
            for trial, history in _epochs(1, EPOCHS):
                if rule.decide(trial, history) is None:
                    assert rule.decide(trial, history) is None

    def test_rule_restored_from_json_decides_as_before(self, plugin: type[StoppingRule]) -> None:
        for config in sample_configs(plugin.Config, count=5):
            rule, restored = self.make(plugin, config), self.make(plugin, config)
            for trial, history in _epochs(1, EPOCHS // 2):
                rule.decide(trial, history)
            for number in range(TRIALS):
                state = rule.state(number)
                if state is not None:
                    restored.restore(number, json.loads(json.dumps(state)))
            for trial, history in _epochs(EPOCHS // 2, EPOCHS):
                assert restored.decide(trial, history) == rule.decide(trial, history)

    def test_state_can_be_restored_under_another_number(self, plugin: type[StoppingRule]) -> None:
        for config in sample_configs(plugin.Config, count=5):
            rule, restored = self.make(plugin, config), self.make(plugin, config)
            for trial, history in _epochs(1, EPOCHS // 2):
                rule.decide(trial, history)
            for number in range(TRIALS):
                if (state := rule.state(number)) is not None:
                    restored.restore(number + 100, json.loads(json.dumps(state)))
            for trial, history in _epochs(EPOCHS // 2, EPOCHS):
                again = _trial(trial.number + 100, trial.epoch, dict(trial.metrics))
                assert (restored.decide(again, history) is None) == (rule.decide(trial, history) is None)

    def test_state_of_an_unknown_trial_is_none_or_json(self, plugin: type[StoppingRule]) -> None:
        json.dumps(self.make(plugin).state(7))


def _trial(number: int, epoch: int, metrics: Metrics) -> Trial:
    coding = ("rate", "latency", "sac")[number % 3]
    candidate: dict[str, Value] = {"coding": coding, "training.epochs": EPOCHS}
    return Trial(number, "RUNNING", candidate, metrics, epoch=epoch)


def _epochs(first: int, end: int) -> Iterator[tuple[Trial, dict[int, Metrics]]]:
    """Yield the epochs from ``first`` to before ``end`` of all trials, each with its history."""
    for epoch in range(first, end):
        for number in range(TRIALS):
            history = {past: _metrics(number, past) for past in range(1, epoch + 1)}
            yield _trial(number, epoch, history[epoch]), history


def _metrics(number: int, epoch: int) -> Metrics:
    """Return what a trial has at an epoch: every fifth trial is silent, every fourth stops learning after 3 epochs."""
    silent = number % 5 == 1
    learnt = min(epoch, 3) if number % 4 == 3 else epoch
    quality = CHANCE if silent else 1 - (1 - CHANCE) * math.exp(-learnt / (3 + number))
    rate = 0.0 if silent else 0.1 + 0.01 * number
    return {
        "quality": quality,
        "energy_nj": 1.0 + 50.0 * rate,
        "spike_rate": rate,
        "min_layer_rate": rate / 2,
        "max_layer_rate": min(1.0, 2 * rate),
        "latency_steps": 4.0,
        "loss": 2.3 * (1 - quality),
    }
