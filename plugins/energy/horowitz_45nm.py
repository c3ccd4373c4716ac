"""Energy at 45 nm, 0.9 V, 32-bit floating point: arithmetic only.

An addition costs 0.9 pJ and a multiplication 3.7 pJ, hence an accumulate (AC) 0.9 pJ and a multiply-accumulate (MAC)
4.6 pJ: the constants of most of the SNN literature. A float times a power of two is an addition to its exponent of 8
bits, 0.03 pJ. Memory and communication are not priced; on real hardware they dominate.

Reference: Horowitz, "Computing's energy problem (and what we can do about it)", ISSCC 2014.
"""

from __future__ import annotations

from collections.abc import Callable

from spikefront.plugins import Counts, EnergyModel, hookimpl
from spikefront.plugins.bases.prices import FLOAT32_45NM as PRICES


class Horowitz45nm(EnergyModel):
    """32-bit floating-point arithmetic at 45 nm; memory not priced."""

    name = "horowitz-45nm"
    technology = PRICES.technology
    source = PRICES.source
    evidence = PRICES.evidence
    leaves_out = PRICES.leaves_out

    def layer_energy_nj(self, counts: Counts) -> dict[str, float]:
        energies = {}
        for layer in counts.layers:
            done = layer.operations
            picojoules = PRICES.add_pj * (layer.sops + done.adds + layer.biases) + PRICES.mac_pj * layer.macs
            picojoules += PRICES.multiply_pj * done.multiplies + PRICES.shift_pj * done.shifts
            energies[layer.layer] = picojoules / 1000 / counts.samples
        return energies

    def shortfall(self, counts: Counts) -> str:
        return ""  # arithmetic is all that it prices; the encoder and biases were not always counted


@hookimpl
def register_energy_models(register: Callable[[type[EnergyModel]], None]) -> None:
    register(Horowitz45nm)
