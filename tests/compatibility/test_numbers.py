"""A search gives the numbers that it gave before, to the last digit, but for energies, whose accounting has changed.

Energies differ by what is charged since, or charged otherwise: encoders, biases, products with powers of two. Without
these they are what they were.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from spikefront.plugins.bases.prices import FLOAT32_45NM as PRICES

HERE = Path(__file__).parent
COMMAND = ("run", "--task", "digits", "--trials", "8", "--workers", "1", "--seed", "0", "--no-cost-aware")
ENERGIES: Final = ("energy_nj", "attention_nj")


def trials_of(journal: Path) -> list[optuna.trial.FrozenTrial]:
    study = optuna.load_study(study_name="numbers", storage=JournalStorage(JournalFileBackend(str(journal))))
    return study.get_trials()


def as_it_was_priced(layers: list[dict[str, Any]]) -> float:
    """Return the energy in nanojoules as it was: shifts were multiplications, encoders and biases free."""
    nanojoules = 0.0
    for layer in layers:
        if layer["role"] != "encoder":
            nanojoules += layer["energy_nj"] - PRICES.add_pj * layer["biases"] / 1000
            nanojoules += (PRICES.multiply_pj - PRICES.shift_pj) * layer["shifts"] / 1000
    return nanojoules


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_no_number_of_a_search_changes(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    command = [sys.executable, "-m", "spikefront", *COMMAND, "--name", "numbers"]

    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=1700)

    assert done.returncode == 0, done.stderr
    known = json.loads((HERE / "ref.json").read_text(encoding="utf-8"))
    folder = tmp_path / "searches" / "numbers"
    trials = trials_of(folder / "journal.log")
    assert len(trials) == len(known)
    priced = 0
    for trial, (number, state, epoch, metrics) in zip(trials, known, strict=True):
        outcome = trial.user_attrs["outcome"]
        same = {name: value for name, value in metrics.items() if name not in ENERGIES}
        found = {name: outcome["metrics"].get(name) for name in same}
        assert (trial.number, trial.state.name, outcome["epoch"], found) == (number, state, epoch, same)
        layers = folder / "weights" / f"trial-{number:05d}.layers.json"
        # since then, constants of conversions fold, and the growth of TSA by 2 is no addition
        if layers.exists() and "ann_quality" not in metrics and trial.user_attrs["candidate"]["neuron"] != "tsa":
            before = as_it_was_priced(json.loads(layers.read_text(encoding="utf-8"))["layers"])
            assert before == pytest.approx(metrics["energy_nj"], rel=1e-9), number
            priced += 1
    assert priced  # of a direct code, say
