"""``spikefront why``: what it prints of trials that failed, and what it refuses."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.runners.judging.breaking import BREAKS

import spikefront
from spikefront.plugins import load_registry
from spikefront.results.store.connection import Store
from spikefront.results.store.recorder import MlflowRecorder
from spikefront.runners.failures import LOST_WORKER, Failure
from spikefront.searchspace import ENERGY, SearchInfo, from_flat
from spikefront.searchspace.objectives import quality_objective

FEW: dict[str, object] = {"task": "digits", "backbone": "mlp", "steps": 2, "training.epochs": 2, "training.subset": 192}
SILENT: dict[str, object] = {"coding": "direct", "neuron.lif.tau": 10.0, "neuron.lif.threshold": 2.0}
LEARNT: dict[str, object] = {
    "coding": "direct",
    "neuron.lif.tau": 1.1,
    "neuron.lif.threshold": 0.3,
    "training.optimizer.adam.lr": 0.02,
}

Command = Callable[..., Any]


@pytest.fixture
def stored() -> Path:
    """Leave a search of five trials in a new store: silent, learnt, raised, without a worker, running."""
    folder = Path("plugins")
    folder.mkdir()
    (folder / "breaks.py").write_text(BREAKS)
    registry = load_registry([folder], third_parties=False)
    axes = (quality_objective(maximize=True, worst=0.0, best=1.0), ENERGY)
    Path("searches/s").mkdir(parents=True)
    Path("searches/s/journal.log").write_text("a journal\n")
    recorder = MlflowRecorder(Store())
    recorder.search_started(
        SearchInfo("s", "digits", "accuracy", axes, Path("searches/s"), 5, None, {}, registry.versions())
    )
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as workers have
    flats: list[dict[str, object]] = [SILENT, LEARNT, {"coding": "breaks"}, SILENT, SILENT]
    for number, flat in enumerate(flats):
        candidate = from_flat({**FEW, **flat}, registry)
        recorder.trial_started(number, candidate)
        metrics: dict[str, float] = {}

        def keep(epoch: int, found: dict[str, float], number: int = number, into: dict[str, float] = metrics) -> None:
            into |= found
            recorder.epoch_ended(number, epoch, found)

        if number == 3:
            recorder.trial_ended(number, "FAIL", LOST_WORKER, {}, None)
        if number > 2:
            continue
        try:
            spikefront.judge(candidate, registry=registry, on_epoch=keep)
            recorder.trial_ended(number, "COMPLETE", "", metrics, None)
        except ArithmeticError as error:
            failure = Failure.of(error)
            recorder.trial_raised(number, failure.traceback)
            recorder.trial_ended(number, "FAIL", failure.reason, metrics, None)
    recorder._writer.close()  # what a driver that died leaves
    torch.set_num_threads(threads)
    return folder


@pytest.mark.slow
def test_a_trial_is_explained_with_its_layers_its_cause_and_what_learnt(stored: Path, command: Command) -> None:
    said = command("why", "s/0", "--plugins-dir", str(stored), "--picture", "why.png")
    assert said.code == 0
    assert [line.partition(":")[0] for line in said.err.splitlines()] == ["epoch 1", "epoch 2"]
    assert "Trial s/0: direct lif mlp, T=2, COMPLETE, quality 0.1018 (chance 0.1018)." in said.out
    assert "Most likely cause: Layer layers.2 is silent: none of its neurons fires" in said.out
    assert "lower neuron.lif.threshold (2 here, 0.3 in trial 1)" in said.out
    assert "Nearest that learnt: trial 1" in said.out
    assert "3 settings differ." in said.out
    assert "stored metrics of 2 epochs to the last digit" in said.out
    assert Path("why.png").read_bytes().startswith(b"\x89PNG")

    rows = list(csv.DictReader(io.StringIO(command("why", "s/0", "--format", "csv").out)))
    assert [(row["layer"], row["epoch"]) for row in rows] == [
        (layer, epoch) for epoch in "12" for layer in ("backbone.layers.2.neuron", "read-out")
    ]
    assert {row["rate"] for row in rows} == {"0.0", ""}

    good = spikefront.load_search("s").why(1)
    assert good.cause.rule == "learnt"
    assert good.case.seen is not None
    assert good.differences.empty
    assert "to the last digit" in good.sentences()[-1]

    raised = command("why", "2", "--search", "s", "--plugins-dir", str(stored))
    assert "It raised ArithmeticError: no fourth batch (breaks.py:11), in epoch 2. Mend breaks.py:11" in raised.out
    assert raised.out.rstrip().endswith("ArithmeticError: no fourth batch")

    lost = command("why", "s/3", "--format", "json")
    assert json.loads(lost.out) == []
    assert f"It {LOST_WORKER}" in lost.err
    assert "It was not trained again" in lost.err
    none = spikefront.why("s/1", epochs=0)
    assert none.layers.empty
    assert none.cause.rule == "learnt"

    for asked, problem in {
        "s/4": "trial s/4 still runs, or its driver died; ask when it has ended",
        "s/2": "coding 'breaks' is missing here: install it, or give the folder with its file (--plugins-dir)",
        "s/3 --picture a.png": (
            "picture a.png: trial s/3 is not trained again: it would end this process, too; "
            "--epochs trains it all the same"
        ),
    }.items():
        assert command("why", *asked.split()).problem() == problem


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        ("any", "'any' names no trial; give SEARCH/TRIAL such as digits-1/23, or an MLflow run id"),
        ("s/1 --epochs -1", "--epochs -1 must be 0 or more"),
        ("s/1 --picture why.gif", "picture why.gif must end in .png or .svg or .html or .csv or .json"),
    ],
)
def test_what_can_not_be_asked_is_told_in_one_line(command: Command, asked: str, problem: str) -> None:
    assert command("why", *asked.split()).problem() == problem
