"""The contract tests of backbones catch each of these faults, with a message that names what is broken."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from spikefront.plugins import Backbone, Kind, Signal
from spikefront.plugins.backbones.mlp import MLP
from spikefront.plugins.testing import BackboneContract


class Hidden(nn.Module):
    """What a faulty backbone does to the spikes of its last hidden layer."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, width)
        self.last: Tensor | None = None

    def forward(self, signal: Signal) -> Signal:
        return Signal(self.change(signal.values), signal.steps, Kind.ANALOG, delay=signal.delay)

    def change(self, values: Tensor) -> Tensor:
        return values


class UncountedLinear(Hidden):
    def change(self, values: Tensor) -> Tensor:
        projected: Tensor = self.linear(values)
        return projected


class Tanh(Hidden):
    def change(self, values: Tensor) -> Tensor:
        return values.tanh()


class OwnStep(Hidden):
    def change(self, values: Tensor) -> Tensor:
        return (values - 0.5 > 0).to(values.dtype) + 0 * values


class Product(Hidden):
    def change(self, values: Tensor) -> Tensor:
        return values * values.flip(2)


class MixesTheBatch(Hidden):
    def change(self, values: Tensor) -> Tensor:
        return values - values.mean(1, keepdim=True)


class KeepsState(Hidden):
    def change(self, values: Tensor) -> Tensor:
        before = values if self.last is None or self.last.shape != values.shape else self.last
        self.last = values.detach() + before
        return values + before


class KeepsTheFirstBatch(Hidden):
    def change(self, values: Tensor) -> Tensor:
        if self.last is None or self.last.shape != values.shape:
            self.last = values.detach().clone()
        return values + self.last


class TurnsTime(Hidden):
    def change(self, values: Tensor) -> Tensor:
        return values.flip(0)


class DropsAtInference(Hidden):
    def change(self, values: Tensor) -> Tensor:
        return values * (torch.rand(values.shape) < 0.5)


class SpreadsOverTime(Hidden):
    def change(self, values: Tensor) -> Tensor:
        return values[1:]


def with_fault(fault: type[Hidden]) -> type[Backbone]:
    class Faulty(MLP):
        name = "faulty"

        def __init__(self, *arguments: Any, **named: Any) -> None:
            super().__init__(*arguments, **named)
            assert isinstance(self.layers, nn.Sequential)
            at = next(index for index, layer in enumerate(self.layers) if hasattr(layer, "neuron")) + 1
            self.layers.insert(at, fault(self.config.width))

    return Faulty


SOUND = BackboneContract.test_networks_of_it_are_sound_and_everything_is_counted
LINEAR = BackboneContract.test_only_neurons_and_counted_modules_are_not_linear


@pytest.mark.parametrize(
    ("test", "fault", "message"),
    [
        (
            SOUND,
            UncountedLinear,
            r"backbone 'faulty', layers\.\d\.linear \(Linear\.weight\) is a weight that nobody counts",
        ),
        (SOUND, MixesTheBatch, "backbone 'faulty'.* mixes the samples of a batch"),
        (SOUND, KeepsState, "backbone 'faulty'.* keeps state between calls"),
        (SOUND, TurnsTime, "backbone 'faulty'.* sees the future"),
        (SOUND, SpreadsOverTime, "backbone 'faulty'.* of 3 steps"),
        (LINEAR, Tanh, "computes 'tanh', which nobody counts"),
        (LINEAR, OwnStep, "computes 'gt', which nobody counts"),
        (LINEAR, Product, "computes 'mul', which nobody counts"),
        (BackboneContract.test_draws_nothing_at_inference, KeepsTheFirstBatch, "another place of the batch"),
        (BackboneContract.test_draws_nothing_at_inference, DropsAtInference, "draws at random at inference"),
    ],
)
def test_fault_is_caught_by_name(test: Any, fault: type[Hidden], message: str) -> None:
    with pytest.raises((AssertionError, ValueError), match=message):
        test(BackboneContract(), with_fault(fault))


@pytest.mark.parametrize("test", [SOUND, LINEAR, BackboneContract.test_draws_nothing_at_inference])
def test_without_the_fault_it_passes(test: Any) -> None:
    test(BackboneContract(), with_fault(Hidden))
