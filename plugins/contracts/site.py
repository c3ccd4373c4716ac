"""Spiking sites: where a backbone's neurons are, each with a coding's module behind them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Protocol

from torch import Tensor, nn

from spikefront.plugins.contracts.recurrent import Recurrent
from spikefront.plugins.network.layers import Counted, MaxPool, uncounted
from spikefront.plugins.network.signal import ContractError, Signal, over_time, refuse_time_axis

if TYPE_CHECKING:
    from spikefront.plugins.contracts.coding import Coding
    from spikefront.plugins.contracts.neuron import Neuron


@dataclass(frozen=True, slots=True)
class SiteInfo:
    """Place of a spiking layer in its network.

    Attributes:
        index: number of the site, from 0 at the input.
        stage: number of the stage (what lies between two poolings), from 0.
        channels: channels, or features, of its neurons.
        size: height and width of its maps; ``(1, 1)`` for a fully connected layer.
        last_of_stage: whether a pooling, a next stage or the read-out follows.
        stages: stages of the whole network.
    """

    index: int
    stage: int
    channels: int
    size: tuple[int, int]
    last_of_stage: bool
    stages: int = 1


class Sites(Protocol):
    """Factory of spiking sites. A backbone calls it wherever a neuron belongs, in the order of the forward pass.

    With ``recurrent`` the neurons also get the spikes that their layer, fully connected, emitted in the step before
    (``spikefront.plugins.contracts.recurrent``); the class of the backbone says ``recurrent = True`` then.
    """

    def __call__(
        self,
        channels: int,
        size: tuple[int, int] = (1, 1),
        *,
        stage: int = 0,
        last_of_stage: bool = False,
        recurrent: bool = False,
    ) -> nn.Module: ...


class Between(Counted):
    """A coding's module behind one spiking layer. It may own parameters.

    Attributes:
        reads_current: whether it needs the current, so that biases have to be added to it.
    """

    reads_current: ClassVar[bool] = False

    def forward(self, spikes: Signal, current: Signal) -> Signal:
        """Transform what the layer emits.

        Args:
            spikes: what the neurons emitted, ``(T, B, ...)``.
            current: the current that drove them, ``(T, B, ...)``; time axis 1 when constant.
        """
        raise TypeError(f"{type(self).__name__} must define forward(spikes, current)")

    def penalty(self) -> Tensor | float:
        """Return the regularisation term that this module adds to the loss."""
        return 0.0


class Site(nn.Module):
    """A spiking layer: a neuron and the coding's module behind it.

    Attributes:
        scale: what a spike is worth, in units of the activations of the ANN that the network was converted from,
            ``(1, 1)`` or, by channel, ``(1, C)``; None in a network that was not converted. It folds into thresholds
            and weights, so it costs nothing.
        coding: name of the coding that made the module behind it; for messages.
        backbone: name of the backbone that it is in; for messages.
    """

    scale: Tensor | None
    coding: str = ""
    backbone: str = ""

    def __init__(self, info: SiteInfo, neuron: Neuron, between: Between | None, scale: Tensor | None = None) -> None:
        super().__init__()
        self.info = info
        self.neuron = neuron
        self.between = between
        self.register_buffer("scale", scale)

    def forward(self, current: Signal) -> Signal:
        spikes = self.fire(current)
        if self.between is None:
            return spikes
        who = f"coding {self.coding!r}, behind spiking layer {self.info.index},"
        return refuse_time_axis(who, self.between(spikes, current), current.steps)

    def fire(self, current: Signal) -> Signal:
        """Return what the neurons emit, before the coding's module sees it.

        Raises:
            ContractError: when current or spikes have a time axis of another length than they must.
        """
        values, steps = self._checked(current).decoded(), current.steps
        if self.scale is not None:
            exact = values.double() if self.neuron.counts_parts else values
            values = exact / over_time(self.scale.to(exact), exact)
        fired = self.neuron(values, steps)
        return self._emitted(fired.to(current.values) if self.neuron.counts_parts else fired, current)

    def pooled(self, current: Signal, size: int) -> Signal | None:
        """Return what max pooling right behind makes of what the layer emits, in one pass over memory.

        None where that is two: where the coding has a module between them, or the neuron can't.
        """
        plain = self.between is None and self.scale is None and not self.neuron.emits_changes
        if not plain or not self.neuron.pools() or current.values.dim() != 5:  # (T, B, C, H, W)
            return None
        fired = self.neuron.pooled(self._checked(current).decoded(), current.steps, size)
        return None if fired is None else self._emitted(fired, current)

    def _checked(self, current: Signal) -> Signal:
        where = f"backbone {self.backbone!r}, before spiking layer {self.info.index},"
        return refuse_time_axis(where, current, current.steps)

    def _emitted(self, fired: Tensor, current: Signal) -> Signal:
        steps = current.steps
        if len(fired) != steps:
            raise ContractError(f"neuron {self.neuron.name!r} returned spikes of {len(fired)} steps, but T is {steps}")
        delay = current.delay + self.neuron.delay_over(steps)
        spikes = Signal(fired, steps, self.neuron.kind, delay=delay, changes=self.neuron.emits_changes)
        with uncounted():  # a learnt weight folds into the synapses behind, which charge what does not
            weights = self.neuron.step_weights(steps, fired)
        if weights is not None:
            spikes = spikes.weighted(weights)
        spikes = spikes if self.scale is None else spikes.weighted(self.scale)
        return refuse_time_axis(f"neuron {self.neuron.name!r}", spikes, steps)


class Chain(nn.Sequential):
    """Layers one after the other.

    In training a spiking layer with max pooling right behind it is one pass over memory, where its neuron can do that
    and no hook looks at either. Values and gradients are the same.
    """

    def forward(self, signal: Signal) -> Signal:
        layers, place = list(self), 0
        while place < len(layers):
            layer, behind = layers[place], layers[place + 1] if place + 1 < len(layers) else None
            both = None
            if self.training and type(layer) is Site and type(behind) is MaxPool and _unwatched(layer, behind):
                both = layer.pooled(signal, behind.size)
            signal = layer(signal) if both is None else both
            place += 1 if both is None else 2
        return signal


def _unwatched(site: Site, pooling: MaxPool) -> bool:
    """Return whether nothing but the pooling gets the spikes of a spiking layer."""
    if "forward" in vars(site.neuron) or "forward" in vars(site) or nn.modules.module._has_any_global_hook():
        return False
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return not any(getattr(module, name) for module in (site, site.neuron, pooling) for name in hooks)


class SiteFactory:
    """Factory of one network's sites, numbered; ``finish`` adds the coding's modules once all are known.

    Args:
        make_neuron: makes the neuron of one site.
        coding: whose modules go behind the sites; None for none.
        scale: makes the scale of a site of a converted network.

    Attributes:
        made: the sites, in the order they were asked for.
    """

    def __init__(
        self,
        make_neuron: Callable[[], Neuron],
        coding: Coding | None = None,
        scale: Callable[[SiteInfo], Tensor] | None = None,
    ) -> None:
        self._make_neuron = make_neuron
        self._coding = coding
        self._scale = scale
        self.made: list[Site] = []

    def __call__(
        self,
        channels: int,
        size: tuple[int, int] = (1, 1),
        *,
        stage: int = 0,
        last_of_stage: bool = False,
        recurrent: bool = False,
    ) -> nn.Module:
        info = SiteInfo(len(self.made), stage, channels, size, last_of_stage)
        neuron = self._make_neuron()
        if recurrent:
            neuron = Recurrent(neuron, channels)
        site = Site(info, neuron, None, None if self._scale is None else self._scale(info))
        self.made.append(site)
        return site

    def finish(self) -> None:
        """Set the number of stages at each site, and add the modules of the coding."""
        stages = 1 + max((site.info.stage for site in self.made if site.info.last_of_stage), default=0)
        for site in self.made:
            site.info = replace(site.info, stages=stages)
            if self._coding is not None:
                site.between = self._coding.between(site.info)
                site.coding = self._coding.name
