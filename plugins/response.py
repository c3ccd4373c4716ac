"""Response of a coding: what it makes of one image and of a ramp of values, step by step, before anything is trained.

Each input pixel drives one neuron. Where a coding passes real values on, or puts a module behind spiking layers, its
spikes are those of a layer of neurons, so the response takes in the first one: with one weight for all, 2, or, of a
network that is converted, the weight that calibration on these inputs gives it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from spikefront.plugins.bases.conversion import Conversion
from spikefront.plugins.contracts import Coding, Site, SiteFactory
from spikefront.plugins.network.signal import ContractError, Kind, Signal, over_time, refuse_time_axis
from spikefront.plugins.registry import Registry
from spikefront.plugins.tasks.digits import Digits
from spikefront.searchspace import Candidate, Value

_DIGIT: Final = 3
_SIDE: Final = 8
_LEVELS: Final = 32
_MOST_EVENTS: Final = 8
_WEIGHT: Final = 2.0

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Stage:
    """What one stage emits.

    Attributes:
        name: ``input``, ``code``, or ``first layer``.
        kind: what its values may be.
        image: values of the image, ``(T, C, H, W)``.
        ramp: values of a neuron for each level of the ramp, ``(T, levels, C)``.
        worth: what a spike of each step counts, ``(T,)``, of channels the mean; None where steps have no weights.
    """

    name: str
    kind: Kind
    image: Array
    ramp: Array
    worth: Array | None = None


@dataclass(frozen=True)
class Response:
    """What a coding makes of an image and of a ramp.

    Attributes:
        coding: its name.
        steps: number of time steps T.
        neuron: name of the neurons of the first layer; empty where it is not part of the response.
        events: whether the input is frames of events.
        settings: hyperparameters of the coding that exist, by field.
        untrained: whether parameters that training would change have their initial values.
        levels: values of the ramp, in [0, 1], or events of a pixel and step.
        stages: the input, and what the coding makes of it, one stage after the other.
    """

    coding: str
    steps: int
    neuron: str
    events: bool
    settings: dict[str, Value]
    untrained: bool
    levels: Array
    stages: Sequence[Stage]

    @property
    def rate(self) -> float:
        """Spikes of the last stage per neuron and step, on the image; of real values, the share that is not 0."""
        last = self.stages[-1]
        counted = last.kind in (Kind.BINARY, Kind.TERNARY, Kind.COUNT, Kind.SIGNED)
        return float(np.abs(last.image).mean() if counted else (last.image != 0).mean())


def respond(candidate: Candidate, registry: Registry) -> Response:
    """Return the response of a candidate's coding, as it is before training.

    The image is a digit of 8x8 pixels, the ramp 32 grey images of values from 0 to 1, of which one pixel is taken.
    Where the task gives events, the image is a dot of 3x3 pixels that moves along the diagonal, there and back, by a
    pixel at each step; a pixel has 4 ON events where the dot comes, and 4 OFF events where it leaves. The ramp is 0 to
    8 ON events of a pixel in each step of the first half, and as many OFF events in each of the second. So it is, too,
    of a coding that takes nothing static; a coding of sequences that does is shown what stands still.

    Args:
        candidate: the candidate; its backbone does not matter.
        registry: contains its plugins.

    Raises:
        ContractError: when its code is not maps over time, or not finite.
    """
    steps, kind = candidate.steps, registry.get("coding", candidate.coding.name)
    events = registry.get("task", candidate.task.name).inputs == "events" or "static" not in kind.inputs
    coding: Coding = kind(candidate.coding.config, steps=steps)
    levels = torch.arange(_MOST_EVENTS + 1.0) if events else torch.linspace(0, 1, _LEVELS)
    x = _events(levels, steps) if events else _images(levels)
    with torch.no_grad():
        site = _first_site(coding, candidate, registry, channels=coding.encoded_shape(tuple(x.shape[-3:]))[0])
        code = coding.eval().encode_events(x) if events else coding.eval().encode(x)
        given = Signal(x if events else x.unsqueeze(0), steps, Kind.COUNT if events else Kind.ANALOG)
        stages = [_stage("input", given, coding), _stage("code", code, coding)]
        drawn = code.kind is Kind.ANALOG or site.between is not None
        if drawn:
            if isinstance(coding, Conversion):
                assert site.scale is not None
                coding.calibrate(site.scale, x)
            weight = 1.0 if isinstance(coding, Conversion) else _WEIGHT
            fired = site.eval()(code.current(weight * code.decoded()))
            if site.scale is not None:  # which folds into the weights behind
                fired = fired.weighted(1 / site.scale)
            stages.append(_stage("first layer", fired, coding))
    learnt = [*coding.parameters(), *(site.parameters() if drawn else ())]
    neuron = candidate.neuron.name if drawn else ""
    settings = candidate.coding.existing()
    return Response(coding.name, steps, neuron, events, settings, bool(learnt), levels.numpy(), stages)


def _first_site(coding: Coding, candidate: Candidate, registry: Registry, channels: int) -> Site:
    """Return the first spiking layer of a network, whose only one it is."""
    make, surrogate = registry.get("neuron", candidate.neuron.name), candidate.training.surrogate.config
    coding.bind(make(candidate.neuron.config, surrogate=surrogate))
    sites = SiteFactory(
        lambda: make(candidate.neuron.config, surrogate=surrogate),
        coding,
        coding.initial_scale if isinstance(coding, Conversion) else None,
    )
    sites(channels, (_SIDE, _SIDE), last_of_stage=True)
    sites.finish()
    return sites.made[0]


def _images(levels: Tensor) -> Tensor:
    """Return a digit, then an image of each level, ``(1 + levels, 1, 8, 8)``."""
    return torch.cat([_digit(), levels.view(-1, 1, 1, 1).expand(-1, 1, _SIDE, _SIDE)])


@cache
def _digit() -> Tensor:
    task = Digits()
    train = task.search_data(None, 1).train
    return task.prepare(train.inputs[train.targets == _DIGIT][:1])


def _events(levels: Tensor, steps: int) -> Tensor:
    """Return frames of a moving dot, then of each level, ``(T, 1 + levels, 2, 8, 8)``; channel 1 counts ON events."""
    dot, far = torch.zeros(_SIDE, _SIDE), _SIDE - 3
    dot[:3, :3] = 4.0
    ways = [far - abs(far - step % (2 * far)) for step in range(steps)]  # there and back
    places = torch.stack([dot.roll((way, way), (0, 1)) for way in ways])
    moved = places.diff(dim=0, prepend=torch.zeros_like(places[:1]))
    moving = torch.stack([(-moved).clamp(min=0), moved.clamp(min=0)], dim=1)
    half = torch.arange(steps) < (steps + 1) // 2
    shares = torch.stack([~half, half], dim=1).to(levels.dtype)  # (T, 2)
    held = torch.einsum("tc,b->tbc", shares, levels)[..., None, None].expand(-1, -1, -1, _SIDE, _SIDE)
    return torch.cat([moving.unsqueeze(1), held], dim=1)


def _stage(name: str, signal: Signal, coding: Coding) -> Stage:
    """Return a stage: values as they are with what they are worth, or, of real values, weighted."""
    refuse_time_axis(f"coding {coding.name!r}", signal, coding.steps)
    if signal.values.dim() != 5:
        raise ContractError(f"its {name} has shape {tuple(signal.values.shape)}, not that of maps, (T, B, C, H, W)")
    values, worth = signal.values, None
    if signal.coefficient is not None:
        if signal.kind is Kind.ANALOG:
            values = signal.decoded()
        elif len(signal.coefficient) > 1:
            worth = over_time(signal.coefficient, values)[:, 0].flatten(1).mean(1).numpy()
    if not values.isfinite().all():
        raise ContractError(f"its {name} has values that are not finite")
    values = values.expand(coding.steps, *values.shape[1:])
    height, width = values.shape[-2:]
    ramp = values[:, 1:, :, height // 2, width // 2]
    return Stage(name, signal.kind, values[:, 0].numpy(), ramp.numpy(), worth)
