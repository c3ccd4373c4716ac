"""Counting bounds its memory: many samples or steps are counted in parts, which changes no number."""

from __future__ import annotations

import torch

from spikefront.plugins import Counts, Registry, load_registry
from spikefront.runners.judging.counting import count_operations
from spikefront.runners.judging.network import assemble
from spikefront.runners.judging.passes import affordable
from spikefront.searchspace import from_flat


def count(registry: Registry, steps: int, samples: int) -> tuple[Counts, list[Counts]]:
    """Count a batch at once and sample by sample."""
    flat = {
        "task": "digits",
        "coding": "rate",
        "coding.rate.spikes": "deterministic",
        "backbone": "mlp",
        "steps": steps,
    }
    torch.manual_seed(0)
    network = assemble(from_flat(flat, registry), registry, (1, 8, 8), 10)
    batch = torch.rand(samples, 1, 8, 8)
    return count_operations(network, batch), [count_operations(network, one.unsqueeze(0)) for one in batch]


def test_parts_add_up_to_the_whole() -> None:
    steps = 1024
    assert affordable(steps) < 7  # several parts, and a last one that is smaller
    whole, single = count(load_registry(third_parties=False), steps, samples=7)
    assert (whole.samples, whole.steps) == (7, steps)
    assert whole.layers == sum(single[1:], start=single[0]).layers
    assert whole.sops > 0


def test_memory_is_bounded_by_samples_times_steps() -> None:
    assert affordable(1) == 16 * affordable(16)
    assert affordable(10**9) == 1
