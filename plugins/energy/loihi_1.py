"""Energy and time on Intel's Loihi 1: what neurons, spikes and messages cost on its cores.

Per event, in pJ and ns: access to a neuron 51.2, 6.0, at every step; its update 21.6, 3.7, where it got a message in
the step before, its potential is not 0, it has a bias, or it fires; a spike 69.3, 30.0; a message, one per spike and
core that it reaches, 111.0, 5.1, and 16.0 ns where it arrives; a synapse on the way 35.5, 3.8 (fully connected) or
24.0, 3.1 (convolution); a hop between tiles 3.0 pJ (x) or 4.2 pJ (y). A step takes as long as its busiest core, plus
0.6 to 1.8 us for all tiles to agree. ``spikefront.plugins.network.traffic`` says how a network is laid out and counted.
A neuron's own additions, shifts and multiplications are part of its update. The read-out's sums are neurons that never
fire.

The host encodes, and turns a constant analog input into a current, which the chip holds as a bias: both are free.

**Reconstructed**, not in the source: an analog value elsewhere is sent as eight spikes, its binary digits, all of them
set; ``analog=bits`` charges a constant analog input so too. Attention, sums of currents and coefficients cost a synapse
per addition and eight per multiplication. A neuron with two states is accessed and updated twice. A spike that is
negative, or worth another power of two, is one of an axon of its own. Counts without traffic, of earlier versions, are
priced as far as they go: a lower bound.

Reference: Boyle, Plagge, Cardwell, Chance & Gerstlauer, "SANA-FE: simulating advanced neuromorphic architectures for
fast exploration", IEEE TCAD (2025): its Loihi architecture and simple time model; what we charge equals its simulator
to the last digit. It says that all prices are SPICE simulations of Davies et al., "Loihi: a neuromorphic manycore
processor with on-chip learning", IEEE Micro 38(1), 2018; its authors found the whole within 12 % (energy) and 25 %
(time) of the chip.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from spikefront.plugins import Choice, Counts, EnergyConfig, EnergyModel, LayerCount, hookimpl
from spikefront.plugins.bases.prices import LOIHI_1 as PRICES
from spikefront.plugins.network.traffic import ANALOG_SPIKES, Traffic


@dataclass(frozen=True, slots=True)
class Loihi1Config(EnergyConfig):
    """Settings of Loihi 1."""

    analog: Annotated[str, Choice(("host", "bits"))] = "host"
    """Who multiplies a constant analog input: a host, off the chip and unpriced, or the chip, as eight spikes."""


class Loihi1(EnergyModel):
    """Cores, spikes and messages of Loihi 1, with its time; analog input is the host's."""

    name = "loihi-1"
    revision = 1  # since it prices events of cores: joules from before don't compare
    technology = PRICES.technology
    source = PRICES.source
    evidence = PRICES.evidence
    leaves_out = PRICES.leaves_out
    reads_traffic = True
    unpriced = frozenset({"macs", "encoder"})
    Config = Loihi1Config
    config: Loihi1Config

    def layer_energy_nj(self, counts: Counts) -> dict[str, float]:
        first = next((layer.layer for layer in counts.layers if layer.role == "synapse"), "")
        return {
            layer.layer: self._picojoules(layer, layer.traffic or _least(layer, first)) / 1000 / counts.samples
            for layer in counts.layers
        }

    def _picojoules(self, layer: LayerCount, traffic: Traffic) -> float:
        if layer.role == "encoder":  # the host's
            return 0.0
        if layer.role in ("neuron", "readout"):
            spikes = layer.events if layer.role == "neuron" else 0
            return PRICES.access.pj * traffic.accesses + PRICES.update.pj * traffic.updates + PRICES.spike.pj * spikes
        synapse = PRICES.synapse[traffic.storage or "dense"].pj
        adds, macs = layer.operations.adds, layer.macs  # biases and shifts are part of updates
        if traffic.off_chip and self.config.analog == "host":
            adds = macs = 0
        x, y = PRICES.hop
        messages = PRICES.message.pj * traffic.messages + x.pj * traffic.hops_x + y.pj * traffic.hops_y
        by_digit = synapse * (macs + layer.operations.multiplies) + (messages if macs else 0.0)
        return synapse * (layer.sops + adds) + ANALOG_SPIKES * by_digit + (messages if layer.sops else 0.0)

    def latency_us(self, counts: Counts) -> float | None:
        if counts.timing is None:
            return None
        wait_ns = counts.timing.steps * PRICES.barrier(counts.timing.tiles)
        return (counts.timing.busy_ns / counts.samples + wait_ns) / 1000

    def metrics(self, counts: Counts) -> dict[str, float]:
        """Return latency, energy-delay product, and ``chips``, the chips that the network takes."""
        if counts.timing is None:
            return {}
        return super().metrics(counts) | {"chips": float(-(-counts.timing.cores // PRICES.cores))}

    def shortfall(self, counts: Counts) -> str:
        needed = [layer for layer in counts.layers if layer.role == "neuron" or _weighs(layer)]
        if all(layer.traffic is not None for layer in needed):
            return ""
        return "without the messages and updates of each layer, the energy on loihi-1 is a lower bound, and has no time"


def _weighs(layer: LayerCount) -> bool:
    return layer.role == "synapse" and layer.geometry is not None


def _least(layer: LayerCount, first: str) -> Traffic:
    """Return the least traffic that a layer can have had: one core each, and no potential left over."""
    if layer.role == "neuron":
        return Traffic(accesses=layer.sites, updates=layer.active_sites)
    if layer.role == "readout":
        return Traffic(accesses=round(layer.operations.adds))
    if layer.role == "synapse":
        conv = layer.geometry is not None and layer.geometry.kernel is not None
        off_chip = layer.layer == first and layer.macs > 0
        return Traffic(messages=layer.events, off_chip=off_chip, storage="conv" if conv else "dense")
    return Traffic()


@hookimpl
def register_energy_models(register: Callable[[type[EnergyModel]], None]) -> None:
    register(Loihi1)
