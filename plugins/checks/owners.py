"""Modules of a network, each with the plugin that it belongs to."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from spikefront.plugins.contracts.network import Network


@dataclass(frozen=True, slots=True)
class Owned:
    """A module of a network.

    Attributes:
        part: its plugin, and where, such as ``neuron 'lif' of spiking layer 2``.
        name: its name in the plugin; empty for the plugin itself.
        module: the module.
    """

    part: str
    name: str
    module: nn.Module

    def where(self, what: str) -> str:
        """Return a text that names something of the module."""
        return f"{self.part}, {self.name} ({what})" if self.name else f"{self.part} ({what})"


def owned_modules(network: Network) -> list[Owned]:
    """Return all modules of a network, each once: with its neuron, its coding, or else its backbone."""
    found: dict[int, Owned] = {}
    for part, whole in _parts(network):
        for name, module in whole.named_modules():
            found.setdefault(id(module), Owned(part, name, module))
    return list(found.values())


def _parts(network: Network) -> list[tuple[str, nn.Module]]:
    parts: list[tuple[str, nn.Module]] = []
    coding = f"coding {network.coding.name!r}"
    for site in network.sites:
        parts.append((f"neuron {site.neuron.name!r} of spiking layer {site.info.index}", site.neuron))
        if site.between is not None:
            parts.append((f"{coding}, behind spiking layer {site.info.index}", site.between))
    return [*parts, (coding, network.coding), (f"backbone {network.backbone.name!r}", network.backbone)]
