"""Memory of a process that trains: its peak, and the bytes that tensors hold during a computation."""

from __future__ import annotations

import ctypes
import os
import sys
import threading
import weakref
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from spikefront.plugins.checks.watch import OperationWatch

MB: Final = 2**20
"""Bytes of a megabyte, as the tools of operating systems count them."""

_CLEAR: Final = Path("/proc/self/clear_refs")
_STATUS: Final = Path("/proc/self/status")
_STATM: Final = Path("/proc/self/statm")
_SAMPLED_S: Final = 0.05


class PeakMemory:
    """Peak of the memory that a process has used since this was made, though it may have used more before.

    On Linux the kernel keeps it, and starts anew when it is asked to. Where it may not be asked, as in some
    containers, the memory is sampled 20 times a second. Elsewhere it is the peak of the whole process, which is that of
    its largest trial.

    What the allocator keeps of earlier trials is returned to the kernel first, so that it isn't taken for this one's.

    Args:
        device: device of the training. Of a GPU, the memory of its tensors is measured too.
    """

    def __init__(self, device: torch.device | str = "cpu") -> None:
        return_unused()
        self._device = torch.device(device)
        self._sampler = None if _clear_peak() else _Sampler.of_system()
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)

    def metrics(self) -> dict[str, float]:
        """Return ``peak_memory_mb``, and with a GPU ``peak_gpu_memory_mb``; nothing where neither is known."""
        found = {}
        peak = _peak_of_kernel() if self._sampler is None else self._sampler.peak
        if peak:
            found["peak_memory_mb"] = peak / MB
        if self._device.type == "cuda":
            found["peak_gpu_memory_mb"] = torch.cuda.max_memory_allocated(self._device) / MB
        return found


class _Sampler:
    """Thread that looks at the memory in use, until this object is gone."""

    def __init__(self) -> None:
        self.peak = resident()
        threading.Thread(target=self._watch, args=(weakref.ref(self),), daemon=True, name="memory").start()

    @classmethod
    def of_system(cls) -> _Sampler | None:
        """Return a sampler where there is something to sample."""
        return cls() if resident() else None

    @staticmethod
    def _watch(this: weakref.ref[_Sampler]) -> None:
        wait = threading.Event()
        while (sampler := this()) is not None:
            sampler.peak = max(sampler.peak, resident())
            del sampler
            wait.wait(_SAMPLED_S)


def resident() -> int:
    """Return the bytes of memory that this process uses now; 0 where the system does not say so."""
    try:
        return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


def _clear_peak() -> bool:
    """Reset the kernel's record of the peak, and return whether it can be reset."""
    try:
        _CLEAR.write_text("5")
    except OSError:
        return False
    return True


def _peak_of_kernel() -> int:
    with suppress(OSError):
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    try:
        import resource
    except ImportError:  # not on Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


@cache
def _trim() -> Any:
    """Return glibc's function that returns free memory to the kernel; None with another C library."""
    try:
        return ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError, TypeError):
        return None


def return_unused() -> None:
    """Return memory that the allocator keeps, and nothing uses, to the system."""
    if (trim := _trim()) is not None:
        trim(0)


class LiveBytes(OperationWatch):
    """Context that knows how many bytes the tensors hold which are made inside, now and at most.

    It works on the meta device too, where they hold none: what is found then is what they would. Neurons run in their
    plain torch form, which holds somewhat more than the native one.

    Args:
        ignored: tensors that do not count: those that were there before, of which views are made inside.

    Attributes:
        now: bytes of all tensors that exist now.
        peak: the most that it has been.
    """

    def __init__(self, ignored: Iterable[Tensor] = ()) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._known: dict[int, weakref.ref[Any]] = {}
        self._ignored = [tensor.untyped_storage() for tensor in ignored]
        self._before = {storage._cdata for storage in self._ignored}

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = function(*args, **(kwargs or {}))
        for one in out if isinstance(out, (tuple, list)) else (out,):
            if isinstance(one, Tensor):
                self._add(one)
        return out

    def _add(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key in self._known or key in self._before:
            return
        self._known[key] = weakref.ref(storage, lambda _: self._remove(key, size))
        self.now += size
        self.peak = max(self.peak, self.now)

    def _remove(self, key: int, size: int) -> None:
        self._known.pop(key, None)
        self.now -= size
