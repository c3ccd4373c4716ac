"""The kinds of plugin: one table, from which hooks, package scan, families of a candidate and listings follow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from spikefront.plugins.contracts import (
    Backbone,
    Coding,
    EnergyModel,
    Logger,
    Loss,
    Neuron,
    Optimizer,
    Plugin,
    Sampler,
    StoppingRule,
    Surrogate,
    Task,
)
from spikefront.searchspace import Objective


@dataclass(frozen=True, slots=True)
class PluginKind:
    """One kind of plugin.

    Attributes:
        name: what users call it, for example ``energy``.
        contract: base class of its plugins; of objectives, which are values, their class.
        hook: the hook that registers them.
        package: package of the built-in ones under ``spikefront.plugins``; empty where they are no modules.
        title: its name in sentences; ``name`` when empty.
        family: its name in a flat candidate; empty for what is not part of a candidate.
        flag: the option of a search that names one, where that is not ``--`` and its name; the parts of a candidate but
            its task are named by ``--set``.
    """

    name: str
    contract: type[Plugin] | type[Objective]
    hook: str
    package: str = ""
    title: str = ""
    family: str = ""
    flag: str = ""

    def asked(self, plugin: str) -> str:
        """Return the arguments of ``spikefront run`` that ask for a plugin of this kind."""
        if self.family not in ("", "task"):
            return f"--set {self.family}={plugin}"
        return f"{self.flag or f'--{self.name}'} {plugin}"

    def __str__(self) -> str:
        return self.title or self.name


KINDS: Final[dict[str, PluginKind]] = {
    kind.name: kind
    for kind in (
        PluginKind("coding", Coding, "register_codings", "codings", family="coding"),
        PluginKind("neuron", Neuron, "register_neurons", "neurons", family="neuron"),
        PluginKind("backbone", Backbone, "register_backbones", "backbones", family="backbone"),
        PluginKind("task", Task, "register_tasks", "tasks", family="task"),
        PluginKind("energy", EnergyModel, "register_energy_models", "energy", "energy model", flag="--energy-model"),
        PluginKind(
            "surrogate", Surrogate, "register_surrogates", "surrogates", "surrogate gradient", "training.surrogate"
        ),
        PluginKind("optimizer", Optimizer, "register_optimizers", "optimizers", family="training.optimizer"),
        PluginKind("loss", Loss, "register_losses", "losses", "training loss", "training.loss"),
        PluginKind("sampler", Sampler, "register_samplers", "samplers"),
        PluginKind("stopping", StoppingRule, "register_stopping_rules", "stopping", "stopping rule", flag="--stopping"),
        PluginKind("logger", Logger, "register_loggers", "loggers"),
        PluginKind("objective", Objective, "register_objectives"),
    )
}
"""Kinds of plugin by name."""

FAMILY_KINDS: Final[dict[str, PluginKind]] = {kind.family: kind for kind in KINDS.values() if kind.family}
"""Kinds of plugin that a candidate is made of, by their name in its flat form."""
