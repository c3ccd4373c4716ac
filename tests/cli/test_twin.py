"""``spikefront twin``: what it prints, keeps, and does not do twice."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from mlflow import MlflowClient

import spikefront
from spikefront.plugins import load_registry
from spikefront.results.store.connection import Store, resolve_uri
from spikefront.results.store.recorder import MlflowRecorder
from spikefront.runners.judging.layers import layers_json
from spikefront.searchspace import ENERGY, Objective, SearchInfo, UsageError

QUICK: dict[str, object] = {"task": "digits", "steps": 4, "training.epochs": 2, "training.subset": 300}


@pytest.mark.slow
def test_members_are_trained_beside_their_twins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    registry = load_registry(third_parties=False)
    model = registry.get("energy", "horowitz-45nm")()
    axes = (Objective("quality", maximize=True, worst=0.0, best=1.0), ENERGY)
    store = MlflowRecorder(Store())
    store.search_started(SearchInfo("one", "digits", "accuracy", axes, tmp_path, 2, None, {}, registry.versions()))
    flats: list[dict[str, object]] = [
        {"coding": "latency", "neuron": "lif", "neuron.lif.threshold": 0.3, "backbone": "mlp"},
        {"coding": "direct", "backbone": "sew-resnet"},
    ]
    for number, flat in enumerate(flats):
        found = spikefront.judge({**QUICK, **flat})
        weights = tmp_path / f"trial-0000{number}.pt"
        weights.touch()
        assert found.silent is not None
        weights.with_suffix(".layers.json").write_text(layers_json(found.counts, found.silent, model))
        store.trial_started(number, found.candidate)
        energy = found.metrics["energy_nj"] if number == 0 else 1e6
        metrics = {**found.metrics, "quality": 0.1 + number / 2, "energy_nj": energy}  # both on the front
        store.trial_ended(number, "COMPLETE", "", metrics, weights)
    store.search_ended("all trials done")

    frame, told = spikefront.twin("one", seeds=2, workers=2, folder=tmp_path / "searches")
    assert list(frame["twin"]) in (["trades", "none"], ["undecided", "none"])  # cheaper, and worse or not surely so
    row = frame.iloc[0]
    assert (row["bits"], row["seeds"]) == (3, 2)  # of 4 steps
    assert row["quantised"] > 0.5  # chance is 0.1
    assert row["energy_nj"] < row["quantised_energy_nj"] < row["ann_energy_nj"]
    assert row["break_even_rate"] > row["rate"]  # it is cheaper, so it could fire more
    assert told[1].startswith("Compared on the validation split, under fresh seeds 1, 2 for members and twins")
    assert told[2].startswith("Trial 1 has no twin: backbone 'sew-resnet' with rectifiers")
    said = capfd.readouterr().err.splitlines()
    assert said[0].startswith("2 trainings of both twins and 2 of members, validation split")  # and how long, if long
    assert [line[:19] for line in said[1:5]] == [f"[{number}/4] trial 0, seed" for number in range(1, 5)]
    kept = {path.name for path in (tmp_path / "searches/one/anns").glob("*.pt")}
    assert len(kept) == 4
    for path in (tmp_path / "searches/one/anns").glob("*.pt"):
        path.unlink()
    again, _ = spikefront.twin("one", folder=tmp_path / "searches")
    assert json.loads(again.to_json()) == json.loads(frame.to_json())
    assert not list((tmp_path / "searches/one/anns").glob("*.pt"))  # nothing was trained again
    (run,) = MlflowClient(resolve_uri()).search_runs(["0"], "tags.`twin.seeds` = '1,2'")
    assert run.data.metrics["twin.quantised.quality"] == row["quantised"]
    assert run.data.metrics["twin.member.quality"] == row["quality"]

    with pytest.raises(UsageError, match="unknown search 'two'"):
        spikefront.twin("two")
