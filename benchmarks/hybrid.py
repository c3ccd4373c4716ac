"""What a code for each layer is worth: every assignment of codes to the layers of one ANN, against one code for all.

For each backbone and seed one ANN is trained, and converted in all ways: each code of the input, of each layer (of a
chain of two), and each number of steps. Printed are the hypervolumes of the fronts of each pure conversion, of all of
them, and of all assignments, in accuracy above chance times decades of energy, and the assignments on the front. No
search can find more than all assignments have. A report, not a test.

Run: python benchmarks/hybrid.py --task digits --seeds 0 1 2
     python benchmarks/hybrid.py --task fashion-mnist --samples 20000 --validation 3000 --seeds 0
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import platform
import statistics
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import Final

import numpy as np
import torch
from conversions import first_samples

from spikefront.plugins import Registry, SearchData, load_registry
from spikefront.runners.judging.judge import judge
from spikefront.searchspace import ENERGY, Objective
from spikefront.searchspace.front import hypervolume, losses, nondominated

OBJECTIVES: Final = (Objective("quality", maximize=True, worst=0.1, best=1.0), ENERGY)
BACKBONES: Final[dict[str, dict[str, object]]] = {
    "mlp": {"backbone.mlp.depth": 2, "backbone.mlp.width": 64},
    "convnet": {"backbone.convnet.stages": 2, "backbone.convnet.width": 8, "backbone.convnet.pool": "avg"},
}
"""Chains of two spiking layers, which may each have their code."""
CODES: Final = ("rate", "css", "ttfs", "differential")


@dataclass(frozen=True)
class Assignment:
    """Codes of the input and of two layers, over T steps."""

    codes: tuple[str, str, str]
    steps: int

    @property
    def pure(self) -> str:
        """Name of the pure conversion that it is, or nothing."""
        given, first, second = self.codes
        same = first == second and given in ("analog", "ttfs" if first == "ttfs" else "analog")
        return first if same else ""

    def __str__(self) -> str:
        return f"{' > '.join(self.codes)}, T = {self.steps}"


@cache
def data_of(task: str, samples: int, validation: int) -> tuple[Registry, SearchData]:
    """Return the plugins, and the first images of a task; all of them for 0."""
    torch.set_num_threads(1)
    registry = load_registry(third_parties=False)
    return registry, first_samples(registry, task, samples, validation)


def measured(
    assignment: Assignment, *, backbone: str, seed: int, arguments: argparse.Namespace, anns: Path
) -> tuple[float, float]:
    """Return accuracy and energy (nJ) of one assignment."""
    registry, data = data_of(arguments.task, arguments.samples, arguments.validation)
    given, first, second = assignment.codes
    codes = {"input": given, "stage1": first, "stage2": second, "stage3": second}
    flat: dict[str, object] = {"task": arguments.task, "backbone": backbone, "seed": seed, "steps": assignment.steps}
    flat |= {"coding": "hybrid-conversion"} | {f"coding.hybrid-conversion.{name}": code for name, code in codes.items()}
    flat |= {**BACKBONES[backbone], "training.epochs": arguments.epochs, "training.optimizer.adam.lr": 0.002}
    metrics = judge(flat, registry=registry, data=data, ann_cache=anns).metrics
    return metrics["quality"], metrics["energy_nj"]


def assignments(steps: Sequence[int]) -> Iterator[Assignment]:
    """Yield all of them."""
    for codes in product(("analog", *CODES), CODES, CODES):
        for length in steps:
            yield Assignment(codes, length)


def volume(points: Iterable[tuple[float, float]]) -> float:
    """Return the hypervolume of points of accuracy and energy."""
    return hypervolume(np.array(list(points)).reshape(-1, 2), OBJECTIVES)


def report(found: dict[Assignment, tuple[float, float]]) -> dict[str, float]:
    """Print the front of all assignments, and return the hypervolumes by name."""
    volumes = {code: volume(point for one, point in found.items() if one.pure == code) for code in CODES}
    volumes["the pure ones"] = volume(point for one, point in found.items() if one.pure)
    volumes["all"] = volume(found.values())
    mask = nondominated(losses(np.array(list(found.values())), OBJECTIVES))
    for (one, (quality, energy)), on_front in sorted(
        zip(found.items(), mask, strict=True), key=lambda row: row[0][1][1]
    ):
        if on_front:
            print(f"  {100 * quality:6.2f} %  {energy:9.2f} nJ  {one}" + (f"  ({one.pure} alone)" if one.pure else ""))
    return volumes


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="digits", choices=["digits", "fashion-mnist"])
    parser.add_argument("--backbones", nargs="+", choices=BACKBONES, default=list(BACKBONES))
    parser.add_argument("--steps", type=int, nargs="+", default=[2, 3, 4, 6, 8, 16, 32])
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--samples", type=int, default=0, help="training images; 0 for all")
    parser.add_argument("--validation", type=int, default=0, help="validation images; 0 for all")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    every = list(assignments(arguments.steps))
    print(
        f"{platform.machine()}, {os.cpu_count()} processors, torch {torch.__version__}; {arguments.task}, horowitz-45nm"
    )
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(arguments.workers, mp_context=context) as pool:
        for backbone in arguments.backbones:
            volumes: dict[str, list[float]] = {}
            for seed in arguments.seeds:
                one = partial(measured, backbone=backbone, seed=seed, arguments=arguments, anns=Path(folder))
                print(f"\n{backbone}, seed {seed}: the front of {len(every)} assignments", flush=True)
                found = dict(zip(every, pool.map(one, every, chunksize=8), strict=True))
                for name, value in report(found).items():
                    volumes.setdefault(name, []).append(value)
            best = max(statistics.mean(volumes[code]) for code in CODES)
            print(f"\n{backbone}: hypervolume, mean of {len(arguments.seeds)} seeds, and its ratio to the best code's")
            for name, values in volumes.items():
                mean = statistics.mean(values)
                print(f"  {name:14} {mean:.4f}  {mean / best:.3f}", flush=True)


if __name__ == "__main__":
    main()
