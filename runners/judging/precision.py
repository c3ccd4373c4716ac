"""Precision of training: float32 throughout, or convolutions and linear layers in bfloat16."""

from __future__ import annotations

import platform
from contextlib import AbstractContextManager, nullcontext

import torch

from spikefront.plugins.network.layers import in_bf16
from spikefront.searchspace import Schedule, UsageError


def refuse_slow(schedule: Schedule) -> None:
    """Raise ``UsageError`` for training in bf16 on a processor that is slower at it than at fp32."""
    if schedule.precision == "bf16" and not has_bf16():
        raise UsageError(
            "training.precision=bf16: this processor has no bf16 arithmetic (AVX512-BF16, AMX or Arm's BF16), so that "
            "it would be slower than fp32; take training.precision=fp32"
        )


def has_bf16() -> bool:
    """Return whether this process trains on a device with bf16 arithmetic, not one that emulates it."""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if platform.machine().lower() in ("arm64", "aarch64"):
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def precision_of(schedule: Schedule) -> AbstractContextManager[None]:
    """Return the context in which a training step's forward pass runs."""
    return in_bf16() if schedule.precision == "bf16" else nullcontext()
