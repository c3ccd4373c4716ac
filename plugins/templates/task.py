"""Upright or level stripes under noise, 8x8 pixels: drawn from fixed seeds, so that no file is needed.

Write here what yours is: what is learnt, from which data, how they are split, and their source and licence.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch

from spikefront.plugins import PINNED, Data, Float, SearchData, Task, hookimpl


@dataclass(frozen=True, slots=True)
class MyTaskConfig:
    """Settings of the data."""

    noise: Annotated[float, Float(0.0, 0.9), PINNED] = 0.5
    """Share of noise in each pixel."""


class MyTask(Task):
    """Upright or level stripes under noise, 8x8 pixels; classification."""

    name = "my-task"
    Config = MyTaskConfig
    config: MyTaskConfig
    worst_quality = 0.5  # chance
    held_out = "images drawn from a seed of their own"

    def search_data(self, data_dir: Path | None, steps: int) -> SearchData:
        train, validation = (draw(count, self.config.noise, seed=seed) for seed, count in ((0, 512), (1, 128)))
        return SearchData(train, validation, outputs=2, classes=("level", "upright"))

    def test_data(self, data_dir: Path | None, steps: int) -> Data:
        return draw(128, self.config.noise, seed=2)


def draw(count: int, noise: float, *, seed: int) -> Data:
    """Draw images and their classes.

    Args:
        count: number of images N.
        noise: share of noise in each pixel, in [0, 1].
        seed: seed of the draws.

    Returns:
        Intensities in [0, 1], shape ``(N, 1, 8, 8)``; 1 for upright stripes, 0 for level ones.

    Example:
        >>> draw(1, 0.0, seed=0).inputs[0, 0, :2, :4]
        tensor([[0., 0., 0., 0.],
                [1., 1., 1., 1.]])
    """
    generator = torch.Generator().manual_seed(seed)
    targets = torch.randint(2, (count,), generator=generator)
    upright = (torch.arange(8) % 2).float().expand(count, 1, 8, 8)
    stripes = torch.where(targets.view(-1, 1, 1, 1) == 1, upright, upright.mT)
    return Data((1 - noise) * stripes + noise * torch.rand(stripes.shape, generator=generator), targets)


@hookimpl
def register_tasks(register: Callable[[type[Task]], None]) -> None:
    register(MyTask)
