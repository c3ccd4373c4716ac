"""Training in less memory: what a spiking layer holds over its T steps is computed again in the backward pass.

A sequence of layers is divided into parts with one spiking layer each, and the pooling behind it. Of each part only the
input is held, and the part runs once more when its gradient is due, with the same random draws; what it does to
buffers, such as the statistics of a norm, is done once. So weights and gradients are those of plain training, and a
step takes about a third more time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from functools import partial

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from spikefront.plugins import Chain, Signal, Site, Synapse
from spikefront.runners.judging.network import Network

_again: ContextVar[bool] = ContextVar("recomputed", default=False)


def recompute(network: Network) -> None:
    """Change a network to hold fewer activations for its backward pass and to compute the others again."""
    for module in network.backbone.modules():
        if (
            isinstance(module, nn.Sequential)
            and type(module) in (nn.Sequential, Chain)
            and len(groups := _groups(module)) > 1
        ):
            module.forward = partial(_forward, module, groups)  # type: ignore[method-assign]


def _groups(sequence: nn.Sequential) -> list[list[nn.Module]]:
    """Return the layers of a sequence, divided behind each that is, or has, a spiking one."""
    groups: list[list[nn.Module]] = [[]]
    for layer in sequence:
        if _spikes(groups[-1]) and isinstance(layer, (Site, Synapse, nn.Sequential)) | _spikes([layer]):
            groups.append([])
        groups[-1].append(layer)
    return groups


def _spikes(layers: list[nn.Module]) -> bool:
    return any(isinstance(inner, Site) for layer in layers for inner in layer.modules())


def _forward(sequence: nn.Sequential, groups: list[list[nn.Module]], signal: Signal) -> Signal:
    plain = _again.get() or not (sequence.training and torch.is_grad_enabled())
    for group in groups:
        if plain or not _spikes(group):
            signal = _run(group, signal)
        else:
            signal = checkpoint(_run, group, signal, use_reentrant=False, context_fn=partial(_contexts, group))
    return signal


def _run(group: list[nn.Module], signal: Signal) -> Signal:
    token = _again.set(True)
    try:
        for layer in group:
            signal = layer(signal)
    finally:
        _again.reset(token)
    return signal


def _contexts(group: list[nn.Module]) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """Return the contexts of the first and of the second pass."""
    return nullcontext(), kept_buffers(group)


@contextmanager
def kept_buffers(group: Sequence[nn.Module]) -> Iterator[None]:
    """Use copies of all buffers of some modules inside."""
    before = [
        (module, name, buffer)
        for layer in group
        for module in layer.modules()
        for name, buffer in module._buffers.items()
        if buffer is not None
    ]
    for module, name, buffer in before:
        module._buffers[name] = buffer.clone()
    try:
        yield
    finally:
        for module, name, buffer in before:
            module._buffers[name] = buffer
