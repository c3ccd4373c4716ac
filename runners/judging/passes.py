"""Forward passes in parts that fit a memory bound, with the outputs of one pass over all.

A batch is encoded whole, so that a random code has the same draws however it is divided, and goes through the network
in parts. A part has more than one sample: a convolution may round a single one differently.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Final
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from spikefront.plugins import Signal
from spikefront.plugins.network.layers import uncounted
from spikefront.runners.judging.memory import MB, LiveBytes
from spikefront.runners.judging.network import Network
from spikefront.runners.judging.seeding import kept_randomness

_SAMPLE_STEPS_AT_ONCE: Final = 4096
_NUMBERS_AT_ONCE: Final = 2**26
_BOUND: Final = {"cpu": 64 * MB, "cuda": 1024 * MB}
"""Bytes that the tensors of a pass may hold. On a CPU parts that its caches hold are fastest, too."""
_FEWEST: Final = 3  # parts of equal size have two or more samples then
_MEASURED: Final = 2
_COUNTING: Final = 2  # counters hold masks and sums of what goes by

_Known = WeakKeyDictionary[Network, dict[tuple[int, tuple[int, ...]], float]]
_bytes: Final[_Known] = WeakKeyDictionary()  # by steps and shape of a code
_bytes_of_inputs: Final[_Known] = WeakKeyDictionary()  # by steps and shape of inputs


def affordable(steps: int, numbers: int = 1) -> int:
    """Return how many samples of ``steps`` time steps may be encoded at once: memory grows with their product.

    Args:
        steps: time steps T.
        numbers: numbers of one input at one step.
    """
    return max(1, min(_SAMPLE_STEPS_AT_ONCE, _NUMBERS_AT_ONCE // numbers) // steps)


@torch.no_grad()
def propagated(network: Network, code: Signal) -> Iterator[Signal]:
    """Yield the output signal of each part of a coded batch, in their order.

    Args:
        network: the network, in eval mode.
        code: the coded input.
    """
    places = _places(bytes_per_sample(network, code), code.values.device, code.values.shape[1])
    for place in places:
        yield network.propagate(code if len(places) == 1 else code.samples(place))


@torch.no_grad()
def divided(network: Network, batch: Tensor) -> Iterator[tuple[Tensor, Signal | None]]:
    """Yield a batch in parts on which operations are counted, each with its code where it is encoded already.

    Args:
        network: the network, in eval mode.
        batch: prepared inputs ``(B, ...)``.
    """
    for inputs in batch.split(affordable(network.coding.steps)):
        places = _places(bytes_of_inputs(network, inputs), inputs.device, len(inputs), _COUNTING)
        if len(places) == 1:
            yield inputs, None
            continue
        code = network.encode(inputs)
        for place in places:
            yield inputs[place], code.samples(place)


def _places(of_sample: float, device: torch.device, samples: int, more: int = 1) -> list[slice]:
    """Return where a batch is divided.

    Args:
        of_sample: bytes that a pass of the network takes for each sample.
        device: where it computes.
        samples: the size of the batch.
        more: how many times the memory of the network a pass takes.
    """
    bound = _BOUND.get(device.type, _BOUND["cuda"]) / more
    at_once = max(_FEWEST, int(bound / max(of_sample, 1)))
    count = max(1, math.ceil(samples / at_once))
    ends = [samples * number // count for number in range(count + 1)]
    return [slice(first, last) for first, last in pairwise(ends)]


def bytes_of_inputs(network: Network, inputs: Tensor) -> float:
    """Return ``bytes_per_sample`` of a network's prepared inputs; two of them are encoded where it is not yet known."""
    known = _bytes_of_inputs.setdefault(network, {})
    key = (network.steps, tuple(inputs.shape[1:]))
    if key not in known:
        with kept_randomness():
            known[key] = bytes_per_sample(network, network.encode(inputs[:_MEASURED]))
    return known[key]


@torch.no_grad()
def bytes_per_sample(network: Network, code: Signal) -> float:
    """Return the bytes that the tensors of a forward pass hold at most, for each sample.

    They are measured in a pass of two samples, once for each network and shape.

    Args:
        network: the network, in eval mode.
        code: a coded input.
    """
    known = _bytes.setdefault(network, {})
    key = (code.steps, tuple(code.values.shape[2:]))
    if key not in known:
        few = code.samples(slice(0, _MEASURED))
        there: list[Tensor] = [*network.parameters(), *network.buffers(), few.values]
        with kept_randomness(), uncounted(), LiveBytes(there) as live:
            network.propagate(few)
        known[key] = live.peak / max(few.values.shape[1], 1)
    return known[key]
