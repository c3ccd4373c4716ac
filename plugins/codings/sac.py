"""Spike attention coding (SAC): one learnable coefficient per time step decides what a spike at that step is worth.

Free parameters u of length T give coefficients ``a = N(u)``, and a spiking layer that fires ``s[t]`` is worth ``a[t]
s[t]``. Rate coding (equal a) and temporal coding (decaying a) are special cases. Since ``W (a[t] s[t]) = a[t] (W
s[t])``, synapses stay accumulate-only; by channel, ``a[t, c]`` folds into one set of weights per step.

Reference: Liu, Hu, Li, Pei & Deng, "Spike attention coding for spiking neural networks", IEEE TNNLS (2023). No code was
released and the text was not available to us: normalisers, regularisers, initial values, presets and scopes are
**reconstructed** from the abstract, which says one coefficient per step, several normalisations and regularisers.
docs/sac.md has the equations.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Final

import torch
from torch import Tensor, nn

from spikefront.plugins import Between, Coding, Kind, Operations, Signal, SiteInfo, hookimpl
from spikefront.plugins.bases.attention import (
    NORMALISERS,
    PRESETS,
    SIGNED,
    AttentionConfig,
    effective_steps,
    effective_steps_l2,
    entropy,
    first_spikes,
)
from spikefront.searchspace import PINNED, Choice, Float, Int, UsageError, When

_INITIAL: Final = {"uniform": 0.0, "linear": 0.1, "geometric": math.log(2)}
_TEMPERED: Final = ("softmax", "mean1", "sparsemax")


@dataclass(frozen=True, slots=True)
class SACConfig(AttentionConfig):
    """Hyperparameters of spike attention coding. Beside a preset, regularisation and temperature have no effect."""

    scope: Annotated[str, Choice(("readout", "input", "layer", "channel"))] = "layer"
    """What is weighted: the output, the input, or every spiking layer, with a vector each or per channel."""
    preset: Annotated[str, Choice(("learned", *PRESETS)), PINNED] = "learned"
    """Coefficients: learnt, or held at those of a known code."""
    tau: Annotated[float, Float(0.5, 16.0, log=True), PINNED, When("preset", ("ttfs-exp",))] = 2.0
    """Time constant by which the coefficients of ttfs-exp decay, in steps."""
    normaliser: Annotated[str, Choice(tuple(NORMALISERS)), When("preset", ("learned",))] = "mean1"
    """How free parameters become coefficients."""
    temperature: Annotated[float, Float(0.1, 5.0, log=True), When("normaliser", _TEMPERED)] = 1.0
    """Divides the free parameters: near 0 one step wins, a large value makes all equal."""
    init: Annotated[str, Choice(tuple(_INITIAL)), When("preset", ("learned",))] = "uniform"
    """Coefficients at the start, before normalising: equal, or falling at each step by a tenth (linear) or by half."""
    lr_multiplier: Annotated[float, Float(0.1, 10.0, log=True), PINNED, When("preset", ("learned",))] = 5.0
    """Learning rate of the coefficients, relative to the weights': T parameters need larger steps."""


class StepCoefficients(nn.Module):
    """Coefficients of T steps, learnt or fixed: ``(T,)``, or ``(T, C)`` if learnt for C ``channels``."""

    fixed: Tensor | None

    def __init__(self, config: SACConfig, steps: int, channels: int | None = None) -> None:
        super().__init__()
        self.config = config
        self.lr_multiplier = config.lr_multiplier
        self.shape = (steps,) if channels is None else (steps, channels)
        t = torch.arange(1, steps + 1, dtype=torch.float32)
        learned = config.preset == "learned"
        self.register_buffer("fixed", None if learned else PRESETS[config.preset](t, config.tau))
        if learned:
            exponent = -_INITIAL[config.init] * (t - 1)
            # softmax takes the exponential itself; without it, a vector that grew negative would not decay
            start = exponent if config.normaliser in ("softmax", "mean1") else exponent.exp()
            # flat for channels too: weight decay, which would pull towards equal steps, spares vectors only
            self.u = nn.Parameter(start.repeat_interleave(channels or 1))

    def forward(self) -> Tensor:
        if self.fixed is not None:
            return self.fixed
        u, normaliser = self.u.view(self.shape), self.config.normaliser
        return NORMALISERS[normaliser](u / self.config.temperature if normaliser in _TEMPERED else u)

    def weigh(self, signal: Signal) -> Signal:
        """Attach the coefficients to an edge; beside a ttfs preset only first spikes pass."""
        return (first_spikes(signal) if self._masks(signal) else signal).weighted(self()[: signal.steps])

    def looks(self, signal: Signal) -> int:
        """Return the spikes of an edge that have to be looked at, whether they are the first."""
        return int(torch.count_nonzero(signal.values)) if self._masks(signal) else 0

    def _masks(self, signal: Signal) -> bool:
        return self.config.preset.startswith("ttfs") and signal.kind is not Kind.ANALOG

    def penalty(self) -> Tensor | float:
        return 0.0 if self.fixed is not None else self.config.penalty(self())


