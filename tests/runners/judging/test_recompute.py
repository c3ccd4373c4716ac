"""Recomputation in the backward pass: gradients, statistics and draws are those of plain training, in less memory."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor

from spikefront.plugins import Registry
from spikefront.runners.judging.memory import LiveBytes
from spikefront.runners.judging.network import Network, assemble
from spikefront.runners.judging.recompute import recompute
from spikefront.runners.judging.training import laid_out
from spikefront.searchspace import from_flat

NETWORKS = [
    {"coding": "direct", "backbone": "convnet", "neuron": "plif"},
    {"coding": "gac", "backbone": "convnet"},
    {"coding": "sac", "coding.sac.scope": "layer", "backbone": "ms-resnet"},
    {"coding": "rate", "backbone": "sew-resnet"},
    {"coding": "direct", "backbone": "spiking-transformer"},
    {"coding": "latency", "backbone": "mlp", "backbone.mlp.depth": 3},
]


def step(network: Network, batch: Tensor) -> tuple[Tensor, dict[str, Tensor | None], dict[str, Tensor]]:
    """Return output, gradients and buffers of two passes of training."""
    torch.manual_seed(1)
    network.train()
    for _ in range(2):
        network.zero_grad()
        output = network(batch)
        (output.square().sum() + network.penalty()).backward()
    return (
        output.detach(),
        {name: weight.grad for name, weight in network.named_parameters()},
        dict(network.named_buffers()),
    )


@pytest.mark.parametrize("flat", NETWORKS, ids=lambda flat: f"{flat['coding']}-{flat['backbone']}")
def test_gradients_are_those_of_plain_training(flat: dict[str, object], registry: Registry) -> None:
    torch.manual_seed(0)
    candidate = from_flat({"task": "digits", "steps": 4, **flat}, registry)
    network = assemble(candidate, registry, (1, 8, 8), 10)
    again = copy.deepcopy(network)
    recompute(again)
    batch = laid_out(torch.rand(12, 1, 8, 8))
    output, gradients, buffers = step(network, batch)
    other_output, other_gradients, other_buffers = step(again, batch)
    assert torch.equal(other_output, output)
    assert any(gradient is not None and gradient.any() for gradient in gradients.values())
    for name, gradient in gradients.items():
        other = other_gradients[name]
        assert (gradient is None) == (other is None), name
        assert gradient is None or torch.equal(gradient, other), name  # type: ignore[arg-type]
    for name, buffer in buffers.items():
        assert torch.equal(buffer, other_buffers[name]), name


def test_it_holds_less(registry: Registry) -> None:
    flat = {"task": "digits", "steps": 16, "coding": "direct", "backbone": "ms-resnet"}
    peaks = []
    for less in (False, True):
        network = assemble(from_flat(flat, registry), registry, (1, 8, 8), 10)
        if less:
            recompute(network)
        with LiveBytes([*network.parameters(), *network.buffers()]) as live:
            network.train()(laid_out(torch.rand(16, 1, 8, 8))).sum().backward()
        peaks.append(live.peak)
    assert peaks[1] < 0.7 * peaks[0]
