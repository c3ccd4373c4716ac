"""The hooks of a plugin: one for each kind of thing that a candidate is made of.

All are called once, when the registry is built, before any trial starts.
"""

from __future__ import annotations

from collections.abc import Callable

import pluggy

from spikefront.plugins.contracts import Backbone, Coding, EnergyModel, Neuron
from spikefront.plugins.contracts.task import Task

hookspec = pluggy.HookspecMarker("spikefront")
hookimpl = pluggy.HookimplMarker("spikefront")


@hookspec
def register_codings(register: Callable[[type[Coding]], None]) -> None:
    """Register coding schemes.

    Args:
        register: call it once for each ``Coding`` subclass. A name already taken is refused, naming both modules.
    """


@hookspec
def register_neurons(register: Callable[[type[Neuron]], None]) -> None:
    """Register neuron models.

    Args:
        register: call it once for each ``Neuron`` subclass. A name already taken is refused, naming both modules.
    """


@hookspec
def register_backbones(register: Callable[[type[Backbone]], None]) -> None:
    """Register backbones.

    Args:
        register: call it once for each ``Backbone`` subclass. A name already taken is refused, naming both modules.
    """


@hookspec
def register_tasks(register: Callable[[type[Task]], None]) -> None:
    """Register tasks.

    Args:
        register: call it once for each ``Task`` subclass. A name already taken is refused, naming both modules.
    """


@hookspec
def register_energy_models(register: Callable[[type[EnergyModel]], None]) -> None:
    """Register energy models.

    Args:
        register: call it once for each ``EnergyModel`` subclass. A name already taken is refused, naming both modules.
    """
