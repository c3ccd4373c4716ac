"""The contract tests of codings catch each of these faults, with a message that names what is broken."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any

import pytest
import torch
from torch import Tensor, nn

from spikefront.plugins import Between, Choice, Coding, Float, Kind, Operations, Signal, SiteInfo
from spikefront.plugins.codings.direct import Direct
from spikefront.plugins.codings.rate import Rate, bernoulli
from spikefront.plugins.testing import CodingContract


class Gate(Between):
    """A gate of one learnt weight, with a fault."""

    def __init__(self, change: Callable[[Gate, Tensor], Tensor], cost: float = 1.0) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.calls = 0
        self.change = change
        self.cost = cost

    def forward(self, spikes: Signal, current: Signal) -> Signal:
        values = self.scale * self.change(self, spikes.values)
        return Signal(values, spikes.steps, Kind.ANALOG, delay=spikes.delay)

    def operations(self, spikes: Signal, current: Signal) -> Operations:
        return Operations(multiplies=self.cost * spikes.values.numel())


def remembers(gate: Gate, values: Tensor) -> Tensor:
    gate.calls += 1
    return values / gate.calls


def draws(gate: Gate, values: Tensor) -> Tensor:
    return values * torch.rand_like(values)


def mixes(gate: Gate, values: Tensor) -> Tensor:
    return values - values.mean(1, keepdim=True)


def takes_the_neighbour(gate: Gate, values: Tensor) -> Tensor:
    return values.roll(1, 1)


def sees_the_future(gate: Gate, values: Tensor) -> Tensor:
    return values * values.mean(0, keepdim=True)


def drops_a_step(gate: Gate, values: Tensor) -> Tensor:
    return values if gate.training else values[:-1]


def silences_a_step(gate: Gate, values: Tensor) -> Tensor:
    last = torch.arange(len(values)).view(-1, *[1] * (values.dim() - 1)) == len(values) - 1
    return values if gate.training else values.masked_fill(last, 0.0)


def attends_densely(gate: Gate, values: Tensor) -> Tensor:
    flat = values.flatten(2)
    lower = torch.ones(len(flat), len(flat)).tril()
    return (torch.einsum("tbn,sbn->tsb", flat, flat).mul(lower.unsqueeze(2)).sum(1).unsqueeze(2) * flat).view_as(values)


def gated(change: Callable[[Gate, Tensor], Tensor], cost: float = 1.0) -> type[Coding]:
    class Gated(Direct):
        """A coding with a gate behind each layer."""

        name = "gated"

        def between(self, site: SiteInfo) -> Between:
            return Gate(change, cost)

    return Gated


class Regularised(Direct):
    """A coding with a learnt gain that is held near 1."""

    name = "regularised"
    start = 1.0

    def __init__(self, config: Any = None, *, steps: int) -> None:
        super().__init__(config, steps=steps)
        self.gain = nn.Parameter(torch.tensor(self.start))
        self.seen: Tensor | None = None

    def encode(self, x: Tensor) -> Signal:
        signal = super().encode(self.gain * x)
        self.seen = self.gain * x.sum()
        return signal

    def penalty(self) -> Tensor | float:
        return 0.0 if self.seen is None else self.of(self.seen)

    def of(self, seen: Tensor) -> Tensor | float:
        return (self.gain - 1).square() + 0.0 * seen


class InfinitePenalty(Regularised):
    def of(self, seen: Tensor) -> Tensor:
        return (seen - seen).log() * self.gain


class DetachedPenalty(Regularised):
    def of(self, seen: Tensor) -> Tensor:
        return (self.gain - 2).square().detach()


class NumberForAPenalty(Regularised):
    def of(self, seen: Tensor) -> float:
        return 1.5


class DetachedGain(Regularised):
    def encode(self, x: Tensor) -> Signal:
        return Direct.encode(self, self.gain.detach() * x)


class SteppedGain(Regularised):
    def encode(self, x: Tensor) -> Signal:
        return Signal((self.gain * x > 0.5).float().unsqueeze(0), self.steps, Kind.BINARY)


class CountsCalls(Direct):
    """A coding that is weaker each time."""

    name = "counts-calls"
    calls = 0

    def encode(self, x: Tensor) -> Signal:
        self.calls += 1
        return super().encode(x / self.calls)


class RandomByBatch(Rate):
    """A random code whose rates depend on the batch."""

    name = "random-by-batch"

    def encode(self, x: Tensor) -> Signal:
        return Signal(bernoulli(x * x.mean(), steps=self.steps), self.steps, Kind.BINARY)


class EventsBackwards(Direct):
    """A coding that hears recordings from their end."""

    name = "events-backwards"
    inputs = frozenset({"events"})

    def encode_events(self, frames: Tensor) -> Signal:
        return super().encode_events(frames.flip(0))


class UncountedProjection(Direct):
    """A coding with a layer that nobody counts."""

    name = "uncounted-projection"

    def __init__(self, config: Any = None, *, steps: int) -> None:
        super().__init__(config, steps=steps)
        self.linear = nn.Linear(8, 8)

    def encode(self, x: Tensor) -> Signal:
        return super().encode(self.linear(x))


class ThreeSteps(Direct):
    """A coding of three steps, whatever T is."""

    name = "three-steps"

    def encode(self, x: Tensor) -> Signal:
        return Signal(x.expand(3, *x.shape), self.steps, Kind.ANALOG)


class FreeThresholds(Direct):
    """A coding that compares its input at every step, for nothing."""

    name = "free-thresholds"

    def encode(self, x: Tensor) -> Signal:
        levels = torch.arange(1, self.steps + 1).view(-1, 1, 1, 1, 1) / (self.steps + 1)
        return Signal((x > levels).to(x.dtype), self.steps, Kind.BINARY)


class PaidThresholds(FreeThresholds):
    """The same with its comparisons."""

    def encode_operations(self, x: Tensor, code: Signal) -> Operations:
        return Operations(adds=code.values.numel())


class OpticalThresholds(FreeThresholds):
    """The same in front of a camera that compares."""

    free_encoder = "the sensor compares"


class SharesByT(Gate):
    """A gate whose strength is a share of the steps that it gets."""

    def forward(self, spikes: Signal, current: Signal) -> Signal:
        return replace(super().forward(spikes, current), values=spikes.values / spikes.steps)


class CutsAnywhere(Direct):
    """A coding with that gate, which says that it may be cut."""

    name = "cuts-anywhere"

    def between(self, site: SiteInfo) -> Between:
        return SharesByT(lambda gate, values: values)

    def cuts(self) -> tuple[int, ...]:
        return self.earlier_steps


class CutsBeyondT(Direct):
    """A coding that says it may be cut at its end."""

    name = "cuts-beyond-t"

    def cuts(self) -> tuple[int, ...]:
        return (*self.earlier_steps, self.steps)


class ChargesForAll(Direct):
    """A coding whose read-out is charged for the steps that are left out."""

    name = "charges-for-all"

    def decode_operations(self, output: Signal) -> Operations:
        return Operations(adds=(2 * self.steps - output.steps) * 1000)

    def cuts(self) -> tuple[int, ...]:
        return self.earlier_steps


ENCODER = CodingContract.test_encoder_says_what_it_costs
SOUND = CodingContract.test_modules_behind_sites_are_sound_at_inference
NETWORK = CodingContract.test_networks_of_it_are_sound_and_everything_is_counted
GRADIENT = CodingContract.test_gradient_reaches_every_parameter_of_its_own
PENALTY = CodingContract.test_penalty_after_a_forward_pass_is_a_finite_scalar_with_a_gradient
CUT = CodingContract.test_cut_networks_do_what_the_whole_ones_do_until_then
CUTS = CodingContract.test_cuts_lie_before_the_last_step
GROWS = CodingContract.test_operations_of_the_first_steps_grow_with_them
STATE, MIXES, FUTURE = "keeps state between calls", "mixes the samples of a batch", "sees the future"


@pytest.mark.parametrize(
    ("test", "plugin", "message"),
    [
        (SOUND, gated(remembers), STATE),
        (SOUND, gated(draws), "draws at random at inference"),
        (SOUND, gated(mixes), MIXES),
        (SOUND, gated(takes_the_neighbour), MIXES),
        (SOUND, gated(sees_the_future), FUTURE),
        (SOUND, gated(drops_a_step), "returned values of 4 steps; T is 5"),
        (SOUND, gated(silences_a_step), "something else at inference than in training"),
        (NETWORK, gated(remembers), STATE),
        (NETWORK, gated(mixes), MIXES),
        (NETWORK, gated(attends_densely, cost=0.0), "says that it costs nothing"),
        (NETWORK, CountsCalls, STATE),
        (NETWORK, RandomByBatch, MIXES),
        (NETWORK, EventsBackwards, FUTURE),
        (NETWORK, UncountedProjection, "computes products that nobody counts"),
        (NETWORK, ThreeSteps, "coding 'three-steps' returned values of 3 steps"),
        (CUT, CutsAnywhere, r"first \d+ steps depend on how many follow"),
        (CUTS, CutsBeyondT, "are not below T"),
        (GROWS, ChargesForAll, r"\d of \d+ steps cost .* operations, fewer ones"),
        (ENCODER, FreeThresholds, "it encodes for nothing"),
        (PENALTY, InfinitePenalty, "penalty is -?(inf|nan) after a forward pass"),
        (PENALTY, DetachedPenalty, "penalty has no gradient"),
        (PENALTY, NumberForAPenalty, "is a number without a gradient"),
        (GRADIENT, DetachedGain, "no gradient reaches parameter 'gain'"),
        (GRADIENT, SteppedGain, "no gradient reaches parameter 'gain'"),
    ],
)
def test_fault_is_caught_by_name(test: Any, plugin: type[Coding], message: str) -> None:
    torch.manual_seed(0)
    with pytest.raises((AssertionError, ValueError), match=message):
        test(CodingContract(), plugin)


@pytest.mark.parametrize("test", [SOUND, NETWORK, GRADIENT, PENALTY])
@pytest.mark.parametrize("plugin", [Regularised, gated(lambda gate, values: values), gated(attends_densely)])
def test_without_the_fault_they_pass(test: Any, plugin: type[Coding]) -> None:
    torch.manual_seed(0)
    test(CodingContract(), plugin)


@pytest.mark.parametrize("plugin", [PaidThresholds, OpticalThresholds, Regularised])
def test_encoders_that_say_what_they_cost_pass(plugin: type[Coding]) -> None:
    CodingContract().test_encoder_says_what_it_costs(plugin)


@dataclass
class Writable:
    """A config that is not frozen."""

    width: Annotated[float, Float(0.0, 1.0)] = 0.5
    """Width."""


def declared(**attributes: object) -> type[Coding]:
    made: type[Coding] = type("Declared", (Direct,), {"name": "declared", "__doc__": "A coding.", **attributes})
    return made


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"inputs": frozenset({"event"})}, r"Declared\.inputs must be"),
        ({"requires": {"backbone.*.pol": Choice(("avg",))}}, r"hyperparameter in Declared\.requires"),
        ({"published": ({"steps": 4, "nonsense": 1},)}, r"Declared\.published\[0\]"),
        ({"published": ({"neuron": "nothing"},)}, r"Declared\.published\[0\]"),
        ({"Config": Writable}, "must be frozen"),
    ],
)
def test_declaration_that_makes_no_sense_is_named(attributes: Mapping[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CodingContract().test_it_registers(declared(**attributes))
