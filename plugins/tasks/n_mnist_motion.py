"""Direction of an event camera's motion, from a short window of events of N-MNIST; regression of an angle.

Each recording holds three saccades of 105 ms, along an isosceles triangle. While the camera turns one way, the image
drifts the other. In pixels, x to the right and y down, the authors' own stabilisation takes the image to drift by

    (3.5, 7)  in the first saccade        (3.5, -7)  in the second        (-7, 0)  in the third

so the camera moves along (-1, -2), (-1, 2) and (1, 0). A sample is one window within one saccade; its target is the
unit vector of the camera's motion, (cos, sin) of the angle from the x axis towards the y axis, which points down.

A window must not give the saccade away by anything but its motion. So its time starts at 0; it begins anywhere in its
saccade, at random; and it is turned by a random multiple of 90 degrees and mirrored at random, with its target, which
is exact on a square sensor. Neither the place of the digit nor the course of the event rate then says which saccade it
was, and of the 12 directions that come out, no constant one is better than 90 degrees, but for the luck of the draw.
All draws have fixed seeds. Windows of one recording stay in one split.

Source: Orchard, Jayawant, Cohen & Thakor, "Converting static image datasets to spiking neuromorphic datasets using
saccades", Frontiers in Neuroscience 9 (2015), for the recordings and, in its published code, the drift.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from spikefront.plugins import SearchData, Task, hookimpl
from spikefront.plugins.data.cache import new_array
from spikefront.plugins.data.event_tasks import BinTask, FramesConfig
from spikefront.plugins.data.events import to_frames
from spikefront.plugins.data.recordings import Part, Recordings
from spikefront.plugins.tasks.n_mnist import NMNIST, find, locate
from spikefront.searchspace import PINNED, Choice, Int

Array = npt.NDArray[Any]

SACCADE_US: Final = 105_000
DRIFTS: Final = ((3.5, 7.0), (3.5, -7.0), (-7.0, 0.0))
"""How far the image drifts in each saccade, in pixels to the right and down."""

_SEED: Final = 0


@dataclass(frozen=True, slots=True)
class MotionConfig(FramesConfig):
    """How recordings become windows, and windows frames."""

    window_ms: Annotated[int, Int(20, 100), PINNED] = 60
    """Duration of a window, in milliseconds."""
    turned: Annotated[bool, Choice((True, False)), PINNED] = True
    """Whether windows are turned and mirrored at random, with their targets; else there are but three directions."""


@dataclass(frozen=True, slots=True)
class Window:
    """A window of one recording, and what is done to it.

    Attributes:
        events: its events, of dtype ``EVENT``.
        span: when it begins and ends, in microseconds of the recording.
        saccade: in which saccade it lies, 0 to 2.
        turns: by how many right angles it is turned, against the clock.
        mirrored: whether left and right are swapped before that.
    """

    events: Array
    span: tuple[int, int]
    saccade: int
    turns: int
    mirrored: bool

    def apply(self, frames: Array) -> Array:
        """Mirror and turn frames ``(T, 2, H, W)``."""
        return np.rot90(frames[..., ::-1] if self.mirrored else frames, self.turns, axes=(2, 3))

    def direction(self) -> tuple[float, float]:
        """Return the unit vector of the camera's motion, to the right and down, in what ``apply`` returns."""
        right, down = (-drift for drift in DRIFTS[self.saccade])
        if self.mirrored:
            right = -right
        for _ in range(self.turns):
            right, down = down, -right
        length = math.hypot(right, down)
        return right / length, down / length


def windows(events: Array, number: int, config: MotionConfig) -> list[Window]:
    """Cut one window out of each saccade of a recording; those without any event are left out.

    Args:
        events: the recording, of dtype ``EVENT``.
        number: the seed of its draws.
        config: length of a window, and whether it is turned.
    """
    generator, duration = np.random.default_rng((_SEED, number)), config.window_ms * 1000
    found = []
    for saccade in range(len(DRIFTS)):
        begin = saccade * SACCADE_US + int(generator.integers(0, SACCADE_US - duration + 1))
        turns, mirrored = int(generator.integers(0, 4)), bool(generator.integers(0, 2))
        inside = events[(events["t"] >= begin) & (events["t"] < begin + duration)]
        if len(inside):
            symmetry = (turns, mirrored) if config.turned else (0, False)
            found.append(Window(inside, (begin, begin + duration), saccade, *symmetry))
    return found


class NMNISTMotion(BinTask):
    """Direction in which an event camera moves, from a window of its events; regression."""

    name = "n-mnist-motion"
    Config = MotionConfig
    config: MotionConfig
    source = NMNIST.source
    size = NMNIST.size
    held_out = "one in six training recordings of each digit, at random, with all of their windows"
    quality = "angular_error_deg"
    maximize = False
    worst_quality = 90.0
    best_quality = 0.0

    def locate(self, part: str, data_dir: Path | None) -> Path:
        return locate(part, data_dir)

    def part(self, name: str, data_dir: Path | None) -> Part:
        return find(name, data_dir)

    def sampled(self, recordings: Recordings, numbers: Array, steps: int, inputs: Path) -> Array:
        found = [window for number in numbers for window in windows(recordings[number], int(number), self.config)]
        frames = new_array(inputs, (len(found), steps, 2, *self.size), "u1")
        for place, window in enumerate(found):
            binned = to_frames(window.events, self.size, steps=steps, binning=self.config.binning, span=window.span)
            frames[place] = window.apply(binned)
        return np.array([window.direction() for window in found], np.float32)

    def outputs(self, recordings: Recordings) -> int:
        return 2

    def loss(self, output: Tensor, targets: Tensor) -> Tensor:
        return nn.functional.mse_loss(output, targets)

    def score(self, output: Tensor, targets: Tensor) -> float:
        """Return the mean angle between outputs and targets ``(N, 2)`` in degrees, in [0, 180].

        An output of no length has no direction, and counts as 90 degrees off.
        """
        output, targets = output.double(), targets.double()
        along = (output * targets).sum(1)
        across = output[:, 0] * targets[:, 1] - output[:, 1] * targets[:, 0]
        angles = torch.atan2(across.abs(), along).rad2deg()
        angles[(output == 0).all(1)] = 90.0
        return float(angles.mean())

    def chance_quality(self, data: SearchData) -> float:
        """Return the validation error of the best constant direction, of 360."""
        angles, targets = torch.arange(360).deg2rad(), data.validation.targets
        constants = torch.stack([angles.cos(), angles.sin()], 1)
        return min(self.score(constant.expand(len(targets), 2), targets) for constant in constants)


@hookimpl
def register_tasks(register: Callable[[type[Task]], None]) -> None:
    register(NMNISTMotion)
