"""One search over neurons of three libraries, and the front that they share."""

from __future__ import annotations

from pathlib import Path

import pytest

import spikefront

pytest.importorskip("snntorch")
pytest.importorskip("spikingjelly")

NEURONS = ("lif", "snntorch-leaky", "spikingjelly-lif")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_neurons_of_three_libraries_are_searched_beside_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    search = spikefront.run(
        task="digits",
        space={
            "coding": "direct",
            "neuron": ",".join(NEURONS),
            "backbone": "mlp",
            "backbone.mlp.width": "16..32",
            "steps": "2..4",
        },
        trials=26,  # of which the first ten are cheap ones near the defaults
        epochs=2,
        workers=1,
        sampler="random",
        early_stopping=False,
        seed=1,
    )
    trials = search.trials
    assert {trial.candidate["neuron"] for trial in trials.values()} == set(NEURONS)
    assert all(trial.state == "COMPLETE" and trial.metrics["energy_nj"] > 0 for trial in trials.values())
    front = search.front()
    assert 1 <= len(front) <= len(trials)
    assert set(front["neuron"]) <= set(NEURONS)
