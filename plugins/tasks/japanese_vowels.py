"""JapaneseVowels: two vowels spoken by nine men, 7 to 29 points of 12 coefficients each; who speaks is the class.

Official: 270 series train, 30 of each man, and 370 test; here one in three of the former validates. Behind
its end a series is 0, up to 29 points. On 90 series an accuracy of 0.95 has a standard error of 2.3 points.

The files ``JapaneseVowels_TRAIN.ts`` and ``JapaneseVowels_TEST.ts`` are looked for in ``--data-dir`` and its folder
``JapaneseVowels``. **Not run on the real data**: they can't be had where this was written; the tests write such files.

Source: Kudo, Toyama & Shimbo, "Multidimensional curve classification using passing-through regions", Pattern
Recognition Letters 20 (1999); UCR/UEA archive.
"""

from __future__ import annotations

from collections.abc import Callable

from spikefront.plugins import Task, hookimpl
from spikefront.plugins.data.series_files import SeriesTask


class JapaneseVowels(SeriesTask):
    """Speakers of two vowels, 29 points of 12 coefficients (UCR/UEA archive); classification."""

    name = "japanese-vowels"
    problem = "JapaneseVowels"
    length = 29


@hookimpl
def register_tasks(register: Callable[[type[Task]], None]) -> None:
    register(JapaneseVowels)