class WeightedSpikes(Between):
    """Coefficients attached to a layer's spikes; the synapse behind applies them where that is cheapest."""

    def __init__(self, config: SACConfig, steps: int, channels: int | None) -> None:
        super().__init__()
        self.coefficients = StepCoefficients(config, steps, channels)

    def forward(self, spikes: Signal, current: Signal) -> Signal:
        return self.coefficients.weigh(spikes)

    def penalty(self) -> Tensor | float:
        return self.coefficients.penalty()

    def operations(self, spikes: Signal, current: Signal) -> Operations:
        return Operations(adds=self.coefficients.looks(spikes))  # weighting is charged to the synapse behind


class SAC(Coding):
    """Learnable weight per time step, on the input, the read-out or every spiking layer (reconstructed)."""

    name = "sac"
    Config = SACConfig
    config: SACConfig
    inputs = frozenset({"static", "events"})
    source = "Liu et al., IEEE TNNLS 2023, whose numbers and code are not known"
    starting_points = ({"steps": 8, "coding.sac.scope": "readout", "coding.sac.normaliser": "softmax"},)
    step_range = Int(2, 16, log=True)

    def __init__(self, config: SACConfig | None = None, *, steps: int) -> None:
        super().__init__(config, steps=steps)
        scope = self.config.scope
        self.input = StepCoefficients(self.config, steps) if scope == "input" else None
        self.readout = StepCoefficients(self.config, steps) if scope == "readout" else None
        self.layers: list[WeightedSpikes] = []  # for metrics; the sites own them

    def encode(self, x: Tensor) -> Signal:
        constant = super().encode(x)
        return constant if self.input is None else self.input.weigh(constant)

    def encode_events(self, frames: Tensor) -> Signal:
        events = super().encode_events(frames)
        return events if self.input is None else self.input.weigh(events)

    def encode_operations(self, x: Tensor, code: Signal) -> Operations:
        events = self.input is not None and code.kind is not Kind.ANALOG
        return Operations(adds=self.input.looks(code.with_values(x))) if self.input and events else Operations()

    def between(self, site: SiteInfo) -> Between | None:
        if self.config.scope not in ("layer", "channel"):
            return None
        channels = site.channels if self.config.scope == "channel" else None
        self.layers.append(WeightedSpikes(self.config, self.steps, channels))
        return self.layers[-1]

    @property
    def averages(self) -> bool:
        return self.readout is None

    def decode(self, output: Signal) -> Tensor:
        if self.readout is None:
            return super().decode(output)
        values = self.readout.weigh(output).decoded()
        summed = values.expand(output.steps, *values.shape[1:]).sum(0)
        return summed if output.steps == self.steps else summed * self._scale_up(self.readout(), output.steps)

    def _scale_up(self, a: Tensor, steps: int) -> Tensor:
        """Return the sum of all coefficients over that of the first ones: a constant current keeps its value."""
        sums = a.expand(self.steps).cumsum(0)
        if not torch.compiler.is_compiling() and not sums[steps - 1] > 0:  # a graph can't ask
            raise UsageError(f"coding 'sac' can't be cut at {steps}: its coefficients up to there add up to nothing")
        return sums[-1] / sums[steps - 1]  # a constant, which folds into the read-out's weights

    @torch.no_grad()
    def cuts(self) -> tuple[int, ...]:
        """Return the steps until which something was added up; none beside normalisers of any sign in the read-out."""
        if self.readout is None:
            return self.earlier_steps
        if self.config.preset == "learned" and self.config.normaliser in SIGNED:
            return ()
        sums = self.readout().expand(self.steps).cumsum(0)
        return tuple(steps for steps in self.earlier_steps if sums[steps - 1] > 0)

    def decode_operations(self, output: Signal) -> Operations:
        if self.readout is None:
            return super().decode_operations(output)
        return super().decode_operations(self.readout.weigh(output)) + Operations(adds=self.readout.looks(output))

    def penalty(self) -> Tensor | float:
        return sum((own.penalty() for own in (self.input, self.readout) if own is not None), start=0.0)

    @torch.no_grad()
    def metrics(self) -> Mapping[str, float]:
        own = [self.input, self.readout, *(layer.coefficients for layer in self.layers)]
        vectors = [(a := item()).expand(self.steps, *a.shape[1:]) for item in own if item is not None]
        numbers = {"effective_steps": effective_steps, "effective_steps_l2": effective_steps_l2, "entropy": entropy}
        return {f"sac.{name}": float(torch.stack([of(a) for a in vectors]).mean()) for name, of in numbers.items()}


@hookimpl
def register_codings(register: Callable[[type[Coding]], None]) -> None:
    register(SAC)
