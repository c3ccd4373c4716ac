"""The contract of a backbone."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from spikefront.plugins.contracts.plugin import Layout, OutputKind, Plugin
from spikefront.plugins.contracts.site import Sites
from spikefront.plugins.network.signal import Signal


class Backbone(Plugin, nn.Module):
    """A network of synapses and sites, from a ``Signal`` to a ``Signal`` ``(T, B, outputs)``.

    It never names a neuron or a coding. ``__init__`` assigns ``self.layers``.

    Attributes:
        convertible: whether, with rectifiers for neurons, it is an ANN that can be converted: its sites and synapses
            are all that is not linear in it.
        sums_trains: whether it is one where its hyperparameters say so, but for sums of what several sites emit.
        chain: whether each of its layers reads the one before it, and no other; its modules are in that order.
        output: ``values``: any number of outputs; ``images``: it generates, and has ``sample`` too.
        recurrent: whether it asks for recurrent sites, for which a neuron has to define ``step``.
        delays: whether what a synapse gets depends on earlier steps, too, and not by the states of neurons alone.
        layouts: the layouts of inputs that it takes, see ``Task``; many need images.

    Args:
        config: its ``Config``, or None for the defaults.
        input_shape: shape of one input at one step, for example ``(1, 8, 8)``, or ``(10,)`` of features.
        outputs: number of outputs.
        sites: call it wherever a spiking layer belongs.

    Raises:
        UsageError: when the input is too small for the network.
    """

    convertible: ClassVar[bool] = True
    sums_trains: ClassVar[bool] = False
    chain: ClassVar[bool] = False
    output: ClassVar[OutputKind] = "values"
    recurrent: ClassVar[bool] = False
    delays: ClassVar[bool] = False
    layouts: ClassVar[frozenset[Layout]] = frozenset({"images"})
    layers: nn.Module

    def __init__(self, config: Any = None, *, input_shape: tuple[int, ...], outputs: int, sites: Sites) -> None:
        nn.Module.__init__(self)
        self._configure(config)

    @classmethod
    def refuse_task(cls, input_shape: tuple[int, ...], outputs: int) -> None:
        """Raise ``UsageError`` where no hyperparameters fit such inputs and outputs; asked before a search starts.

        The default is to fit all: what single candidates can't do is refused when they are made.

        Args:
            input_shape: shape of one input at one step.
            outputs: number of outputs.
        """

    def forward(self, signal: Signal) -> Signal:
        """Return the output signal, ``(T, B, outputs)``."""
        out: Signal = self.layers(signal)
        return out

    def penalty(self) -> Tensor | float:
        """Return the term that the last forward pass adds to the loss, such as that of a latent distribution."""
        return 0.0

    def sample(self, count: int, steps: int, device: torch.device) -> Signal:
        """Return the output signal of ``count`` random latents, ``(T, count, outputs)``; only of one that generates."""
        raise TypeError(f"{type(self).__name__} makes {self.output}; one that makes images must define sample()")
