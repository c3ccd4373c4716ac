"""Energy by layer: the counts of one sample, and what is left of them in silence."""

from __future__ import annotations

import json

import pytest

from spikefront.plugins import Counts, LayerCount, Operations, load_registry
from spikefront.runners.judging.judge import judge
from spikefront.runners.judging.layers import energy_by_layer, layers_json

COUNTS = Counts(
    samples=2,
    steps=4,
    layers=(
        LayerCount("stem", "synapse", sops=100, events=10, sites=80),  # reads the input: no neuron is behind its spikes
        LayerCount("site.neuron", "neuron", operations=Operations(adds=40, multiplies=20), events=8, sites=40),
        LayerCount("gate", "attention", operations=Operations(adds=6)),
        LayerCount("conv", "synapse", sops=60, operations=Operations(multiplies=4), events=8, sites=40),
        LayerCount("shortcut", "synapse", macs=10, macs_every_step=10, events=5, sites=5),
        LayerCount("coding.decode", "readout", operations=Operations(adds=10)),
    ),
)


def test_energies_with_and_without_spikes_by_hand() -> None:
    model = load_registry(third_parties=False).get("energy", "loihi-1")()
    layers = energy_by_layer(COUNTS, model)
    assert [layer.layer for layer in layers] == [layer.layer for layer in COUNTS.layers]
    # pJ of one of two samples: 23.6 an accumulate, 188.8 a multiplication, 52 an update, 81 one with a spike
    expected = [50 * 23.6, 16 * 52 + 4 * 81, 3 * 23.6, 30 * 23.6 + 2 * 188.8, 5 * 188.8, 5 * 23.6]
    silent = [50 * 23.6, 20 * 52, 3 * 23.6, 2 * 188.8, 5 * 188.8, 5 * 23.6]
    assert [1000 * layer.energy_nj for layer in layers] == pytest.approx(expected)
    assert [1000 * layer.silent_nj for layer in layers] == pytest.approx(silent)
    assert (layers[0].sops, layers[1].adds, layers[1].multiplies, layers[3].events, layers[3].sites) == (
        50,
        20,
        10,
        4,
        20,
    )


@pytest.mark.parametrize("energy_model", ["horowitz-45nm", "lemaire-45nm", "loihi-1"])
def test_the_layers_of_a_network_add_up_to_its_metrics(energy_model: str) -> None:
    flat = {"task": "digits", "coding": "latency", "backbone": "convnet", "steps": 3}
    found = judge({**flat, "training.epochs": 1, "training.subset": 64}, energy_model=energy_model)
    model = load_registry(third_parties=False).get("energy", energy_model)()
    kept = json.loads(layers_json(found.counts, model))
    layers = kept.pop("layers")
    assert kept == {"energy_model": energy_model, "samples": 128, "steps": 3}
    for metric in ("sops", "macs", "energy_nj"):
        assert sum(layer[metric] for layer in layers) == pytest.approx(found.metrics[metric])
    neurons = [layer for layer in layers if layer["role"] == "neuron"]
    rate = sum(layer["events"] for layer in neurons) / sum(layer["sites"] for layer in neurons)
    assert rate == pytest.approx(found.metrics["spike_rate"])
    assert all(0 <= layer["silent_nj"] <= layer["energy_nj"] for layer in layers)
