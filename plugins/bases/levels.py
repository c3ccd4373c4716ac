"""Conversions whose trains carry levels: T equal parts of a scale, to which an activation is rounded.

Two errors depend on what the largest level stands for: activations above it are clipped, and those below are rounded
the more coarsely the larger it is. A percentile is the same at every T; the scale of least error is smaller where
levels are few.

Reference: Bu et al., "Optimal ANN-SNN conversion for high-accuracy and ultra-low-latency spiking neural networks", ICLR
(2022), for the two errors, which they lessen by training. Choosing a quantiser's range by its squared error on
calibration data is common for quantised ANNs; that it is done for spike trains, and how, is **ours**.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar, Final

import torch
from torch import Tensor

from spikefront.plugins.bases.conversion import Conversion, ConversionConfig
from spikefront.searchspace import Choice

_TRIED: Final = 33
_LEAST: Final = 0.2
"""So many scales are tried, evenly spaced from the percentile down to this part of it."""
_SEEN: Final = 2**16
"""At most so many activations are rounded with each scale."""
_GOLDEN: Final = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True, slots=True)
class LevelsConfig(ConversionConfig):
    """Hyperparameters of calibration, where trains carry levels."""

    scale: Annotated[str, Choice(("percentile", "least-error"))] = "percentile"
    """What the largest level stands for: the percentile, or the scale up to it that has the least squared error."""


def levelled(values: Tensor, steps: int, rounding: float) -> Tensor:
    """Return values rounded to S levels of 1 and clamped to [0, 1], with the gradient of the clamped values.

    Args:
        values: of any shape.
        steps: levels S.
        rounding: what is added before rounding down, in levels.
    """
    clamped = values.clamp(0, 1)
    level = (values.detach() * steps + rounding).floor().clamp(0, steps)
    return clamped + (level / steps - clamped).detach()


class LevelConversion(Conversion):
    """A conversion to trains that carry ``clip(floor(T a / scale + rounding), 0, T)`` for an activation a.

    Attributes:
        rounding: what is added to an activation before it is rounded down, in levels.
    """

    Config: ClassVar[type] = LevelsConfig
    config: LevelsConfig
    rounding: float = 0.5

    def calibrate(self, scale: Tensor, activations: Tensor) -> None:
        """Set a site's scale by the percentile, or to what gives its levels the least squared error on its activations.

        Args:
            scale: ``(1, 1)`` or ``(1, C)``; written to.
            activations: what the ANN's site put out, ``(B, C, ...)``.
        """
        super().calibrate(scale, activations)
        if self.config.scale == "percentile":
            return
        rows = activations.transpose(0, 1).flatten(1) if scale.shape[1] > 1 else activations.reshape(1, -1)
        some = _spread(rows)
        largest = scale.view(-1, 1) * self.full_scale()
        best, least = largest, torch.full_like(largest, torch.inf)
        for part in torch.linspace(1.0, _LEAST, _TRIED).tolist():
            tried = largest * part
            error = (some - tried * levelled(some / tried, self.steps, self.rounding)).square().sum(1, keepdim=True)
            best, least = torch.where(error < least, tried, best), torch.minimum(error, least)
        scale.copy_(best.view_as(scale) / self.full_scale())


def _spread(rows: Tensor) -> Tensor:
    """Return some columns spread evenly; multiples of the golden ratio, as a stride could be one of rows of pixels."""
    if rows.shape[1] <= _SEEN:
        return rows
    places = torch.arange(_SEEN, dtype=torch.float64, device=rows.device) * _GOLDEN % 1
    return rows[:, (places * rows.shape[1]).long()]


__all__ = ["LevelConversion", "LevelsConfig", "levelled"]
