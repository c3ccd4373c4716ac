"""Conversion: codings whose network is not trained spiking but made from a trained ANN.

The same backbone is trained with rectifiers for neurons. Its weights stay; each site's scale, the activation that a
full spike train stands for, is read off a calibration set; then every rectifier gives way to a spiking neuron. What
differs between conversion codings is how a train carries a number, and that is all a subclass states.

Reference: Rueckauer et al., "Conversion of continuous-valued deep networks to efficient event-driven networks for image
classification", Frontiers in Neuroscience 11 (2017), for scaling by percentiles and folding of batch norm.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass
from typing import Annotated, ClassVar, Final

import torch
from torch import Tensor

from spikefront.plugins.contracts import Backbone, Coding, Neuron, SiteInfo, Surrogate
from spikefront.plugins.network.layers import MaxPool, Synapse
from spikefront.plugins.network.operations import Operations
from spikefront.plugins.network.signal import Kind, Signal, over_time
from spikefront.searchspace import Choice, Domain, UsageError

_ROUNDING: Final = 1e-5


@dataclass(frozen=True, slots=True)
class ConversionConfig:
    """Hyperparameters of calibration."""

    percentile: Annotated[float, Choice((99.0, 99.9, 99.99, 100.0))] = 99.9
    """Percentile of the ANN's activations that a full spike train stands for; 100 is the largest one."""
    granularity: Annotated[str, Choice(("layer", "channel"))] = "channel"
    """Whether a layer has one scale or one for each channel."""


class Rectifier(Neuron):
    """The ReLU of the ANN that is trained for conversion; not a plugin, since it doesn't spike."""

    name = "rectifier"
    kind = Kind.ANALOG

    def __init__(self) -> None:
        super().__init__(None, surrogate=Surrogate())  # never called: a rectifier has a derivative

    def forward(self, current: Tensor, steps: int) -> Tensor:
        return current.relu()

    def update_operations(self) -> Operations:
        return Operations(adds=1)  # the comparison


class Activations(Coding):
    """Real numbers in one step: the edges of the ANN."""

    name = "activations"

    def __init__(self) -> None:
        super().__init__(None, steps=1)


