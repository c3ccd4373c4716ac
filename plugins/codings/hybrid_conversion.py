"""Hybrid conversion: the input and each stage of a network choose their own code, all made of one trained ANN.

Every conversion stands for the activations of the same ANN, so one that was trained for none of them can be converted
stage by stage to rates (``rate``), canonic signed spikes (``css``), times (``ttfs``) or differences
(``differential``). The input is a current (``analog``), which the first layer multiplies, or is coded as a layer is.
Where two layers differ, the one behind integrates the whole window of T steps, then emits (neuron ``hybrid``): that
costs a read-out of each of its neurons, one addition to hold the sum, and T steps of latency. With one code throughout
the network is that of the pure conversion, bit for bit.

A network of several stages has one code for each of the first three, and further ones go on with the third; one of a
single stage, as ``mlp``, has one for each layer. It must be a chain: sums of a shortcut and a stage would add currents
of two codes.

Reference: Chen et al., "Hybrid neural coding for pattern recognition with spiking neural networks", arXiv:2305.16594,
which assigns direct, phase, burst and TTFS coding to layers by hand, and trains them. The assignment as
hyperparameters, for conversions, is **ours**; so are the windows between two codes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Final

import torch
from torch import Tensor

from spikefront.plugins import Backbone, Coding, Kind, Neuron, Operations, Signal, Site, Surrogate, Synapse, hookimpl
from spikefront.plugins.bases.conversion import Conversion, ConversionConfig
from spikefront.plugins.bases.levels import LevelsConfig
from spikefront.plugins.codings.css import CSS, CSSConfig
from spikefront.plugins.codings.differential_conversion import DifferentialConversion
from spikefront.plugins.codings.rate_conversion import RateConversion
from spikefront.plugins.codings.ttfs_conversion import TTFSConversion, TTFSConversionConfig
from spikefront.plugins.network.signal import over_time
from spikefront.plugins.neurons.hybrid import EMITTERS, Hybrid, emission
from spikefront.searchspace import Choice, Int, UsageError

CODES: Final = tuple(EMITTERS)


@dataclass(frozen=True, slots=True)
class HybridConversionConfig(ConversionConfig):
    """Hyperparameters of hybrid conversion; those of the codes are the neuron's."""

    input: Annotated[str, Choice(("analog", *CODES))] = "ttfs"
    """Code of the input, or ``analog``: a current, which the first layer multiplies."""
    stage1: Annotated[str, Choice(CODES)] = "rate"
    """Code of the first stage; of a network of one stage, of its first layer."""
    stage2: Annotated[str, Choice(CODES)] = "rate"
    """Code of the second."""
    stage3: Annotated[str, Choice(CODES)] = "rate"
    """Code of the third and all further ones."""


