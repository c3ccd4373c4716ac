"""The recurrence by kernels for GPUs: on a GPU where there is one, else by Triton's interpreter, on CPU tensors."""

from __future__ import annotations

from collections.abc import Callable
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

from spikefront.plugins import Neuron
from spikefront.plugins.network import membrane
from spikefront.plugins.neurons import alif, tsa
from spikefront.plugins.neurons.alif import ALIF, ALIFConfig
from spikefront.plugins.neurons.lif import LIF
from spikefront.plugins.neurons.plif import PLIF
from spikefront.plugins.neurons.tsa import TSA, TSAConfig
from spikefront.plugins.surrogates.atan import ATan
from spikefront.plugins.surrogates.q_pseudo_spike import QPseudoSpike
from spikefront.plugins.surrogates.rectangle import Rectangle
from spikefront.plugins.surrogates.sigmoid import Sigmoid

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
with pytest.MonkeyPatch.context() as patch:
    if DEVICE == "cpu":
        patch.setenv("TRITON_INTERPRET", "1")  # read when kernels are defined, and by some calls
    pytest.importorskip("triton", reason="it is published for Linux only")
    from spikefront.plugins.network import triton_recurrence
    from spikefront.plugins.network.triton_kernels import BLOCK


@pytest.fixture(autouse=True)
def interpreted(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    if DEVICE == "cpu":
        monkeypatch.setenv("TRITON_INTERPRET", "1")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Tensor, list[Tensor]]]:
    """Run a neuron by the kernels, or in its torch form, and return spikes and gradients."""

    def by(
        code: Any, neuron: Neuron, current: Tensor, steps: int, gradient: Tensor | None
    ) -> tuple[Tensor, list[Tensor]]:
        for module in (membrane, alif, tsa):
            monkeypatch.setattr(module, "native", lambda *arguments: code)
        x = current.detach().requires_grad_()
        spikes = neuron.to(DEVICE)(x, steps)
        return spikes.detach(), list(torch.autograd.grad(spikes, [x, *neuron.parameters()], gradient))

    return by


@pytest.fixture
def compare(run: Callable[..., Any]) -> Callable[..., Tensor]:
    """Run a neuron by the kernels and in its torch form, and compare spikes, layouts and gradients."""

    def both(neuron: Neuron, current: Tensor, steps: int, gradient: Tensor | None = None) -> Tensor:
        current = current.to(DEVICE)
        gradient = torch.randn(steps, *current.shape[1:]) if gradient is None else gradient
        gradient = gradient.to(DEVICE)
        spikes, ours = run(triton_recurrence, neuron, current, steps, gradient)
        expected, theirs = run(None, neuron, current, steps, gradient)
        assert torch.equal(spikes, expected)
        assert spikes.stride() == expected.stride()
        largest = max(other.abs().max() for other in theirs)  # terms of a leak's gradient may cancel each other
        for mine, other in zip(ours, theirs, strict=True):
            assert mine.shape == other.shape
            assert (mine - other).abs().max() <= 1e-5 * largest
        return torch.as_tensor(spikes)

    return both


@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")  # as on a GPU, a TSA neuron's potential^2
@pytest.mark.parametrize("name", NEURONS)
@pytest.mark.parametrize(
    ("steps", "length", "neurons"),
    [
        (4, 4, 27),
        *(pytest.param(*case, marks=pytest.mark.slow) for case in ((1, 1, 1), (7, 1, 300), (64, 64, 513), (64, 1, 27))),
    ],
)
def test_spikes_are_those_of_the_torch_form_and_gradients_agree(
    name: str, steps: int, length: int, neurons: int, compare: Callable[..., Tensor]
) -> None:
    neuron = REGISTRY.get("neuron", name)
    for config in configs(neuron):
        spikes = compare(neuron(config, surrogate=ATan()), 1.5 * torch.randn(length, 2, neurons) + 0.6, steps)
        assert spikes.any() or neurons == 1


@pytest.mark.parametrize("name", ["alif", "tsa", *(pytest.param(name, marks=pytest.mark.slow) for name in NEURONS)])
@pytest.mark.parametrize(
    "surrogate", [*REGISTRY.entries["surrogate"], Box(), HalvedSigmoid(), QPseudoSpike(3.0)], ids=str
)
def test_every_surrogate_has_the_same_gradient(name: str, surrogate: Any, compare: Callable[..., Tensor]) -> None:
    if isinstance(surrogate, str):
        surrogate = REGISTRY.get("surrogate", surrogate)()
    compare(REGISTRY.get("neuron", name)(surrogate=surrogate), 1.5 * torch.randn(3, 2, 301), 3)


@pytest.mark.parametrize(
    ("what", "current"), list(layouts()), ids=lambda value: value if isinstance(value, str) else ""
)
@pytest.mark.parametrize("neuron", [PLIF(surrogate=Sigmoid()), TSA(surrogate=ATan())], ids=repr)
def test_any_layout_of_currents_and_gradients_will_do(
    what: str, current: Tensor, neuron: Neuron, compare: Callable[..., Tensor]
) -> None:
    steps = max(len(current), 3)
    compare(neuron, current, steps)
    compare(neuron, current, steps, torch.randn(current.shape[1:]).expand(steps, *current.shape[1:]))


