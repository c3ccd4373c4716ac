from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from tests.plugins.network.recurrences import REGISTRY, Box
from torch import Tensor

from spikefront.plugins import Kind, MaxPool, Neuron, Signal, Surrogate
from spikefront.plugins.network import native
from spikefront.plugins.network.native import kernels
from spikefront.plugins.network.pooling import Tap, max_pool

LAYOUTS = (torch.channels_last, torch.contiguous_format)


def spikes(*shape: int) -> Tensor:
    """Ternary spikes: most windows hold several of the same."""
    return torch.randint(-1, 2, shape).float().contiguous(memory_format=torch.channels_last)


def both(x: Tensor, size: int, layout: torch.memory_format) -> tuple[list[Tensor], list[Tensor]]:
    """Return outputs and gradients, ours and torch's."""
    assert kernels() is not None
    x = x.requires_grad_()
    ours, theirs = max_pool(x, size), F.max_pool2d(x, size)
    assert type(ours.grad_fn).__name__ == "_MaxPoolBackward"
    gradient = torch.randn(theirs.shape).contiguous(memory_format=layout)
    return [ours, *torch.autograd.grad(ours, x, gradient)], [theirs, *torch.autograd.grad(theirs, x, gradient)]


@pytest.mark.parametrize("shape", [(8, 32, 28, 28), (3, 5, 7, 9), (4, 2, 5, 5), (2, 17, 3, 4), (1, 1, 16, 17)], ids=str)
@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_maxima_and_gradients_are_those_of_torch_bit_for_bit(
    shape: tuple[int, ...], size: int, layout: torch.memory_format
) -> None:
    for x in (spikes(*shape), torch.randn(shape).contiguous(memory_format=torch.channels_last)):
        for mine, other in zip(*both(x, size, layout), strict=True):
            assert torch.equal(mine, other)


def test_the_largest_window_is_told_apart_by_a_byte() -> None:
    ours, theirs = both(torch.randn(1, 4, 33, 32).contiguous(memory_format=torch.channels_last), 16, LAYOUTS[0])
    assert all(torch.equal(mine, other) for mine, other in zip(ours, theirs, strict=True))


def test_several_threads_give_the_same() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        ours, theirs = both(spikes(16, 32, 28, 28), 2, torch.contiguous_format)
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(mine, other) for mine, other in zip(ours, theirs, strict=True))


def test_what_is_not_a_number_passes_through_as_in_torch() -> None:
    x = spikes(2, 3, 4, 4)
    x[0, 1, 2, 3] = x[1, 0, 0, 0] = torch.nan
    torch.testing.assert_close(max_pool(x, 2), F.max_pool2d(x, 2), equal_nan=True, rtol=0, atol=0)


@pytest.mark.parametrize(
    "values",
    [spikes(2, 3, 4, 4).contiguous(), spikes(2, 3, 4, 4).double(), spikes(2, 3, 8, 8)[:, :, ::2], spikes(0, 3, 4, 4)],
    ids=["channels first", "float64", "with gaps", "empty"],
)
def test_torch_pools_other_tensors(values: Tensor) -> None:
    ours = max_pool(values.requires_grad_(), 2)
    assert type(ours.grad_fn).__name__ != "_MaxPoolBackward"
    assert torch.equal(ours, F.max_pool2d(values, 2))


def test_torch_pools_without_native_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "kernels", lambda: None)
    values = spikes(2, 3, 4, 4).requires_grad_()
    assert type(max_pool(values, 2).grad_fn).__name__ != "_MaxPoolBackward"


def test_the_layer_keeps_time_and_layout() -> None:
    values = spikes(6, 8, 6, 6).unflatten(0, (3, 2))
    pooled = MaxPool(2)(Signal(values, 3, Kind.TERNARY)).values
    assert pooled.shape == (3, 2, 8, 3, 3)
    assert pooled.flatten(0, 1).is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(pooled[1], F.max_pool2d(values[1], 2))


