"""What conversion codings share: calibration, the sharing out of constants, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from spikefront.plugins import Backbone, MaxPool, Neuron, SiteInfo, Synapse
from spikefront.plugins.bases.conversion import Conversion
from spikefront.plugins.bases.levels import LevelsConfig
from spikefront.plugins.codings.css import CSS, CSSConfig
from spikefront.plugins.codings.phase_conversion import PhaseConversion
from spikefront.plugins.codings.rate_conversion import RateConversion
from spikefront.plugins.neurons.lif import LIF
from spikefront.plugins.neurons.phase import Phase, PhaseConfig
from spikefront.plugins.neurons.tsa import TSA, TSAConfig
from spikefront.plugins.surrogates.atan import ATan
from spikefront.searchspace import UsageError

SITE = SiteInfo(0, stage=0, channels=3, size=(4, 4), last_of_stage=True)


def conversions(steps: int, base: float, period: int) -> list[Conversion]:
    """One of each kind, bound to a neuron."""
    codings: list[tuple[Conversion, Neuron]] = [
        (CSS(steps=steps), TSA(TSAConfig(base=base), surrogate=ATan())),
        (CSS(CSSConfig(input="repeat"), steps=steps), TSA(TSAConfig(base=base), surrogate=ATan())),
        (RateConversion(steps=steps), LIF(surrogate=ATan())),
        (PhaseConversion(steps=steps), Phase(PhaseConfig(period=period), surrogate=ATan())),
    ]
    for coding, neuron in codings:
        coding.bind(neuron)
    return [coding for coding, _ in codings]


@given(st.integers(1, 40), st.floats(1.2, 3.0), st.integers(2, 8), st.floats(-5, 5))
def test_what_is_encoded_is_decoded(steps: int, base: float, period: int, x: float) -> None:
    for coding in conversions(steps, base, period):
        decoded = coding.decode(coding.encode(torch.tensor([[x]], dtype=torch.float64)))
        assert decoded.item() == pytest.approx(x, rel=1e-5, abs=1e-9)


@pytest.mark.parametrize("percentile", [99.0, 99.9, 100.0])
def test_layer_scale_is_the_percentile_of_all_activations(percentile: float) -> None:
    coding = RateConversion(LevelsConfig(percentile, "layer"), steps=8)
    activations = torch.randn(20, 3, 10, 10).relu()
    scale = coding.initial_scale(SITE)
    coding.calibrate(scale, activations)
    assert scale.shape == (1, 1)
    low, high = (np.percentile(activations.numpy(), p) for p in (percentile - 0.02, min(100, percentile + 0.02)))
    assert low <= scale.item() <= high


def test_channel_scale_is_each_channels_percentile() -> None:
    coding = RateConversion(LevelsConfig(100.0, "channel"), steps=8)
    activations = torch.rand(20, 3, 10, 10) * torch.tensor([1.0, 2.0, 5.0]).view(3, 1, 1)
    scale = coding.initial_scale(SITE)
    coding.calibrate(scale, activations)
    torch.testing.assert_close(scale, activations.amax((0, 2, 3)).unsqueeze(0))


def test_channel_that_never_fires_keeps_a_scale_of_one() -> None:
    coding = RateConversion(LevelsConfig(99.0, "channel"), steps=8)
    activations = torch.zeros(20, 3, 10, 10)
    activations[0, 1, 0, 0] = 0.25  # rarer than the percentile
    scale = coding.initial_scale(SITE)
    coding.calibrate(scale, activations)
    torch.testing.assert_close(scale, torch.tensor([[1.0, 0.25, 1.0]]))


def test_full_train_of_digits_stands_for_the_calibrated_activation() -> None:
    for base in (1.5, 2.0, 2.5):
        coding = CSS(CSSConfig(percentile=100.0, granularity="layer"), steps=30)
        coding.bind(TSA(TSAConfig(base=base), surrogate=ATan()))
        scale = coding.initial_scale(SITE)
        coding.calibrate(scale, torch.tensor([0.0, 3.0, 1.0]).view(3, 1))
        full = sum(base**-k for k in range(1, 31)) * scale.item()
        assert full == pytest.approx(3.0, rel=1e-4 if base > 1.5 else 1e-3)


class Pooled(Backbone):
    name = "pooled"

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.layers = nn.Sequential(Synapse(nn.Conv2d(1, 1, 1)), MaxPool(2))


def test_max_pooling_is_refused() -> None:
    with pytest.raises(UsageError, match=r"^coding 'css' can't convert max pooling; let 'pooled' average$"):
        CSS(steps=4).prepare(Pooled())


def test_backbone_that_is_not_an_ann_is_refused() -> None:
    class Strange(Pooled):
        convertible = False

    with pytest.raises(UsageError, match=r"^backbone 'pooled' is not an ANN that coding 'css' can convert$"):
        CSS(steps=4).prepare(Strange())


@pytest.mark.parametrize(("coding", "needs"), [(CSS, "tsa"), (PhaseConversion, "phase")])
def test_another_neuron_is_refused(coding: type[Conversion], needs: str) -> None:
    with pytest.raises(UsageError, match=f"^coding '{coding.name}' needs neuron {needs}, not 'lif'$"):
        coding(steps=4).bind(LIF(surrogate=ATan()))
