from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from tests.plugins.network.recurrences import (
    NEURONS,
    REGISTRY,
    Box,
    HalvedSigmoid,
    Stepped,
    configs,
    layouts,
    on_thresholds,
)
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from spikefront.plugins import Neuron
from spikefront.plugins.network import native, recurrence
from spikefront.plugins.network.native import TILE, kernels
from spikefront.plugins.neurons.alif import ALIF, ALIFConfig
from spikefront.plugins.neurons.lif import LIF, LIFConfig
from spikefront.plugins.neurons.plif import PLIF
from spikefront.plugins.neurons.tsa import TSA, TSAConfig
from spikefront.plugins.surrogates.atan import ATan
from spikefront.plugins.surrogates.q_pseudo_spike import QPseudoSpike
from spikefront.plugins.surrogates.rectangle import Rectangle
from spikefront.plugins.surrogates.sigmoid import Sigmoid


@dataclass(frozen=True, slots=True)
class Halved(ATan):
    """Another derivative than that of its base, which has a quotient."""

    name = "halved"

    def __call__(self, x: Tensor) -> Tensor:
        return 0.5 * ATan(self.alpha)(x)


STEEP = [REGISTRY.get("surrogate", name)(alpha=alpha) for name, alpha in (("sigmoid", 25.0), ("erf", 5.0))]
"""Derivatives of which most of the tail is less than the least float32."""
OTHERS = (Box(), Halved(), HalvedSigmoid(), QPseudoSpike(3.0), *STEEP)


@pytest.fixture
def compare(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Tensor]:
    """Run a neuron natively and in its torch form, and compare spikes, layouts and gradients."""

    def run(neuron: Neuron, current: Tensor, steps: int, gradient: Tensor, code: Any) -> tuple[Tensor, list[Tensor]]:
        monkeypatch.setattr(native, "kernels", lambda: code)
        x = current.detach().requires_grad_()
        spikes = neuron(x, steps)
        assert ("_Recur" in type(spikes.grad_fn).__name__) is (code is not None)
        return spikes.detach(), list(torch.autograd.grad(spikes, [x, *neuron.parameters()], gradient))

    def both(neuron: Neuron, current: Tensor, steps: int, gradient: Tensor | None = None) -> Tensor:
        assert kernels() is not None
        if gradient is None:
            gradient = torch.randn(steps, *current.shape[1:])
        spikes, ours = run(neuron, current, steps, gradient, kernels())
        expected, theirs = run(neuron, current, steps, gradient, None)
        assert torch.equal(spikes, expected)
        assert spikes.stride() == expected.stride()
        rounding = 0.0
        for mine, other in zip(ours, theirs, strict=True):
            assert mine.shape == other.shape
            assert (mine - other).abs().max() <= 1e-5 * other.abs().max() + rounding
            # the leak's gradient is a sum over all neurons whose terms cancel: it is as exact as they are
            rounding = 1e-7 * float(theirs[0].abs().sum())
        return spikes

    return both


@pytest.mark.parametrize("name", NEURONS)
@pytest.mark.parametrize(("steps", "length"), [(1, 1), (4, 4), (5, 1), (64, 64)])
def test_spikes_are_those_of_the_torch_form_and_gradients_agree(
    name: str, steps: int, length: int, compare: Callable[..., Tensor]
) -> None:
    neuron = REGISTRY.get("neuron", name)
    for config in configs(neuron):
        spikes = compare(neuron(config, surrogate=ATan()), 1.5 * torch.randn(length, 3, 37) + 0.3, steps)
        assert spikes.any()


@pytest.mark.parametrize("name", NEURONS)
@pytest.mark.parametrize("surrogate", [*REGISTRY.entries["surrogate"], *OTHERS], ids=str)
def test_every_surrogate_has_the_same_gradient(name: str, surrogate: Any, compare: Callable[..., Tensor]) -> None:
    if isinstance(surrogate, str):
        surrogate = REGISTRY.get("surrogate", surrogate)()
    compare(REGISTRY.get("neuron", name)(surrogate=surrogate), 1.5 * torch.randn(6, 2, 301), 6)


@pytest.mark.parametrize(
    ("what", "current"), list(layouts()), ids=lambda value: value if isinstance(value, str) else ""
)
@pytest.mark.parametrize("neuron", [LIF(surrogate=ATan()), PLIF(surrogate=Sigmoid()), TSA(surrogate=Box())], ids=repr)
def test_any_layout_of_currents_and_gradients_will_do(
    what: str, current: Tensor, neuron: Neuron, compare: Callable[..., Tensor]
) -> None:
    steps = max(len(current), 3)
    shape = (steps, *current.shape[1:])
    compare(neuron, current, steps)
    compare(neuron, current, steps, torch.ones(()).expand(shape))
    compare(neuron, current, steps, torch.randn(shape[1:]).expand(shape))


