"""Neurons with max pooling right behind them, as one pass over memory: what both do one after the other."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from tests.plugins.network.recurrences import REGISTRY, Box, configs
from torch import Tensor

from spikefront.plugins import Neuron, Surrogate, integrate_and_fire
from spikefront.plugins.network import native
from spikefront.plugins.network.native import kernels
from spikefront.plugins.surrogates.atan import ATan
from spikefront.plugins.surrogates.sigmoid import Sigmoid

POOLING = ("if", "lif", "plif", "ternary-lif")
LAYOUTS = (torch.channels_last, torch.contiguous_format)


def currents(steps: int, *shape: int) -> Tensor:
    """Currents of maps, channels last, at which about a third of the neurons fire."""
    x = torch.randn(steps * shape[0], *shape[1:]) * 1.5
    x = x.contiguous(memory_format=torch.channels_last)
    return x.view(steps, *shape)


def apart(neuron: Neuron, x: Tensor, steps: int, size: int) -> Tensor:
    """Pool by torch what the neurons emit."""
    spikes: Tensor = neuron(x, steps)
    maxima = F.max_pool2d(spikes.flatten(0, 1), size)
    return maxima.view(*spikes.shape[:2], *maxima.shape[1:])


def alike(neuron: Neuron, x: Tensor, steps: int, size: int, layout: torch.memory_format = LAYOUTS[0]) -> None:
    """Compare outputs and gradients of both, bit for bit."""
    assert kernels() is not None
    inputs = [x.requires_grad_(), *neuron.parameters()]
    ours, theirs = neuron.pooled(x, steps, size), apart(neuron, x, steps, size)
    assert ours is not None
    gradient = torch.randn(theirs.flatten(0, 1).shape).contiguous(memory_format=layout).view_as(theirs)
    assert torch.equal(ours, theirs)
    assert 0.0 < ours.abs().mean() < 1.0
    for mine, other in zip(
        torch.autograd.grad(ours, inputs, gradient), torch.autograd.grad(theirs, inputs, gradient), strict=True
    ):
        assert torch.equal(mine, other)


def graph_of(x: Tensor) -> set[str]:
    """Return the names of the backward passes behind a tensor."""
    found, left = set(), [x.grad_fn]
    while left:
        node = left.pop()
        if node is not None:
            found.add(type(node).__name__)
            left += [behind for behind, _ in node.next_functions]
    return found


@pytest.mark.parametrize("name", POOLING)
def test_every_rule_of_a_neuron_gives_what_it_and_pooling_give(name: str) -> None:
    kind: type[Neuron] = REGISTRY.get("neuron", name)
    for config in configs(kind):
        for surrogate in (ATan(), Sigmoid()):
            alike(kind(config, surrogate=surrogate), currents(3, 2, 5, 7, 9), 3, 2)


@pytest.mark.parametrize(
    "shape", [(2, 32, 28, 28), (3, 5, 7, 9), (1, 17, 3, 4), (2, 1, 16, 17), (1, 70, 6, 40)], ids=str
)
@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_maps_of_all_sizes(shape: tuple[int, ...], size: int, layout: torch.memory_format) -> None:
    lif = REGISTRY.get("neuron", "lif")(surrogate=ATan())
    alike(lif, currents(4, *shape), 4, size, layout)
    alike(lif, currents(1, *shape), 5, size, layout)  # a constant current


@pytest.mark.parametrize("steps", [1, 2, 16, 64])
def test_few_and_many_steps(steps: int) -> None:
    alike(REGISTRY.get("neuron", "lif")(surrogate=ATan()), currents(steps, 2, 8, 6, 6), steps, 2)


def test_several_threads_give_the_same() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        alike(REGISTRY.get("neuron", "plif")(surrogate=ATan()), currents(4, 8, 32, 28, 28), 4, 2)
    finally:
        torch.set_num_threads(before)


def test_a_learnt_leak_and_a_threshold_for_each_step() -> None:
    leak, x = torch.tensor(0.4, requires_grad=True), currents(3, 2, 5, 8, 8).requires_grad_()
    given: dict[str, Any] = {"leak": leak, "threshold": (0.5, 1.0, 2.0), "surrogate": ATan(), "hard_reset": False}
    ours = integrate_and_fire(x, 3, pool=2, **given)
    theirs = F.max_pool2d(integrate_and_fire(x, 3, **given).flatten(0, 1), 2).unflatten(0, (3, 2))
    gradient = torch.randn(ours.shape)
    assert "_PooledRecurBackward" in graph_of(ours)
    for mine, other in zip(
        [ours, *torch.autograd.grad(ours, [x, leak], gradient)],
        [theirs, *torch.autograd.grad(theirs, [x, leak], gradient)],
        strict=True,
    ):
        assert torch.equal(mine, other)


@pytest.mark.parametrize(
    ("x", "surrogate", "size"),
    [
        (currents(3, 2, 5, 8, 8), Box(), 2),
        (currents(3, 2, 5, 8, 8).contiguous(), ATan(), 2),
        (currents(3, 2, 5, 8, 8).double(), ATan(), 2),
        (currents(3, 2, 5, 40, 40), ATan(), 17),
    ],
    ids=["no formula", "channels first", "float64", "large windows"],
)
def test_two_passes_where_one_is_not_possible(x: Tensor, surrogate: Surrogate, size: int) -> None:
    lif = REGISTRY.get("neuron", "lif")(surrogate=surrogate)
    ours = lif.pooled(x.requires_grad_(), 3, size)
    assert ours is not None
    assert "_PooledRecurBackward" not in graph_of(ours)
    assert torch.equal(ours, apart(lif, x, 3, size))


def test_two_passes_without_native_code(monkeypatch: pytest.MonkeyPatch) -> None:
    lif, x = REGISTRY.get("neuron", "lif")(surrogate=ATan()), currents(3, 2, 5, 8, 8).requires_grad_()
    native_form = lif.pooled(x, 3, 2)
    monkeypatch.setattr(native, "kernels", lambda: None)
    torch_form = lif.pooled(x, 3, 2)
    assert native_form is not None
    assert torch_form is not None
    assert "_PooledRecurBackward" in graph_of(native_form) - graph_of(torch_form)
    assert torch.equal(native_form, torch_form)


def test_nothing_is_kept_where_nothing_is_learnt() -> None:
    lif, x = REGISTRY.get("neuron", "lif")(surrogate=ATan()), currents(3, 2, 5, 8, 8)
    with torch.no_grad():
        pooled = lif.pooled(x, 3, 2)
    assert pooled is not None
    assert not pooled.requires_grad
    assert torch.equal(pooled, apart(lif, x, 3, 2))
