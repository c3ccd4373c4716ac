"""The hooks of a plugin: one for each kind of plugin, and one for commands.

All but ``register_commands`` are called once in each process that builds a registry, before any trial starts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pluggy

from spikefront.plugins.contracts import (
    Backbone,
    Coding,
    EnergyModel,
    Logger,
    Loss,
    Neuron,
    Optimizer,
    Sampler,
    StoppingRule,
    Surrogate,
    Task,
)
from spikefront.searchspace import Objective

if TYPE_CHECKING:
    import typer

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


@hookspec
def register_surrogates(register: Callable[[type[Surrogate]], None]) -> None:
    """Register surrogate gradients.

    Args:
        register: call it once for each ``Surrogate`` subclass. A name already taken is refused, naming both modules.
    """


@hookspec
def register_optimizers(register: Callable[[type[Optimizer]], None]) -> None:
    """Register optimisers.

    Args:
        register: call it once for each ``Optimizer`` subclass. A name already taken is refused, naming both modules.
    """


@hookspec
def register_losses(register: Callable[[type[Loss]], None]) -> None:
    """Register training losses.

    Args:
        register: call it once for each ``Loss`` subclass. A name already taken is refused, naming both modules.
    """


@hookspec
def register_samplers(register: Callable[[type[Sampler]], None]) -> None:
    """Register samplers, which propose candidates.

    Args:
        register: call it once for each ``Sampler`` subclass. A name already taken is refused, naming both modules.
    """


@hookspec
def register_stopping_rules(register: Callable[[type[StoppingRule]], None]) -> None:
    """Register rules that stop trials early.

    Args:
        register: call it once for each ``StoppingRule`` subclass. A name already taken is refused, naming both modules.
    """


@hookspec
def register_loggers(register: Callable[[type[Logger]], None]) -> None:
    """Register loggers, which hear every event of a search.

    Args:
        register: call it once for each ``Logger`` subclass. A name already taken is refused, naming both modules.
    """


@hookspec
def register_objectives(register: Callable[[Objective], None]) -> None:
    """Register objectives, which are axes of the front.

    Args:
        register: call it once for each ``Objective``. A name already taken is refused, naming both modules.
    """


@hookspec
def register_commands(app: typer.Typer) -> None:
    """Add commands to the command line. Called when ``spikefront`` starts, by the command line alone.

    Args:
        app: the application; decorate a function with ``@app.command()``.
    """