@pytest.mark.parametrize("neurons", [1, TILE - 1, TILE, TILE + 1, 40 * TILE + 3])
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_any_number_of_neurons_and_threads_will_do(neurons: int, threads: int, compare: Callable[..., Tensor]) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for neuron in (LIF(surrogate=ATan()), PLIF(surrogate=Sigmoid())):
            compare(neuron, 1.5 * torch.randn(3, 1, neurons) + 0.5, 3)
    finally:
        torch.set_num_threads(before)


def test_a_long_chunked_pass_equals_the_torch_form(compare: Callable[..., Tensor]) -> None:
    compare(PLIF(surrogate=Sigmoid()), torch.randn(64, 1, 9000) + 0.5, 64)  # several chunks of derivatives


def test_hand_computed_adaptation() -> None:
    # rho = .607, b = 1, tau = 2, current not decayed: H = 1 (fires, A = .393, V = 0), H = 1 < 1.393 (A = .239),
    # H = .5 + 1 >= 1.239
    config = ALIFConfig(2.0, 1.0, 1.0, 2.0, "hard", decay_input=False)
    assert ALIF(config, surrogate=ATan())(torch.ones(1, 1, 1), 3).flatten().tolist() == [1, 0, 1]


def test_hand_computed_digits() -> None:
    # base 2, d = 0, r = 1/2: V = 3/4 (fires, -1/4), V = -1/2 (fires negatively, as 2 O = 2 >= 1; V = 1/2), V = 1
    neuron = TSA(TSAConfig(silent_period=0), surrogate=ATan())
    assert neuron(torch.tensor([0.75, 0.0, 0.0]).view(3, 1, 1), 3).flatten().tolist() == [1, -1, 1]


@pytest.mark.parametrize("learnt", [True, False])
def test_evaluation_gives_the_spikes_of_training(learnt: bool) -> None:
    neuron = (PLIF if learnt else LIF)(surrogate=ATan())
    x = torch.randn(4, 3, 50) + 0.5
    with torch.no_grad():
        still = neuron(x, 4)
    assert not still.requires_grad
    assert torch.equal(still, neuron(x.requires_grad_(), 4))


def test_gradient_of_the_leak_alone_is_that_of_the_torch_form(monkeypatch: pytest.MonkeyPatch) -> None:
    neuron, x = PLIF(surrogate=ATan()), torch.randn(4, 3, 50)
    ours = torch.autograd.grad(neuron(x, 4).sum(), neuron.w)[0]
    monkeypatch.setattr(native, "kernels", lambda: None)
    torch.testing.assert_close(ours, torch.autograd.grad(neuron(x, 4).sum(), neuron.w)[0], rtol=1e-5, atol=0)


class Watched(TorchDispatchMode):
    """Counts operations, as checks do."""

    count = 0

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):  # type: ignore[no-untyped-def]
        self.count += 1
        return function(*arguments, **(keywords or {}))


def test_the_torch_form_runs_where_operations_are_watched() -> None:
    x = torch.randn(4, 3, 50)
    with Watched() as seen:  # type: ignore[no-untyped-call]
        assert recurrence.native(x, 4) is None
        LIF(surrogate=ATan())(x, 4)
    assert seen.count > 8
    assert recurrence.native(x, 4) is not None


@pytest.mark.parametrize(
    "current",
    [torch.ones(2, 1, 3, dtype=torch.float64), torch.ones(2, 1, 3, dtype=torch.bfloat16), torch.ones(2, 0, 3)],
    ids=["float64", "bfloat16", "empty"],
)
def test_the_torch_form_runs_for_other_tensors(current: Tensor) -> None:
    assert recurrence.native(current, 2) is None
    assert LIF(surrogate=ATan())(current, 2).shape == current.shape


def test_a_graph_is_exported_in_the_torch_form() -> None:
    neuron = LIF(surrogate=ATan())

    class Twice(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            spikes: Tensor = neuron(x, 2)
            return spikes

    x = 3 * torch.rand(2, 4, 5)
    with torch.no_grad():
        program = torch.export.export(Twice(), (x,))
    assert any(node.target is torch.ops.aten.ge.Scalar_out or "ge" in str(node.target) for node in program.graph.nodes)
    assert torch.equal(program.module()(x), neuron(x, 2))


def test_derivatives_of_derivatives_are_refused_rather_than_wrong() -> None:
    x = torch.randn(4, 2, 8, requires_grad=True)
    (first,) = torch.autograd.grad(LIF(surrogate=ATan())(x, 4).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()


def test_currents_of_wrong_length_are_refused_as_by_the_torch_form() -> None:
    with pytest.raises(IndexError):
        LIF(LIFConfig(), surrogate=ATan())(torch.ones(2, 1, 3), 4)


def test_thresholds_that_change_and_ties_follow_the_torch_form(compare: Callable[..., Tensor]) -> None:
    compare(Stepped(surrogate=Rectangle()), on_thresholds(), 4)
