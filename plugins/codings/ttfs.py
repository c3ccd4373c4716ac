"""Trained time-to-first-spike (TTFS) coding: one spike per neuron, of a network that is trained through its levels.

The network that runs is that of ``ttfs-conversion``: an activation is the level ``n = clip(floor(S a / c + rounding),
0, S)`` of S = T, and the neuron fires once, at step ``S - n`` of the window of its layer. Here the ANN is trained with
these levels, of inputs and activations, instead of being rounded to them afterwards, so that few levels, which are few
steps, cost little accuracy. The gradient of a level is that of the activation clamped to [0, c] (straight-through).

Reference: Stanojevic et al., Nature Communications 15 (2024), for the map from ReLU networks to spike times; Bengio,
Leonard & Courville, arXiv:1308.3432 (2013), for the straight-through gradient. Trained TTFS networks of the literature
(Wei et al., ICCV 2023; ETTFS) learn real-valued times by equations of their own; training through levels is
**reconstructed** from their common idea, as is the ceiling c, which is the same for all neurons.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from torch import Tensor

from spikefront.plugins import Coding, Kind, Neuron, Operations, Signal, SiteInfo, Surrogate, hookimpl
from spikefront.plugins.bases.conversion import Activations
from spikefront.plugins.bases.levels import levelled
from spikefront.plugins.codings.ttfs_conversion import TTFSConversion
from spikefront.searchspace import PINNED, Choice, Float, Int


@dataclass(frozen=True, slots=True)
class TTFSConfig:
    """Hyperparameters of trained TTFS coding; the rounding of levels is the neuron's."""

    ceiling: Annotated[float, Float(0.5, 4.0, log=True)] = 2.0
    """Activation c that the highest level stands for, behind batch norm; all larger ones are clamped to it."""
    input: Annotated[str, Choice(("ttfs", "analog"))] = "ttfs"
    """Whether each input fires once, so that the first layer only adds, or is a current, which it multiplies."""
    bits: Annotated[int, Int(2, 16), PINNED] = 10
    """Binary digits of a weight below one level, of the layer with the smallest levels; fewer where sums need them."""


class Levels(Neuron):
    """The neuron of the ANN that is trained: a rectifier with a ceiling, in levels; not a plugin.

    Args:
        steps: levels S.
        ceiling: activation of the highest level.
        rounding: as ``levelled`` takes it.
    """

    name = "levels"
    kind = Kind.ANALOG

    def __init__(self, steps: int, ceiling: float, rounding: float) -> None:
        super().__init__(None, surrogate=Surrogate())  # never called: the gradient is straight-through
        self._steps, self._ceiling, self._rounding = steps, ceiling, rounding

    def forward(self, current: Tensor, steps: int) -> Tensor:
        return levelled(current / self._ceiling, self._steps, self._rounding) * self._ceiling

    def update_operations(self) -> Operations:
        return Operations(adds=self._steps)  # a comparison with each level


class LevelledInput(Activations):
    """Inputs rounded to levels, in one step.

    Args:
        levels: S.
        rounding: as ``levelled`` takes it.
    """

    name = "levelled-input"

    def __init__(self, levels: int, rounding: float) -> None:
        super().__init__()
        self._levels, self._rounding = levels, rounding

    def encode(self, x: Tensor) -> Signal:
        return super().encode(levelled(x, self._levels, self._rounding))


class TTFS(TTFSConversion):
    """One spike per neuron, whose time is the activation, of a network trained through its levels (reconstructed)."""

    name = "ttfs"
    Config = TTFSConfig
    config: TTFSConfig  # type: ignore[assignment]
    step_range = Int(2, 32, log=True)
    source = "our guesses: few levels are what it is for"
    starting_points = ({"steps": 4, "backbone": "mlp"}, {"steps": 4, "backbone": "convnet"})
    trained_with: ClassVar[tuple[str, ...]] = (
        "coding",
        "steps",
        "coding.ttfs.ceiling",
        "coding.ttfs.input",
        "neuron.ttfs.rounding",
    )

    def ann_coding(self) -> Coding:
        return Activations() if self.config.input == "analog" else LevelledInput(self.steps, self.rounding)

    def ann_neuron(self) -> Neuron:
        return Levels(self.steps, self.config.ceiling, self.rounding)

    def initial_scale(self, site: SiteInfo) -> Tensor:
        return torch.ones(1, 1)

    def calibrate(self, scale: Tensor, activations: Tensor) -> None:
        scale.fill_(self.config.ceiling / self.full_scale())


@hookimpl
def register_codings(register: Callable[[type[Coding]], None]) -> None:
    register(TTFS)
