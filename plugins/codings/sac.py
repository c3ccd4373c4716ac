"""Spike attention coding (SAC): one learnable coefficient per time step decides what a spike at that step is worth.

Free parameters u of length T give coefficients ``a = N(u)``, and a spiking layer that fires ``s[t]`` is worth ``a[t]
s[t]``. Rate coding (equal a) and temporal coding (decaying a) are special cases. Since ``W (a[t] s[t]) = a[t] (W
s[t])``, synapses stay accumulate-only.

Reference: Liu, Hu, Li, Pei & Deng, "Spike attention coding for spiking neural networks", IEEE TNNLS (2023). No code was
released and the text was not available to us: normalisers, regularisers, initial values and scopes are
**reconstructed** from the abstract, which says one coefficient per step, several normalisations and regularisers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor, nn

from spikefront.plugins import Between, Coding, Operations, Signal, SiteInfo, hookimpl
from spikefront.plugins.attention import NORMALISERS, AttentionConfig, effective_steps, entropy
from spikefront.plugins.signal import over_time
from spikefront.searchspace import PINNED, Choice, Float, Int, When

_INITIAL: dict[str, float] = {"uniform": 0.0, "linear": 0.1, "geometric": math.log(2)}


@dataclass(frozen=True, slots=True)
class SACConfig(AttentionConfig):
    """Hyperparameters of spike attention coding."""

    scope: Annotated[str, Choice(("readout", "layer"))] = "layer"
    """What is weighted: the output over time only, or every spiking layer with coefficients of its own."""
    normaliser: Annotated[str, Choice(tuple(NORMALISERS))] = "mean1"
    """How free parameters become coefficients."""
    temperature: Annotated[float, Float(0.1, 5.0, log=True), When("normaliser", ("softmax", "mean1", "sparsemax"))] = (
        1.0
    )
    """Divides the free parameters: near 0 one step wins, a large value makes all equal."""
    init: Annotated[str, Choice(tuple(_INITIAL))] = "uniform"
    """Coefficients at the start, before normalising: equal, or falling at each step by a tenth (linear) or by half."""
    lr_multiplier: Annotated[float, Float(0.1, 10.0, log=True), PINNED] = 5.0
    """Learning rate of the coefficients, relative to the weights': T parameters need larger steps."""


class StepCoefficients(nn.Module):
    """T learnable coefficients; calling it returns them, shape ``(T,)``."""

    def __init__(self, config: SACConfig, steps: int) -> None:
        super().__init__()
        self.config = config
        self.lr_multiplier = config.lr_multiplier
        exponent = -_INITIAL[config.init] * torch.arange(steps, dtype=torch.float32)
        # softmax takes the exponential itself; without it, a vector that grew negative would not decay
        self.u = nn.Parameter(exponent if config.normaliser in ("softmax", "mean1") else exponent.exp())

    def forward(self) -> Tensor:
        scaled = self.config.normaliser in ("softmax", "mean1", "sparsemax")
        return NORMALISERS[self.config.normaliser](self.u / self.config.temperature if scaled else self.u)

    def penalty(self) -> Tensor | float:
        return self.config.penalty(self())


class WeightedSpikes(Between):
    """Attaches the coefficients to a layer's spikes; the synapse behind applies them where that is cheapest."""

    def __init__(self, config: SACConfig, steps: int) -> None:
        super().__init__()
        self.coefficients = StepCoefficients(config, steps)

    def forward(self, spikes: Signal, current: Signal) -> Signal:
        return Signal(spikes.values, spikes.steps, spikes.kind, self.coefficients())

    def penalty(self) -> Tensor | float:
        return self.coefficients.penalty()

    def operations(self, spikes: Signal, current: Signal) -> Operations:
        return Operations()  # the multiply is charged to the synapse that the edge ends in


class SAC(Coding):
    """Learnable weight per time step, on the read-out or behind every spiking layer (reconstructed)."""

    name = "sac"
    Config = SACConfig
    config: SACConfig
    steps = Int(2, 16, log=True)

    def __init__(self, config: SACConfig | None = None, *, steps: int) -> None:
        super().__init__(config, steps=steps)
        self.readout = StepCoefficients(self.config, steps) if self.config.scope == "readout" else None
        self.layers: list[WeightedSpikes] = []  # for metrics; the sites own them

    def between(self, site: SiteInfo) -> Between | None:
        if self.config.scope == "readout":
            return None
        self.layers.append(WeightedSpikes(self.config, self.time_steps))
        return self.layers[-1]

    def decode(self, output: Signal) -> Tensor:
        if self.readout is None:
            return super().decode(output)
        values = output.decoded()
        return (values * over_time(self.readout(), values)).sum(0)

    def decode_operations(self, output: Signal) -> Operations:
        count = output.values.numel()
        return Operations(adds=count, multiplies=0 if self.readout is None else count)

    def penalty(self) -> Tensor | float:
        return 0.0 if self.readout is None else self.readout.penalty()

    @torch.no_grad()
    def metrics(self) -> Mapping[str, float]:
        vectors = [layer.coefficients() for layer in self.layers] if self.readout is None else [self.readout()]
        return {
            "sac.effective_steps": float(torch.stack([effective_steps(a) for a in vectors]).mean()),
            "sac.entropy": float(torch.stack([entropy(a) for a in vectors]).mean()),
        }


@hookimpl
def register_codings(register: Callable[[type[Coding]], None]) -> None:
    register(SAC)
