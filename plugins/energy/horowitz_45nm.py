"""Energy at 45 nm, 0.9 V, 32-bit floating point: arithmetic only.

An addition costs 0.9 pJ and a multiplication 3.7 pJ, hence an accumulate (AC) 0.9 pJ and a multiply-accumulate (MAC)
4.6 pJ: the constants of most of the SNN literature. Memory and communication are not priced; on real hardware they
dominate.

Reference: Horowitz, "Computing's energy problem (and what we can do about it)", ISSCC 2014.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from spikefront.plugins import Counts, EnergyModel, hookimpl

ADD_PJ: Final = 0.9
MULTIPLY_PJ: Final = 3.7
MAC_PJ: Final = ADD_PJ + MULTIPLY_PJ


class Horowitz45nm(EnergyModel):
    """32-bit floating-point arithmetic at 45 nm; memory not priced."""

    name = "horowitz-45nm"
    technology = "45 nm, 0.9 V, float32"
    source = "Horowitz, ISSCC 2014"

    def layer_energy_nj(self, counts: Counts) -> dict[str, float]:
        energies = {}
        for layer in counts.layers:
            adds = layer.sops + layer.operations.adds
            picojoules = ADD_PJ * adds + MAC_PJ * layer.macs + MULTIPLY_PJ * layer.operations.multiplies
            energies[layer.layer] = picojoules / 1000 / counts.samples
        return energies


@hookimpl
def register_energy_models(register: Callable[[type[EnergyModel]], None]) -> None:
    register(Horowitz45nm)
