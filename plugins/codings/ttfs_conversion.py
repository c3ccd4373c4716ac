"""Time-to-first-spike (TTFS) conversion: an ANN's activation becomes the time of one spike.

With S = T levels, an activation a of scale ``lambda`` is the level ``n = clip(floor(S a / lambda + rounding), 0, S)``,
and the neuron fires once, at step ``S - n`` of the window of S steps of its layer; level 0 is no spike. The network is
the ANN with activations clamped to these levels, exactly: weights are rounded to multiples of a quantum, potentials are
whole numbers of quanta, and thresholds too. Layers fire one after the other, a window each, so a result takes
``(L + 1) S`` steps through L spiking layers; what TTFS pays with is latency, not energy.

Max pooling is the first spike of several. The input is coded by the same rule (``ttfs``), or is a current (``analog``).

Reference: Stanojevic et al., "High-performance deep spiking neural networks with 0.3 spikes per neuron", Nature
Communications 15 (2024), for the map between ReLU networks and spike times, which is in continuous time there. The
quantised form, the scales and the rounding of weights are **reconstructed**.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from torch import Tensor

from spikefront.plugins import Backbone, Coding, Kind, Neuron, Operations, Signal, Site, hookimpl
from spikefront.plugins.bases.levels import LevelConversion, LevelsConfig
from spikefront.plugins.bases.windows import EXACT_BITS, WholeSynapse, in_windows, integrated, preload, reached
from spikefront.plugins.neurons.ttfs import TTFS, TTFSConfig, comparisons
from spikefront.searchspace import PINNED, Choice, Domain, Int, UsageError


@dataclass(frozen=True, slots=True)
class TTFSConversionConfig(LevelsConfig):
    """Hyperparameters of TTFS conversion; the rounding of levels is the neuron's."""

    input: Annotated[str, Choice(("ttfs", "analog"))] = "ttfs"
    """Whether each input fires once, so that the first layer only adds, or is a current, which it multiplies."""
    bits: Annotated[int, Int(2, 16), PINNED] = 10
    """Binary digits of a weight below one level, of the layer with the smallest levels; fewer where sums need them."""


class TTFSConversion(LevelConversion):
    """One spike per neuron, whose time is the activation, converted from an ANN."""

    name = "ttfs-conversion"
    Config: ClassVar[type] = TTFSConversionConfig
    config: TTFSConversionConfig
    step_range = Int(4, 64, log=True)
    source = "Stanojevic et al., Nature Communications 15 (2024), in continuous time; levels are ours"
    starting_points = ({"steps": 16, "backbone": "mlp"}, {"steps": 16, "backbone": "convnet"})
    neurons: ClassVar[frozenset[str] | None] = frozenset({"ttfs"})
    requires: ClassVar[Mapping[str, Domain]] = {
        "backbone.*.readout": Choice(("current",)),
        "backbone.sew-resnet.connect": Choice(("add",)),
    }
    pools_maximum = True
    sums_trains = True
    not_in_nir = "neurons that integrate a ramp for a window and then fire once, which NIR does not have"

    def __init__(self, config: TTFSConversionConfig | None = None, *, steps: int) -> None:
        super().__init__(config, steps=steps)
        self.rounding = TTFSConfig().rounding

    def bind(self, neuron: Neuron) -> None:
        if not isinstance(neuron, TTFS):
            raise UsageError(f"coding 'ttfs-conversion' needs neuron ttfs, not {neuron.name!r}")
        self.rounding = neuron.config.rounding

    def shares(self) -> Tensor:
        return preload(self.steps)

    def weights(self) -> Tensor:
        return torch.arange(float(self.steps), 0.0, -1.0)  # how often the ramp adds what comes at a step

    def full_scale(self) -> float:
        return float(self.steps)  # levels

    def encode(self, x: Tensor) -> Signal:
        if self.config.input == "analog":
            return super().encode(x)
        levels = (x * self.steps + self.rounding).floor().clamp(0, self.steps)
        spikes = torch.stack([(levels == self.steps - t).to(x) for t in range(self.steps)])
        return Signal(spikes, self.steps, Kind.BINARY, x.new_full((1,), 1 / self.steps))

    def encode_operations(self, x: Tensor, code: Signal) -> Operations:
        """Return a comparison of each input with a falling threshold until it fires."""
        return Operations(adds=comparisons(code.values) if self.config.input == "ttfs" else 0)

    def cuts(self) -> tuple[int, ...]:
        """Return no steps: before its window has ended, nothing is known of a level that has not fired."""
        return ()

    def decode(self, output: Signal) -> Tensor:
        return integrated(output)

    def decode_operations(self, output: Signal) -> Operations:
        """Return an addition per output and step: the ramp."""
        return Operations(adds=output.values[0].numel() * output.steps)

    def latency_steps(self, delay: int) -> int:
        """Return a window for each layer and, of an input that fires, one for it."""
        return max(1, self.steps + delay if self.config.input == "ttfs" else delay)

    def prepare(self, backbone: Backbone) -> None:
        in_windows(backbone)
        super().prepare(backbone)
        for site in _sites(backbone):
            assert isinstance(site.neuron, TTFS)
            site.neuron.parts = None if site.scale is None else torch.zeros_like(site.scale)

    def settle(self, backbone: Backbone, run: Callable[[], object]) -> None:
        """Choose the quantum, and make the levels even multiples of it, so that half ones are multiples."""
        with reached(backbone) as reaches:
            run()
        scales = [site.scale for site in _sites(backbone) if site.scale is not None]
        finest = math.floor(math.log2(min(float(scale.median()) for scale in scales))) - self.config.bits
        exact = math.ceil(math.log2(max(reaches))) - EXACT_BITS if max(reaches) > 0 else finest
        quantum = 2.0 ** max(finest, exact)
        for module in backbone.modules():
            if isinstance(module, WholeSynapse):
                module.quantum.fill_(quantum)
        for site in _sites(backbone):
            assert site.scale is not None
            assert isinstance(site.neuron, TTFS)
            assert site.neuron.parts is not None
            parts = 2 * (site.scale.double() / (2 * quantum)).round().clamp(min=1)
            site.neuron.parts.copy_(parts)
            site.scale.copy_(parts * quantum)


def _sites(backbone: Backbone) -> list[Site]:
    return [module for module in backbone.modules() if isinstance(module, Site)]


@hookimpl
def register_codings(register: Callable[[type[Coding]], None]) -> None:
    register(TTFSConversion)
