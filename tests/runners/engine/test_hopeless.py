"""Early stopping: which networks are given up, and how Ray Tune hears of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytest
import ray
from ray import tune
from ray.tune.experiment import Trial as TuneTrial
from ray.tune.schedulers import TrialScheduler

from spikefront.runners.engine.halving import HalvingScheduler, Rungs, dead_reason
from spikefront.searchspace import Objective

COST = Objective("cost", maximize=False, worst=100.0, best=0.0)


# Networks that tell nothing

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
def test_networks_at_chance_are_given_up_for_their_rates(rates: tuple[float, ...], symptom: str | None) -> None:
    metrics = {"quality": 0.11, **dict(zip(("spike_rate", "min_layer_rate", "max_layer_rate"), rates, strict=False))}
    reason = symptom and f"stopped at epoch 3 of 20: {symptom}, quality at chance (0.11)"
    assert verdict(metrics, metrics, metrics) == reason


@pytest.mark.parametrize("quality", [0.15, 0.5, math.nan])
def test_who_learns_is_spared_whatever_the_rates(quality: float) -> None:
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


def test_no_trial_is_given_up_at_its_last_epoch() -> None:
    assert verdict(SILENT, SILENT, SILENT, SILENT, budget=4) is None
    assert dead_reason({30: SILENT}, 30, 30, chance=0.1, best=1.0, patience=1) is None  # a conversion coding
    assert dead_reason({29: SILENT}, 29, 30, chance=0.1, best=1.0, patience=1) is not None


# Ray Tune's side


def test_the_scheduler_stops_whom_it_is_told_to_and_remembers_why() -> None:
    rungs = Rungs([COST], shares=[0.5], quota=0)

    def decide(trial_id: str, result: dict[str, Any]) -> str | None:
        return rungs.decide(int(trial_id), "rate", result["epoch"], 20, {"cost": result["metrics/cost"]})

    scheduler = HalvingScheduler(decide)
    trials = [TuneTrial("anything", trial_id=str(number), stub=True) for number in range(4)]
    decisions = []
    for number, trial in enumerate(trials):
        assert scheduler.on_trial_result(None, trial, {"epoch": 9, "metrics/cost": 0.0}) == TrialScheduler.CONTINUE
        decisions.append(scheduler.on_trial_result(None, trial, {"epoch": 10, "metrics/cost": float(number)}))
    assert decisions == [TrialScheduler.CONTINUE] * 2 + [TrialScheduler.STOP] * 2
    assert scheduler.reason("1") is None
    assert scheduler.reason("3") == (
        "stopped at rung 1 of 1 (epoch 10 of 20): rank 4 of 4 by Pareto rank, 4 of 4 among rate"
    )
    scheduler.on_trial_result(
        None, trials[3], {"epoch": 1, "metrics/cost": 0.0}
    )  # it lost its worker, and starts again
    assert scheduler.reason("3") is None
    assert not scheduler.supports_buffered_results


class _Counting(tune.Trainable):
    def step(self) -> dict[str, Any]:
        return {
            "epoch": self.iteration + 1,
            "metrics": {"cost": float(self.config["number"])},
            "done": self.iteration == 3,
        }

    def save_checkpoint(self, checkpoint_dir: str) -> None: ...


def _last_metrics(results: tune.ResultGrid) -> list[dict[str, Any]]:
    return [results[index].metrics or {} for index in range(len(results))]


@pytest.mark.slow
def test_ray_tune_stops_trials_at_the_rung(tmp_path: Any) -> None:
    rungs, numbers, last = Rungs([COST], shares=[0.5], quota=0), {}, {}

    def decide(trial_id: str, result: dict[str, Any]) -> str | None:
        number = numbers[trial_id] = int(result["config/number"])
        last[number] = result["epoch"]
        return rungs.decide(number, "rate", result["epoch"], 4, {"cost": result["metrics/cost"]})

    ray.init(address="local", num_cpus=1, include_dashboard=False)
    try:
        scheduler = HalvingScheduler(decide)
        tuner = tune.Tuner(
            _Counting,
            param_space={"number": tune.grid_search([0, 1, 2, 3])},
            tune_config=tune.TuneConfig(scheduler=scheduler, max_concurrent_trials=1),
            run_config=tune.RunConfig(storage_path=str(tmp_path), verbose=0),
        )
        ended = {metrics["config"]["number"]: metrics["epoch"] for metrics in _last_metrics(tuner.fit())}
    finally:
        ray.shutdown()
    assert ended == {0: 4, 1: 4, 2: 2, 3: 2}
    assert last == {0: 3, 1: 3, 2: 2, 3: 2}  # of its last epoch the scheduler hears nothing
    assert {number for trial_id, number in numbers.items() if scheduler.reason(trial_id)} == {2, 3}
