"""Tasks that generate: a network learns to make images like those of another task, labels unseen.

Outputs are logits of pixels. The loss is the mean squared error of reconstructed pixels; quality is the Fréchet
distance between as many random samples as the split has images, and these.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

import torch
import torch.nn.functional as F
from torch import Tensor

from spikefront.plugins.bases.frechet import frechet_distance, load
from spikefront.plugins.contracts.task import Data, Generator, SearchData, Task

_AT_ONCE: Final = 500
_COLUMNS: Final = 8
_GAP: Final = 2
_PICTURE_SEED: Final = 20_235


class ImageGeneration(Task):
    """Generation of images like those of ``source``.

    Attributes:
        source: a classification task whose inputs are images, which ``prepare`` scales to [0, 1].
        features: file of the classifier in whose features distances are taken (``spikefront.plugins.bases.frechet``).
    """

    output = "images"
    quality = "frechet_distance"
    maximize = False
    best_quality = 0.0
    source: ClassVar[type[Task]]
    features: ClassVar[Path]

    def __init__(self, config: Any = None) -> None:
        super().__init__(config)
        self._source = self.source()

    def files(self, data_dir: Path | None) -> Sequence[Path] | None:
        return self._source.files(data_dir)

    def search_data(self, data_dir: Path | None, steps: int) -> SearchData:
        known = self._source.search_data(data_dir, steps)
        shape = self._source.prepare(known.train.inputs[:1]).shape
        return SearchData(_images(known.train), _images(known.validation), math.prod(shape))

    def test_data(self, data_dir: Path | None, steps: int) -> Data:
        return _images(self._source.test_data(data_dir, steps))

    def prepare(self, batch: Tensor) -> Tensor:
        return self._source.prepare(batch)

    def in_units(self, output: Tensor) -> Tensor:
        """Return pixels in [0, 1] of outputs, which are their logits."""
        return output.sigmoid()

    def constants(self) -> Mapping[str, Sequence[float]]:
        return self._source.constants()

    def restore(self, constants: Mapping[str, Sequence[float]]) -> None:
        self._source.restore(constants)

    def loss(self, output: Tensor, targets: Tensor) -> Tensor:
        """Return the mean squared error of pixels in [0, 1]; outputs ``(B, C*H*W)`` are their logits."""
        return F.mse_loss(self.in_units(output), self.prepare(targets).flatten(1))

    def score(self, output: Tensor, targets: Tensor) -> float:
        """Return the Fréchet distance between images, given as logits ``(N, C*H*W)``, and the targets."""
        pixels = self.prepare(targets)
        return frechet_distance(self.in_units(output).view(-1, *pixels.shape[1:]), pixels, load(self.features))

    def measure(self, network: Generator, output: Tensor, targets: Tensor) -> dict[str, float]:
        """Return ``quality`` of as many samples as there are targets, and ``reconstruction_mse`` of the outputs."""
        counts = [len(part) for part in targets.split(_AT_ONCE)]
        samples = torch.cat([network.sample(count).to(targets.device) for count in counts])
        return {"quality": self.score(samples, targets), "reconstruction_mse": float(self.loss(output, targets))}

    def chance_quality(self, data: SearchData) -> float:
        """Return the quality of the mean training image, made for every sample."""
        mean = self._mean(data.train.inputs)
        return self.score(mean.logit(1e-6).expand(len(data.validation), -1), data.validation.targets)

    def _mean(self, inputs: Tensor) -> Tensor:
        sums = [self.prepare(part).double().sum(0) for part in inputs.split(_AT_ONCE)]
        return (torch.stack(sums).sum(0) / len(inputs)).flatten().float()

    @torch.no_grad()
    def picture(self, network: Generator, data: Data) -> Tensor:
        """Return random samples, four rows of eight; below, images and their reconstructions, two rows of each."""
        count = min(2 * _COLUMNS, len(data))
        spaced = torch.arange(count) * len(data) // count  # a split may be sorted by class
        with torch.random.fork_rng():
            torch.manual_seed(_PICTURE_SEED)
            samples = self.in_units(network.sample(4 * _COLUMNS))
            images = self.prepare(data.inputs[spaced].to(samples.device))
            made = self.in_units(network(images))
        made, samples = (pixels.view(-1, *images.shape[1:]) for pixels in (made, samples))
        pairs = zip(images.split(_COLUMNS), made.split(_COLUMNS), strict=True)
        rows = [*samples.split(_COLUMNS), *(row for pair in pairs for row in pair)]
        grid = torch.cat([_row(row) for row in rows], 1)[:, :-_GAP].cpu()
        return grid[0] if len(grid) == 1 else grid


def _images(split: Data) -> Data:
    return Data(split.inputs, split.inputs)


def _row(images: Tensor) -> Tensor:
    """Put images ``(N, C, H, W)`` side by side, with white gaps between them and below: ``(C, H + 2, columns)``."""
    height, width = images.shape[2:]
    full = images.new_ones(_COLUMNS, images.shape[1], height + _GAP, width + _GAP)
    full[: len(images), :, :height, :width] = images
    return torch.cat(list(full), 2)[..., :-_GAP]
