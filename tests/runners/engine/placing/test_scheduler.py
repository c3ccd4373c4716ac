"""Early stopping through Ray Tune's scheduler."""

from __future__ import annotations

from typing import Any

import pytest
import ray
from ray import tune
from ray.tune.experiment import Trial as TuneTrial
from ray.tune.schedulers import TrialScheduler

from spikefront.plugins.stopping.halving import Rungs
from spikefront.runners.engine.placing.bridge import HalvingScheduler
from spikefront.searchspace import Objective

COST = Objective("cost", maximize=False, worst=100.0, best=0.0)


def test_scheduler_stops_a_trial_that_has_a_reason() -> None:
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
    rungs, last = Rungs([COST], shares=[0.5], quota=0), {}

    def decide(trial_id: str, result: dict[str, Any]) -> str | None:
        number = int(result["config/number"])
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
    assert last == {0: 3, 1: 3, 2: 2, 3: 2}  # Tune skips the scheduler at the last epoch
