"""An objective: the energy-delay product, the energy of a sample times the steps until its output is known."""

from __future__ import annotations

from collections.abc import Callable

from spikefront.plugins import Objective, hookimpl

ENERGY_DELAY = Objective(
    "energy_delay",
    maximize=False,
    worst=1e8,
    best=1.0,
    log=True,
    name="energy-delay",
    title="energy-delay product",
    unit="nJ steps",
    measure=lambda metrics: metrics["energy_nj"] * metrics["latency_steps"],
)


@hookimpl
def register_objectives(register: Callable[[Objective], None]) -> None:
    register(ENERGY_DELAY)
