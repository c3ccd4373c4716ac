"""What tests of the compiled recurrences share: neurons, their rules, surrogates without a formula, layouts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from itertools import product
from typing import Any

import torch
from torch import Tensor

from spikefront.plugins import Neuron, Surrogate, integrate_and_fire, load_registry
from spikefront.plugins.surrogates.sigmoid import Sigmoid

REGISTRY = load_registry(third_parties=False)
NEURONS = ("if", "lif", "plif", "alif", "phase", "ternary-lif", "tsa")
RULES = {
    "reset": ("hard", "soft"),
    "detach_reset": (True, False),
    "decay_input": (True, False),
    "start": (0.0, 0.5),
    "ternary": (True, False),
    "relu": (True, False),
    "silent_period": (0, 2),
}


def configs(neuron: type[Neuron]) -> Iterator[Any]:
    """Yield the configs of a neuron with each combination of its rules."""
    assert neuron.Config is not None
    names = {field.name for field in fields(neuron.Config)}
    rules = {name: values for name, values in RULES.items() if name in names}
    for values in product(*rules.values()):
        yield neuron.Config(**dict(zip(rules, values, strict=True)))


@dataclass(frozen=True, slots=True)
class Box(Surrogate):
    """What a third party may write: no formula for a kernel."""

    name = "box"

    def __call__(self, x: Tensor) -> Tensor:
        return (x.abs() < 0.5).to(x.dtype) * 0.7


@dataclass(frozen=True, slots=True)
class HalvedSigmoid(Sigmoid):
    """Another derivative than that of its base, which has an exponential."""

    name = "halved-sigmoid"

    def __call__(self, x: Tensor) -> Tensor:
        return 0.5 * Sigmoid(self.alpha)(x)


class Stepped(Neuron):
    """A neuron whose threshold changes from step to step."""

    name = "stepped"

    def forward(self, current: Tensor, steps: int) -> Tensor:
        threshold = [0.75, 0.5, 0.25, 1.0][:steps]
        leak = torch.tensor(0.5, device=current.device)
        return integrate_and_fire(current, steps, leak=leak, threshold=threshold, surrogate=self.surrogate)


def on_thresholds() -> Tensor:
    """Return currents ``(4, 5, 50)`` by which many potentials of ``Stepped`` equal the threshold."""
    return torch.randint(-4, 5, (4, 5, 50)) / 4


def layouts() -> Iterator[tuple[str, Tensor]]:
    """Yield currents by the name of their layout in memory."""
    x = 1.5 * torch.randn(4, 3, 5, 7, 9) + 0.3
    yield "contiguous", x
    yield "channels last", x.flatten(0, 1).to(memory_format=torch.channels_last).unflatten(0, (4, 3))
    yield "time last", x.permute(1, 2, 3, 4, 0).contiguous().permute(4, 0, 1, 2, 3)
    yield "every other column", x[..., ::2]
    yield "the same for all samples", x[:, :1].expand(4, 3, 5, 7, 9)
    yield "the same at all steps", x[:1].expand(4, 3, 5, 7, 9)
    yield "one step", x[:1]
    yield "one channel", x[:, :, :1].contiguous(memory_format=torch.channels_last_3d)
    yield "one number per sample", x[:, :, 0, 0, 0]
    yield "a slice of steps", x[1:]
