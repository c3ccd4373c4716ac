from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest

from spikefront.plugins.data.speech import BANDS, Array, bands, filters, read_wav
from spikefront.searchspace import UsageError


def write_wav(path: Path, samples: Array, *, channels: int = 1, rate: int = 16_000) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.rint(samples * 32_767).astype("<i2").tobytes())
    return path


def sine(hertz: float, amplitude: float = 1.0) -> Array:
    samples: Array = amplitude * np.sin(2 * np.pi * hertz * np.arange(16_000) / 16_000)
    return samples


def test_a_short_recording_is_followed_by_silence(tmp_path: Path) -> None:
    samples = read_wav(write_wav(tmp_path / "a.wav", np.full(4000, 0.5)))
    assert samples.shape == (16_000,)
    assert samples[3999] == np.rint(0.5 * 32_767) / 32_768
    assert not samples[4000:].any()


@pytest.mark.parametrize(("channels", "rate"), [(2, 16_000), (1, 8000)])
def test_recordings_of_another_form_are_refused(tmp_path: Path, channels: int, rate: int) -> None:
    path = write_wav(tmp_path / "a.wav", np.zeros(100), channels=channels, rate=rate)
    with pytest.raises(UsageError, match=rf"a.wav: channels, bits and rate are \({channels}, 16, {rate}\)"):
        read_wav(path)


def test_damaged_recordings_are_refused(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", np.zeros(100))
    for content, problem in (
        (path.read_bytes()[:-40], "claims more samples than it has"),
        (b"RIFF", "no readable WAV"),
    ):
        path.write_bytes(content)
        with pytest.raises(UsageError, match=problem):
            read_wav(path)


def test_filters_are_triangles_on_the_mel_scale_that_add_up_to_one() -> None:
    weights, frequencies = filters(), np.arange(241) * 100 / 3
    assert weights.shape == (40, 241)
    assert (weights > 0).sum(1).min() == 2
    corners = 700 * (np.exp(np.arange(42) * np.log(1 + 8000 / 700) / 41) - 1)  # the scale is a logarithm
    for number, band in enumerate(weights):
        inside = (frequencies > corners[number]) & (frequencies < corners[number + 2])
        assert np.array_equal(band > 1e-9, inside)
    between = (frequencies >= corners[1]) & (frequencies <= corners[40])
    np.testing.assert_allclose(weights[:, between].sum(0), 1)


def test_bands_of_a_sine_are_its_power_in_the_triangles() -> None:
    """Hann's window leaves a sine at frequency 60 with amplitudes 1/2, 1 and 1/2 at 59, 60 and 61."""
    found = bands(sine(2000, 0.1))
    assert found.shape == (101, BANDS)
    power = 0.01 * (filters()[:, 60] + (filters()[:, 59] + filters()[:, 61]) / 4)
    decibels = 10 * np.log10(np.maximum(power, 1e-8))
    np.testing.assert_allclose(found[2:99], np.tile(1 + decibels / 80, (97, 1)), atol=1e-4)


def test_silence_is_0_and_the_scale_is_in_decibels() -> None:
    assert not bands(np.zeros(16_000)).any()
    loud, soft = bands(sine(1000, 0.1))[50], bands(sine(1000, 0.01))[50]
    audible = soft > 0
    np.testing.assert_allclose((loud - soft)[audible], 20 / 80, atol=1e-6)
    click = np.zeros(16_000)
    click[8000] = 1  # the centre of frame 50, whose window reaches 240 samples to both sides
    assert np.flatnonzero(bands(click).any(1)).tolist() == [49, 50, 51]
