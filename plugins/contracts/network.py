"""Networks: a coding around a backbone."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from spikefront.plugins.contracts.backbone import Backbone
from spikefront.plugins.contracts.coding import Coding
from spikefront.plugins.contracts.plugin import InputKind
from spikefront.plugins.contracts.site import Between, Site
from spikefront.plugins.network.operations import Operations
from spikefront.plugins.network.signal import Signal, refuse_time_axis


class Network(nn.Module):
    """A coding around a backbone, from inputs ``(B, ...)``, or event frames ``(B, T, ...)``, to outputs ``(B, K)``."""

    def __init__(self, coding: Coding, backbone: Backbone, inputs: InputKind = "static") -> None:
        super().__init__()
        self.coding = coding
        self.backbone = backbone
        self._inputs = inputs
        for site in self.sites:
            site.backbone = backbone.name

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(self.propagate(self.encode(x)))

    def encode(self, x: Tensor) -> Signal:
        """Return the coded inputs.

        Raises:
            ContractError: when the coding's time axis is neither 1 nor T long.
        """
        coding = self.coding
        signal = coding.encode(x) if self._inputs == "static" else coding.encode_events(_frames(x))
        return refuse_time_axis(f"coding {coding.name!r}", signal, coding.steps)

    def encode_operations(self, x: Tensor, code: Signal) -> Operations:
        """Return the operations by which inputs became ``code``."""
        return self.coding.encode_operations(x if self._inputs == "static" else _frames(x), code)

    def propagate(self, signal: Signal) -> Signal:
        """Return the output signal of the backbone, ``(T, B, K)``, of a coded input.

        Raises:
            ContractError: when a time axis on the way is neither 1 nor T long.
        """
        return refuse_time_axis(f"backbone {self.backbone.name!r}", self.backbone(signal), self.coding.steps)

    def decode(self, output: Signal) -> Tensor:
        """Return one value per output, ``(B, K)``."""
        return self.coding.decode(output)

    def sample(self, count: int) -> Tensor:
        """Return decoded outputs of random latents, ``(count, K)``, of a network that generates."""
        steps = self.coding.steps
        made = self.backbone.sample(count, steps, self.device)
        return self.decode(refuse_time_axis(f"backbone {self.backbone.name!r}", made, steps))

    def penalty(self) -> Tensor | float:
        """Return the terms that coding, backbone, and the coding's modules behind the sites add to the loss."""
        between = (module.penalty() for module in self.modules() if isinstance(module, Between))
        return sum(between, start=self.coding.penalty() + self.backbone.penalty())

    @property
    def device(self) -> torch.device:
        """Where the network computes."""
        return next(self.parameters()).device

    @property
    def sites(self) -> list[Site]:
        """The spiking layers, from the input on."""
        return [module for module in self.modules() if isinstance(module, Site)]

    @property
    def parameter_count(self) -> int:
        """Learnt parameters."""
        return sum(parameter.numel() for parameter in self.parameters())


def _frames(x: Tensor) -> Tensor:
    """Return event frames with time first."""
    return x.transpose(0, 1).contiguous()
