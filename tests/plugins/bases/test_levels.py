"""Conversions to levels: the scale of least error is no worse than any other, and differs with the number of levels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from spikefront.plugins import SiteInfo
from spikefront.plugins.bases.levels import LevelConversion, LevelsConfig
from spikefront.plugins.codings.rate_conversion import RateConversion
from spikefront.plugins.codings.ttfs_conversion import TTFSConversion, TTFSConversionConfig
from spikefront.plugins.neurons.ttfs import TTFS, TTFSConfig
from spikefront.plugins.surrogates.atan import ATan

SITE = SiteInfo(0, stage=0, channels=3, size=(8, 8), last_of_stage=True)


def coding(kind: type[LevelConversion], steps: int, **config: object) -> LevelConversion:
    given = {"percentile": 100.0, "scale": "least-error", **config}
    made = TTFSConversionConfig if kind is TTFSConversion else LevelsConfig
    return kind(made(**given), steps=steps)  # type: ignore[arg-type]


def largest_levels(one: LevelConversion, activations: Tensor) -> npt.NDArray[np.float64]:
    """Return what the largest level of each channel, or of the layer, stands for."""
    scale = one.initial_scale(SITE)
    one.calibrate(scale, activations)
    return scale[0].double().numpy() * one.full_scale()


def error(activations: npt.NDArray[np.float64], largest: float, steps: int, rounding: float) -> float:
    """Return the squared error of the nearest of T equally spaced levels, found by a search; or of the one below."""
    levels = np.arange(steps + 1) * largest / steps
    place = np.searchsorted(levels - (rounding * largest / steps), activations, side="right") - 1
    return float(((activations - levels[place.clip(0, steps)]) ** 2).sum())


def heavy_tailed(samples: int = 200) -> Tensor:
    draws = torch.randn(samples, 3, 8, 8, generator=torch.Generator().manual_seed(0)).relu()
    return draws**2 * torch.tensor([0.1, 1.0, 7.0]).view(3, 1, 1)


@pytest.mark.parametrize("kind", [RateConversion, TTFSConversion])
@pytest.mark.parametrize("steps", [4, 16])
@pytest.mark.parametrize("granularity", ["layer", "channel"])
def test_no_other_scale_has_a_smaller_error(kind: type[LevelConversion], steps: int, granularity: str) -> None:
    activations = heavy_tailed()
    found = largest_levels(coding(kind, steps, granularity=granularity), activations)
    rows = activations.double().transpose(0, 1).flatten(1).numpy()
    rows = rows if granularity == "channel" else rows.reshape(1, -1)
    assert found.shape == (len(rows),)
    for row, largest in zip(rows, found, strict=True):
        least = min(error(row, row.max() * part, steps, 0.5) for part in np.linspace(0.2, 1.0, 300))
        assert error(row, largest, steps, 0.5) <= 1.05 * least
        assert error(row, largest, steps, 0.5) < 0.8 * error(row, row.max(), steps, 0.5)


def test_of_many_activations_some_from_all_places_are_rounded() -> None:
    """Each row of pixels is as long as a stride through all of them would be."""
    activations = torch.rand(1280, 3, 8, 8) * torch.linspace(0.1, 3.0, 8)
    assert activations[:, 0].numel() > 2**16
    found = largest_levels(coding(RateConversion, 8), activations)[0]
    row = activations[:, 0].double().flatten().numpy()
    least = min(error(row, row.max() * part, 8, 0.5) for part in np.linspace(0.2, 1.0, 100))
    assert error(row, found, 8, 0.5) <= 1.05 * least


def test_few_levels_clip_more() -> None:
    few, many = (largest_levels(coding(RateConversion, steps), heavy_tailed()) for steps in (4, 64))
    assert (few < 0.8 * many).all()


def test_levels_that_are_rounded_down_get_a_scale_of_their_own() -> None:
    one = coding(TTFSConversion, 4, granularity="layer")
    one.bind(TTFS(TTFSConfig(rounding=0.0), surrogate=ATan()))
    (found,) = largest_levels(one, heavy_tailed())
    row = heavy_tailed().double().flatten().numpy()
    least = min(error(row, row.max() * part, 4, 0.0) for part in np.linspace(0.2, 1.0, 300))
    assert error(row, found, 4, 0.0) <= 1.05 * least


def test_percentile_is_the_largest_scale() -> None:
    """Of activations that all are levels of their largest one, no smaller scale is as good."""
    activations = torch.arange(9.0).repeat(40).view(-1, 1, 1, 1).expand(-1, 3, 8, 8) / 8
    for percentile in (99.0, 100.0):
        assert largest_levels(coding(RateConversion, 8, percentile=percentile), activations).tolist() == [1.0] * 3


def test_channel_that_never_fires_keeps_a_scale_of_one() -> None:
    activations = heavy_tailed()
    activations[:, 1] = 0
    for kind in (RateConversion, TTFSConversion):
        one = coding(kind, 8)
        scale = one.initial_scale(SITE)
        one.calibrate(scale, activations)
        assert scale[0, 1] == 1 / one.full_scale()
        assert scale[0, 0] < scale[0, 2]


def test_percentiles_are_as_without_levels() -> None:
    activations = heavy_tailed()
    found = largest_levels(coding(RateConversion, 8, scale="percentile", percentile=99.0), activations)
    rows = activations.transpose(0, 1).flatten(1).numpy()
    assert found == pytest.approx(np.percentile(rows, 99.0, axis=1, method="inverted_cdf"), rel=1e-6)
