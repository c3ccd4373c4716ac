"""BasicMotions: walking, resting, running and badminton, by a watch: 100 points of 3 accelerations and 3 turning rates.

Official: 40 series train, 10 of each class, and 40 test; here one in three of a class validates, 12 in all, so that an
accuracy goes in steps of 8 points. Four students wore the watch; the files do not say who, so that one may be in all
splits.

The files ``BasicMotions_TRAIN.ts`` and ``BasicMotions_TEST.ts`` are looked for in ``--data-dir`` and its folder
``BasicMotions``. **Not run on the real data**: they can't be had where this was written; the tests write such files.

Source: UCR/UEA archive, see ``plugins.data.series_files``.
"""

from __future__ import annotations

from collections.abc import Callable

from spikefront.plugins import Task, hookimpl
from spikefront.plugins.data.series_files import SeriesTask


class BasicMotions(SeriesTask):
    """Motions of people who wear a watch, 100 points of 6 measurements (UCR/UEA archive); classification."""

    name = "basic-motions"
    problem = "BasicMotions"
    length = 100


@hookimpl
def register_tasks(register: Callable[[type[Task]], None]) -> None:
    register(BasicMotions)
