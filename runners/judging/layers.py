"""Energy of a network by layer, per sample."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Final

from spikefront.plugins import Counts, EnergyModel, LayerCount
from spikefront.searchspace.records import LayerEnergy


def energy_by_layer(counts: Counts, silent: Counts, model: EnergyModel) -> tuple[LayerEnergy, ...]:
    """Return the layers of a network, from the input on, with their counts and energies.

    Args:
        counts: operations of the network.
        silent: operations of the same network on the same samples with its neurons muted; see ``silent_counts``.
        model: the energy model.
    """
    energies, without = model.charged_nj(counts), model.charged_nj(silent)
    # a backbone may leave out what no spike reaches
    return tuple(
        _row(layer, counts.samples, energies[layer.layer], without.get(layer.layer, 0.0)) for layer in counts.layers
    )


def layers_json(counts: Counts, silent: Counts, model: EnergyModel) -> str:
    """Return ``energy_by_layer`` as JSON, with the energy model and the number of samples and steps."""
    layers = [asdict(layer) for layer in energy_by_layer(counts, silent, model)]
    head = {"energy_model": str(model), "samples": counts.samples, "steps": counts.steps}
    return json.dumps(head | {"layers": layers}, indent=1)


def counts_json(counts: Counts) -> str:
    """Return counts as JSON that ``Counts.from_dict`` reads, without what is at its default: 2 to 6 kB."""
    plain = counts.to_dict()
    layers = [
        {name: value for name, value in asdict(layer).items() if value != _PLAIN[name]} for layer in counts.layers
    ]
    return json.dumps(plain | {"layers": layers}, separators=(",", ":"))


def _row(layer: LayerCount, samples: int, energy_nj: float, silent_nj: float) -> LayerEnergy:
    return LayerEnergy(
        layer.layer,
        layer.role,
        sops=layer.sops / samples,
        macs=layer.macs / samples,
        adds=layer.operations.adds / samples,
        multiplies=layer.operations.multiplies / samples,
        shifts=layer.operations.shifts / samples,
        biases=layer.biases / samples,
        events=layer.events / samples,
        sites=layer.sites / samples,
        energy_nj=energy_nj,
        silent_nj=silent_nj,
    )


_PLAIN: Final = asdict(LayerCount("", "synapse")) | {"role": ""}
