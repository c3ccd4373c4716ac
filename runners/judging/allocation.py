"""Memory of a process that trains: what is freed stays with the process.

glibc returns freed activations of 10 to 25 MB to the kernel, which clears them page by page when the next training step
asks for them again. Environment variables can forbid that only before a process starts; this does at any time.
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Final

_TRIM_THRESHOLD: Final = (-1, -1)  # M_TRIM_THRESHOLD: so much free memory that nothing is returned
_TOP_PAD: Final = (-2, 256 << 20)  # M_TOP_PAD: memory that is taken at a time, which costs nothing until it is used
_MMAP_MAX: Final = (-4, 0)  # M_MMAP_MAX: no allocation that is returned when it is freed, however large


@cache
def keep_freed_memory() -> bool:
    """Set the C library to keep freed memory for this process; return whether it does, which only glibc can."""
    try:
        library = ctypes.CDLL(None)
        library.gnu_get_libc_version  # noqa: B018 - musl's mallopt, where there is one, does nothing
        mallopt = library.mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return all([bool(mallopt(*setting)) for setting in (_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX)])
