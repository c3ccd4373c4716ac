"""Energy of a network by layer, per sample."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

from spikefront.plugins import Counts, EnergyModel, LayerCount
from spikefront.searchspace.records import LayerEnergy


def energy_by_layer(counts: Counts, model: EnergyModel) -> tuple[LayerEnergy, ...]:
    """Return the layers of a network, from the input on, with their counts and energies.

    Args:
        counts: operations of the network.
        model: the energy model.
    """
    energies, silent = model.layer_energy_nj(counts), model.layer_energy_nj(_silent(counts))
    return tuple(_row(layer, counts.samples, energies[layer.layer], silent[layer.layer]) for layer in counts.layers)


def layers_json(counts: Counts, model: EnergyModel) -> str:
    """Return ``energy_by_layer`` as JSON, with the energy model and the number of samples and steps."""
    layers = [asdict(layer) for layer in energy_by_layer(counts, model)]
    head = {"energy_model": str(model), "samples": counts.samples, "steps": counts.steps}
    return json.dumps(head | {"layers": layers}, indent=1)


def _row(layer: LayerCount, samples: int, energy_nj: float, silent_nj: float) -> LayerEnergy:
    return LayerEnergy(
        layer.layer,
        layer.role,
        sops=layer.sops / samples,
        macs=layer.macs / samples,
        adds=layer.operations.adds / samples,
        multiplies=layer.operations.multiplies / samples,
        events=layer.events / samples,
        sites=layer.sites / samples,
        energy_nj=energy_nj,
        silent_nj=silent_nj,
    )


def _silent(counts: Counts) -> Counts:
    """Return the counts of a silent network: no accumulates behind the first synapse, which reads the input."""
    synapses = [layer for layer in counts.layers if layer.role == "synapse"]
    weights = [layer for layer in synapses if layer.geometry is not None]  # else an encoder's own work, say
    first = next((layer.layer for layer in weights or synapses), "")
    layers = []
    for layer in counts.layers:
        if layer.role == "neuron":
            layers.append(replace(layer, events=0, active=None))
        elif layer.sops and layer.layer != first:
            layers.append(replace(layer, sops=0, events=0))
        else:
            layers.append(layer)
    return replace(counts, layers=tuple(layers))
