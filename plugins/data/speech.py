"""Speech as bands of the mel scale over time: WAV files, frames of 30 ms every 10 ms, triangular filters, decibels.

Frame i is centred at ``160 i`` samples, its window is Hann's over 480, and the ends are mirrored, so that a second has
101 frames. Powers of its spectrum are summed by triangles whose corners are evenly spaced on the mel scale
``2595 log10(1 + f / 700)`` from 0 to 8 kHz, each with its peak at 1, and given in decibels below those of the largest
sine, down to -80.

Reference: Stevens, Volkmann & Newman (1937) for the scale, in the form of O'Shaughnessy (1987). Number of bands, window
and hop are those of the benchmark of "Segregated temporal probe", arXiv:2502.09449; decibels of a fixed range, so that
no constant comes from the data, are **ours**.
"""

from __future__ import annotations

import wave
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from spikefront.searchspace import UsageError

Array = NDArray[Any]

RATE: Final = 16_000
"""Samples in a second, and of a recording."""

WINDOW, HOP, BANDS = 480, 160, 40

FRAMES: Final = RATE // HOP + 1

FLOOR_DB: Final = -80.0
"""Decibels at which a band is silent."""

_LARGEST_SAMPLE: Final = 32_768.0
_BYTES: Final = 2


def read_wav(path: Path) -> Array:
    """Read a recording: the first second of it, in [-1, 1), with zeros behind a shorter one, ``(16000,)``.

    Raises:
        UsageError: for a file that is no WAV of one channel, 16 bits and 16 kHz, or is cut short.
    """
    try:
        with wave.open(str(path), "rb") as file:
            form = (file.getnchannels(), 8 * file.getsampwidth(), file.getframerate())
            claimed = min(file.getnframes(), RATE)
            content = file.readframes(claimed)
    except Exception as error:  # a damaged head makes wave raise anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UsageError(f"{path}: no readable WAV file ({reason})") from error
    if form != (1, 8 * _BYTES, RATE):
        raise UsageError(f"{path}: channels, bits and rate are {form}; they must be (1, 16, {RATE})")
    if not claimed or len(content) != claimed * _BYTES:
        raise UsageError(f"{path}: it claims more samples than it has, or none; fetch it again")
    samples = np.zeros(RATE)
    samples[:claimed] = np.frombuffer(content, "<i2") / _LARGEST_SAMPLE
    return samples


@cache
def filters() -> Array:
    """Return the weight of each frequency in each band, ``(40, 241)``, from 0 to 1.

    Frequency k is ``k 16000 / 480`` Hz; the narrowest band, the lowest, has two of them.
    """
    top = _mel(np.array(RATE / 2))
    corners = _hertz(np.linspace(0, top, BANDS + 2))
    frequencies = np.fft.rfftfreq(WINDOW, 1 / RATE)
    low, peak, high = corners[:-2, None], corners[1:-1, None], corners[2:, None]
    weights: Array = np.minimum((frequencies - low) / (peak - low), (high - frequencies) / (high - peak)).clip(min=0)
    return weights


def _mel(hertz: Array) -> Array:
    mel: Array = 2595 * np.log10(1 + hertz / 700)
    return mel


def _hertz(mel: Array) -> Array:
    hertz: Array = 700 * (10 ** (mel / 2595) - 1)
    return hertz


def bands(samples: Array) -> Array:
    """Return the bands of a recording over time.

    Args:
        samples: in [-1, 1], ``(16000,)``.

    Returns:
        ``(101, 40)`` in [0, 1]: 0 at -80 dB and below, 1 at the power of a sine of amplitude 1.
    """
    window = np.hanning(WINDOW + 1)[:-1]
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(samples, WINDOW // 2, "reflect"), WINDOW)[::HOP]
    powers = np.abs(np.fft.rfft(frames * window, axis=1)) ** 2 / (window.sum() / 2) ** 2
    decibels = 10 * np.log10(np.maximum(powers @ filters().T, 10 ** (FLOOR_DB / 10)))
    scaled: Array = (1 - decibels / FLOOR_DB).clip(0, 1)
    return scaled
