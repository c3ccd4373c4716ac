"""Truncated backpropagation through time: the gradient of a long run in the memory of a short part of it.

The T steps of a run are divided into parts of K. Neurons hand their state from part to part, the gradient does not go
through it. The network runs twice: first without a gradient, for its outputs at all steps, so that the loss and its
gradient with respect to each output are those of the whole run, whatever the read-out; then part by part, each of which
is run backward at once. So a step runs forward twice, and holds activations of K steps. Batch norm takes the statistics
of each part by itself.

Reference: Williams & Peng, "An efficient gradient-based algorithm for on-line training of recurrent network
trajectories", Neural Computation 2 (1990), for the truncation; there the loss is that of a part, here of the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from spikefront.plugins import Kind, Neuron, Signal
from spikefront.plugins.contracts.recurrent import Recurrent
from spikefront.runners.judging.network import Network
from spikefront.runners.judging.recompute import kept_buffers
from spikefront.runners.judging.seeding import kept_randomness

State = tuple[Tensor, ...]


def truncated_backward(
    network: Network,
    x: Tensor,
    length: int,
    loss: Callable[[Signal], Tensor],
    apart: Callable[[], AbstractContextManager[None]],
) -> Tensor:
    """Add the truncated gradient of a loss to the parameters of a network, and return the loss.

    Args:
        network: the network, in training mode; its neurons state a step, and nothing stands behind its sites.
        x: prepared inputs ``(B, ...)``.
        length: steps K of a part.
        loss: the loss of the network's output over all T steps.
        apart: makes the context in which a part runs forward.
    """
    code = network.encode(x)
    parts = [part_of(code, start, min(start + length, code.steps)) for start in range(0, code.steps, length)]
    with torch.no_grad(), _handing_on(network):
        outputs = torch.cat([_run(network, part, apart) for part in parts])
    outputs.requires_grad_()
    value = loss(Signal(outputs, code.steps, Kind.ANALOG, delay=code.delay))
    value.backward()
    assert outputs.grad is not None
    with _handing_on(network) as states, kept_buffers([network.backbone]):
        for part, gradient in zip(parts, outputs.grad.split(length), strict=True):
            _run(network, part, apart).backward(gradient)
            for neuron, state in states.items():
                states[neuron] = tuple(each.detach() for each in state)
    torch.rand((), device=x.device)  # the next batch has other draws
    return value.detach()


def part_of(signal: Signal, start: int, stop: int) -> Signal:
    """Return some steps of a signal; what is constant over time stays so."""

    def cut(tensor: Tensor) -> Tensor:
        return tensor if len(tensor) == 1 else tensor[start:stop]

    coefficient = None if signal.coefficient is None else cut(signal.coefficient)
    return replace(signal, values=cut(signal.values), coefficient=coefficient, steps=stop - start)


def _run(network: Network, part: Signal, apart: Callable[[], AbstractContextManager[None]]) -> Tensor:
    """Return the output of one part; all have the same random draws, as a mask of dropout is one for all steps."""
    with kept_randomness(), apart():
        output: Tensor = network.backbone(part).decoded()
    return output.expand(part.steps, *output.shape[1:])


@contextmanager
def _handing_on(network: Network) -> Iterator[dict[Neuron, State]]:
    """Context in which neurons go on from the state in which their last run has left them, from rest at first."""
    states: dict[Neuron, State] = {}
    neurons = [site.neuron for site in network.sites]
    for neuron in neurons:
        neuron.forward = partial(_go_on, neuron, states)  # type: ignore[method-assign]
    try:
        yield states
    finally:
        for neuron in neurons:
            del neuron.forward


def _go_on(neuron: Neuron, states: dict[Neuron, State], current: Tensor, steps: int) -> Tensor:
    layer = neuron if isinstance(neuron, Recurrent) else None
    inner = neuron if layer is None else layer.neuron
    held = states.get(neuron)
    state, fired = (None, None) if held is None else (held[:-1], held[-1])
    spikes: list[Tensor] = []
    each = current.unbind(0)
    for t in range(steps):
        total = each[t if len(each) > 1 else 0]
        if layer is not None and fired is not None:
            total = total + layer.fed(fired)
        fired, state = inner.step(total, state)
        spikes.append(fired)
    assert state is not None and fired is not None
    states[neuron] = (*state, fired)
    return torch.stack(spikes)
