"""GAC and TCJA beside their released code: recorded sums of gates and neurons, and whole networks, written anew.

The sums were printed by the code itself, bollossom/GAC at ed8130a and ridgerchu/TCJA at 5f21162, in double precision.
The networks here follow the same equations step by step, in autograd alone, and share no line with the plugins.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from spikefront.plugins import Kind, Registry, Signal, SiteInfo, load_registry
from spikefront.plugins.codings.gac import GAC, GACConfig, GatedAttention
from spikefront.plugins.codings.tcja import TCJA, JointAttention, TCJAConfig
from spikefront.plugins.neurons.lif import LIF, LIFConfig
from spikefront.plugins.surrogates.triangle import Triangle
from spikefront.runners.judging.network import Network, assemble
from spikefront.searchspace import Value, from_flat


def fill(shape: tuple[int, ...], modulus: int, offset: int, divisor: int) -> Tensor:
    """Return ``((3 i^2 + 5 i + 1) mod m - o) / d`` by the place i of each element."""
    i = torch.arange(torch.Size(shape).numel(), dtype=torch.float64)
    return ((3 * i * i + 5 * i + 1) % modulus - offset).view(shape) / divisor


def weighted(values: Tensor) -> Tensor:
    """Return the sum of the elements, each times its place modulo 13."""
    return (values.flatten() * (torch.arange(values.numel(), dtype=torch.float64) % 13)).sum()


def test_gate_of_gac_has_the_sums_of_the_released_one() -> None:
    steps, shape = 4, (4, 2, 3, 5, 4)
    site = SiteInfo(0, stage=0, channels=3, size=(5, 4), last_of_stage=False)
    gate = GAC(GACConfig(kernel_size=4, time_ratio=2), steps=steps).between(site)
    assert isinstance(gate, GatedAttention)
    gate.double()
    for weight, values in zip(
        (gate.temporal.squeeze, gate.temporal.excite, gate.squeeze.weight, gate.excite.weight),
        (fill((2, 4), 7, 3, 4), fill((4, 2), 5, 2, 3), fill((3, 3, 4, 4), 5, 2, 8), fill((3, 3, 4, 4), 7, 3, 8)),
        strict=True,
    ):
        weight.weight.data.copy_(values)
    current = fill(shape, 11, 4, 6).requires_grad_()
    spikes = (fill(shape, 3, 0, 1) == 1).double()
    out = gate(Signal(spikes, steps, Kind.BINARY), Signal(current, steps, Kind.ANALOG)).values
    assert out.detach().sum().item() == pytest.approx(78.125498213824, abs=1e-9)
    assert weighted(out.detach()).item() == pytest.approx(466.374830273592, abs=1e-9)
    (gradient,) = torch.autograd.grad(weighted(out), current)
    assert float(gradient.sum()) == pytest.approx(-23.646105006113, abs=1e-9)


def test_gate_of_tcja_has_the_sums_of_the_released_one() -> None:
    steps, shape = 5, (5, 2, 4, 3, 3)
    gate = JointAttention(TCJAConfig(k_time=2, k_channel=3), steps, channels=4).double()
    assert gate.along_time is not None
    assert gate.along_channels is not None
    gate.along_time.weight.data.copy_(fill((4, 4, 2), 7, 3, 3))
    gate.along_channels.weight.data.copy_(fill((5, 5, 3), 5, 2, 2))
    spikes = (fill(shape, 3, 0, 1) == 1).double().requires_grad_()
    signal = Signal(spikes, steps, Kind.BINARY)
    out = gate(signal, signal).values
    assert out.detach().sum().item() == pytest.approx(51.520191138026, abs=1e-9)
    assert weighted(out.detach()).item() == pytest.approx(306.801204230737, abs=1e-9)
    (gradient,) = torch.autograd.grad(weighted(out), spikes)
    assert float(gradient.abs().sum()) == pytest.approx(933.067472755833, abs=1e-8)


def test_published_neuron_of_gac_is_the_released_one() -> None:
    settings = {
        name.removeprefix("neuron.lif."): value
        for name, value in GAC.published[0].items()
        if name.startswith("neuron.lif.")
    }
    gamma = GAC.published[0]["training.surrogate.triangle.gamma"]
    assert isinstance(gamma, float)
    neuron = LIF(LIFConfig(**settings), surrogate=Triangle(gamma))  # type: ignore[arg-type]
    current = torch.tensor([0.7, 0.9, 0.4, 1.3, 0.2, 0.8], dtype=torch.float64).view(6, 1, 1).requires_grad_()
    spikes = neuron(current, 6)
    assert spikes.flatten().tolist() == [0, 1, 0, 1, 0, 0]
    (gradient,) = torch.autograd.grad((spikes.flatten() * torch.arange(1.0, 7.0, dtype=torch.float64)).sum(), current)
    expected = [0.9062798594, 0.808940625, 1.47426, 0.653, 3.592, 5.4]
    assert gradient.flatten().tolist() == pytest.approx(expected, rel=1e-10)


# Whole networks

Weights = Iterator[Tensor]


class Spike(torch.autograd.Function):
    """1 where a distance from the threshold is above 0; its derivative is given beside it."""

    @staticmethod
    def forward(ctx: Any, distance: Tensor, slope: Tensor) -> Tensor:
        ctx.save_for_backward(slope)
        return (distance > 0).to(distance.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient * ctx.saved_tensors[0], None


def fire(distance: Tensor, slope: Tensor) -> Tensor:
    spikes: Tensor = Spike.apply(distance, slope)  # type: ignore[no-untyped-call]
    return spikes


def halving(x: Tensor) -> Tensor:
    """GAC's neurons: the membrane halves, takes the current whole, and is reset with a gradient through the spike."""
    v, spikes = torch.zeros_like(x[0]), []
    for t in range(len(x)):
        v = 0.5 * v + x[t]
        distance = v - 1
        spikes.append(fire(distance, (1 - distance.detach().abs()).clamp_min(0)))
        v = (1 - spikes[-1]) * v
    return torch.stack(spikes)


def averaging(x: Tensor) -> Tensor:
    """TCJA's neurons: the membrane goes half way to the current, and is reset without a gradient."""
    v, spikes = torch.zeros_like(x[0]), []
    for t in range(len(x)):
        v = v + (x[t] - v) / 2
        distance = v - 1
        spikes.append(fire(distance, 1 / (1 + (torch.pi * distance.detach()) ** 2)))
        v = v * (1 - spikes[-1].detach())
    return torch.stack(spikes)


def convolved(x: Tensor, w: Weights, stride: int = 1, padding: int = 1) -> Tensor:
    """Convolve and normalise all steps and samples as one batch."""
    y = F.conv2d(x.flatten(0, 1), next(w), stride=stride, padding=padding)
    normed: Tensor = F.batch_norm(y, None, None, next(w), next(w), training=True).unflatten(0, x.shape[:2])
    return normed


def cifar_network(x: Tensor, w: Weights, steps: int) -> Tensor:
    """GAC's MS-ResNet-18 for CIFAR: logits of each step, ``(T, B, K)``."""
    f = convolved(x.expand(steps, *x.shape), w)
    m1, m2, k1, k2 = (next(w) for _ in range(4))
    mean, most = f.mean((2, 3, 4)).T, f.flatten(2).max(2).values.T  # (B, T)
    a_t = F.relu(mean @ m1.T) @ m2.T + F.relu(most @ m1.T) @ m2.T
    same = (1, 2, 1, 2)  # kernels of four
    inner = F.relu(F.conv2d(F.pad(f.flatten(0, 1), same), k1))
    a_sc = F.conv2d(F.pad(inner, same), k2).unflatten(0, f.shape[:2])
    y = torch.sigmoid(a_t.T[:, :, None, None, None] * a_sc) * halving(f)
    for blocks, first in ((3, 1), (3, 2), (2, 2)):
        for block in range(blocks):
            stride = first if block == 0 else 1
            inside = convolved(halving(convolved(halving(y), w, stride)), w)
            y = inside + (convolved(y, w, stride, padding=0) if block == 0 else y)
    return F.linear(halving(y).mean((3, 4)), next(w), next(w))


def gesture_network(x: Tensor, w: Weights) -> Tensor:
    """TCJA's network for DVS128 Gesture without dropout: votes of each step, ``(T, B, 11)``."""
    for stage in range(5):
        x = averaging(convolved(x, w))
        if stage >= 3:
            along_time, along_channels = next(w), next(w)
            z = x.mean((3, 4))  # (T, B, C)
            a = F.conv1d(F.pad(z.permute(1, 2, 0), (1, 2)), along_time).permute(2, 0, 1)
            d = F.conv1d(F.pad(z.permute(1, 0, 2), (1, 2)), along_channels).permute(1, 0, 2)
            x = torch.sigmoid(a * d)[..., None, None] * x
        x = F.max_pool2d(x.flatten(0, 1), 2).unflatten(0, x.shape[:2])
    hidden = averaging(F.linear(x.flatten(2), next(w)))
    votes: Tensor = averaging(F.linear(hidden, next(w))).unflatten(2, (-1, 10)).mean(3)
    return votes


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load_registry(third_parties=False)


def made(registry: Registry, flat: dict[str, Value], shape: tuple[int, ...], outputs: int) -> Network:
    torch.manual_seed(0)
    network = assemble(from_flat(flat, registry), registry, shape, outputs).double().train()
    for parameter in network.parameters():
        if parameter.dim() == 1:  # else every channel is normed to the same
            parameter.data += torch.rand_like(parameter)
    return network


def copies(network: Network) -> list[Tensor]:
    return [parameter.detach().clone().requires_grad_() for parameter in network.parameters()]


def furthest(found: list[Tensor], expected: list[Tensor]) -> float:
    """Return the largest distance of two lists of gradients, each relative to the largest expected of its tensor."""
    assert all(one.any() for one in expected)
    return max(float((a - b).abs().max() / b.abs().max()) for a, b in zip(found, expected, strict=True))


@pytest.mark.slow
def test_published_network_of_gac_is_the_released_one_forward_and_backward(registry: Registry) -> None:
    flat = dict(GAC.published[0])
    network = made(registry, {**flat, "coding": "gac"}, (3, 16, 16), 10)
    x, targets = torch.rand(2, 3, 16, 16, dtype=torch.float64), torch.tensor([3, 7])
    weights = copies(network)
    logits = cifar_network(x, iter(weights), steps=6).mean(0)
    expected = torch.autograd.grad(F.cross_entropy(logits, targets), weights)
    out = network(x)
    torch.testing.assert_close(out, logits, rtol=0, atol=1e-11)
    found = torch.autograd.grad(F.cross_entropy(out, targets), list(network.parameters()))
    assert furthest(list(found), list(expected)) < 1e-9

    # with the reset detached, as everywhere else here, the gradients are others
    other = made(registry, {**flat, "coding": "gac", "neuron.lif.detach_reset": True}, (3, 16, 16), 10)
    out = other(x)
    torch.testing.assert_close(out, logits, rtol=0, atol=1e-11)
    found = torch.autograd.grad(F.cross_entropy(out, targets), list(other.parameters()))
    assert furthest(list(found), list(expected)) > 0.1


@pytest.mark.slow
def test_published_network_of_tcja_is_the_released_one_forward_and_backward(registry: Registry) -> None:
    flat = {**TCJA.published[0], "coding": "tcja", "backbone.vgg.dropout": 0.0}  # its draws would be others
    network = made(registry, flat, (2, 32, 32), 11)
    for parameter in network.parameters():
        if parameter.dim() == 2:
            parameter.data *= 6  # else no output fires
    frames, targets = torch.randint(0, 4, (2, 20, 2, 32, 32)).double(), torch.tensor([0, 10])
    weights = copies(network)
    votes = gesture_network(frames.transpose(0, 1), iter(weights)).mean(0)
    assert votes.unique().numel() > 3
    loss = (votes - F.one_hot(targets, 11)).square().mean()
    expected = torch.autograd.grad(loss, weights)
    out = network(frames)
    torch.testing.assert_close(out, votes, rtol=0, atol=1e-11)
    chosen = from_flat(flat, registry).training.loss
    assert chosen is not None
    mine = chosen.config(out, targets)
    torch.testing.assert_close(mine, loss)
    found = torch.autograd.grad(mine, list(network.parameters()))
    assert furthest(list(found), list(expected)) < 1e-9