class TestBehindNeurons:
    """The gradient that neurons take from a pooling is the one that it would have written."""

    @staticmethod
    def gradients(
        neuron: Neuron, x: Tensor, size: int, layout: torch.memory_format, tapped: bool, uses: int = 1
    ) -> tuple[Tensor, ...]:
        """Return gradients of current and parameters; ``uses`` counts the pooling, the spikes and another pooling."""
        torch.manual_seed(0)
        spikes = neuron(x, 4)
        spikes = spikes if tapped else spikes * 1.0  # no longer what the neurons returned
        assert (Tap.of(spikes) is not None) is tapped
        edge = Signal(spikes, 4, neuron.kind)
        pooled = MaxPool(size)(edge).values
        gradient = torch.randn_like(pooled).flatten(0, 1).contiguous(memory_format=layout).view_as(pooled)
        total = (pooled * gradient).sum()
        if uses > 1:
            total = total + (spikes * torch.randn_like(spikes)).sum()
        if uses > 2:
            total = total + (MaxPool(3)(edge).values ** 2).sum()
        first = torch.autograd.grad(total, [x, *neuron.parameters()], retain_graph=True)
        again = torch.autograd.grad(total, [x, *neuron.parameters()])
        assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))
        return first

    @staticmethod
    def current(steps: int, *shape: int) -> Tensor:
        torch.manual_seed(0)
        batch, channels, rows, columns = shape
        return torch.randn(steps, batch, rows, columns, channels).permute(0, 1, 4, 2, 3).requires_grad_()

    @pytest.mark.parametrize("shape", [(2, 32, 28, 28), (3, 5, 7, 9), (1, 1, 6, 7), (2, 1500, 4, 4)], ids=str)
    @pytest.mark.parametrize("size", [2, 3])
    @pytest.mark.parametrize("layout", LAYOUTS, ids=str)
    @pytest.mark.parametrize("name", ["lif", "plif", "alif", "tsa"])
    def test_gradients_are_the_same_bit_for_bit(
        self, shape: tuple[int, ...], size: int, layout: torch.memory_format, name: str
    ) -> None:
        for steps in (1, 4):
            neuron = REGISTRY.get("neuron", name)(surrogate=REGISTRY.get("surrogate", "atan")())
            x = self.current(steps, *shape)
            pairs = zip(*(self.gradients(neuron, x, size, layout, tapped) for tapped in (True, False)), strict=True)
            assert all(torch.equal(one, other) for one, other in pairs)

    @pytest.mark.parametrize("surrogate", [Box(), REGISTRY.get("surrogate", "sigmoid")()], ids=lambda each: each.name)
    def test_in_chunks_and_by_any_surrogate(self, surrogate: Surrogate) -> None:
        neuron, x = REGISTRY.get("neuron", "lif")(surrogate=surrogate), self.current(4, 2, 32, 28, 28)
        before = torch.get_num_threads()
        torch.set_num_threads(1)  # chunks are for each thread
        try:
            (ours,), (theirs,) = (self.gradients(neuron, x, 2, LAYOUTS[0], tapped) for tapped in (True, False))
        finally:
            torch.set_num_threads(before)
        assert torch.equal(ours, theirs)

    @pytest.mark.parametrize("uses", [2, 3])
    def test_what_comes_by_other_ways_is_added(self, uses: int) -> None:
        neuron = REGISTRY.get("neuron", "lif")(surrogate=REGISTRY.get("surrogate", "atan")())
        x = self.current(4, 2, 8, 8, 8)
        (ours,), (theirs,) = (self.gradients(neuron, x, 2, LAYOUTS[0], tapped, uses) for tapped in (True, False))
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)

    def test_several_threads_give_the_same(self) -> None:
        neuron = REGISTRY.get("neuron", "lif")(surrogate=REGISTRY.get("surrogate", "atan")())
        x, before = self.current(4, 8, 32, 14, 14), torch.get_num_threads()
        found: list[Tensor] = []
        try:
            for threads in (1, 2):
                torch.set_num_threads(threads)
                found += self.gradients(neuron, x, 2, LAYOUTS[0], tapped=True)
        finally:
            torch.set_num_threads(before)
        assert torch.equal(*found)

    def test_spikes_that_need_no_gradient_have_no_tap(self) -> None:
        neuron = REGISTRY.get("neuron", "lif")(surrogate=REGISTRY.get("surrogate", "atan")())
        assert Tap.of(neuron(self.current(4, 2, 3, 4, 4).detach(), 4)) is None
        with torch.no_grad():
            assert Tap.of(neuron(self.current(4, 2, 3, 4, 4), 4)) is None
