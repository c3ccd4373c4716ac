"""What MLflow costs: writing one trial, and asking for the front among 10,000 runs.

Run: python benchmarks/mlflow_store.py [--trials 100] [--runs 10000]

Writing: bursts of trials (one epoch, all parameters of a candidate, 9 metrics, tags, the front's changes) go through
the store's own thread into an SQLite database, one number of trials and then three times as many; the difference is the
cost of a trial, without what a search costs once. Beside it stand MLflow's own calls for such a run, made directly.

Asking: ``spikefront.pareto`` on a database with 1 % of the runs on the front.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

TRIALS_ON_FRONT = 100  # one in a hundred


def burst(trials: int, uri: str, folder: Path) -> float:
    """Return the seconds that a search of so many trials takes in the store, with its end."""
    from spikefront.plugins import load_registry
    from spikefront.results.store.connection import Store
    from spikefront.results.store.recorder import MlflowRecorder
    from spikefront.searchspace import ENERGY, Objective, SearchInfo, from_flat

    candidate = from_flat({"task": "digits", "coding": "direct"}, load_registry(third_parties=False))
    objectives = (Objective("quality", True, 0.0, 1.0), ENERGY)
    store = Store(uri)
    store.ensure()
    recorder = MlflowRecorder(store)
    recorder.search_started(SearchInfo("bench", "digits", "accuracy", objectives, folder, trials, None, {}, {}))
    started = time.perf_counter()
    for number in range(trials):
        rank = number * 7919 % trials  # visits the qualities out of order, so the front keeps changing
        metrics = {"quality": rank / trials, "energy_nj": 10.0 + (rank * rank) % 997, "sops": 1e4, "macs": 1e3}
        metrics |= {"latency_steps": 4.0, "spike_rate": 0.1, "loss": 0.5, "seconds": 1.0}
        recorder.trial_started(number, candidate)
        recorder.epoch_ended(number, 1, metrics)
        recorder.trial_ended(number, "COMPLETE", "", metrics, None)
    recorder.search_ended("all trials done")
    return time.perf_counter() - started


def bare_calls(trials: int, uri: str) -> float:
    """Return seconds per run of MLflow's own calls: create, one batch, end."""
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param, RunTag

    client = MlflowClient(uri)
    experiment = client.create_experiment("bare")
    started = time.perf_counter()
    for _ in range(trials):
        run = client.create_run(experiment).info.run_id
        metrics = [Metric(f"m{i}", 0.5, 0, 1) for i in range(8)]
        params = [Param(f"p{i}", "1") for i in range(15)]
        client.log_batch(run, metrics, params, [RunTag(f"t{i}", "x") for i in range(8)])
        client.set_terminated(run)
    return (time.perf_counter() - started) / trials


def fill(uri: str, runs: int) -> None:
    """Write runs straight into the tables, as a search would have left them."""
    from mlflow import MlflowClient
    from sqlalchemy import create_engine, text

    metrics = {"quality": 0.9, "energy_nj": 50.0, "latency_steps": 4.0, "spike_rate": 0.1, "sops": 1e4, "macs": 1e3}
    params = {"coding": "sac", "neuron": "lif", "backbone": "mlp", "steps": "4"}
    insert_run = (
        "INSERT INTO runs (run_uuid, name, user_id, source_type, status, start_time, end_time, lifecycle_stage, "
        "experiment_id, artifact_uri) VALUES (:id, :id, 'bench', 'LOCAL', 'FINISHED', 1, 2, 'active', 0, '')"
    )
    insert_metric = (
        "INSERT INTO latest_metrics (key, value, timestamp, step, is_nan, run_uuid) VALUES (:key, :value, 1, 1, 0, :id)"
    )
    insert_pair = "INSERT INTO {} (key, value, run_uuid) VALUES (:key, :value, :id)"
    parent = MlflowClient(uri).create_run("0", tags={"search": "big", "spikefront.role": "search"}).info.run_id
    with create_engine(uri).begin() as connection:
        for number in range(runs):
            run = f"{number:032x}"
            connection.execute(text(insert_run), {"id": run})
            tags = {
                "search": "big",
                "spikefront.role": "trial",
                "trial.number": str(number),
                "mlflow.parentRunId": parent,
            }
            tags |= {"trial.state": "COMPLETE", "pareto": "true" if number % TRIALS_ON_FRONT == 0 else "false"}
            for table, pairs in (("tags", tags), ("params", params)):
                rows = [{"id": run, "key": key, "value": value} for key, value in pairs.items()]
                connection.execute(text(insert_pair.format(table)), rows)
            numbers = [{"id": run, "key": key, "value": value + number / runs} for key, value in metrics.items()]
            connection.execute(text(insert_metric), numbers)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--runs", type=int, default=10_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.chdir(folder)
        uri = f"sqlite:///{folder}/mlflow.db"
        burst(2, uri, folder)  # imports what a search needs once
        few = burst(arguments.trials, uri, folder)
        many = burst(3 * arguments.trials, uri, folder)
        per_trial = (many - few) / (2 * arguments.trials)
        bare = bare_calls(arguments.trials, uri)
        print(
            f"MLflow per trial, SQLite, slope from {arguments.trials} to {3 * arguments.trials} trials: "
            f"{1000 * per_trial:.1f} ms (bound 20 ms); MLflow's own calls {1000 * bare:.1f} ms; "
            f"ratio {per_trial / bare:.2f}; the end of a search {few - arguments.trials * per_trial:.1f} s"
        )
        fill(uri, arguments.runs)
        from spikefront.results.queries import pareto
        from spikefront.results.store.connection import Store

        times = []
        for _ in range(9):
            started = time.perf_counter()
            frame = pareto(Store(uri), "big")
            times.append(time.perf_counter() - started)
        print(
            f"front of {len(frame)} among {arguments.runs} runs: {1000 * times[0]:.0f} ms at first, "
            f"then {1000 * statistics.median(times[1:]):.0f} ms (median of 8; bound 150 ms)"
        )
        os.chdir("/")


if __name__ == "__main__":
    main()
