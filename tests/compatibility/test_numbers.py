"""A search gives the numbers that it gave before, to the last digit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

HERE = Path(__file__).parent
COMMAND = ("run", "--task", "digits", "--trials", "8", "--workers", "1", "--seed", "0", "--no-cost-aware")


def numbers_of(journal: Path) -> list[list[Any]]:
    """Return number, state, epochs and metrics of each trial; what a clock measured is left out."""
    study = optuna.load_study(study_name="numbers", storage=JournalStorage(JournalFileBackend(str(journal))))
    found = []
    for trial in study.get_trials():
        outcome = trial.user_attrs["outcome"]
        metrics = {name: value for name, value in outcome["metrics"].items() if name != "seconds"}
        found.append([trial.number, trial.state.name, outcome["epoch"], metrics])
    return found


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_no_number_of_a_search_changes(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    command = [sys.executable, "-m", "spikefront", *COMMAND, "--name", "numbers"]

    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=1700)

    assert done.returncode == 0, done.stderr
    known = json.loads((HERE / "ref.json").read_text(encoding="utf-8"))
    assert numbers_of(tmp_path / "searches" / "numbers" / "journal.log") == known