class HybridConversion(Conversion):
    """A code for the input and for each stage, converted from one ANN."""

    name = "hybrid-conversion"
    Config = HybridConversionConfig
    config: HybridConversionConfig
    step_range = Int(2, 32, log=True)
    neurons: ClassVar[frozenset[str] | None] = frozenset({"hybrid"})
    chains_only = True
    named_only = True  # on the fronts of digits it adds less than a hundredth to what the pure conversions have
    not_in_nir = "neurons that read one code and emit another, which NIR does not have"

    def __init__(self, config: HybridConversionConfig | None = None, *, steps: int) -> None:
        super().__init__(config, steps=steps)
        self.bind(Hybrid(surrogate=Surrogate()))
        self._stages = (self.config.stage1, self.config.stage2, self.config.stage3)
        self._layers: tuple[str, ...] = self._stages  # until the backbone is known

    def bind(self, neuron: Neuron) -> None:
        if not isinstance(neuron, Hybrid):
            raise UsageError(f"coding 'hybrid-conversion' needs neuron hybrid, not {neuron.name!r}")
        self._emitters = {code: neuron.emits(code) for code in CODES}
        percentile, granularity = self.config.percentile, self.config.granularity
        base = ConversionConfig(percentile, granularity)
        given = "analog" if self.config.input == "analog" else "ttfs"
        self._codes: Mapping[str, Conversion] = {
            "rate": RateConversion(LevelsConfig(percentile, granularity), steps=self.steps),
            "css": CSS(CSSConfig(percentile, granularity), steps=self.steps),
            "ttfs": TTFSConversion(TTFSConversionConfig(percentile, granularity, input=given), steps=self.steps),
            "differential": DifferentialConversion(base, steps=self.steps),
        }
        for code, conversion in self._codes.items():
            conversion.bind(self._emitters[code])

    @property
    def pure(self) -> Conversion | None:
        """The conversion that it is where all layers have one code, and the input what that gives it; else None."""
        given = {"analog", "ttfs"} if self._layers[0] == "ttfs" else {"analog"}
        return self._codes[self._layers[0]] if len(set(self._layers)) == 1 and self.config.input in given else None

    def shares(self) -> Tensor:
        return self._presented(self._layers[0])

    def weights(self) -> Tensor:
        return self._codes[self._layers[-1]].weights()

    def full_scale(self) -> float:
        return 1.0  # until it is settled, layer by layer

    def _presented(self, code: str) -> Tensor:
        """Return what each step adds of a constant current of 1 to an edge of a code."""
        if code != "ttfs":
            return self._codes[code].shares()
        return torch.tensor([1.0, *[0.0] * (self.steps - 1)]) / self.steps  # the ramp adds it at each step

    def _driven(self, x: Tensor) -> Tensor:
        """Return the current that drives the emitter of the input."""
        code = self.config.input
        held = x.unsqueeze(0) * self._codes[code].full_scale()
        return held * over_time(self._presented(code).to(x), held)

    def encode(self, x: Tensor) -> Signal:
        code = self.config.input
        if self.pure is not None:
            return self.pure.encode(x)
        if code == "analog":
            return Signal(x.unsqueeze(0), self.steps, Kind.ANALOG, self.shares().to(x))
        emitter = self._emitters[code]
        spikes = emitter(self._driven(x), self.steps)
        worth = x.new_full((1,), 1 / self._codes[code].full_scale())
        return Signal(spikes, self.steps, emitter.kind, worth, emitter.delay)

    def encode_operations(self, x: Tensor, code: Signal) -> Operations:
        """Return the operations of the neurons that emit the input."""
        if self.pure is not None:
            return self.pure.encode_operations(x, code)
        if self.config.input == "analog":
            return Operations()
        return emission(self._emitters[self.config.input], self._driven(x), code.values)

    def cuts(self) -> tuple[int, ...]:
        """Return those of the one code; a window between two must be whole."""
        return () if self.pure is None else self.pure.cuts()

    def decode(self, output: Signal) -> Tensor:
        return self._codes[self._layers[-1]].decode(output)

    def decode_operations(self, output: Signal) -> Operations:
        return self._codes[self._layers[-1]].decode_operations(output)

    def latency_steps(self, delay: int) -> int:
        """Return all windows; neurons that fire once wait for no window of an input that is a current."""
        if self.pure is not None:
            return self.pure.latency_steps(delay)
        known = self.config.input == "analog" and self._layers[0] == "ttfs"
        return delay + (0 if known else self.steps)

    def prepare(self, backbone: Backbone) -> None:
        super().prepare(backbone)
        sites = [module for module in backbone.modules() if isinstance(module, Site)]
        self._layers = tuple(self._code_of(site) for site in sites)
        if self.pure is not None:
            for site, code in zip(sites, self._layers, strict=True):
                assert isinstance(site.neuron, Hybrid)
                site.neuron = site.neuron.emits(code)
            self.pure.prepare(backbone)
            return
        edge = self._layers[0] if self.config.input == "analog" else self.config.input
        for module in list(backbone.modules()):
            if isinstance(module, Synapse):
                module.bias_over_time = self._presented(edge)
            elif isinstance(module, Site):
                hybrid, code = module.neuron, self._code_of(module)
                assert isinstance(hybrid, Hybrid)
                if code == edge:
                    module.neuron = hybrid.emits(code)
                else:
                    module.neuron = hybrid.between(self._codes[edge], code, self._presented(code))
                edge = code

    def _code_of(self, site: Site) -> str:
        place = site.info.index if site.info.stages == 1 else site.info.stage
        return self._stages[min(place, len(self._stages) - 1)]

    def settle(self, backbone: Backbone, run: Callable[[], object]) -> None:
        """Give each layer the scale of its code."""
        for module in backbone.modules():
            if isinstance(module, Site):
                assert module.scale is not None
                module.scale.div_(self._codes[self._code_of(module)].full_scale())
        if self.pure is not None:
            self.pure.settle(backbone, run)


@hookimpl
def register_codings(register: Callable[[type[Coding]], None]) -> None:
    register(HybridConversion)
