"""Compare the codings on Fashion-MNIST at equal budget, and write the tables into docs/science.md.

One backbone, one neuron where the coding leaves the choice, the same images, epochs and time steps for all, several
seeds; conversions also on a deeper network, of seven spiking layers. A report, not a test: what is expected and did not
come out is discussed in the document by hand.

Run: python benchmarks/science.py (make bench-science); about an hour on 2 idle cores.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from spikefront.plugins import Data, SearchData, Task, load_registry
from spikefront.runners.judging.judge import judge

DOCUMENT = Path(__file__).parents[1] / "docs" / "science.md"
START, END = "<!-- measured: written by make bench-science -->\n", "<!-- end of measured -->\n"

STEPS = 8
TRAINED = ("direct", "rate", "latency", "phase", "burst", "population", "sac", "gac", "tcja", "css")
SWEEPS: dict[str, tuple[int, ...]] = {
    "css": (3, 4, 5, 6, 8, 12),
    "rate-conversion": (4, 8, 16, 32, 64, 128),
    "phase-conversion": (8, 16, 32, 64, 128),
}
DEEP: dict[str, tuple[int, ...]] = {"css": (3, 4, 6, 8), "rate-conversion": (4, 8, 16, 32, 64)}
_DEEP_NETWORK = {"width": 8, "stages": 3, "convs": 2, "hidden": 64, "pool": "avg"}


@dataclass(frozen=True)
class Run:
    """One candidate to judge: a row of a table, under one seed."""

    table: str
    coding: str
    steps: int
    seed: int


@dataclass(frozen=True)
class Budget:
    """What every candidate gets."""

    epochs: int
    samples: int
    validation: int

    def flat(self, run: Run) -> dict[str, object]:
        """Return the candidate of a run."""
        deep = run.table == "deep"
        backbone = "vgg" if deep else "convnet"
        settings = _DEEP_NETWORK if deep else {"pool": "avg"}  # what conversion needs, so all have it
        return {
            "task": "fashion-mnist",
            "coding": run.coding,
            "steps": run.steps,
            "seed": run.seed,
            "backbone": backbone,
            **{f"backbone.{backbone}.{name}": value for name, value in settings.items()},
            "training.optimizer.adam.lr": 0.002,
            "training.epochs": self.epochs,
        }


def carry_out(run: Run, budget: Budget, anns: Path) -> dict[str, float]:
    """Judge one candidate in this process, on one thread."""
    torch.set_num_threads(1)
    registry = load_registry(third_parties=False)
    task: Task = registry.get("task", "fashion-mnist")()
    data = task.search_data(None, run.steps)
    train, validation = _first(data.train, budget.samples), _first(data.validation, budget.validation)
    few = SearchData(train, validation, data.outputs)
    started = time.perf_counter()
    found = judge(budget.flat(run), registry=registry, data=few, ann_cache=anns)
    return {**found.metrics, "wall": time.perf_counter() - started}


def _first(data: Data, count: int) -> Data:
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(0))[:count]
    return Data(data.inputs[order], data.targets[order])


def runs(seeds: Sequence[int]) -> Iterator[Run]:
    """List the runs, the longest first."""
    for seed in seeds:
        for coding in sorted(TRAINED, key=("gac", "tcja").count, reverse=True):
            yield Run("trained", coding, STEPS, seed)
    for kind, sweeps in (("converted", SWEEPS), ("deep", DEEP)):
        for coding, lengths in sweeps.items():
            for steps in reversed(lengths):
                for seed in seeds:
                    yield Run(kind, coding, steps, seed)


Results = dict[tuple[str, str, int], list[dict[str, float]]]


def measure(budget: Budget, seeds: Sequence[int], workers: int, kept: Path | None) -> Results:
    """Carry out all runs, telling on stderr how far they are; those that ``kept`` holds are taken from there."""
    results: Results = defaultdict(list)
    todo = list(runs(seeds))
    for line in kept.read_text().splitlines() if kept is not None and kept.exists() else ():
        known = json.loads(line)
        run = Run(**known["run"])
        todo.remove(run)
        results[run.table, run.coding, run.steps].append(known["metrics"])
    with tempfile.TemporaryDirectory() as anns, ProcessPoolExecutor(workers) as pool:
        running = {pool.submit(carry_out, run, budget, Path(anns)): run for run in todo}
        for number, future in enumerate(as_completed(running), 1):
            run, metrics = running[future], future.result()
            results[run.table, run.coding, run.steps].append(metrics)
            if kept is not None:
                with kept.open("a") as file:
                    file.write(json.dumps({"run": asdict(run), "metrics": metrics}) + "\n")
            line = f"{run.coding} T={run.steps} seed {run.seed}: {metrics['quality']:.4f} in {metrics['wall']:.0f} s"
            print(f"{number}/{len(todo)}  {line}", file=sys.stderr, flush=True)
    return results


def table(results: Results, kind: str) -> str:
    """Write the rows of one table, in Markdown."""
    keys = [key for key in results if key[0] == kind]
    order = TRAINED if kind == "trained" else tuple(SWEEPS)
    titles = ["coding", "T", "accuracy, %", "its ANN, %", "energy, nJ", "of it encoder, nJ", "of it attention, nJ"]
    titles += ["latency, steps", "parameters"]
    lines = [f"| {' | '.join(titles)} |\n", "| --- " * len(titles) + "|\n"]
    for _, coding, steps in sorted(keys, key=lambda key: (order.index(key[1]), key[2])):
        found = results[kind, coding, steps]
        ann = _spread(found, "ann_quality", 100) if "ann_quality" in found[0] else ""
        cells = (
            coding,
            f"{steps}",
            _spread(found, "quality", 100),
            ann,
            f"{_mean(found, 'energy_nj'):,.0f}",
            f"{_mean(found, 'encoder_nj'):,.0f}",
            f"{_mean(found, 'attention_nj'):,.0f}",
            f"{_mean(found, 'latency_steps'):.0f}",
            f"{_mean(found, 'parameters'):,.0f}",
        )
        lines.append(f"| {' | '.join(cells)} |\n")
    return "".join(lines)


def _mean(found: list[dict[str, float]], name: str) -> float:
    return statistics.mean(metrics[name] for metrics in found)


def _spread(found: list[dict[str, float]], name: str, scale: float) -> str:
    values = [scale * metrics[name] for metrics in found]
    return f"{statistics.mean(values):.2f} ± {statistics.stdev(values) if len(values) > 1 else 0:.2f}"


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds, from 0")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--samples", type=int, default=4000, help="training images")
    parser.add_argument("--validation", type=int, default=2000, help="validation images")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--results", type=Path, help="file that keeps each run as it ends, to go on after a break")
    parser.add_argument("--document", type=Path, default=DOCUMENT, help="where to write between the markers")
    arguments = parser.parse_args()
    budget = Budget(arguments.epochs, arguments.samples, arguments.validation)
    started = time.perf_counter()
    results = measure(budget, range(arguments.seeds), arguments.workers, arguments.results)
    minutes = (time.perf_counter() - started) / 60
    command = " ".join(["python", "benchmarks/science.py", *sys.argv[1:]])
    text = (
        f"`{command}`: {platform.machine()}, {arguments.workers} processes of one thread, torch {torch.__version__}, "
        f"{minutes:.0f} minutes. {budget.samples:,} training images, {budget.epochs} epochs, accuracy on "
        f"{budget.validation:,} validation images: mean ± standard deviation over seeds 0..{arguments.seeds - 1}. "
        f"Energy: horowitz-45nm.\n\n"
        f"Trained at T = {STEPS} (css: its ANN is trained, then converted):\n\n{table(results, 'trained')}\n"
        f"Converted from the same ANN, per seed:\n\n{table(results, 'converted')}\n"
        f"Converted from a deeper ANN (`vgg`, width 8, three stages of two convolutions, hidden 64, average pooling: "
        f"seven spiking layers):\n\n{table(results, 'deep')}\n"
    )
    before, rest = arguments.document.read_text(encoding="utf-8").split(START)
    after = rest.split(END)[1]
    arguments.document.write_text(f"{before}{START}\n{text}{END}{after}", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
