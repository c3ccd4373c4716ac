"""Seeding of all random sources with one number."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor


def seed_everything(seed: int) -> None:
    """Seed Python's, NumPy's and torch's global generators, on all devices."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def reseed(seed: int) -> None:
    """Seed the generators that are in use already: what ``seed_everything`` does, 50 times as fast without a GPU."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    _seed_torch(seed)


@contextmanager
def fixed_randomness(seed: int) -> Iterator[None]:
    """Use a fixed seed inside, and restore the state of torch's generators at the end.

    Evaluation uses it, so that a random code has the same draws in every epoch and training is not affected.
    """
    before, on_devices = torch.get_rng_state(), _device_states()
    _seed_torch(seed)
    try:
        yield
    finally:
        torch.set_rng_state(before)
        _set_device_states(on_devices)


def _seed_torch(seed: int) -> None:
    """Seed torch's generators that are in use; ``torch.manual_seed`` notes a stack for each device that is not."""
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(seed)


def _device_states() -> list[Tensor]:
    return torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []


def _set_device_states(states: Sequence[Tensor]) -> None:
    for device, generator in enumerate(states[: torch.cuda.device_count()]):  # there may be fewer GPUs now
        torch.cuda.set_rng_state(generator, device)


@contextmanager
def kept_randomness() -> Iterator[None]:
    """Restore the states of all generators at the end."""
    before = random_state()
    try:
        yield
    finally:
        set_random_state(before)


def random_state() -> dict[str, Any]:
    """Return the states of all generators that ``seed_everything`` seeds, as plain values and tensors."""
    numpy_state: Any = np.random.get_state(legacy=False)
    key = torch.from_numpy(numpy_state["state"]["key"].astype(np.int64))
    return {
        "python": random.getstate(),
        "numpy": {**numpy_state, "state": {**numpy_state["state"], "key": key}},
        "torch": torch.get_rng_state(),
        "cuda": _device_states(),
    }


def set_random_state(state: Mapping[str, Any]) -> None:
    """Set all generators to the result of ``random_state``."""
    random.setstate(state["python"])
    key = state["numpy"]["state"]["key"].numpy().astype(np.uint32)
    np.random.set_state({**state["numpy"], "state": {**state["numpy"]["state"], "key": key}})
    torch.set_rng_state(state["torch"])
    _set_device_states(state["cuda"])
