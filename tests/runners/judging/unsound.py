"""Plugins whose numbers would be wrong, each by one fault."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spikefront.plugins import (
    Between,
    Kind,
    Operations,
    Signal,
    SiteInfo,
    Synapse,
)
from spikefront.plugins.backbones.mlp import MLP
from spikefront.plugins.codings.direct import Direct
from spikefront.plugins.codings.rate import Rate, bernoulli
from spikefront.plugins.neurons.lif import LIF


class CountsCalls(Direct):
    name = "counts-calls"
    calls = 0

    def encode(self, x: Tensor) -> Signal:
        self.calls += 1
        return super().encode(x / self.calls)


class ScalesByBatch(Direct):
    name = "scales-by-batch"

    def encode(self, x: Tensor) -> Signal:
        return super().encode(x - x.mean(0))


class RandomByBatch(Rate):
    name = "random-by-batch"

    def encode(self, x: Tensor) -> Signal:
        return Signal(bernoulli(x * x.flatten(1).mean(), steps=self.steps), self.steps, Kind.BINARY)


class Projects(Direct):
    name = "projects"

    def __init__(self, config: Any = None, *, steps: int) -> None:
        super().__init__(config, steps=steps)
        self.linear = nn.Linear(8, 8)

    def encode(self, x: Tensor) -> Signal:
        return super().encode(self.linear(x))


class DecodesDensely(Direct):
    name = "decodes-densely"

    def __init__(self, config: Any = None, *, steps: int) -> None:
        super().__init__(config, steps=steps)
        self.linear = nn.Linear(10, 10)

    def decode(self, output: Signal) -> Tensor:
        decoded: Tensor = self.linear(output.decoded()).mean(0)
        return decoded


class EventsBackwards(Direct):
    name = "events-backwards"

    def encode_events(self, frames: Tensor) -> Signal:
        return super().encode_events(frames.flip(0))


class Behind(Between):
    """A module behind a site that passes spikes on."""

    def __init__(self) -> None:
        super().__init__()
        self.last: Tensor | None = None
        self.linear = nn.Linear(128, 128)
        self.draws = torch.Generator().manual_seed(0)

    def forward(self, spikes: Signal, current: Signal) -> Signal:
        return spikes.with_values(self.changed(spikes.values))

    def changed(self, values: Tensor) -> Tensor:
        return values

    def operations(self, spikes: Signal, current: Signal) -> Operations:
        return Operations(adds=spikes.values.numel())


class Remembers(Behind):
    def changed(self, values: Tensor) -> Tensor:
        before, self.last = self.last, values
        return values if before is None or before.shape != values.shape else values * (1 - before)


class Draws(Behind):
    def changed(self, values: Tensor) -> Tensor:
        return values * (torch.rand(values.shape, generator=self.draws) < 0.5)


class Mixes(Behind):
    def changed(self, values: Tensor) -> Tensor:
        return values * (values.mean(1, keepdim=True) < 0.2)


class SeesTheFuture(Behind):
    def changed(self, values: Tensor) -> Tensor:
        return values * values.roll(-1, 0)


class DropsAStep(Behind):
    def changed(self, values: Tensor) -> Tensor:
        return values if self.training else values[1:]


class Free(Behind):
    def forward(self, spikes: Signal, current: Signal) -> Signal:
        return Signal(self.linear(spikes.values), spikes.steps, Kind.ANALOG, delay=spikes.delay)

    def operations(self, spikes: Signal, current: Signal) -> Operations:
        return Operations()


def gated(module: type[Behind]) -> type[Direct]:
    class Gated(Direct):
        name = "gated"

        def between(self, site: SiteInfo) -> Between | None:
            return module()

    return Gated


# Neurons


class Backwards(LIF):
    name = "backwards"

    def forward(self, current: Tensor, steps: int) -> Tensor:
        return super().forward(current.flip(0), steps).flip(0)


class SubtractsTheMean(LIF):
    name = "subtracts-the-mean"

    def forward(self, current: Tensor, steps: int) -> Tensor:
        return super().forward(current - current.mean(1, keepdim=True), steps)


class DividesByTheMaximum(LIF):
    name = "divides-by-the-maximum"

    def forward(self, current: Tensor, steps: int) -> Tensor:
        return super().forward(2 * current / current.abs().max(), steps)


class Early(LIF):
    name = "early"

    @property
    def delay(self) -> int:
        return -1


class Tires(LIF):
    """Moves its threshold in place, also at inference, by too little to change a spike."""

    name = "tires"
    tired: Tensor

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.register_buffer("tired", torch.zeros(()))

    def forward(self, current: Tensor, steps: int) -> Tensor:
        self.tired += 1e-9
        return super().forward(current, steps)


class Multiplies(LIF):
    name = "multiplies"

    def forward(self, current: Tensor, steps: int) -> Tensor:
        mixed = current @ torch.eye(current.shape[-1])
        return super().forward(mixed, steps)


# Backbones


class Wraps(MLP):
    """A multi-layer perceptron with something in front of its read-out."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        assert isinstance(self.layers, nn.Sequential)
        self.layers.insert(len(self.layers) - 1, Hidden(self.change, self.config.width))

    def change(self, values: Tensor, hidden: Hidden) -> Tensor:
        return values


