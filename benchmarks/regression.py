"""Compare ways of decoding on regression at equal T, and codings with a linear model, into docs/regression.md.

A report, not a test. Only the decoding differs within a table: input, network, training, T and seeds are the same. Its
SAC weighs the read-out by a softmax, which starts as the mean over time, that is, as rate decoding.

Run: python benchmarks/regression.py [--task n-mnist-motion --data-dir DIR]
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from sklearn.linear_model import Ridge

from spikefront.plugins import Task, load_registry
from spikefront.runners.judging.judge import judge
from spikefront.runners.judging.training import evaluate

DOCUMENT = Path(__file__).parents[1] / "docs" / "regression.md"
START, END = "<!-- measured on {}: written by benchmarks/regression.py -->\n", "<!-- end of measured -->\n"

Flat = Mapping[str, object]

DECODINGS: dict[str, Flat] = {
    "rate": {"coding": "direct"},
    "membrane, decay 0.8": {"coding": "direct", "coding.direct.decoding": "membrane"},
    "SAC read-out": {"coding": "sac", "coding.sac.scope": "readout", "coding.sac.normaliser": "softmax"},
    "SAC layers, rate": {"coding": "sac"},
}
CODINGS: dict[str, Flat] = {
    "direct": {},
    "rate": {},
    "rate, evenly spaced": {"coding": "rate", "coding.rate.spikes": "deterministic"},
    "latency": {},
    "population": {},
    "phase": {},
    "burst": {},
    "sac": {},
    "gac": {},
    "tcja": {},
    "css": {"neuron": "tsa"},
    "rate-conversion": {"neuron": "if"},
}
CODINGS_STEPS = 8


RATE = {"training.optimizer.adam.lr": 0.002}


@dataclass(frozen=True)
class Setting:
    """How the networks of one task are trained."""

    steps: tuple[int, ...]
    flat: Flat


SETTINGS = {
    "diabetes": Setting((2, 4, 8), {"backbone": "mlp", "training.epochs": 60, **RATE}),
    "n-mnist-motion": Setting((2, 4), {"backbone": "convnet", "training.epochs": 4, "training.subset": 1000, **RATE}),
}


@dataclass(frozen=True)
class Run:
    """One candidate to judge: a cell of a table, under one seed."""

    task: str
    table: str
    row: str
    steps: int
    seed: int

    def flat(self) -> dict[str, object]:
        """Return the candidate."""
        row = {"coding": self.row} | dict(DECODINGS[self.row] if self.table == "decoding" else CODINGS[self.row])
        return {"task": self.task, "steps": self.steps, "seed": self.seed, **SETTINGS[self.task].flat, **row}


def carry_out(run: Run, data_dir: Path | None) -> tuple[float, float, float]:
    """Judge one candidate on one thread: quality on validation and test split, and nanojoules."""
    torch.set_num_threads(1)
    registry = load_registry(third_parties=False)
    task: Task = registry.get("task", run.task)()
    data = task.search_data(data_dir, run.steps)
    found = judge(run.flat(), registry=registry, data=data)
    tested = evaluate(found.network, task, task.test_data(data_dir, run.steps))["quality"]
    print(f"{run}: {found.metrics['quality']:.4f}", file=sys.stderr, flush=True)
    return found.metrics["quality"], tested, found.metrics["energy_nj"]


def runs(task: str, seeds: Sequence[int]) -> Iterator[Run]:
    """List the runs of a task."""
    for seed in seeds:
        for steps in SETTINGS[task].steps:
            yield from (Run(task, "decoding", row, steps, seed) for row in DECODINGS)
        if task == "diabetes":
            yield from (Run(task, "coding", row, CODINGS_STEPS, seed) for row in CODINGS)


Results = dict[tuple[str, str, int], list[tuple[float, float, float]]]


def decodings(results: Results, steps: Sequence[int]) -> str:
    """Write the table of decodings, in Markdown."""
    lines = [f"| decoding | {' | '.join(f'T = {t}' for t in steps)} |\n", "| --- " * (len(steps) + 1) + "|\n"]
    for row in DECODINGS:
        cells = (_spread([found[0] for found in results["decoding", row, t]]) for t in steps)
        lines.append(f"| {row} | {' | '.join(cells)} |\n")
    return "".join(lines)


def codings(results: Results, ridge: tuple[float, float]) -> str:
    """Write the table of codings beside ridge regression, in Markdown."""
    lines = ["| coding | R2, validation | R2, test | energy, nJ |\n", "| --- " * 4 + "|\n"]
    lines.append(f"| (ridge regression) | {ridge[0]:.3f} | {ridge[1]:.3f} | |\n")
    for row in CODINGS:
        validation, test, energy = zip(*results["coding", row, CODINGS_STEPS], strict=True)
        lines.append(f"| {row} | {_spread(validation)} | {_spread(test)} | {statistics.mean(energy):.1f} |\n")
    return "".join(lines)


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.mean(values):.3f} ± {statistics.stdev(values) if len(values) > 1 else 0:.3f}"


def linear() -> tuple[float, float]:
    """Return R2 on validation and test split of diabetes of scikit-learn's ridge regression at its default."""
    task: Task = load_registry(third_parties=False).get("task", "diabetes")()
    data, test = task.search_data(None, 1), task.test_data(None, 1)
    model = Ridge().fit(task.prepare(data.train.inputs), data.train.targets)
    splits = (data.validation, test)
    validation, tested = (float(model.score(task.prepare(split.inputs), split.targets)) for split in splits)
    return validation, tested


def measure(task: str, seeds: Sequence[int], workers: int, data_dir: Path | None) -> str:
    """Carry out a task's runs and write its tables."""
    todo = list(runs(task, seeds))
    results: Results = {}
    with ProcessPoolExecutor(workers) as pool:
        for run, found in zip(todo, pool.map(partial(carry_out, data_dir=data_dir), todo), strict=True):
            results.setdefault((run.table, run.row, run.steps), []).append(found)
    quality = load_registry(third_parties=False).get("task", task).quality
    text = f"{quality} on the validation split by decoding:\n\n{decodings(results, SETTINGS[task].steps)}\n"
    return text + (f"T = {CODINGS_STEPS}, by coding:\n\n{codings(results, linear())}\n" if task == "diabetes" else "")


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", choices=tuple(SETTINGS), default="diabetes")
    parser.add_argument("--seeds", type=int, default=10, help="number of seeds, from 0")
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--document", type=Path, default=DOCUMENT, help="where to write between the markers")
    arguments = parser.parse_args()
    started = time.perf_counter()
    tables = measure(arguments.task, range(arguments.seeds), arguments.workers, arguments.data_dir)
    minutes = (time.perf_counter() - started) / 60
    settings = ", ".join(f"`{name}={value}`" for name, value in SETTINGS[arguments.task].flat.items())
    where = " --data-dir DATA" if arguments.data_dir else ""
    text = (
        f"`python benchmarks/regression.py --task {arguments.task}{where} --seeds {arguments.seeds}`: "
        f"{platform.machine()}, {arguments.workers} processes of one thread, torch {torch.__version__}, {minutes:.0f} "
        f"minutes; mean ± standard deviation over seeds 0..{arguments.seeds - 1}; {settings}. Energy: "
        f"horowitz-45nm.\n\n{tables}"
    )
    before, rest = arguments.document.read_text(encoding="utf-8").split(START.format(arguments.task))
    _, end, after = rest.partition(END)
    arguments.document.write_text(f"{before}{START.format(arguments.task)}\n{text}{end}{after}", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
