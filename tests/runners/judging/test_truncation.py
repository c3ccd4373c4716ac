"""Truncated backpropagation through time: its gradient by another way, its memory, and what it does not go with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spikefront.plugins import Data, Registry, Site, Synapse
from spikefront.runners.judging.memory import LiveBytes
from spikefront.runners.judging.network import Network, assemble
from spikefront.runners.judging.training import Trainer
from spikefront.searchspace import UsageError, from_flat

POINTS, FEATURES = 12, 3
FLAT: Mapping[str, object] = {
    "task": "mnist1d",
    "coding": "direct",
    "backbone": "mlp",
    "training.optimizer.adam.lr": 1e-3,
}


def trainer(registry: Registry, flat: Mapping[str, object], points: int = POINTS) -> Trainer:
    """Return the trainer of a network on random sequences, one batch of them."""
    candidate = replace(from_flat({**FLAT, **flat, "steps": points}, registry), steps=points)
    torch.manual_seed(0)
    network = assemble(candidate, registry, (FEATURES,), 10)
    data = Data(torch.rand(8, points, FEATURES), torch.arange(8) % 10)
    return Trainer(network, registry.task(candidate), data, candidate.training, seed=0)


def gradients(trained: Trainer) -> tuple[float, dict[str, Tensor]]:
    torch.manual_seed(1)
    loss = trained.epoch()
    return loss, {name: weight.grad for name, weight in trained.network.named_parameters() if weight.grad is not None}


@pytest.mark.parametrize("decoding", ["rate", "membrane", "last"])
@pytest.mark.parametrize(
    "net",
    [
        {"neuron": "lif"},
        {"neuron": "plif"},
        {"neuron": "adlif", "backbone.mlp.depth": 2},
        {"neuron": "lif", "backbone": "recurrent", "backbone.recurrent.width": 16},
    ],
    ids=lambda net: " ".join(map(str, net.values())),
)
def test_one_part_of_nearly_all_steps_has_the_outputs_of_the_whole(
    registry: Registry, net: dict[str, object], decoding: str
) -> None:
    """The loss is that of the whole run, for any length of the parts; batch norm is left out, whose parts differ."""
    losses = []
    for length in (0, 3, 5, POINTS - 1):
        trained = trainer(registry, {**net, "coding.direct.decoding": decoding, "training.truncation": length})
        without_norms(trained.network)
        losses.append(gradients(trained)[0])
    assert losses[1:] == pytest.approx(losses[:1] * 3, rel=1e-5)


def without_norms(network: Network) -> None:
    for module in network.modules():
        if isinstance(module, Synapse):
            module.norm = None
            module.weight.weight.data.mul_(4)  # so that neurons fire


@pytest.mark.parametrize("length", [1, 4, 5])
def test_gradient_is_that_of_a_graph_whose_states_are_cut(registry: Registry, length: int) -> None:
    """By a loop over LIF neurons in plain torch, with the state detached at the end of each part."""
    trained = trainer(registry, {"neuron": "lif", "backbone.mlp.width": 16, "training.truncation": length})
    without_norms(trained.network)
    layers = trained.network.backbone.layers
    assert isinstance(layers, nn.Sequential)
    first, site, last = [*layers][1:]
    assert isinstance(site, Site)
    assert isinstance(first, Synapse)
    assert isinstance(last, Synapse)
    config, surrogate = site.neuron.config, site.neuron.surrogate
    before = {name: weight.detach().clone() for name, weight in trained.network.named_parameters()}
    loss, found = gradients(trained)

    w1, w2, b2 = (
        before[f"backbone.layers.{name}"].requires_grad_()
        for name in ("1.weight.weight", "3.weight.weight", "3.weight.bias")
    )
    x, y = trained._data.inputs, trained._data.targets
    order = torch.randperm(8, generator=torch.Generator().manual_seed(0))
    x, y = trained._task.prepare(x[order]), y[order]
    v, outputs = torch.zeros(8, 16), []
    for t in range(POINTS):
        if t % length == 0:
            v = v.detach()
        current = x[:, t] @ w1.T
        h = v - v / config.tau + current / (config.tau if config.decay_input else 1)
        over = h - config.threshold
        s = Fires.apply(over, surrogate)  # type: ignore[no-untyped-call]
        reset = s.detach() if config.detach_reset else s
        v = h * (1 - reset) if config.reset == "hard" else h - reset * config.threshold
        outputs.append(s @ w2.T + b2)
    expected = F.cross_entropy(torch.stack(outputs).mean(0), y)
    expected.backward()
    assert loss == pytest.approx(expected.item(), rel=1e-5)
    for name, weight in (("1.weight.weight", w1), ("3.weight.weight", w2), ("3.weight.bias", b2)):
        torch.testing.assert_close(found[f"backbone.layers.{name}"], weight.grad, rtol=1e-4, atol=1e-6)
    assert w1.grad is not None
    assert w1.grad.any()


class Fires(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, over: Tensor, surrogate: object) -> Tensor:
        ctx.save_for_backward(over)  # type: ignore[attr-defined]
        ctx.surrogate = surrogate  # type: ignore[attr-defined]
        return (over >= 0).float()

    @staticmethod
    def backward(ctx: object, grad: Tensor) -> tuple[Tensor, None]:
        (over,) = ctx.saved_tensors  # type: ignore[attr-defined]
        return grad * ctx.surrogate(over), None  # type: ignore[attr-defined]


def test_a_step_holds_one_part_however_long_the_sequence_is(registry: Registry) -> None:
    def peak(points: int, length: int) -> int:
        trained = trainer(registry, {"neuron": "adlif", "training.truncation": length}, points)
        with LiveBytes() as live:
            trained.epoch()
        return int(live.peak)

    short, long, whole = peak(40, 10), peak(160, 10), peak(160, 0)
    assert long < 1.5 * short
    assert long < whole / 3


def test_dropout_is_one_mask_for_all_parts_and_another_for_the_next_batch(registry: Registry) -> None:
    masks = []

    class Noted(nn.Dropout):
        def forward(self, signal):  # type: ignore[no-untyped-def]
            mask = F.dropout(torch.ones_like(signal.values[:1]), 0.5)
            masks.append(mask)
            return signal.with_values(signal.values * mask)

    trained = trainer(registry, {"neuron": "lif", "training.truncation": 4, "training.batch": 4})
    layers = trained.network.backbone.layers
    assert isinstance(layers, nn.Sequential)
    layers.insert(3, Noted())
    trained.epoch()
    first, second = masks[:6], masks[6:]
    assert all(torch.equal(mask, first[0]) for mask in first)
    assert all(torch.equal(mask, second[0]) for mask in second)
    assert not torch.equal(first[0], second[0])


@pytest.mark.parametrize(
    ("flat", "problem"),
    [
        ({"neuron": "if"}, "neuron 'if' defines no step.*neurons that hand their state on: .*lif"),
        ({"neuron": "sigma-delta"}, "neuron 'sigma-delta' emits changes"),
        ({"task": "digits", "coding": "sac", "steps": 8}, "coding 'sac' is trained over all time steps at once"),
        ({"task": "digits", "coding": "ttfs", "steps": 8}, "neuron 'ttfs' defines no step"),
    ],
)
def test_what_is_not_trained_in_parts_is_refused(registry: Registry, flat: dict[str, object], problem: str) -> None:
    candidate = from_flat({**FLAT, "steps": 40, "training.truncation": 4, **flat}, registry)
    with pytest.raises(UsageError, match=f"training.truncation: {problem}"):
        registry.refuse(candidate)
    registry.refuse(from_flat({**candidate.flat(), "training.truncation": 0}, registry))
