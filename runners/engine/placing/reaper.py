"""Process that ends what is left of a local Ray when its driver is gone, and removes Ray's folder.

Ray's agents outlive a killed driver by a minute. Run by its path, with Python's own library alone, since it has to live
while the search does: ``python -I -S reaper.py FOLDER``. It waits until its standard input ends.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from contextlib import suppress

MARK = "SPIKEFRONT_RAY_FOLDER"
"""Environment variable of Ray's processes with the folder of their session."""
ENDED = b"ended"
"""What a driver says that has shut Ray down itself; without, Ray's processes get time to end by themselves."""

_GRACE_S = 2.0
_KILL_S = 5.0


def processes_of(folder: str) -> list[int]:
    """Return the processes of this user that were started for a folder and have a file open in it; Linux only.

    Both are asked for: a search's other children have the variable, and who reads Ray's logs has a file open. A process
    that shows another title may have overwritten its variables with it.
    """
    mark, inside = f"{MARK}={folder}".encode(), os.path.join(folder, "")
    return [int(name) for name in _names("/proc") if name.isdigit() and _has_both(f"/proc/{name}", mark, inside)]


def _names(folder: str) -> list[str]:
    with suppress(OSError):
        return os.listdir(folder)
    return []


def _has_both(process: str, mark: bytes, inside: str) -> bool:
    with suppress(OSError):  # another user's, or it has ended
        with open(f"{process}/environ", "rb") as file:
            variables = file.read().split(b"\0")
        if mark not in variables and b"=" in variables[0]:
            return False
        for name in _names(f"{process}/fd"):
            with suppress(OSError):  # closed meanwhile
                if os.readlink(f"{process}/fd/{name}").startswith(inside):
                    return True
    return False


def end_all(folder: str, grace_s: float) -> None:
    """Wait for the processes of a folder, and after that time kill them."""
    started = time.monotonic()
    while (left := processes_of(folder)) and time.monotonic() < started + grace_s + _KILL_S:
        if time.monotonic() >= started + grace_s:
            for process in left:
                with suppress(OSError):
                    os.kill(process, signal.SIGKILL)
        time.sleep(0.05)


def main(folder: str) -> None:
    """Wait for the driver's end, end the processes of its folder, and remove that."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # they are meant for the driver, and this ends with it
    said = sys.stdin.buffer.read()
    end_all(folder, 0.0 if said == ENDED else _GRACE_S)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1])