@pytest.mark.parametrize("neurons", [1, BLOCK - 1, BLOCK, 3 * BLOCK + 1])
def test_any_number_of_neurons_will_do(neurons: int, compare: Callable[..., Tensor]) -> None:
    compare(PLIF(surrogate=ATan()), 1.5 * torch.randn(2, 1, neurons) + 0.5, 2)


def test_derivatives_by_torch_in_several_chunks_are_those_of_one(
    compare: Callable[..., Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(triton_recurrence, "_CHUNK", 3 * BLOCK)
    x = 1.5 * torch.randn(3, 1, 2 * BLOCK + 5)
    for neuron in (PLIF(surrogate=Box()), ALIF(surrogate=Box()), TSA(surrogate=Box())):
        compare(neuron, x, 3)


def test_thresholds_that_change_and_ties_follow_the_torch_form(compare: Callable[..., Tensor]) -> None:
    compare(Stepped(surrogate=Rectangle()), on_thresholds(), 4)


def test_hand_computed_adaptation(run: Callable[..., Any]) -> None:
    # rho = .607, b = 1, tau = 2, current not decayed: H = 1 (fires, A = .393, V = 0), H = 1 < 1.393 (A = .239),
    # H = .5 + 1 >= 1.239
    neuron = ALIF(ALIFConfig(2.0, 1.0, 1.0, 2.0, "hard", decay_input=False), surrogate=ATan())
    ones = torch.ones(1, 1, 1, device=DEVICE)
    assert run(triton_recurrence, neuron, ones, 3, ones.expand(3, 1, 1))[0].flatten().tolist() == [1, 0, 1]


def test_hand_computed_digits_and_their_gradient(run: Callable[..., Any]) -> None:
    # base 2, d = 0, r = 1/2: V = 3/4 (fires, -1/4), V = -1/2 (fires negatively, as 2 O = 2 >= 1; V = 1/2), V = 1.
    # A rectangle of width 1: slope 1 of the upper step at 3/4 and 1, not at -1/2; of the lower one at -1/2 where it
    # lies on its edge, not at 1 - 1/2 = 1/2. Backwards, with gradients 1, 10, 100: 100; 2 * 100 (1 - 1) + ...
    neuron = TSA(TSAConfig(silent_period=0), surrogate=Rectangle())
    x = torch.tensor([0.75, 0.0, 0.0], device=DEVICE).view(3, 1, 1)
    spikes, (gradient,) = run(
        triton_recurrence, neuron, x, 3, torch.tensor([1.0, 10.0, 100.0], device=DEVICE).view_as(x)
    )
    assert spikes.flatten().tolist() == [1, -1, 1]
    assert gradient.flatten().tolist() == [1, 10, 0]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("neuron", [PLIF(surrogate=ATan()), ALIF(surrogate=Box()), TSA(surrogate=ATan())], ids=repr)
def test_half_precision_currents_have_single_precision_state(
    dtype: torch.dtype, neuron: Neuron, run: Callable[..., Any]
) -> None:
    current = (1.5 * torch.randn(6, 2, 300) + 0.3).to(dtype).to(DEVICE)
    gradient = torch.randn(6, 2, 300).to(dtype).to(DEVICE)
    spikes, (on_current, *on_leak) = run(triton_recurrence, neuron, current, 6, gradient)
    expected, (theirs, *their_leak) = run(None, neuron, current.float(), 6, gradient.float())
    assert spikes.dtype == on_current.dtype == dtype
    assert torch.equal(spikes.float(), expected)
    torch.testing.assert_close(on_current.float(), theirs, rtol=torch.finfo(dtype).eps, atol=1e-6)
    torch.testing.assert_close(on_leak, their_leak, rtol=1e-5, atol=0)


def test_evaluation_gives_the_spikes_of_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(membrane, "native", lambda *arguments: triton_recurrence)
    neuron, x = PLIF(surrogate=ATan()).to(DEVICE), (torch.randn(4, 3, 50) + 0.5).to(DEVICE)
    with torch.no_grad():
        still = neuron(x, 4)
    assert not still.requires_grad
    assert torch.equal(still, neuron(x.requires_grad_(), 4))


def test_gradient_of_the_leak_alone_is_that_of_the_torch_form(monkeypatch: pytest.MonkeyPatch) -> None:
    neuron, x = PLIF(surrogate=ATan()).to(DEVICE), torch.randn(4, 3, 50, device=DEVICE)
    monkeypatch.setattr(membrane, "native", lambda *arguments: triton_recurrence)
    ours = torch.autograd.grad(neuron(x, 4).sum(), neuron.w)[0]
    monkeypatch.setattr(membrane, "native", lambda *arguments: None)
    torch.testing.assert_close(ours, torch.autograd.grad(neuron(x, 4).sum(), neuron.w)[0], rtol=1e-5, atol=0)


def test_derivatives_of_derivatives_are_refused_rather_than_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(membrane, "native", lambda *arguments: triton_recurrence)
    x = torch.randn(4, 2, 8, device=DEVICE, requires_grad=True)
    (first,) = torch.autograd.grad(LIF(surrogate=ATan())(x, 4).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()
