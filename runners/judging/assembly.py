"""From a candidate to a network."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from spikefront.plugins import Backbone, Between, Coding, Neuron, Registry, Site, SiteInfo
from spikefront.plugins.surrogates import Surrogate
from spikefront.searchspace import Candidate


class Network(nn.Module):
    """A coding around a backbone: ``(B, ...)`` inputs in, ``(B, K)`` decoded outputs out."""

    def __init__(self, coding: Coding, backbone: Backbone) -> None:
        super().__init__()
        self.coding = coding
        self.backbone = backbone

    def forward(self, x: Tensor) -> Tensor:
        return self.coding.decode(self.backbone(self.coding.encode(x)))

    def penalty(self) -> Tensor | float:
        """Return the regularisation terms of the coding and of its modules behind the sites."""
        between = (module.penalty() for module in self.modules() if isinstance(module, Between))
        return sum(between, start=self.coding.penalty())

    @property
    def sites(self) -> list[Site]:
        """The spiking layers, from the input on."""
        return [module for module in self.modules() if isinstance(module, Site)]

    @property
    def latency_steps(self) -> int:
        """Time steps from the first input to the output."""
        return self.coding.latency_steps(len(self.sites))

    @property
    def parameter_count(self) -> int:
        """Learnt parameters."""
        return sum(parameter.numel() for parameter in self.parameters())


class _SiteFactory:
    """Makes the sites of one network, numbering them."""

    def __init__(self, coding: Coding, neuron: type[Neuron], config: object, surrogate: Surrogate) -> None:
        self._coding = coding
        self._neuron = neuron
        self._config = config
        self._surrogate = surrogate
        self._count = 0

    def __call__(
        self, channels: int, size: tuple[int, int] = (1, 1), *, stage: int = 0, last_of_stage: bool = False
    ) -> nn.Module:
        info = SiteInfo(self._count, stage, channels, size, last_of_stage)
        self._count += 1
        return Site(info, self._neuron(self._config, surrogate=self._surrogate), self._coding.between(info))


def assemble(candidate: Candidate, registry: Registry, input_shape: tuple[int, ...], outputs: int) -> Network:
    """Build a candidate's network, with weights drawn from torch's global generator.

    Args:
        candidate: what to build.
        registry: where its plugins are looked up.
        input_shape: shape of one input at one step.
        outputs: number of outputs.

    Raises:
        UnknownName: when a plugin does not exist.
        UsageError: when the backbone can't take this input.
    """
    coding: Coding = registry.get("coding", candidate.coding.name)(candidate.coding.config, steps=candidate.steps)
    neuron = registry.get("neuron", candidate.neuron.name)
    sites = _SiteFactory(coding, neuron, candidate.neuron.config, candidate.training.surrogate.config)
    backbone: Backbone = registry.get("backbone", candidate.backbone.name)(
        candidate.backbone.config, input_shape=input_shape, outputs=outputs, sites=sites
    )
    # channels last is the layout in which convolutions and the neuron's elementwise steps are fastest
    network = Network(coding, backbone)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network