class Conversion(Coding):
    """A coding that a trained ANN is converted to.

    The input is constant: its current, and that of biases, is shared out over the steps by ``shares``. The output is
    the sum of the last layer's currents, weighted by ``weights``. The two are each other's inverse:
    ``sum(weights * shares) = 1``.

    Attributes:
        pools_maximum: whether the largest of several trains can be told, so that max pooling can be converted.
        sums_trains: whether the trains of several sites may be summed, as ``Backbone.sums_trains`` says.
        chains_only: whether a backbone must be a chain, as ``Backbone.chain`` says.
        trained_with: flat names of what its ANN depends on besides task, backbone, training and seed.
        not_in_nir: what its networks need that NIR does not have; for messages.
    """

    trained_by = "conversion"
    pools_maximum: ClassVar[bool] = False
    sums_trains: ClassVar[bool] = False
    chains_only: ClassVar[bool] = False
    trained_with: ClassVar[tuple[str, ...]] = ()
    not_in_nir: ClassVar[str] = "neurons that keep what exceeds their threshold, and NIR's reset to 0"
    Config: ClassVar[type] = ConversionConfig
    config: ConversionConfig
    requires: ClassVar[Mapping[str, Domain]] = {
        "neuron.*.threshold": Choice((1.0,)),  # the calibrated scale takes its place
        "backbone.*.pool": Choice(("avg",)),  # the largest of several trains is not known before their end
        "backbone.*.readout": Choice(("current",)),
    }

    @abstractmethod
    def shares(self) -> Tensor:
        """Return what each step adds of a constant current of 1: ``(T,)``, or ``(1,)`` for the same at every step."""

    @abstractmethod
    def weights(self) -> Tensor:
        """Return the weight of each step's current in the output, ``(T,)``."""

    @abstractmethod
    def full_scale(self) -> float:
        """Return the value, in thresholds, of the train that fires at every step, T being large."""

    def encode(self, x: Tensor) -> Signal:
        return Signal(x.unsqueeze(0), self.steps, Kind.ANALOG, self.shares().to(x))

    def cuts(self) -> tuple[int, ...]:
        """Return the T' at which the train over T' steps is the first part of the one over T.

        That is where input and biases are shared out alike, and a full train stands for the same number. Then the
        weights of the T' steps make their number of it.
        """
        with torch.device("cpu"):  # where a network is built without numbers, too
            return tuple(steps for steps in self.earlier_steps if self._begins(self._over(steps)))

    def _over(self, steps: int) -> Conversion:
        """Return the same coding over another number of steps."""
        if steps == self.steps:
            return self
        other = copy(self)
        other.steps = steps
        return other

    def _begins(self, shorter: Conversion) -> bool:
        shares, weights = shorter.shares(), shorter.weights()
        if not torch.equal(shares, self.shares()[: shorter.steps]) or len(weights) != shorter.steps:
            return False
        inverse = float((weights * shares).sum())
        return abs(inverse - 1) < _ROUNDING and shorter.full_scale() == self.full_scale()

    def decode(self, output: Signal) -> Tensor:
        values, weights = output.decoded(), self._over(output.steps).weights()
        return (values * over_time(weights.to(values), values)).sum(0)

    def decode_operations(self, output: Signal) -> Operations:
        weights = self._over(output.steps).weights()
        if (weights == weights[0]).all():  # nothing to weight, which is quicker to see here
            weights = weights[:1]
        weighted = output.weighted(weights.to(output.values))  # by constants, which fold where they are equal
        return Operations(adds=output.values.numel()) + weighted.weighting(output.values[0, 0].numel())

    def ann_coding(self) -> Coding:
        """Return the coding of the ANN that is trained for it; ``trained_with`` names what it depends on."""
        return Activations()

    def ann_neuron(self) -> Neuron:
        """Return a neuron of that ANN."""
        return Rectifier()

    def initial_scale(self, site: SiteInfo) -> Tensor:
        """Return the scale of a site before calibration: ones, ``(1, 1)`` or ``(1, C)``."""
        return torch.ones(1, site.channels if self.config.granularity == "channel" else 1)

    def prepare(self, backbone: Backbone) -> None:
        """Share out the biases of a backbone as the input is.

        Raises:
            UsageError: when the backbone can't be converted.
        """
        if not (backbone.convertible or (self.sums_trains and backbone.sums_trains)):
            raise UsageError(f"backbone {backbone.name!r} is not an ANN that coding {self.name!r} can convert")
        if self.chains_only and not backbone.chain:
            raise UsageError(f"coding {self.name!r} needs a chain of layers, which backbone {backbone.name!r} is not")
        for module in backbone.modules():
            if isinstance(module, MaxPool) and not self.pools_maximum:
                raise UsageError(f"coding {self.name!r} can't convert max pooling; let {backbone.name!r} average")
            if isinstance(module, Synapse):
                module.bias_over_time = self.shares()

    def settle(self, backbone: Backbone, run: Callable[[], object]) -> None:
        """Finish the conversion, once weights and scales are known; the default has nothing left to do.

        Args:
            backbone: the backbone, in eval mode, which is written to.
            run: runs the network on a few inputs, for the sake of hooks.
        """

    def calibrate(self, scale: Tensor, activations: Tensor) -> None:
        """Set a site's scale so that a full train stands for the ``percentile`` of its activations.

        Args:
            scale: ``(1, 1)`` or ``(1, C)``; written to.
            activations: what the ANN's site put out, ``(B, C, ...)``.
        """
        rows = activations.transpose(0, 1).flatten(1) if scale.shape[1] > 1 else activations.reshape(1, -1)
        rank = max(1, round(self.config.percentile / 100 * rows.shape[1]))
        largest = rows.kthvalue(rank, dim=1).values
        largest = torch.where(largest > 0, largest, rows.amax(1))
        scale.copy_(torch.where(largest > 0, largest, 1.0).unsqueeze(0) / self.full_scale())  # 1 for what never fires


__all__ = ["Activations", "Conversion", "ConversionConfig", "Rectifier"]
