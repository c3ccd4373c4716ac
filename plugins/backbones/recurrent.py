"""Recurrent network: fully connected layers with batch norm, whose neurons also get their own spikes a step later.

A layer is ``s[t] = neurons(norm(W x[t]) + R s[t-1])``, R being a matrix of its width that starts orthogonal; the
read-out is linear. For sequences: where the input stands still there is nothing to remember.

Reference: Bittar & Garner, "A surrogate gradient spiking baseline for speech command recognition", Frontiers in
Neuroscience 16 (2022), whose recurrent networks have layers of this form.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from spikefront.plugins import Backbone, Sites, hookimpl
from spikefront.plugins.bases.connected import connected
from spikefront.searchspace import PINNED, Choice, Int


@dataclass(frozen=True, slots=True)
class RecurrentConfig:
    """Hyperparameters of the recurrent network."""

    width: Annotated[int, Int(16, 256, log=True)] = 64
    """Neurons in each hidden layer."""
    depth: Annotated[int, Int(1, 3)] = 1
    """Hidden layers, each with feedback of its own."""
    readout: Annotated[str, Choice(("current", "spikes")), PINNED] = "current"
    """What is decoded: the current of the last layer, or the spikes of neurons that it drives."""


class RecurrentNetwork(Backbone):
    """Fully connected hidden layers of one width that feed back."""

    name = "recurrent"
    Config = RecurrentConfig
    config: RecurrentConfig
    convertible = False
    recurrent = True
    layouts = frozenset({"sequences"})

    def __init__(
        self, config: RecurrentConfig | None = None, *, input_shape: tuple[int, ...], outputs: int, sites: Sites
    ) -> None:
        super().__init__(config, input_shape=input_shape, outputs=outputs, sites=sites)
        self.layers = connected(self.config, input_shape, outputs, sites, recurrent=True)


@hookimpl
def register_backbones(register: Callable[[type[Backbone]], None]) -> None:
    register(RecurrentNetwork)
