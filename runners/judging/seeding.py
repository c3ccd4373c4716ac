"""Seeding of all random sources with one number."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def seed_everything(seed: int) -> None:
    """Seed Python's, NumPy's and torch's global generators, on all devices."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


@contextmanager
def fixed_randomness(seed: int) -> Iterator[None]:
    """Use a fixed seed inside, and restore the state of torch's generators at the end.

    Evaluation uses it, so that a random code has the same draws in every epoch and training is not affected.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield
