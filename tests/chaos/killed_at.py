"""Driver that is killed at an exact point: ``python killed_at.py WHEN MODULE:NAME NTH run ...``.

WHEN is ``before`` or ``after`` the NTH call of a function of that name, or ``within`` for half of a record that is
written to the journal. The product knows nothing of it.
"""

from __future__ import annotations

import functools
import importlib
import itertools
import os
import signal
import sys
from pathlib import Path
from typing import Any


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def half_a_record(backend: Any, logs: list[dict[str, Any]]) -> None:
    from spikefront.runners.engine.memory.records import seal

    line = seal(logs[0], backend.check.lines + 1)
    with Path(backend._path).open("ab") as file:
        file.write(line[: len(line) // 2])


def arm(when: str, place: str, nth: int) -> None:
    module, _, path = place.partition(":")
    *owners, name = path.split(".")
    owner = functools.reduce(getattr, owners, importlib.import_module(module))
    original = getattr(owner, name)
    calls = itertools.count(1)  # unlike += it needs no lock

    @functools.wraps(original)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        now = next(calls) == nth
        if now and when != "after":
            if when == "within":
                half_a_record(*args)
            die()
        result = original(*args, **kwargs)
        if now:
            die()
        return result

    setattr(owner, name, wrapped)


if __name__ == "__main__":
    when, place, nth, *arguments = sys.argv[1:]
    arm(when, place, int(nth))
    sys.argv[1:] = arguments
    sys.argv[0] = "spikefront"
    from spikefront.search import main

    main()
