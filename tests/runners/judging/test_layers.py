"""Energy by layer: the counts of one sample, and what is left of them when no neuron spikes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from spikefront.plugins import (
    Counts,
    Data,
    LayerCount,
    Neuron,
    Operations,
    Registry,
    SearchData,
    Synapse,
    Task,
    load_registry,
)
from spikefront.plugins.energy.horowitz_45nm import Horowitz45nm
from spikefront.runners.judging.counting import count_operations
from spikefront.runners.judging.judge import judge
from spikefront.runners.judging.layers import energy_by_layer, layers_json
from spikefront.runners.judging.measuring import measure, silent_counts
from spikefront.runners.judging.network import Network, assemble
from spikefront.runners.judging.twins import break_even_rate
from spikefront.searchspace import from_flat

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
SILENT = replace(
    COUNTS,
    layers=(
        COUNTS.layers[0],
        replace(COUNTS.layers[1], events=0),
        COUNTS.layers[2],
        replace(COUNTS.layers[3], sops=0, events=0),
        *COUNTS.layers[4:],
    ),
)


def test_energies_with_and_without_spikes_by_hand() -> None:
    model = load_registry(third_parties=False).get("energy", "loihi-1")()
    layers = energy_by_layer(COUNTS, SILENT, model)
    assert [layer.layer for layer in layers] == [layer.layer for layer in COUNTS.layers]
    # pJ of one of two samples, without traffic: 35.5 a synapse, 8 of them a multiplication, 111 a message, 51.2 an
    # access, 90.9 a spike with its update; a message is sent for each event
    digits, spikes = 8 * 35.5, 69.3 + 21.6
    shortcut = 5 * digits + 8 * 2.5 * 111
    expected = [50 * 35.5 + 5 * 111, 20 * 51.2 + 4 * spikes, 3 * 35.5, 30 * 35.5 + 4 * 111 + 2 * digits, shortcut]
    silent = [50 * 35.5 + 5 * 111, 20 * 51.2, 3 * 35.5, 2 * digits, shortcut]
    expected, silent = [*expected, 5 * 51.2], [*silent, 5 * 51.2]
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
    assert found.silent is not None
    kept = json.loads(layers_json(found.counts, found.silent, model))
    assert kept["layers"] == json.loads(found.to_json())["layers"]
    layers = kept.pop("layers")
    assert kept == {"energy_model": str(model), "samples": 128, "steps": 3}
    for metric in ("sops", "macs", "energy_nj"):
        assert sum(layer[metric] for layer in layers) == pytest.approx(found.metrics[metric])
    neurons = [layer for layer in layers if layer["role"] == "neuron"]
    rate = sum(layer["events"] for layer in neurons) / sum(layer["sites"] for layer in neurons)
    assert rate == pytest.approx(found.metrics["spike_rate"])
    assert all(0 <= layer["silent_nj"] <= layer["energy_nj"] for layer in layers)


def untrained(registry: Registry, data: SearchData, **flat: object) -> tuple[Network, Tensor]:
    """Return the network of a candidate of digits with large weights, so that it spikes untrained, and 16 samples."""
    torch.manual_seed(3)
    candidate = from_flat({"task": "digits", **flat}, registry)
    network = assemble(candidate, registry, (1, 8, 8), 10)
    for module in network.modules():
        if isinstance(module, Synapse):
            module.weight.weight.data *= 8
    return network.eval(), registry.task(candidate).prepare(data.validation.inputs[:16])


def measured(network: Network, batch: Tensor) -> Counts:
    """Count as an epoch of a trial does, with its draws."""
    few = Data(batch, torch.zeros(len(batch), dtype=torch.long))
    return measure(network, Floats(), few, batch, Horowitz45nm())[1]


class Floats(Task):
    """Inputs that are ready for coding."""

    name = "floats"


@contextmanager
def without_spikes(network: Network) -> Iterator[None]:
    """Replace the class of each neuron, outside of what the product mutes by, by one that emits zeros."""

    def forward(self: Neuron, current: Tensor, steps: int) -> Tensor:
        return torch.zeros(steps, *current.shape[1:])

    kept = [(site.neuron, type(site.neuron)) for site in network.sites]
    for neuron, kind in kept:
        neuron.__class__ = type("Mute", (kind,), {"forward": forward})
    yield
    for neuron, kind in kept:
        neuron.__class__ = kind


CODINGS = load_registry(third_parties=False).entries["coding"]
STATIC = sorted(name for name, entry in CODINGS.items() if "static" in entry.plugin.inputs)
NETWORKS: list[dict[str, object]] = [
    {"coding": coding, "backbone": backbone, **more}
    for backbone, codings, more in (
        ("convnet", STATIC, {}),
        ("mlp", ["direct"], {}),
        ("vgg", ["direct", "tcja"], {}),
        ("sew-resnet", ["direct"], {}),
        ("spiking-transformer", ["direct"], {}),
        ("ms-resnet", ["direct", "gac", "tcja", "sac"], {}),
        ("convnet", ["direct"], {"neuron": "lif", "neuron.lif.reset": "soft"}),
        ("sew-resnet", ["direct"], {"neuron": "ternary-lif"}),
    )
    for coding in codings
]


@pytest.mark.parametrize("flat", NETWORKS, ids=lambda flat: " ".join(map(str, flat.values())))
def test_silent_energies_are_those_of_the_muted_network(
    registry: Registry, data: SearchData, flat: dict[str, object]
) -> None:
    network, batch = untrained(registry, data, **flat)
    counts, silent = measured(network, batch), silent_counts(network, batch)
    with without_spikes(network):
        muted = measured(network, batch)
    assert sum(layer.events for layer in muted.layers if layer.role == "neuron") == 0
    assert counts.spike_rate > 0  # else there was nothing to mute
    for name in ("horowitz-45nm", "lemaire-45nm", "loihi-1"):
        model = registry.get("energy", name)()
        layers = energy_by_layer(counts, silent, model)
        assert sum(layer.silent_nj for layer in layers) == pytest.approx(model.energy_nj(muted), rel=1e-12)
        assert sum(layer.silent_nj for layer in layers) < sum(layer.energy_nj for layer in layers)


@pytest.mark.parametrize("coding", ["tcja", "gac", "direct"])
def test_a_network_with_its_spikes_thinned_costs_as_much_as_a_twin_at_its_break_even_rate(
    registry: Registry, data: SearchData, coding: str
) -> None:
    network, batch = untrained(registry, data, coding=coding, backbone="mlp", steps=6)  # without any pooling
    model = registry.get("energy", "horowitz-45nm")()
    counts = count_operations(network, batch)
    layers = energy_by_layer(counts, silent_counts(network, batch), model)

    spikes: dict[Any, Tensor] = {}
    generator = torch.Generator().manual_seed(1)

    def thin(module: Neuron, args: object, fired: Tensor) -> None:
        spikes[module] = fired * (torch.rand(fired.shape, generator=generator) < 0.6)

    hooks = [site.neuron.register_forward_hook(thin) for site in network.sites]
    network(batch)
    for hook in hooks:
        hook.remove()
    for site in network.sites:
        site.neuron.register_forward_hook(lambda module, args, fired: spikes[module])
    thinned = count_operations(network, batch)
    assert 0.5 < thinned.spike_rate / counts.spike_rate < 0.7
    assert break_even_rate(layers, model.energy_nj(thinned)) == pytest.approx(thinned.spike_rate, rel=0.01)
