"""The scaling of arrays: the constants that turn raw inputs into [0, 1], and values into standard deviations.

The constants are float64, and so is the arithmetic wherever float32 would lose what tells samples apart: at 1.7e9, a
time in seconds, float32 has steps of 128. What float32 holds well enough stays float32, for its memory and speed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spikefront.searchspace import UsageError

Array = NDArray[Any]

_INPUT_RATIO: Final = 4.0
"""Largest input, in ranges, up to which float32 rounds by no more than 2^-22 of the range."""

_VALUE_RATIO: Final = 16.0
"""Largest mean, in standard deviations, up to which float32 rounds by no more than 2^-20 of them."""

_LARGE: Final = 2.0**60
"""The square of what is larger, or smaller than its inverse, is near the end of float32."""

_FEW_STEPS: Final = 256
"""A range of fewer steps of its dtype is said."""

_NOTABLE_STEP: Final = 1e-3
"""Steps of a dtype above which a constant may be one by rounding."""

_SHOWN: Final = 3
_DOUBLE: Final = 8


@dataclass(frozen=True, slots=True)
class Scaling:
    """Constants of a task on arrays, from its training samples, in float64.

    Attributes:
        low: least input, ``(F,)`` or, of images, ``()``.
        high: largest input, likewise.
        mean: mean target, ``(K,)``; empty for classes.
        sd: standard deviation of the targets, likewise, above 0.
        wide_values: whether values need float64.
    """

    low: Tensor
    high: Tensor
    mean: Tensor
    sd: Tensor
    wide_values: bool = field(init=False)

    def __post_init__(self) -> None:
        size, sd = self.mean.abs(), self.sd
        wide = (size > _VALUE_RATIO * sd) | (size + sd > _LARGE) | (sd < 1 / _LARGE)
        object.__setattr__(self, "wide_values", bool(wide.any()))  # here, as no graph can be traced of the question

    def input_dtype(self, given: np.dtype[Any]) -> np.dtype[Any]:
        """Return the dtype in which inputs of a dtype are held: bytes as they are, else float32 or float64."""
        if given == np.uint8:
            return given
        size, spread = torch.maximum(self.low.abs(), self.high.abs()), self.high - self.low
        extreme = (spread > 0) & ((spread > _LARGE) | (spread < 1 / _LARGE))
        fine = np.result_type(given, np.float32) != np.float32  # else float32 has all of its digits
        offset = (spread > 0) & (size > _INPUT_RATIO * spread)
        return np.dtype(np.float64 if bool((extreme | (offset & fine)).any()) else np.float32)

    def scaled(self, batch: Tensor) -> Tensor:
        """Return raw inputs ``(N, ...)`` in [0, 1], as float32; an input that never changes in training is 0.

        The arithmetic is that of their dtype, float32 or float64.
        """
        batch = batch if batch.dtype in (torch.float32, torch.float64) else batch.double()
        low, high = self.low.to(batch), self.high.to(batch)
        shares = ((batch - low) / torch.where(high > low, high - low, 1)).clamp(0, 1)
        return torch.where(high > low, shares, 0.0).float()

    def standardised(self, values: Tensor) -> Tensor:
        """Return values ``(N, K)`` in standard deviations from the mean, as float32."""
        values = values.double() if self.wide_values else values.float()
        return ((values - self.mean.to(values)) / self.sd.to(values)).float()

    def in_units(self, output: Tensor) -> Tensor:
        """Return outputs ``(N, K)`` in the unit of the values, as float64 where float32 would lose their digits."""
        output = output.double() if self.wide_values else output
        return output * self.sd.to(output) + self.mean.to(output)

    def constants(self) -> dict[str, list[float]]:
        """Return the constants as lists; those of images have one number."""
        names = ("low", "high", "mean", "sd")
        return {name: getattr(self, name).reshape(-1).tolist() for name in names}

    @classmethod
    def of_constants(cls, constants: Mapping[str, Sequence[float]]) -> Scaling:
        """Return the scaling that ``constants`` describes.

        Args:
            constants: the result of ``constants``; a single number serves all features.

        Raises:
            UsageError: for constants that no training samples have.
        """
        if constants.keys() != {"low", "high", "mean", "sd"}:
            raise UsageError(f"constants of arrays are low, high, mean and sd, not {', '.join(constants) or 'none'}")
        low, high, mean, sd = (
            torch.tensor(constants[name], dtype=torch.float64) for name in ("low", "high", "mean", "sd")
        )
        if low.shape != high.shape or mean.shape != sd.shape or not len(low):
            raise UsageError("constants of arrays are of lengths that don't fit")
        if not all(bool(each.isfinite().all()) for each in (low, high, mean, sd)) or bool((low > high).any()):
            raise UsageError("constants of arrays hold a range that no samples have")
        if bool((sd <= 0).any()):
            raise UsageError("constants of arrays hold a standard deviation of 0 or less")
        return cls(low.squeeze(), high.squeeze(), mean, sd)


def scaling_of(inputs: Array, values: Array | None) -> Scaling:
    """Return the scaling of training samples.

    Args:
        inputs: features ``(N, F)`` or sequences ``(N, L, F)``, scaled feature by feature, or images ``(N, C, H, W)``,
            scaled as a whole.
        values: targets ``(N, K)``; None for classes.
    """
    axis = None if inputs.ndim == 4 else tuple(range(inputs.ndim - 1))
    known = np.zeros((1, 1)) if inputs.dtype == np.uint8 else inputs  # bytes need no range
    mean, sd = np.empty(0), np.empty(0)
    if values is not None:
        least = values.min(0).astype(np.float64)  # a sum of values far from 0 would lose digits
        above = values.astype(np.float64) - least
        mean, sd = least + above.mean(0), above.std(0)
        sd = np.where((above.max(0) > 0) & (sd > 0), sd, 1.0)
    numbers = (known.min(axis), known.max(axis), mean, sd)
    return Scaling(*(torch.tensor(np.asarray(number, np.float64)) for number in numbers))


def untelling(scaling: Scaling, given: np.dtype[Any], name_of: Callable[[int], str]) -> list[str]:
    """Return sentences about inputs that are the same in all training samples, or nearly so in their dtype.

    Args:
        scaling: the scaling of the inputs.
        given: their dtype, as they were read.
        name_of: returns what a feature is called, given its number.
    """
    low, high = (np.atleast_1d(each.numpy()) for each in (scaling.low, scaling.high))
    size, spread, steps = np.maximum(abs(low), abs(high)), high - low, np.zeros_like(low)
    if given.kind == "f":
        steps = np.spacing(size.astype(given)).astype(np.float64)
    coarse = (spread < _FEW_STEPS * steps) & ((spread > 0) | (steps > _NOTABLE_STEP))

    def called(number: int) -> str:
        return name_of(number) if scaling.low.dim() else "each input"

    found = []
    if len(constant := np.flatnonzero((spread == 0) & ~coarse)) and given != np.uint8:
        names, more = ", ".join(map(called, constant[:_SHOWN].tolist())), len(constant) - _SHOWN
        others = f" and {more} more" if more > 0 else ""
        found.append(f"the same in all training samples, and so 0: {names}{others}")
    for number in np.flatnonzero(coarse)[:_SHOWN].tolist():
        found.append(
            f"{called(number)} spans {spread[number]:.3g} at {size[number]:.6g}, where {given} has steps of "
            f"{steps[number]:.3g}{'; give float64' if given.itemsize < _DOUBLE else '; subtract an offset'}"
        )
    return found
