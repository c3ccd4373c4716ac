"""One candidate outside of a search: by hand, from a file, from an exported network, and from a stored trial."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import spikefront
from spikefront.plugins import load_registry
from spikefront.results.store.connection import Store
from spikefront.results.store.recorder import MlflowRecorder
from spikefront.searchspace import ENERGY, SearchInfo, from_flat
from spikefront.searchspace.objectives import OF_THE_MACHINE, quality_objective

EXAMPLES = Path(__file__).parents[2] / "examples" / "plugins"
FEW = {"task": "digits", "backbone": "mlp", "steps": 2, "training.epochs": 2, "training.subset": 100}
SET = [word for name, value in {**FEW, "coding": "latency"}.items() for word in ("--set", f"{name}={value}")]

Command = Callable[..., Any]


def without_time(metrics: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in metrics.items() if name not in OF_THE_MACHINE}


def test_a_candidate_made_by_hand_is_written_exported_and_read_back(command: Command) -> None:
    said = command("judge", *SET, "--to", "found.json", "--export", "net.pt", "--format", "json")
    assert said.code == 0
    assert [line.partition(":")[0] for line in said.err.splitlines()] == ["epoch 1", "epoch 2"]
    (row,) = json.loads(said.out)
    written = json.loads(Path("found.json").read_text())
    assert without_time(written["metrics"]) == {name: row[name] for name in without_time(written["metrics"])}
    assert written["candidate"]["steps"] == 2
    assert sum(layer["energy_nj"] for layer in written["layers"]) == pytest.approx(row["energy_nj"])
    assert Path("net.pt.card.md").exists()
    measured = spikefront.judge("net.pt")
    assert measured.metrics == {name: row[name] for name in measured.metrics}
    assert measured.stored == measured.metrics | {name: row[name] for name in ("loss", "seconds", "peak_memory_mb")}
    again = spikefront.judge("found.json")
    assert without_time(again.metrics) == without_time(dict(again.stored))
    assert again.candidate == measured.candidate
    other = spikefront.judge("net.pt", space="training.epochs=1", energy_model="loihi-1")
    assert (len(other.history), dict(other.stored), str(other.energy_model)) == (1, {}, "loihi-1(analog=host)")
    spikefront.export(other, "other.pt")
    assert spikefront.load("other.pt").description.energy_model == "loihi-1(analog=host)"


@pytest.fixture
def stored() -> dict[str, float]:
    """Leave a search of one trial, whose coding comes from a folder, in a new store; return its metrics."""
    registry = load_registry([EXAMPLES], third_parties=False)
    candidate = from_flat({**FEW, "coding": "step-forward", "coding.step-forward.threshold": 0.25}, registry)
    metrics = spikefront.judge(candidate, registry=registry).metrics
    axes = (quality_objective(maximize=True, worst=0.0, best=1.0), ENERGY)
    Path("searches/s").mkdir(parents=True)
    Path("searches/s/journal.log").write_text("a journal\n")
    Path("w.pt").write_bytes(b"weights")
    recorder = MlflowRecorder(Store())
    recorder.search_started(
        SearchInfo("s", "digits", "accuracy", axes, Path("searches/s"), 1, None, {}, registry.versions())
    )
    recorder.trial_started(0, candidate)
    recorder.trial_ended(0, "COMPLETE", "", metrics, Path("w.pt"))
    recorder.search_ended("all trials done")
    return dict(metrics)


@pytest.mark.slow
def test_a_stored_trial_gives_the_numbers_of_its_search(stored: dict[str, float], command: Command) -> None:
    found = spikefront.load_search("s", plugins_dir=EXAMPLES).judge(0)
    assert found.origin == "s/0"
    assert {name: found.stored[name] for name in stored} == stored
    said = command("judge", "s/0", "--plugins-dir", str(EXAMPLES), "--format", "json")
    now, before = json.loads(said.out)
    assert now["quality"] == before["quality"] == pytest.approx(stored["quality"], abs=0.05)  # another thread count
    needing = ("judge s/0", "judge 0 --search s", "export s/0 --to x.pt", "confirm s --seeds 1", "twin s")
    for asked in needing:
        problem = command(*asked.split()).problem()
        assert problem == (
            "coding 'step-forward' is missing here: install it, or give the folder with its file (--plugins-dir)"
        )
    front = spikefront.pareto("s", order="energy-delay", where="energy-delay>0", plugins_dir=[EXAMPLES])
    assert list(front["trial"]) == [0]
    assert spikefront.report("s", to="s.html", plugins_dir=EXAMPLES) == Path("s.html")


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        ("", "name what to judge: SEARCH/TRIAL, a file, or hyperparameters: --set task=digits --set ..."),
        ("any", "'any' is neither a file, nor SEARCH/TRIAL such as digits-1/23, nor an MLflow run id"),
        ("net.pt", "net.pt: no such file"),
        ("list.json", "list.json: a candidate is a mapping of hyperparameter: value, such as steps: 6"),
        ("--set task=digits --export net.txt", "--export net.txt must end in .pt, .safetensors, .nir, .onnx"),
        ("--set task=digits --to none/x", "--to none/x: folder none does not exist; create it or choose another"),
        ("--set task=digits --to pipe", "--to pipe is neither a regular file nor a new name; choose another"),
        (
            "--set task=digits --export gone.pt",
            "--export gone.pt is neither a regular file nor a new name; choose another",
        ),
        ("--set task=digits --to a.pt --export a.pt", "--export a.pt is the file of --to, too; name another"),
        ("--set steps=2..4", "--set steps=2..4: a candidate has one value of each hyperparameter: give NAME=VALUE"),
        ("--set task=digits --set coding=sac --set steps=two", "steps: 'two' is not a whole number of at least 1"),
        (
            "--set task=digits --energy-model guess",
            "energy model 'guess' is missing here: install it, or give the folder with its file (--plugins-dir)",
        ),
        ("--set task=digits --plugins-dir nowhere", "--plugins-dir nowhere: no such folder"),
    ],
)
def test_what_can_not_be_judged_is_told_in_one_line(command: Command, asked: str, problem: str) -> None:
    Path("list.json").write_text("[1, 2]")
    os.mkfifo("pipe")
    Path("gone.pt").symlink_to("nowhere/net.pt")
    assert command("judge", *asked.split()).problem() == problem


LIES = """
from spikefront.plugins import Coding, Kind, Signal, hookimpl

class Lies(Coding):
    '''Says that its values are spikes.'''
    name = "lies"

    def encode(self, x):
        return Signal(x.unsqueeze(0) / 2, self.steps, Kind.BINARY)

@hookimpl
def register_codings(register):
    register(Lies)
"""


def test_a_candidate_that_breaks_its_contract_shows_where_when_asked(command: Command) -> None:
    Path("mine").mkdir()
    Path("mine/lies.py").write_text(LIES)
    asked = ("judge", "--plugins-dir", "mine", "--set", "task=digits", "--set", "coding=lies", "--set", "backbone=mlp")

    said = command(*asked, "--verbose")

    assert said.code == 1
    assert said.err.splitlines()[0] == "Traceback (most recent call last):"
    assert said.err.splitlines()[-1].startswith("spikefront: ")
    assert said.err.count("spikefront: ") == 1
