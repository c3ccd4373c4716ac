from __future__ import annotations

import pytest
import torch
from hypothesis import settings

settings.register_profile("unhurried", deadline=None)  # a busy machine is no failure
settings.load_profile("unhurried")


@pytest.fixture(autouse=True)
def seed() -> None:
    """Make random inputs the same in every run."""
    torch.manual_seed(0)
