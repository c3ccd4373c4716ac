"""Which kernels run the membrane recurrence on a GPU: those of Triton, where it is installed and compiles."""

from __future__ import annotations

import logging
import os
from functools import cache
from types import ModuleType
from typing import Final

import torch
from torch import Tensor

from spikefront.plugins.network.native import watched

_log: Final = logging.getLogger(__name__)

_TYPES: Final = (torch.float32, torch.float16, torch.bfloat16)


def gpu_kernels(current: Tensor, leak: float | Tensor = 0.0) -> ModuleType | None:
    """Return the module of the kernels if they compute what the torch form would; None where that must run.

    Args:
        current: X, on a GPU.
        leak: the leak; a tensor if it is learnt.
    """
    learnt = isinstance(leak, Tensor)
    if type(current) not in (Tensor, torch.nn.Parameter) or current.dtype not in _TYPES or not current.numel():
        return None
    if current.layout != torch.strided or current.is_neg() or watched():
        return None
    if learnt and (type(leak) is not Tensor or leak.dtype != torch.float32 or leak.device != current.device):
        return None
    return _kernels(current.device)


@cache
def _kernels(device: torch.device) -> ModuleType | None:
    """Return the module, once its kernels have run on the device; None where they don't."""
    if os.environ.get("SPIKEFRONT_NATIVE") == "0":
        return None
    try:
        from spikefront.plugins.network import triton_recurrence

        triton_recurrence.probe(device)
    except Exception as error:  # no Triton, no compiler for its launchers, a GPU that is too old: speed is lost
        _log.warning("neurons run without kernels for this GPU: %s", " ".join(str(error).split())[-300:])
        return None
    return triton_recurrence
