"""What stopping early saves: whole networks, the best fixed number of steps, and the best exit, coding by coding.

Each candidate is trained under each seed; the number of steps and the exit are chosen on its validation split, within
0.001 of the accuracy of all steps, and all three are measured on the test split. Energies by horowitz-45nm.

Run: python benchmarks/early_exit.py [--seeds 3] [--task digits]
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence

CANDIDATES: dict[str, dict[str, object]] = {
    "direct": {"coding": "direct", "steps": 4},
    "rate": {"coding": "rate", "steps": 16},
    "burst": {"coding": "burst", "steps": 8},
    "latency": {"coding": "latency", "steps": 8},
    "sac, read-out": {"coding": "sac", "steps": 8, "coding.sac.scope": "readout"},
    "rate-conversion": {"coding": "rate-conversion", "steps": 32},
    "css": {"coding": "css", "steps": 6},
}


def shown(values: Sequence[float], digits: int) -> str:
    """Return mean and standard deviation."""
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.{digits}f} ± {spread:.{digits}f}"


def main() -> None:
    """Train, choose and measure, and print a table."""
    import torch

    from spikefront.plugins import load_registry
    from spikefront.runners.judging.exits import exit_curves
    from spikefront.runners.judging.judge import judge

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--task", default="digits")
    parser.add_argument("--backbone", default="mlp")
    given = parser.parse_args()
    torch.set_num_threads(1)
    registry = load_registry(third_parties=False)
    print("| coding, T | all steps: accuracy, nJ | fixed steps: steps, accuracy, nJ | exit: mean steps, accuracy, nJ |")
    print("|---|---|---|---|")
    for name, more in CANDIDATES.items():
        rows: list[tuple[tuple[float, float, float], ...]] = []
        for seed in range(given.seeds):
            flat = {"task": given.task, "backbone": given.backbone, **more, "seed": seed}
            found = judge(flat, registry=registry)
            assert found.data is not None and found.energy_model is not None
            task = registry.task(found.candidate)
            test = task.test_data(None, found.candidate.steps)
            curves = exit_curves(found.network, task, found.data.validation, found.energy_model, test=test)
            assert len(curves.tested) == 3
            rows.append(tuple((one.steps, 100 * one.quality, one.energy_nj) for one in curves.tested))
        exits, fixed, whole = ([list(column) for column in zip(*part, strict=True)] for part in zip(*rows, strict=True))
        cells = [
            f"{name}, {found.candidate.steps}",
            f"{shown(whole[1], 1)}, {shown(whole[2], 1)}",
            f"{shown(fixed[0], 1)}, {shown(fixed[1], 1)}, {shown(fixed[2], 1)}",
            f"{shown(exits[0], 1)}, {shown(exits[1], 1)}, {shown(exits[2], 1)}",
        ]
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
