"""Energy at 45 nm, 32-bit integers, with memory: every word that is read or written is charged.

A read or write of a memory of M words of b bits costs ``1.09e-5 * M * b + 13.2`` pJ, an addition 0.1 pJ, a
multiplication 3.1 pJ. Each layer has its own memories: M is the weights, one bias per channel, one potential per
neuron, and queues with room for an event of every input and output. With N neurons and T steps, per inference:

======================  ============================================  ================================================
..                      spiking input, E events, S operations         analog input, A operations, P presentations
======================  ============================================  ================================================
synapse: memory         inputs E, weights S, biases T N,              inputs A (fully connected: E), weights A,
                        potentials read and written S                 biases P N; constant: N written, T N read
synapse: arithmetic     S additions                                   A multiply-accumulates, P N additions (biases)
synapse: addresses      S additions, 2 E multiply-accumulates         P (inputs + N + weights of one input channel)
                        (convolutions only)                           additions (fully connected: A)
neurons                 T N potentials read and written, a word written and an addition per spike, T N additions, a
                        multiply-accumulate per multiplication that the neuron declares, its leak (by a power of
                        two a shift and an addition)
======================  ============================================  ================================================

Reference: Lemaire et al., "An analytical estimation of spiking neural networks energy efficiency", ICONIP 2022, as far
as the authors' open implementation (qualia-plugin-snn) shows it. Where the two disagree or leave room, we

- take S and A as counted. The paper's bounds, ``E * C_out * kernel`` accesses and ``E * C_out * ceil(kernel / stride)``
  additions, are met at stride 1 away from the edges and without groups; elsewhere they charge weights that reach no
  output;
- charge an address for each operation, the paper's ``E * C_out * kernel``; the implementation drops ``C_out`` from it,
  and for fully connected layers takes the rate for the number of spikes;
- follow the implementation in its corrections: no factor N_in for the additions of fully connected layers, a reset;
- skip zeros of an analog input for good, reads included; present a constant one once, then hold the current in memory
  and read it at every step (the implementation charges its weights and potentials T times, its operations once);
- price the queues by size; the implementation asks its user for one.

Attention (weight layers inside it too, so that all its forms are treated alike), sums of edges, coefficients and the
read-out are charged for their arithmetic alone, which favours attention. A neuron has one state variable, whatever its
kind. DRAM, communication and leakage are not priced.
"""

from __future__ import annotations

from collections.abc import Callable

from spikefront.plugins import Counts, EnergyModel, Geometry, LayerCount, Operations, hookimpl
from spikefront.plugins.bases.prices import INT32_45NM as PRICES


class Lemaire45nm(EnergyModel):
    """32-bit integer arithmetic, addressing and on-chip memory at 45 nm."""

    name = "lemaire-45nm"
    technology = PRICES.technology
    source = PRICES.source
    evidence = PRICES.evidence
    leaves_out = PRICES.leaves_out

    def layer_energy_nj(self, counts: Counts) -> dict[str, float]:
        return {layer.layer: _picojoules(layer, counts) / 1000 / counts.samples for layer in counts.layers}

    def shortfall(self, counts: Counts) -> str:
        weighs = (layer for layer in counts.layers if layer.role == "synapse" and (layer.sops or layer.macs))
        return "no geometry stored" if any(layer.geometry is None for layer in weighs) else ""


def _picojoules(layer: LayerCount, counts: Counts) -> float:
    frames = counts.steps * counts.samples
    if layer.role == "neuron":
        return _neurons(layer, frames)
    energy = _arithmetic(layer.operations)
    if layer.role == "synapse" and layer.geometry is not None:
        return energy + _synapse(layer, layer.geometry, frames)
    return energy + _arithmetic(Operations(layer.sops + layer.macs, layer.macs))


def _access(words: float) -> float:
    """Return the price of a read or write of a memory that holds so many words, in pJ."""
    return PRICES.access_pj_per_bit * words * PRICES.word_bits + PRICES.access_pj


def _arithmetic(operations: Operations) -> float:
    energy = PRICES.add_pj * operations.adds + PRICES.multiply_pj * operations.multiplies
    return energy + PRICES.shift_pj * operations.shifts


def _neurons(layer: LayerCount, frames: int) -> float:
    memory = _access(layer.sites / frames) * (2 * layer.sites + layer.events)
    multiplies, shifts = layer.operations.multiplies, layer.operations.shifts
    return memory + _arithmetic(Operations(layer.sites + layer.events + multiplies + shifts, multiplies, shifts))


def _synapse(layer: LayerCount, geometry: Geometry, frames: int) -> float:
    presentations = layer.sites / geometry.inputs
    outputs = presentations * geometry.outputs
    energy = _access(geometry.weights) * (layer.sops + layer.macs)
    energy += 2 * _access(geometry.outputs) * layer.sops
    if geometry.biased:
        energy += _access(geometry.channels) * outputs
    if presentations < frames:
        energy += _access(geometry.outputs) * (outputs + frames * geometry.outputs)
    return energy + (_analog_input(layer, geometry, presentations) if layer.macs else _spiking_input(layer, geometry))


def _spiking_input(layer: LayerCount, geometry: Geometry) -> float:
    located = 0 if geometry.kernel is None else 2 * layer.events  # row and column of the event in the map
    operations = Operations(adds=2 * layer.sops + located, multiplies=located)
    return _access(geometry.inputs) * layer.events + _arithmetic(operations)


def _analog_input(layer: LayerCount, geometry: Geometry, presentations: float) -> float:
    biases = presentations * geometry.outputs if geometry.biased else 0
    if geometry.kernel is None:
        reads, addresses = layer.events, float(layer.macs)
    else:
        height, width = geometry.kernel
        reads = layer.macs
        addresses = presentations * (geometry.inputs + geometry.outputs + geometry.channels * height * width)
    return _access(geometry.inputs) * reads + _arithmetic(Operations(layer.macs + biases + addresses, layer.macs))


@hookimpl
def register_energy_models(register: Callable[[type[EnergyModel]], None]) -> None:
    register(Lemaire45nm)
