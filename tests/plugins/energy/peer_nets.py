"""Five small networks whose weights and inputs are given by formulas, for us and for other tools to price.

Weights and inputs are multiples of 1/8, so that every tool computes the same spikes whatever the order of its sums.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

STEPS: Final = 4

Layer = tuple[str, int, int] | tuple[str, int, int, int, int] | tuple[str]
"""A convolution (inputs, outputs, stride, whether biased), a linear layer (inputs, outputs), or one without numbers."""

NETS: Final[dict[str, tuple[Layer, ...]]] = {
    "conv, IF": (("conv", 1, 4, 1, 0), ("if",)),
    "MLP, LIF": (("linear", 12, 16), ("lif",), ("linear", 16, 4), ("lif",)),
    "convnet, pooled": (
        ("conv", 1, 4, 2, 1),
        ("lif",),
        ("pool",),
        ("conv", 4, 8, 1, 1),
        ("lif",),
        ("flatten",),
        ("linear", 72, 4),
        ("lif",),
    ),
    "residual": (("conv", 1, 4, 1, 0), ("if",), ("block", 4, 4, 1, 0), ("conv", 4, 2, 1, 0), ("if",)),
    "analog input": (("conv", 1, 4, 1, 1), ("lif",), ("flatten",), ("linear", 144, 4), ("lif",)),
}
"""A block is ``x + neurons(conv(x))``, of the kind of neuron in front of it."""

SHAPES: Final = {"MLP, LIF": (12,), "convnet, pooled": (1, 12, 12)}
"""Shapes of the inputs; ``(1, 6, 6)`` where none is given."""


def sequence(shape: tuple[int, ...], modulus: int, offset: int) -> Tensor:
    """Return whole numbers that look irregular, from ``-offset`` on."""
    i = torch.arange(int(torch.tensor(shape).prod()))
    return (((3 * i * i + 5 * i + i // 7) % modulus) - offset).float().view(shape)


def set_weights(weight: nn.Conv2d | nn.Linear) -> None:
    """Set the weights, and the bias where there is one."""
    with torch.no_grad():
        weight.weight.copy_(sequence(tuple(weight.weight.shape), 11, 4) / 8)
        if weight.bias is not None:
            weight.bias.copy_(sequence(tuple(weight.bias.shape), 3, 1) / 8)


def inputs(name: str) -> Tensor:
    """Return the spikes ``(STEPS, 1, ...)`` into a network, or its constant analog input ``(1, 1, ...)``."""
    shape = SHAPES.get(name, (1, 6, 6))
    if name == "analog input":
        return sequence((1, 1, *shape), 5, 0) / 4
    return (sequence((STEPS, 1, *shape), 10, 0) < 3).float()
