"""DVS128 Gesture: 11 gestures of hands and arms by 29 people under 3 lights, seen by an event camera of 128x128 pixels.

The official split is by person: 1 to 23 train, 24 to 29 test. One in six training recordings of each class validates.
Needs the extra ``events``. tonic's archives hold the recordings cut by gesture, times rounded to milliseconds; they lie
in ``--data-dir`` as ``DVSGesture/ibmGestureTrain/user01_led/0.npy``, or are downloaded. Frames by count are those that
TCJA trains on. **Not run on the real data**: it can't be had where this was written; the tests write such files.

Source: Amir et al., "A low power, fully event-based gesture recognition system", CVPR (2017).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from spikefront.plugins import Task, hookimpl
from spikefront.plugins.data.tonic_files import TonicTask


class DVS128Gesture(TonicTask):
    """Gestures seen by an event camera, 128x128 pixels (needs the extra events); classification."""

    name = "dvs128-gesture"
    dataset = "DVSGesture"
    size = (128, 128)

    def options(self, part: str) -> dict[str, Any]:
        return {"train": part == "Train"}


@hookimpl
def register_tasks(register: Callable[[type[Task]], None]) -> None:
    register(DVS128Gesture)
