"""A search that an earlier version began, and whose driver was killed, is resumed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import optuna
import pytest
from mlflow import MlflowClient
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from spikefront.runners.engine.memory.resume import resumed_settings


def journal(searches: Path) -> list[optuna.trial.FrozenTrial]:
    storage = JournalStorage(JournalFileBackend(str(searches / "killed" / "journal.log")))
    return optuna.load_study(study_name="killed", storage=storage).get_trials()


def trial_runs(uri: str) -> dict[int, list[Any]]:
    found: dict[int, list[Any]] = {}
    for run in MlflowClient(uri).search_runs(["0"], "tags.search = 'killed' and tags.`spikefront.role` = 'trial'"):
        found.setdefault(int(run.data.tags["trial.number"]), []).append(run)
    return found


def rungs(trial: optuna.trial.FrozenTrial) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = trial.user_attrs.get("rungs", [])
    return found


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_killed_search_is_completed(stored: Any) -> None:
    before = journal(stored.searches)
    runs_before = trial_runs(stored.uri)
    assert [trial.state for trial in before] == [TrialState.COMPLETE, TrialState.RUNNING]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}

    done = subprocess.run(
        [sys.executable, "-m", "spikefront", "run", "--resume", "killed", "--tracking-uri", stored.uri],
        cwd=stored.folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=800,
    )

    assert done.returncode == 0, done.stderr
    after = journal(stored.searches)
    evaluated = [trial for trial in after if trial.state in (TrialState.COMPLETE, TrialState.PRUNED)]
    assert len(evaluated) == 3
    assert not [trial for trial in after if trial.state is TrialState.RUNNING]
    # what was evaluated stays as it was, with its records at the rungs
    assert after[0].values == before[0].values
    assert after[0].params == before[0].params
    assert len(rungs(before[0])) == 2
    assert rungs(after[0]) == rungs(before[0])
    # what ran is evaluated again, and compared at its rungs with what the earlier version recorded
    (again,) = [trial for trial in evaluated if trial.number != 0 and trial.params == before[1].params]
    assert [record["rung"] for record in rungs(again)] == list(range(len(rungs(again))))
    assert rungs(again)

    runs = trial_runs(stored.uri)
    assert sorted(runs) == [trial.number for trial in after]
    assert all(len(found) == 1 for found in runs.values())  # nothing is there twice
    for number, (run,) in runs_before.items():
        assert runs[number][0].info.run_id == run.info.run_id
    client = MlflowClient(stored.uri)
    searches = client.search_runs(["0"], "tags.search = 'killed' and tags.`spikefront.role` = 'search'")
    assert len(searches) == 1
    everything = client.search_runs(["0"], "tags.search = 'killed'")
    assert [run.info.run_id for run in everything if run.info.status == "RUNNING"] == []
    files = {file.path for file in client.list_artifacts(searches[0].info.run_id)}
    assert {"front.json", "journal.log", "report.html"} <= files


def test_a_killed_search_has_the_options_that_it_began_with(stored: Any) -> None:
    lines = (stored.searches / "killed" / "journal.log").read_text(encoding="utf-8").splitlines()
    recorded = json.loads(lines[1])["user_attr"]["search"]

    settings = resumed_settings({"resume": "killed", "folder": str(stored.searches)})

    assert settings.rung_shares == (0.2, 0.5)
    assert (settings.reduction, settings.trials, settings.seed, settings.workers) == (2, 3, 3, 1)
    assert [str(narrowing) for narrowing in settings.narrowings] == recorded["narrowings"]
