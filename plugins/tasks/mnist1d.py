"""MNIST-1D: 5,000 generated sequences of 40 points in 10 classes, a digit's stroke as one curve; nothing is downloaded.

Each class has a template of 12 points. A sample is the template, padded, stretched to 72 points, scaled, rolled in
time, given noise and a slope, and read at 40 points, with draws of one seed, so that the data are those of the
publication to the last digit. ``task.mnist1d.shuffled=true`` permutes the points of all samples alike: what is left of
a network that has learnt order is what it knows of single points.

Official: 4,000 training and 1,000 test samples; here the last 800 of the training samples validate. The README of its
code gives 32 % for logistic regression, 68 % for an MLP, 94 % for a CNN, 91 % for a GRU and 96 % for people; shuffled,
32, 68, 56 and 57 %.

Source: Greydanus & Kobak, "Scaling down deep learning with MNIST-1D", ICML (2024), code under the Apache License 2.0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spikefront.plugins import PINNED, Choice, Data, SearchData, Task, hookimpl
from spikefront.plugins.data.scaling import Scaling, scaling_of

Array = NDArray[Any]

TEMPLATES: Final = (
    (5, 6, 6.5, 6.75, 7, 7, 7, 7, 6.75, 6.5, 6, 5),
    (5, 3, 3, 3.4, 3.8, 4.2, 4.6, 5, 5.4, 5.8, 5, 5),
    (5, 6, 6.5, 6.5, 6, 5.25, 4.75, 4, 3.5, 3.5, 4, 5),
    (5, 6, 6.5, 6.5, 6, 5, 5, 6, 6.5, 6.5, 6, 5),
    (5, 4.4, 3.8, 3.2, 2.6, 2.6, 5, 5, 5, 5, 5, 5),
    (5, 3, 3, 3, 3, 5, 6, 6.5, 6.5, 6, 4.5, 5),
    (5, 4, 3.5, 3.25, 3, 3, 3, 3, 3.25, 3.5, 4, 5),
    (5, 7, 7, 6.6, 6.2, 5.8, 5.4, 5, 4.6, 4.2, 5, 5),
    (5, 4, 3.5, 3.5, 4, 5, 5, 4, 3.5, 3.5, 4, 5),
    (5, 4, 3.5, 3.5, 4, 5, 5, 5, 5, 4.7, 4.3, 5),
)
"""The curve of each digit, at 12 points (Apache License 2.0, see above)."""

_SEED: Final = 42
_PER_CLASS: Final = 500
_TRAINING: Final = 4000
_VALIDATION: Final = 800
_STRETCHED, _POINTS = 72, 40
_PAD_LEAST, _PAD_CHOICES, _MOST_ROLLED = 36, 25, 48
_SCALE, _SHEAR, _SMOOTH_NOISE, _NOISE = 0.4, 0.75, 0.25, 0.02
_SMOOTHNESS: Final = 2.0
_SHIFT: Final = 1e-8
"""Added to a template before it is padded, so that only padding is 0."""


@dataclass(frozen=True, slots=True)
class Generated:
    """All samples.

    Attributes:
        x: sequences ``(5000, 40)``, in standard deviations from the mean.
        y: classes ``(5000,)``.
        order: a permutation of time for the shuffled twin.
    """

    x: Array
    y: Array
    order: Array


@cache
def generated() -> Generated:
    """Return the data, drawn with the seed of the publication."""
    from scipy.ndimage import gaussian_filter1d  # here, where it is needed: importing it takes a while

    draws = np.random.RandomState(_SEED)
    templates = np.array(TEMPLATES)
    templates -= templates.mean(1, keepdims=True)
    templates /= templates.std(1, keepdims=True)
    templates = (templates - templates[:, :1]) / 6
    drawn = [_varied(template, draws) for template in templates for _ in range(_PER_CLASS)]
    x, noise, slopes = (np.array(part) for part in zip(*drawn, strict=True))
    x = np.where(x != 0, x, gaussian_filter1d(noise[:, 0], _SMOOTHNESS, axis=1)) + noise[:, 1]
    x = x - slopes[:, None] * np.linspace(-0.5, 0.5, _STRETCHED)
    x = np.array([_read_at(row, _POINTS) for row in x])
    order = draws.permutation(len(x))
    x, y = x[order], np.repeat(np.arange(len(templates)), _PER_CLASS)[order]
    in_time = draws.permutation(_POINTS)
    return Generated((x - x.mean()) / x.std(), y, in_time)


def _varied(template: Array, draws: np.random.RandomState) -> tuple[Array, Array, float]:
    """Return one sample of a template without noise, its two kinds of noise and its slope; draws are in their order."""
    padding = np.zeros(_PAD_LEAST + int(_PAD_CHOICES * draws.rand()))
    x = _read_at(np.concatenate([template + _SHIFT, padding]), _STRETCHED)
    x = x * (1 + _SCALE * (draws.rand() - 0.5))
    rolled = draws.choice(_MOST_ROLLED)
    x = np.concatenate([x[-rolled:], x[:-rolled]]) if rolled else x
    noise = np.stack([_SMOOTH_NOISE * draws.randn(_STRETCHED), _NOISE * draws.randn(_STRETCHED)])
    return x, noise, _SHEAR * (draws.rand() - 0.5)


def _read_at(x: Array, points: int) -> Array:
    read: Array = np.interp(np.linspace(0, 1, points), np.linspace(0, 1, len(x)), x)
    return read


@dataclass(frozen=True, slots=True)
class MNIST1DConfig:
    """Which of the twins is learnt."""

    shuffled: Annotated[bool, Choice((False, True)), PINNED] = False
    """Whether the points of all sequences are permuted alike."""


class MNIST1D(Task):
    """Generated sequences of 40 points, digits as curves (MNIST-1D); classification."""

    name = "mnist1d"
    inputs = "sequences"
    layout = "sequences"
    length = _POINTS
    Config = MNIST1DConfig
    config: MNIST1DConfig
    held_out = "the last 800 of the official 4,000 training sequences, which are generated one by one"
    _scaling: Scaling | None = None

    def files(self, data_dir: Path | None) -> Sequence[Path]:
        return ()

    def search_data(self, data_dir: Path | None, steps: int) -> SearchData:
        first = _TRAINING - _VALIDATION
        return SearchData(self._data(slice(first)), self._data(slice(first, _TRAINING)), len(TEMPLATES))

    def test_data(self, data_dir: Path | None, steps: int) -> Data:
        return self._data(slice(_TRAINING, None))

    def _data(self, part: slice) -> Data:
        data = generated()
        x = data.x[part][:, data.order] if self.config.shuffled else data.x[part]
        return Data(torch.from_numpy(x.astype(np.float32)).unsqueeze(2), torch.from_numpy(data.y[part]))

    def prepare(self, batch: Tensor) -> Tensor:
        """Scale to [0, 1] by the least and the largest value of the training split."""
        return (self._scaling or _scaling()).scaled(batch)

    def constants(self) -> Mapping[str, Sequence[float]]:
        return _scaling().constants()

    def restore(self, constants: Mapping[str, Sequence[float]]) -> None:
        self._scaling = Scaling.of_constants(constants)


@cache
def _scaling() -> Scaling:
    return scaling_of(generated().x[: _TRAINING - _VALIDATION, :, None].astype(np.float32), None)


@hookimpl
def register_tasks(register: Callable[[type[Task]], None]) -> None:
    register(MNIST1D)
