"""Samplers and stopping rules on a public table of 15,625 trained spiking networks: share of its hypervolume.

Run: python benchmarks/sampler_table.py --table PATH [--seeds 40] [--arms NAME;NAME]

PATH is the CIFAR-10 table of SpikeNAS-Bench (Sun et al., IEEE Transactions on Artificial Intelligence 2024) as an .npz
file with the arrays ``val`` (validation accuracy in %, networks x epochs), ``test`` (in %) and ``rate`` (firing rate by
layer). It is not part of spikefront: without it there is nothing to do. A network has six edges with one of five
operations each. Energy is not in the table: operations of the layers times their rates at 0.9 pJ over 5 steps, and
the stem's multiplications at 4.6 pJ. Every training is of 100 epochs and costs the same; one that is stopped after
epoch e costs e / 100. Shares are means over seeds, with the standard error, after 15, 30 and 60 full trainings.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import optuna
from tabular import AT, Table, compared  # a file beside this one

from spikefront.plugins import Sampler, StoppingRule, load_registry
from spikefront.runners.engine.settings import SearchSettings
from spikefront.searchspace import Objective
from spikefront.searchspace.answers import Suggester

EDGES: Final = 6
OPERATIONS: Final = 5
LEARNT: Final = 15.0
"""Test accuracy in % from which a network counts among those that learn."""
FLOPS: Final = np.array([150_994_944] * 12 + [301_989_888, 16_777_216, 102_400, 0])
STEM_MACS: Final = 3 * 9 * 128 * 1024
STEPS: Final = 5
SLOW: Final = ("gp",)
"""Samplers that take minutes for a search."""


class CellTable(Table):
    """The networks of SpikeNAS-Bench on CIFAR-10."""

    def __init__(self, path: Path) -> None:
        with np.load(path) as file:
            quality, test, rates = file["val"] / 100, file["test"], file["rate"]
        absent = np.isnan(rates) | (rates < 0) | (FLOPS == 0)
        rates = np.where(absent, 0, rates)
        energy = (0.9 * STEPS * rates @ FLOPS + 4.6 * STEM_MACS) / 1000  # nJ
        learnt = test >= LEARNT
        objectives = (
            Objective("quality", maximize=True, worst=0.8, best=float(quality[:, -1].max())),
            Objective("energy_nj", False, worst=energy[learnt].max(), best=energy[learnt].min(), log=True),
        )
        found = {"quality": quality, "energy_nj": energy, "spike_rate": rates.sum(1) / (~absent).sum(1)}
        found["min_layer_rate"] = np.where(absent, 1.0, rates).min(axis=1)
        found["max_layer_rate"] = rates.max(axis=1)
        super().__init__(found, objectives, chance=0.1, best=1.0)

    def suggest(self, trial: Suggester) -> int:
        return sum(
            int(trial.suggest_categorical(f"edge{edge}", range(OPERATIONS))) * OPERATIONS**edge for edge in range(EDGES)
        )


def stopping() -> Sequence[StoppingRule]:
    """Return the stopping rules of a search that names none."""
    registry = load_registry(third_parties=False)
    return [registry.get("stopping", name)() for name in SearchSettings("digits").stopping]


def arms() -> dict[str, tuple[Sampler | Callable[[int], Any], Callable[[], Sequence[StoppingRule]]]]:
    """Return samplers and stopping rules by what the table calls them."""
    entries = load_registry(third_parties=False).entries["sampler"]
    samplers: dict[str, Any] = {name: entry.plugin() for name, entry in entries.items() if name not in SLOW}
    samplers["Optuna's TPE"] = lambda seed: optuna.samplers.TPESampler(seed=seed)
    return {
        f"{name}{', early stopping' if rules is stopping else ''}": (sampler, rules)
        for name, sampler in samplers.items()
        for rules in (tuple, stopping)
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, help="the table; nothing is measured without")
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument("--arms", help="names from the table, with semicolons between them; all when left out")
    arguments = parser.parse_args()
    if arguments.table is None:
        print("sampler_table: skipped, as no --table is given")
        return
    known = arms()
    wanted = arguments.arms.split(";") if arguments.arms else list(known)
    if unknown := [name for name in wanted if name not in known]:
        parser.error(f"--arms: {unknown[0]!r} is none of {'; '.join(known)}")
    table = CellTable(arguments.table)
    print(f"share of the hypervolume of {table.rows:,} networks after {AT} full trainings, {arguments.seeds} seeds")
    for name in wanted:
        started = time.perf_counter()
        text = compared(table, known[name][0], known[name][1], seeds=range(arguments.seeds))
        print(f"{name:24s} {text}  ({time.perf_counter() - started:.0f} s)", flush=True)


if __name__ == "__main__":
    main()
