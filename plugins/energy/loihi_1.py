"""Energy on Intel's Loihi 1: synaptic operations and neuron updates.

A synaptic operation costs 23.6 pJ; the update of a neuron 52 pJ at a step where it stays silent (inactive) and 81 pJ at
one where it spikes (active); n spikes of one neuron at one step are charged as n active updates. What a neuron computes
inside is part of its update, so its own additions and multiplications are not charged again.

Loihi 1 has no multiply-accumulate of analog values. **Reconstructed**, not in the paper: an 8-bit value is presented as
eight binary digits, each a spike of its own weight, so that a multiply-accumulate costs 8 synaptic operations, 188.8
pJ. That is an upper bound: digits that are 0 send nothing. A multiplication outside a synapse (attention,
coefficients) costs the same, an addition there one synaptic operation, for want of a better price. A constant input is
presented once; its current is held as the bias of a neuron.

Not priced: spikes on the mesh, learning, leakage, the host that encodes and decodes.

Reference: Davies et al., "Loihi: a neuromorphic manycore processor with on-chip learning", IEEE Micro 38(1), 2018. The
prices are quoted second-hand, and **disputed**: a public audit denies that 23.6 pJ stands in the paper. To our
recollection they were simulated before silicon, at 0.75 V, and are minima.
"""

from __future__ import annotations

from collections.abc import Callable

from spikefront.plugins import Counts, EnergyModel, LayerCount, hookimpl
from spikefront.plugins.bases.prices import LOIHI_1 as PRICES


class Loihi1(EnergyModel):
    """Synaptic operations and neuron updates on Loihi 1 (disputed; analog values reconstructed)."""

    name = "loihi-1"
    technology = PRICES.technology
    source = PRICES.source

    def layer_energy_nj(self, counts: Counts) -> dict[str, float]:
        return {layer.layer: _picojoules(layer) / 1000 / counts.samples for layer in counts.layers}


def _picojoules(layer: LayerCount) -> float:
    if layer.role == "neuron":
        silent = max(0, layer.sites - layer.active_sites)
        return PRICES.idle_update_pj * silent + PRICES.active_update_pj * layer.events
    adds = layer.sops + layer.operations.adds
    multiplies = layer.macs + layer.operations.multiplies  # the eight digits accumulate as they come
    return PRICES.add_pj * adds + PRICES.multiply_pj * multiplies


@hookimpl
def register_energy_models(register: Callable[[type[EnergyModel]], None]) -> None:
    register(Loihi1)
