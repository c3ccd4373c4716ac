"""What the check of a candidate costs before its training, beside a short trial: 5 epochs on the digits; 1 minute.

Run: python benchmarks/soundness.py
"""

from __future__ import annotations

import statistics
import time
from typing import Final

import torch

from spikefront.plugins import Registry, SearchData, load_registry
from spikefront.plugins.energy.horowitz_45nm import Horowitz45nm
from spikefront.runners.judging.judge import Judging
from spikefront.runners.judging.soundness import refuse_unsound
from spikefront.searchspace import Candidate, from_flat

CASES: Final = (("rate", "mlp", 4), ("direct", "convnet", 4), ("gac", "vgg", 4), ("sac", "ms-resnet", 4))
REPEATS: Final = 9
EPOCHS: Final = 5
BOUND: Final = 0.02


def seconds_of_check(candidate: Candidate, registry: Registry, data: SearchData) -> float:
    """Return the median seconds of a check, without the first, during which torch imports what training needs too."""
    batch = registry.task(candidate).prepare(data.validation.inputs[:128])
    times = []
    for _ in range(REPEATS + 1):
        started = time.perf_counter()
        refuse_unsound(candidate, registry, batch, tuple(batch.shape[1:]), data.outputs)
        times.append(time.perf_counter() - started)
    return statistics.median(times[1:])


def main() -> None:
    """Measure and print."""
    torch.set_num_threads(1)
    registry = load_registry(third_parties=False)
    data = registry.get("task", "digits")().search_data(None, 1)
    for coding, backbone, steps in CASES:
        flat = {"task": "digits", "coding": coding, "backbone": backbone, "steps": steps, "training.epochs": EPOCHS}
        candidate = from_flat(flat, registry)
        check = seconds_of_check(candidate, registry, data)
        started = time.perf_counter()
        judging = Judging(candidate, registry=registry, data=data, energy_model=Horowitz45nm())
        while not judging.finished:
            judging.epoch()
        trial = time.perf_counter() - started
        print(f"{coding} {backbone} T={steps}: check {check * 1e3:.1f} ms of {trial:.2f} s,", end=" ")
        print(f"{check / trial:.1%} (bound {BOUND:.0%})")


if __name__ == "__main__":
    main()
