"""DVS128 Gesture: 11 gestures of hands and arms by 29 people under 3 lights, seen by an event camera of 128x128 pixels.

The official split is by person: 1 to 23 train, 24 to 29 test. Of the former, 20 to 23 validate: each person was
recorded under several lights, so that a random split would validate on persons that train, and its quality would say
little about others. Of an excerpt, the last sixth of its persons validates, at least one.
Needs the extra ``events``. tonic's archives hold the recordings cut by gesture, times rounded to milliseconds; they lie
in ``--data-dir`` as ``DVSGesture/ibmGestureTrain/user01_led/0.npy``, or are downloaded. Frames by count are those that
TCJA trains on. **Not run on the real data**: it can't be had where this was written; the tests write such files.

Source: Amir et al., "A low power, fully event-based gesture recognition system", CVPR (2017).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import PurePath
from typing import Any, Final

from spikefront.plugins import Task, hookimpl
from spikefront.plugins.data.tonic_files import TonicTask
from spikefront.searchspace import UsageError

_PERSON: Final = re.compile(r"(user[0-9]{2})_.+")


class DVS128Gesture(TonicTask):
    """Gestures seen by an event camera, 128x128 pixels (needs the extra events); classification."""

    name = "dvs128-gesture"
    dataset = "DVSGesture"
    size = (128, 128)
    revision = 1
    held_out = "persons 20 to 23 of the 23 that train: a random split would validate on persons that train, too"

    def group(self, name: str) -> str:
        """Return the person: ``user01`` of ``user01_led/0.npy``."""
        found = _PERSON.fullmatch(PurePath(name).parent.name)
        if found is None:
            raise UsageError(f"{name}: its folder must be userNN_LIGHT, as published: validation holds out persons")
        return found[1]

    def options(self, part: str) -> dict[str, Any]:
        return {"train": part == "Train"}


@hookimpl
def register_tasks(register: Callable[[type[Task]], None]) -> None:
    register(DVS128Gesture)
