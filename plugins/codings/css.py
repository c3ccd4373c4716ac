"""Canonic signed spikes (CSS): a train of ternary spikes is a number in signed digits, the most significant first.

A train ``s[1..T]`` of -1, 0, 1 is worth ``scale * sum_k s[k] base^-k``. The weights live in the membrane of the
self-amplifying (TSA) neuron behind, which grows ``base`` times per step, so synapses see plain spikes and only add.
Nothing is trained spiking: an ANN is trained on the same backbone and converted. Each layer's output lags by
the neuron's silent period d, layers work as a pipeline, and a number is complete after ``T + d L`` steps through L
layers: T is the length of the code, not the latency.

Reference: Gu, Gu, Shen & Huang, "Canonic signed spike coding for efficient spiking neural networks" (2024),
arXiv:2408.17245. No code was released and the text was not available to us: the neuron, the calibration, how the input
is presented and the alignment of residual sums are **reconstructed**.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from torch import Tensor

from spikefront.plugins import Coding, Neuron, hookimpl
from spikefront.plugins.bases.conversion import Conversion, ConversionConfig
from spikefront.plugins.neurons.tsa import TSA, TSAConfig
from spikefront.searchspace import Choice, Domain, Int, UsageError


@dataclass(frozen=True, slots=True)
class CSSConfig(ConversionConfig):
    """Hyperparameters of canonic signed spikes; base, silent period and fire ratio are the TSA neuron's."""

    input: Annotated[str, Choice(("once", "repeat"))] = "once"
    """Whether the input's current, like the biases', comes whole at the first step or in equal parts at every step."""


class CSS(Conversion):
    """Signed binary digits over time, converted from an ANN (reconstructed)."""

    name = "css"
    Config = CSSConfig
    config: CSSConfig
    step_range = Int(3, 12)
    source = "Gu et al., arXiv:2408.17245 (2024), whose numbers and code are not known"
    starting_points = ({"steps": 8, "backbone": "ms-resnet"}, {"steps": 8, "backbone": "vgg"})
    neurons: ClassVar[frozenset[str] | None] = frozenset({"tsa"})
    requires: ClassVar[Mapping[str, Domain]] = {**Conversion.requires, "neuron.tsa.relu": Choice((True,))}

    def __init__(self, config: CSSConfig | None = None, *, steps: int) -> None:
        super().__init__(config, steps=steps)
        self._base = TSAConfig().base

    def bind(self, neuron: Neuron) -> None:
        if not isinstance(neuron, TSA):
            raise UsageError(f"coding 'css' needs neuron tsa, not {neuron.name!r}")
        self._base = neuron.config.base

    def shares(self) -> Tensor:
        if self.config.input == "repeat":
            return 1 / self.weights().sum(0, keepdim=True)
        once = torch.zeros(self.steps)
        once[0] = self._base  # the first digit is worth 1/base
        return once

    def weights(self) -> Tensor:
        return self._base ** -torch.arange(1.0, self.steps + 1)

    def full_scale(self) -> float:
        return 1 / (self._base - 1)


@hookimpl
def register_codings(register: Callable[[type[Coding]], None]) -> None:
    register(CSS)
