"""Networks refuse time axes that are neither 1 nor T long."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from spikefront.plugins import Backbone, Between, Coding, ContractError, Neuron, Operations, Registry, Signal, SiteInfo
from spikefront.plugins.backbones.mlp import MLP
from spikefront.plugins.codings.direct import Direct
from spikefront.plugins.contracts.site import SiteFactory
from spikefront.plugins.neurons.lif import LIF
from spikefront.plugins.surrogates.atan import ATan
from spikefront.runners.judging.network import Network, assemble
from spikefront.searchspace import from_flat

Axes = Callable[[Signal], Signal]


def cut(signal: Signal) -> Signal:
    """Drop the last of the steps."""
    return replace(signal, values=signal.values[:-1])


def three(signal: Signal) -> Signal:
    return replace(signal, values=signal.values[:1].expand(3, *signal.values.shape[1:]))


class ThreeSteps(Direct):
    name = "three-steps"

    def encode(self, x: Tensor) -> Signal:
        return three(super().encode(x))


class OfThree(Direct):
    name = "of-three"

    def encode(self, x: Tensor) -> Signal:
        return replace(three(super().encode(x)), steps=3)


class WeighsThree(Direct):
    name = "weighs-three"

    def encode(self, x: Tensor) -> Signal:
        return super().encode(x).weighted(torch.ones(3))


class CutsEvents(Direct):
    name = "cuts-events"

    def encode_events(self, frames: Tensor) -> Signal:
        return cut(super().encode_events(frames))


class Cutting(Between):
    def forward(self, spikes: Signal, current: Signal) -> Signal:
        return spikes if self.training else cut(spikes)

    def operations(self, spikes: Signal, current: Signal) -> Operations:
        return Operations(adds=1)


class CutsBehind(Direct):
    name = "cuts-behind"

    def between(self, site: SiteInfo) -> Between | None:
        return Cutting() if site.index == 0 else None


class Hasty(LIF):
    name = "hasty"

    def forward(self, current: Tensor, steps: int) -> Tensor:
        return super().forward(current, steps)[:1]


class WeighsSteps(LIF):
    name = "weighs-steps"

    def step_weights(self, steps: int, like: Tensor) -> Tensor:
        return like.new_ones(steps - 2)


class Forgetful(MLP):
    name = "forgetful"

    def forward(self, signal: Signal) -> Signal:
        return cut(super().forward(signal))


class CutsCurrents(MLP):
    name = "cuts-currents"

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        assert isinstance(self.layers, torch.nn.Sequential)
        self.layers[1].register_forward_hook(lambda module, args, out: three(out))


def network(
    *, coding: type[Coding] = Direct, neuron: type[Neuron] = LIF, backbone: type[Backbone] = MLP, steps: int = 5
) -> Network:
    torch.manual_seed(0)
    made = coding(steps=steps)
    sites = SiteFactory(lambda: neuron(surrogate=ATan()), made)
    body = backbone(input_shape=(1, 4, 4), outputs=3, sites=sites)
    sites.finish()
    return Network(made, body, "events" if coding is CutsEvents else "static").eval()


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_time_axes_of_1_and_t_are_taken(steps: int) -> None:
    assert network(steps=steps)(torch.rand(2, 1, 4, 4)).shape == (2, 3)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"coding": ThreeSteps}, "coding 'three-steps' returned values of 3 steps; T is 5, so it must be 5, or 1"),
        (
            {"coding": ThreeSteps, "steps": 1},
            "coding 'three-steps' returned values of 3 steps; T is 1, so it must be 1",
        ),
        ({"coding": OfThree}, "coding 'of-three' returned a signal over 3 steps, but T is 5"),
        ({"coding": WeighsThree}, "coding 'weighs-three' returned a coefficient of 3 steps; T is 5"),
        ({"coding": CutsEvents}, "coding 'cuts-events' returned values of 4 steps; T is 5"),
        ({"coding": CutsBehind}, "coding 'cuts-behind', behind spiking layer 0, returned values of 4 steps; T is 5"),
        ({"neuron": Hasty}, "neuron 'hasty' returned spikes of 1 steps, but T is 5"),
        ({"neuron": WeighsSteps}, "neuron 'weighs-steps' returned a coefficient of 3 steps; T is 5"),
        ({"backbone": Forgetful}, "backbone 'forgetful' returned values of 4 steps; T is 5"),
        ({"backbone": CutsCurrents}, "backbone 'cuts-currents', before spiking layer 0, returned values of 3 steps"),
    ],
)
def test_other_time_axes_are_refused_by_plugin_and_lengths(parts: dict[str, Any], message: str) -> None:
    x = torch.ones(2, 5, 1, 4, 4) if parts.get("coding") is CutsEvents else torch.rand(2, 1, 4, 4)
    with pytest.raises(ContractError) as refused:
        network(**parts)(x)
    assert str(refused.value).startswith(message)


class Frozen(nn.Sequential):
    """A module that stays in eval mode, with what it is made of."""

    def train(self, mode: bool = True) -> Frozen:
        return super().train(False)


def test_a_network_is_walked_through_and_set_as_any_module(registry: Registry) -> None:
    candidate = from_flat({"task": "digits", "coding": "gac", "backbone": "ms-resnet"}, registry)
    network = assemble(candidate, registry, (1, 8, 8), 10)
    shared = nn.Linear(2, 2)
    network.backbone.more = nn.ModuleDict({"one": nn.Sequential(shared, nn.ReLU()), "other": shared})
    assert list(network.modules()) == list(nn.Module.modules(network))
    assert list(network.modules(remove_duplicate=False)).count(shared) == 2
    assert network.eval() is network
    assert not any(module.training for module in nn.Module.modules(network))
    assert all(module.training for module in nn.Module.modules(network.train()))
    network.backbone.frozen = frozen = Frozen(nn.Dropout())
    network.eval()
    others = {*network.train().modules()} - {frozen, frozen[0]}
    assert all(module.training for module in others)
    assert not frozen.training
    assert not frozen[0].training
