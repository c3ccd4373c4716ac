"""Where the energy of a network goes: its layers one by one, per sample, in a form that survives JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace

from spikefront.plugins import Counts, EnergyModel, LayerCount


@dataclass(frozen=True, slots=True)
class LayerEnergy:
    """One layer, per sample, summed over the time steps.

    Attributes:
        layer: the module's name in the network.
        role: what the layer is: synapse, neuron, attention, residual or readout.
        sops: accumulates.
        macs: multiply-accumulates; a constant input is charged once.
        adds: additions besides.
        multiplies: multiplications besides.
        events: non-zero inputs of a synapse, or spikes emitted by a neuron.
        sites: values that an event could have stood on: inputs or neurons, times steps.
        energy_nj: energy in nanojoules.
        silent_nj: the same had no neuron of the network spiked.
    """

    layer: str
    role: str
    sops: float
    macs: float
    adds: float
    multiplies: float
    events: float
    sites: float
    energy_nj: float
    silent_nj: float


def energy_by_layer(counts: Counts, model: EnergyModel) -> tuple[LayerEnergy, ...]:
    """Return the layers of a network, from the input on, with their counts and energies.

    Args:
        counts: what was counted.
        model: what prices it.
    """
    energies, silent = model.layer_energy_nj(counts), model.layer_energy_nj(_silent(counts))
    return tuple(_row(layer, counts.samples, energies[layer.layer], silent[layer.layer]) for layer in counts.layers)


def layers_json(counts: Counts, model: EnergyModel) -> str:
    """Return as JSON what ``energy_by_layer`` does, with what it was measured on and priced by."""
    layers = [asdict(layer) for layer in energy_by_layer(counts, model)]
    head = {"energy_model": model.name, "samples": counts.samples, "steps": counts.steps}
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
    """Return the counts had no neuron spiked: no accumulates behind the first synapse, which reads the input."""
    first = next((layer.layer for layer in counts.layers if layer.role == "synapse"), "")
    layers = []
    for layer in counts.layers:
        if layer.role == "neuron":
            layers.append(replace(layer, events=0))
        elif layer.sops and layer.layer != first:
            layers.append(replace(layer, sops=0, events=0))
        else:
            layers.append(layer)
    return replace(counts, layers=tuple(layers))