class Hidden(nn.Module):
    def __init__(self, change: Any, width: int) -> None:
        super().__init__()
        self.change = change
        self.linear = nn.Linear(width, width)
        self.scale = nn.Parameter(torch.ones(width))
        self.norm = nn.BatchNorm1d(width)
        self.last: Tensor | None = None

    def forward(self, signal: Signal) -> Signal:
        return Signal(self.change(signal.values, self), signal.steps, Kind.ANALOG, delay=signal.delay)


class HiddenLinear(Wraps):
    name = "hidden-linear"

    def change(self, values: Tensor, hidden: Hidden) -> Tensor:
        projected: Tensor = hidden.linear(values)
        return projected


class BareWeights(Wraps):
    name = "bare-weights"

    def change(self, values: Tensor, hidden: Hidden) -> Tensor:
        return F.linear(values, hidden.linear.weight)


class BareScale(Wraps):
    name = "bare-scale"

    def change(self, values: Tensor, hidden: Hidden) -> Tensor:
        return values * hidden.scale


class BareNorm(Wraps):
    name = "bare-norm"

    def change(self, values: Tensor, hidden: Hidden) -> Tensor:
        normed: Tensor = hidden.norm(values.flatten(0, 1)).unflatten(0, values.shape[:2])
        return normed


class AroundTheSynapse(MLP):
    name = "around-the-synapse"

    def forward(self, signal: Signal) -> Signal:
        assert isinstance(self.layers, nn.Sequential)
        for layer in list(self.layers)[:-1]:
            signal = layer(signal)
        readout = self.layers[-1]
        assert isinstance(readout, Synapse)
        return signal.current(readout.weight(signal.values))


class MixesTheBatch(Wraps):
    name = "mixes-the-batch"

    def change(self, values: Tensor, hidden: Hidden) -> Tensor:
        return values - values.mean(1, keepdim=True)


class TakesTheNeighbour(Wraps):
    name = "takes-the-neighbour"

    def change(self, values: Tensor, hidden: Hidden) -> Tensor:
        return values + values.roll(1, 1)


class Accumulates(Wraps):
    name = "accumulates"

    def change(self, values: Tensor, hidden: Hidden) -> Tensor:
        last = hidden.last if hidden.last is not None and hidden.last.shape == values.shape else values
        hidden.last = values + 0.5 * last
        return hidden.last


class TurnsTime(Wraps):
    name = "turns-time"

    def change(self, values: Tensor, hidden: Hidden) -> Tensor:
        return values.flip(0)


class ListensToTheEnd(Wraps):
    name = "listens-to-the-end"

    def change(self, values: Tensor, hidden: Hidden) -> Tensor:
        return values * values.mean(0, keepdim=True)


class PoolsTheBatch(Wraps):
    """Is not caught by its values alone on a quiet batch: the largest of all samples."""

    name = "pools-the-batch"

    def change(self, values: Tensor, hidden: Hidden) -> Tensor:
        return torch.maximum(values, values.amax(1, keepdim=True))
