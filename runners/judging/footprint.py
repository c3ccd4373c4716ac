"""Estimate of the memory that the training of a candidate takes, from its shapes, before anything of it is made."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from spikefront.plugins import Registry, SearchData
from spikefront.plugins.bases.conversion import Conversion
from spikefront.runners.judging.ceiling import SAMPLES, step_ceiling, unwritten
from spikefront.runners.judging.memory import MB, LiveBytes, resident
from spikefront.runners.judging.network import Network, assemble, assemble_ann
from spikefront.runners.judging.recompute import recompute
from spikefront.runners.judging.seeding import kept_randomness
from spikefront.runners.judging.truncation import part_of
from spikefront.searchspace import Candidate, UsageError

_STATES: Final = 2
"""Numbers that an optimiser holds for each weight; plain gradient descent holds none or one."""
_LOADED_LATER: Final = 100 * MB
"""Code that the first training of a process loads: the compiler of the neurons, above all."""
_GAPS: Final = 1.25
"""Memory that an allocator takes for tensors of many sizes that come and go, in sizes of these tensors."""
_SMALL: Final = 0.1
"""Share of what is left for a trial up to which its weights are made, only to find its ceiling."""
_USABLE: Final = 0.8
"""Share of a machine's memory for trials; the rest is for the search itself, the store and the system."""
_LIMITS: Final = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


class DoesNotFit(UsageError):
    """A candidate would take more memory than a trial has."""


@dataclass(frozen=True, slots=True)
class Footprint:
    """Memory of a training, in bytes.

    Attributes:
        base: what the process uses before, with what it will load.
        weights: parameters, and what the optimiser holds of them.
        step: what the tensors of a training step hold at most, gradients of the parameters among them.
    """

    base: int
    weights: int
    step: int

    @property
    def total(self) -> int:
        """All of it together."""
        return self.base + self.weights + self.step

    def __str__(self) -> str:
        base, weights, step = (f"{part / MB:,.0f}" for part in (self.base, self.weights, self.step))
        total = f"{self.total / MB:,.0f}"
        return f"{total} MB: {step} for a training step, {weights} for weights and optimiser, {base} before them"


def needs_recomputing(candidate: Candidate, registry: Registry, data: SearchData, most: float) -> bool:
    """Return whether a candidate fits its share of memory only if activations are recomputed.

    Args:
        candidate: the candidate.
        registry: contains its plugins.
        data: its data.
        most: the share, in bytes.

    Raises:
        DoesNotFit: when it does not fit in either way.
    """
    if _surely_fits(candidate, registry, data, most):
        return False
    plain = footprint(candidate, registry, data)
    if plain.total <= most:
        return False
    if candidate.training.schedule.truncation:  # a part is as much as a step holds
        raise DoesNotFit(
            f"it would take {plain}; a trial has {most / MB:,.0f} MB here; take fewer --workers, smaller batches "
            "(training.batch) or shorter parts (training.truncation)"
        )
    less = footprint(candidate, registry, data, recomputed=True)
    if less.total <= most:
        return True
    raise DoesNotFit(
        f"it would take {less}, with recomputation ({plain.total / MB:,.0f} MB without); "
        f"a trial has {most / MB:,.0f} MB here; take fewer --workers, or smaller batches (training.batch)"
    )


def footprint(candidate: Candidate, registry: Registry, data: SearchData, *, recomputed: bool = False) -> Footprint:
    """Estimate the memory of a candidate's training in this process, from a step on tensors without data.

    Args:
        candidate: the candidate. Of a conversion coding it is the training of its ANN.
        registry: contains its plugins.
        data: its data, of which shapes and sizes are used.
        recomputed: whether activations are recomputed.
    """
    inputs, batch = _one_input(candidate, registry, data), _batch(candidate, data)
    with kept_randomness(), torch.device("meta"):
        network = _trained(candidate, registry, data, inputs)
        if recomputed:
            recompute(network)
        x = torch.empty(batch, *inputs.shape[1:], dtype=inputs.dtype)
        step = _step_bytes(network, x, candidate.training.schedule.truncation)
    return Footprint(_base(candidate, registry, data), (1 + _STATES) * _bytes_of_weights(network), step)


def _surely_fits(candidate: Candidate, registry: Registry, data: SearchData, most: float) -> bool:
    """Return whether not even the ceiling of what a candidate's training takes is more than its share of memory."""
    left = most - _base(candidate, registry, data)
    inputs = _one_input(candidate, registry, data)
    try:
        with kept_randomness():
            with unwritten():
                network = _trained(candidate, registry, data, inputs)
            held = (2 + _STATES) * _bytes_of_weights(network)  # and the gradients
            if held > _SMALL * left:
                return False
            x = torch.zeros(SAMPLES, *inputs.shape[1:], dtype=inputs.dtype)
            return held + _GAPS * step_ceiling(network, x, _batch(candidate, data)) <= left
    except Exception:  # whatever a plugin raises on weights that are none: the estimate has to tell
        return False


def _one_input(candidate: Candidate, registry: Registry, data: SearchData) -> Tensor:
    """Return one prepared input, of as many frames as the candidate has steps."""
    task = registry.task(candidate)
    x = task.prepare(data.train.inputs[:1])
    return x[:, :1].expand(-1, candidate.steps, *x.shape[2:]) if task.inputs == "events" else x


def _batch(candidate: Candidate, data: SearchData) -> int:
    schedule = candidate.training.schedule
    return min(schedule.batch, schedule.subset or len(data.train), len(data.train))


def _trained(candidate: Candidate, registry: Registry, data: SearchData, inputs: Tensor) -> Network:
    """Return a new network such as the candidate's training trains."""
    shape = registry.task(candidate).shape_at_one_step(tuple(inputs.shape[1:]))
    network = assemble(candidate, registry, shape, data.outputs)
    if isinstance(network.coding, Conversion):
        network = assemble_ann(candidate, registry, shape, data.outputs, network.coding)
    return network


def _base(candidate: Candidate, registry: Registry, data: SearchData) -> int:
    """Return the bytes that this process uses before the training, with what it will load."""
    mapped = registry.task(candidate).mapped
    inputs = 0 if mapped else sum(split.inputs.nbytes for split in (data.train, data.validation))
    return resident() + inputs + (0 if "numba" in sys.modules else _LOADED_LATER)


def _bytes_of_weights(network: Network) -> int:
    return sum(weight.nbytes for weight in network.parameters())


def _step_bytes(network: Network, x: Tensor, truncation: int) -> int:
    with LiveBytes([*network.parameters(), *network.buffers()]) as live:
        code = network.train().encode(x)
        if 0 < truncation < code.steps:
            output = network.backbone(part_of(code, 0, truncation)).decoded()
        else:
            output = network.decode(network.propagate(code))
        (output.sum() + network.penalty()).backward()
    return int(_GAPS * live.peak)


def memory_of_machine() -> int | None:
    """Return the bytes of memory that processes of this machine, or container, may use; None where that is unknown."""
    try:
        known = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
    for limit in _LIMITS:
        with suppress(OSError, ValueError):
            known = min(known, int(limit.read_text()))
    return known


def share_of_trial(trials: int) -> float | None:
    """Return the bytes that each of several trials on this machine may use; None where that is unknown."""
    memory = memory_of_machine()
    return None if memory is None else _USABLE * memory / trials
