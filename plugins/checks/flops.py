"""torch's formulas of floating-point operations, by operation, without Triton.

torch's counter imports Triton where it is installed, only to tell kernels written in it from operations. No network is
made of such, and a process without a GPU has no other use for it: 70 modules, 70 MB of memory and 0.2 s.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import torch

_COUNTER: Final = "torch.utils.flop_counter"
_TRITON: Final = "triton"


@contextmanager
def without_triton() -> Iterator[None]:
    """Context in which Triton can't be imported, unless it has been, or there is a GPU, whose kernels it compiles."""
    if _TRITON in sys.modules or torch.cuda.is_available():
        yield
        return
    log = logging.getLogger(_COUNTER)
    disabled, log.disabled = log.disabled, True  # it warns of what does not matter here
    sys.modules[_TRITON] = None  # type: ignore[assignment]  # so an import fails
    try:
        yield
    finally:
        del sys.modules[_TRITON]
        log.disabled = disabled


with without_triton():
    from torch.utils.flop_counter import flop_registry

__all__ = ["flop_registry"]
