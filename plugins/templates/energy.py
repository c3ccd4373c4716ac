"""One price for each operation: accumulates, multiply-accumulates, and what neurons, gates and the encoder compute.

The energy of a layer is that price times its operations per sample; memory is not priced. Write here what yours prices,
and from which measurement, simulation or paper each price is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from spikefront.plugins import Counts, EnergyConfig, EnergyModel, Float, hookimpl


@dataclass(frozen=True, slots=True)
class MyEnergyConfig(EnergyConfig):
    """Settings of my-energy."""

    price_pj: Annotated[float, Float(0.1, 100.0, log=True)] = 1.0
    """Price of an operation, in picojoules."""


class MyEnergy(EnergyModel):
    """One price for each operation, whatever it is."""

    name = "my-energy"
    Config = MyEnergyConfig
    config: MyEnergyConfig
    technology = "none"
    source = "by definition"
    evidence = "proxy"
    leaves_out = "memory"

    def layer_energy_nj(self, counts: Counts) -> dict[str, float]:
        energies = {}
        for layer in counts.layers:
            done = layer.operations
            number = layer.sops + layer.macs + layer.biases + done.adds + done.multiplies + done.shifts
            energies[layer.layer] = self.config.price_pj / 1000 * number / counts.samples
        return energies


@hookimpl
def register_energy_models(register: Callable[[type[EnergyModel]], None]) -> None:
    register(MyEnergy)
