"""Searches of CodingBench by spikefront's samplers and stopping rules, in seconds: no training, no Ray.

Run: python benchmarks/codingbench/simulate.py [--sampler evolution,random] [--rule halving,none] [--units 60]
         [--seeds 20] [--cuts] [--task digits] [--data FOLDER]

Prints the hypervolume of what a search finds within 15, 30 and 60 full trainings, as a share of the whole table's: mean
and standard error over searches, half of which are on the networks of either training seed. With ``--cuts`` a training
also gives what its network does when it is stopped after fewer steps; shares are of the table's front with these points
in either case, so that they can be compared. A stop at epoch e of E costs e / E; every training costs the same.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import optuna
import pandas as pd
from numpy.typing import NDArray
from standalone import DATA, WORST, Bench, better  # files beside this one

sys.path.insert(0, str(Path(__file__).parents[1]))
from tabular import AT, Played, Table, play

from spikefront.plugins import Sampler, load_registry
from spikefront.searchspace import Objective, Value
from spikefront.searchspace.answers import Suggester
from spikefront.searchspace.front import hypervolume

METRICS: Final = ("quality", "energy_nj", "loss", "sops", "macs", "spike_rate", "min_layer_rate", "max_layer_rate")


class CodingBench(Table):
    """The networks of one task and one training seed.

    Args:
        bench: the tables.
        points: what its networks do when stopped early; None leaves that out.
        cuts: whether a search sees these points; shares are of the front with them in any case.
    """

    def __init__(self, bench: Bench, points: pd.DataFrame | None = None, *, cuts: bool = False) -> None:
        self.bench, self._cuts = bench, cuts
        self._at_cuts = self._by_row(points)
        useful = np.concatenate([bench.useful(), *(better(some, bench.task) for some in self._at_cuts.values())])
        accuracy, energy = WORST[bench.task]
        objectives = (
            Objective("quality", maximize=True, worst=accuracy, best=float(useful[:, 0].max())),
            Objective("energy_nj", False, worst=energy, best=float(useful[:, 1].min()), log=True),
        )
        super().__init__(
            {name: bench.after_epochs(name) for name in METRICS}, objectives, chance=bench.chance, best=1.0
        )
        self._flats = [json.loads(flat) for flat in bench.flats]
        self._full = hypervolume(self._with_cuts(range(self.rows)), self.objectives)

    def _by_row(self, points: pd.DataFrame | None) -> dict[int, NDArray[np.float64]]:
        if points is None:
            return {}
        row_of = {number: row for row, number in enumerate(self.bench.numbers)}
        return {
            row_of[number]: some[["quality", "energy_nj"]].to_numpy(np.float64)
            for number, some in points.groupby("candidate")
            if number in row_of
        }

    def suggest(self, trial: Suggester) -> int:
        return self.bench.ask(trial)

    def candidate(self, row: int) -> Mapping[str, Value]:
        found: dict[str, Value] = self._flats[row]
        return found

    def budget(self, row: int) -> int:
        return int(self.bench.epochs[row])

    def cuts(self, row: int) -> NDArray[np.float64]:
        return self._at_cuts[row] if self._cuts and row in self._at_cuts else super().cuts(row)

    def share(self, rows: Iterable[int]) -> float:
        some = list(rows)
        points = self._with_cuts(some) if self._cuts else self._finite(self.points(some))
        return hypervolume(points, self.objectives) / self._full

    def _with_cuts(self, rows: Iterable[int]) -> NDArray[np.float64]:
        some = list(rows)
        return np.concatenate(
            [self._finite(self.points(some)), *(self._at_cuts[r] for r in some if r in self._at_cuts)]
        )

    def _finite(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        return points[np.isfinite(points).all(axis=1)]


def read_table(task: str, seed: int, folder: Path, *, cuts: bool) -> CodingBench:
    """Return the networks of a task and a training seed."""
    path = folder / "points.parquet"
    points = None
    if path.exists():
        points = pd.read_parquet(path, filters=[("task", "==", task), ("seed", "==", seed)])
    return CodingBench(Bench(task, seed, folder), points, cuts=cuts)


def samplers() -> dict[str, Sampler | Callable[[int], Any]]:
    """Return the samplers by name: spikefront's plugins, and Optuna's own TPE."""
    entries = load_registry(third_parties=False).entries["sampler"]
    found: dict[str, Any] = {name: entry.plugin() for name, entry in entries.items()}
    return found | {"optuna-tpe": lambda seed: optuna.samplers.TPESampler(seed=seed)}


def rules_of(name: str) -> list[Any]:
    """Return new stopping rules by the name of one; none for ``none``."""
    return [] if name == "none" else [load_registry(third_parties=False).entries["stopping"][name].plugin()]


def simulated(tables: list[CodingBench], sampler: Any, rule: str, units: float, seeds: int) -> list[Played]:
    """Play searches with the seeds 0, 1, ..., on one table after the other."""
    return [play(tables[seed % len(tables)], sampler, rules_of(rule), units=units, seed=seed) for seed in range(seeds)]


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = samplers()
    usual = [name for name in known if name != "gp"]  # takes minutes for a search
    parser.add_argument("--sampler", default=",".join(usual), help=f"names with commas: {', '.join(known)}")
    parser.add_argument("--rule", default="none,halving", help="stopping rules, with commas; none for none")
    parser.add_argument("--units", type=float, default=max(AT), help="full trainings that a search may spend")
    parser.add_argument("--seeds", type=int, default=20, help="searches")
    parser.add_argument("--cuts", action="store_true", help="a training gives a point for each T' < T, too")
    parser.add_argument("--task", choices=WORST, default="digits")
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the Parquet files")
    arguments = parser.parse_args()
    trained = pd.read_parquet(arguments.data / "trainings.parquet", columns=["task", "seed"])
    trained_under = sorted(trained[trained["task"] == arguments.task]["seed"].unique())
    tables = [read_table(arguments.task, int(seed), arguments.data, cuts=arguments.cuts) for seed in trained_under]
    at = [units for units in AT if units <= arguments.units] or [arguments.units]
    counted = " and ".join(f"{table.rows:,} of {table.bench.listed:,}" for table in tables)
    print(f"{arguments.task}: {counted} candidates; {arguments.seeds} searches; share of the hypervolume after")
    print(f"{'full trainings':28s}" + "".join(f"{units:>15g}" for units in at))
    for name in arguments.sampler.split(","):
        for rule in arguments.rule.split(","):
            started = time.perf_counter()
            searches = simulated(tables, known[name], rule, max(at), arguments.seeds)
            texts = []
            for units in at:
                shares = [search.share(units) for search in searches]
                error = statistics.stdev(shares) / len(shares) ** 0.5 if len(shares) > 1 else float("nan")
                texts.append(f"{statistics.mean(shares):.3f} ± {error:.3f}")
            took = time.perf_counter() - started
            print(f"{name + (', ' + rule) * (rule != 'none'):28s}  {'  '.join(texts)}  ({took:.0f} s)", flush=True)


if __name__ == "__main__":
    main()
