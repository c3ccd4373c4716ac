"""Registered plugins."""

from __future__ import annotations

import inspect
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spikefront.plugins.contracts import Coding, EnergyModel
from spikefront.searchspace import Objective, fields_of


@dataclass(frozen=True, slots=True)
class Entry:
    """A registered plugin: its class (or the objective), the module it came from, and its version.

    That is the version of the module, with the plugin's revision where it has one.
    """

    plugin: Any
    origin: str
    version: str

    @property
    def summary(self) -> str:
        """First line of its documentation."""
        if isinstance(self.plugin, Objective):
            return f"{self.plugin.label}; {'higher' if self.plugin.maximize else 'lower'} is better"
        first = (self.plugin.__doc__ or "").strip().partition("\n")[0]
        return f"{first.rstrip('.')}; {origin}." if (origin := _origin(self.plugin)) else first

    @property
    def file(self) -> Path:
        """The source file of the class, or of the module that registered the objective."""
        if isinstance(self.plugin, type):
            return Path(inspect.getfile(self.plugin))
        module = sys.modules.get(self.origin.partition(":")[0])
        return Path(self.origin if module is None else inspect.getfile(module))

    @property
    def hyperparameters(self) -> tuple[str, ...]:
        """Names of its hyperparameters."""
        return (
            () if isinstance(self.plugin, Objective) else tuple(field.name for field in fields_of(self.plugin.Config))
        )


def _origin(plugin: Any) -> str:
    """Return what stands behind the priors of a coding, or the prices of a model; empty where nothing is stated."""
    if isinstance(plugin, type) and issubclass(plugin, EnergyModel):
        return plugin.description()
    if not (isinstance(plugin, type) and issubclass(plugin, Coding)):
        return ""
    kinds = {"published settings": plugin.published, "starting points": plugin.starting_points}
    named = " and ".join(kind for kind, settings in kinds.items() if settings)
    return f"{named}: {plugin.source or 'no source given'}" if named else ""
