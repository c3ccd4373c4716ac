"""Seeds: one number reaches every random source."""

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
    """Draw from a fixed seed inside, and go on outside as if nothing had been drawn.

    Evaluation uses it, so that a random code is judged on the same draws in every epoch and training is not disturbed.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield
