"""Early stopping of networks that are silent or saturated, at chance."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytest

from spikefront.plugins.stopping.silent import Silent, SilentConfig, dead_reason
from spikefront.searchspace import Trial

SILENT = {"quality": 0.1, "spike_rate": 0.0}


def verdict(*epochs: Mapping[str, float], budget: int = 20, **more: Any) -> str | None:
    history = dict(enumerate(epochs, start=1))
    return dead_reason(history, len(epochs), budget, **{"chance": 0.1, "best": 1.0, **more})


@pytest.mark.parametrize(
    ("rates", "symptom"),
    [
        ((0.0,), "silent: no neuron fires"),
        ((0.0, 0.0, 0.0), "silent: no neuron fires"),
        ((0.2, 0.0, 0.4), "silent: a layer never fires"),
        ((0.97,), "saturated: all layers fire at more than 95% of the steps"),
        ((0.97, 0.96, 0.99), "saturated: all layers fire at more than 95% of the steps"),
        ((0.7, 0.3, 1.0), "saturated: a layer fires at every step"),
        ((0.2, 0.001, 0.94), None),
        ((0.0005,), None),
        ((0.97, 0.9, 0.99), None),
        ((math.nan,), None),
    ],
)
def test_networks_at_chance_are_stopped_for_their_rates(rates: tuple[float, ...], symptom: str | None) -> None:
    metrics = {"quality": 0.11, **dict(zip(("spike_rate", "min_layer_rate", "max_layer_rate"), rates, strict=False))}
    reason = symptom and f"stopped at epoch 3 of 20: {symptom}, quality at chance (0.11)"
    assert verdict(metrics, metrics, metrics) == reason


@pytest.mark.parametrize("quality", [0.15, 0.5, math.nan])
def test_network_that_learns_goes_on_whatever_the_rates(quality: float) -> None:
    assert verdict(*[{"quality": quality, "spike_rate": 0.0}] * 9) is None
    assert verdict(*[{"quality": 0.1, "spike_rate": 0.0}] * 9) is not None


def test_quality_that_is_minimised_is_at_chance_when_high() -> None:
    assert verdict(*[{"quality": 1.97, "spike_rate": 0.0}] * 5, chance=2.0, best=0.0) is not None
    assert verdict(*[{"quality": 1.5, "spike_rate": 0.0}] * 5, chance=2.0, best=0.0) is None


def test_a_network_may_sleep_for_two_epochs() -> None:
    assert [verdict(*[SILENT] * epochs) is None for epochs in (1, 2, 3)] == [True, True, False]


def test_patience_counts_epochs_in_a_row() -> None:
    awake = {"quality": 0.1, "spike_rate": 0.01}
    assert verdict(SILENT, SILENT, patience=3) is None
    assert verdict(SILENT, SILENT, SILENT, patience=3) is not None
    assert verdict(SILENT, SILENT, awake, SILENT, SILENT, patience=3) is None
    assert dead_reason({4: SILENT}, 4, 20, chance=0.1, best=1.0, patience=2) is None  # what came before is not known


def test_no_trial_is_stopped_at_its_last_epoch() -> None:
    assert verdict(SILENT, SILENT, SILENT, SILENT, budget=4) is None
    assert dead_reason({30: SILENT}, 30, 30, chance=0.1, best=1.0, patience=1) is None  # a conversion coding
    assert dead_reason({29: SILENT}, 29, 30, chance=0.1, best=1.0, patience=1) is not None


def test_rule_decides_as_the_function_does() -> None:
    rule = Silent(SilentConfig(patience=2))
    rule.begin((), chance=0.1, best=1.0)
    history: dict[int, Mapping[str, float]] = {}
    reasons = []
    for epoch in (1, 2):
        history[epoch] = SILENT
        trial = Trial(7, "RUNNING", {"coding": "rate", "training.epochs": 20}, SILENT, epoch=epoch)
        reasons.append(rule.decide(trial, history))
    assert reasons == [None, "stopped at epoch 2 of 20: silent: no neuron fires, quality at chance (0.1)"]
    assert rule.state(7) is None
