"""CodingBench without spikefront: read the tables, let any sampler of Optuna search them, and see what front it finds.

Run: python standalone.py [--task digits] [--units 60] [--seeds 5]

It needs NumPy, pandas with pyarrow, and Optuna. ``Bench.ask`` turns an Optuna trial into a candidate, ``Bench.curve``
returns what its training gave after each epoch, and ``Bench.share`` scores candidates: the hypervolume of their front
of validation accuracy and energy, as a share of the whole table's.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import optuna
import pandas as pd
import pyarrow.parquet as pq
from numpy.typing import NDArray
from optuna.trial import TrialState

DATA = Path(__file__).parent / "data"
WORST = {"digits": (0.85, 50.0), "fashion-mnist-14": (0.65, 50.0)}
"""Validation accuracy and nanojoules by task: hypervolume is measured from here to the best values of the table."""

Floats = NDArray[np.float64]


class Asked(Protocol):
    """What chooses among values: an Optuna trial."""

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """Return one of the choices."""


class Bench:
    """The trained candidates of one task under one seed.

    Args:
        task: ``digits`` or ``fashion-mnist-14``.
        seed: the seed that they were trained under.
        folder: where the Parquet files are.

    Attributes:
        candidates: one a row, with a column for each hyperparameter that varies, in the order in which they are chosen.
        listed: number of candidates of the task; there are fewer rows where some are not trained yet.
        epochs: epochs of a full training, by row. A conversion has one step, in which its ANN is trained in full.
        quality: validation accuracy, ``(rows, epochs)``: NaN where there was no such epoch, as after a failure.
        energy: nanojoules of one inference, likewise.
        test: test accuracy at the end.
        chance: validation accuracy of the best constant answer.
    """

    def __init__(self, task: str = "digits", seed: int = 0, folder: Path = DATA) -> None:
        self.task, self.seed = task, seed
        candidates = _of(folder / "candidates.parquet", task=task)
        trainings = _of(folder / "trainings.parquet", task=task, seed=seed).set_index("candidate")
        self.listed = len(candidates)
        candidates = candidates[candidates["candidate"].isin(trainings.index)].reset_index(drop=True)
        self.candidates = candidates.drop(columns=["task", "candidate", "flat"])
        self.candidates = self.candidates.loc[:, self.candidates.nunique() > 0]
        self.numbers = candidates["candidate"].to_numpy()
        self.flats = candidates["flat"]
        trainings = trainings.loc[self.numbers]
        planned = [json.loads(flat)["training.epochs"] for flat in self.flats]
        self.epochs = np.where(trainings["state"] == "complete", trainings["epochs"].to_numpy(int), planned)
        self.test = trainings["test_quality"].to_numpy(float, na_value=np.nan)
        curves = _of(folder / "epochs.parquet", task=task, seed=seed)
        self._curves = curves.assign(place=curves.groupby("candidate").cumcount())
        self.quality, self.energy = self.after_epochs("quality"), self.after_epochs("energy_nj")
        made = json.loads(pq.read_schema(folder / "candidates.parquet").metadata[b"codingbench"])
        self.chance = float(made["starts"][-1]["chance"][task])
        self._levels = [sorted(self.candidates[name].dropna().unique().tolist()) for name in self.candidates]
        columns = zip(self.candidates, self._levels, strict=True)
        codes = [pd.Categorical(self.candidates[name], levels).codes for name, levels in columns]
        self._codes = np.stack(codes, axis=1)  # the level of each hyperparameter; -1 for none

    def after_epochs(self, name: str) -> Floats:
        """Return a column of ``epochs.parquet`` as ``(rows, epochs)``."""
        wide = self._curves.pivot(index="candidate", columns="place", values=name)
        wide = wide.reindex(index=self.numbers, columns=range(self.epochs.max()))
        found: Floats = wide.to_numpy(np.float64, na_value=np.nan)
        return found

    def ask(self, trial: Asked) -> int:
        """Return the row of the candidate that a trial chooses.

        Hyperparameters are asked for in the order of the columns, each among the values that it has in the rows that
        are left. One with a single value there, or none, is not asked for: the space is conditional. Optuna needs the
        choices of one name to stay the same, so they are part of the name.
        """
        rows = np.arange(len(self._codes))
        for place, (name, levels) in enumerate(zip(self.candidates, self._levels, strict=True)):
            codes = self._codes[rows, place]
            values = [levels[code] for code in np.unique(codes) if code >= 0]
            if len(values) > 1:
                value = trial.suggest_categorical(f"{name}|{','.join(map(str, values))}", values)
                rows = rows[codes == levels.index(value)]
        return int(rows[0])

    def curve(self, row: int) -> Floats:
        """Return accuracy and energy after each epoch of a training, ``(epochs, 2)``."""
        end = self.epochs[row]
        return np.stack([self.quality[row, :end], self.energy[row, :end]], axis=1)

    def ends(self, rows: Iterable[int] | None = None) -> Floats:
        """Return accuracy and energy of full trainings, ``(n, 2)``, without those that failed."""
        some = np.arange(len(self.candidates)) if rows is None else np.array(list(rows), dtype=int)
        last = self.epochs[some] - 1
        points = np.stack([self.quality[some, last], self.energy[some, last]], axis=1)
        found: Floats = points[np.isfinite(points).all(axis=1)]
        return found

    def useful(self) -> Floats:
        """Return those of ``ends`` that are better than ``WORST``."""
        return better(self.ends(), self.task)

    def share(self, rows: Iterable[int]) -> float:
        """Return the hypervolume of some candidates as a share of the whole table's."""
        return self._volume(self.ends(rows)) / self._volume(self.ends())

    def _volume(self, points: Floats) -> float:
        """Return the area that points dominate, from ``WORST`` to the best values among networks that are better."""
        useful, (accuracy, energy) = self.useful(), WORST[self.task]
        x = np.log(points[:, 1] / useful[:, 1].min()) / np.log(energy / useful[:, 1].min())
        y = (points[:, 0] - accuracy) / (useful[:, 0].max() - accuracy)
        area, reached = 0.0, 0.0
        for cost, value in sorted(zip(x, y, strict=True)):
            if cost < 1 and value > reached:  # by rising cost, so each adds a strip above those before it
                area, reached = area + (value - reached) * (1 - max(cost, 0.0)), value
        return area


def better(points: Floats, task: str) -> Floats:
    """Return those of accuracies and energies ``(n, 2)`` that are better than the task's ``WORST``."""
    accuracy, energy = WORST[task]
    found: Floats = points[(points[:, 0] > accuracy) & (points[:, 1] < energy)]
    return found


def _of(path: Path, **wanted: Any) -> pd.DataFrame:
    """Return the rows of a table that have these values, without the column of a seed."""
    frame = pd.read_parquet(path, filters=[(name, "==", value) for name, value in wanted.items()])
    return frame.drop(columns=[name for name in wanted if name == "seed"])


def search(bench: Bench, sampler: optuna.samplers.BaseSampler, units: float, *, halve: bool) -> list[int]:
    """Return the rows that a search trains in full, while it spends so many full trainings.

    With halving a training is stopped at 1/15, 1/5 and 1/2 of its epochs unless its accuracy there is among the better
    half of those seen, which is a simple rule for one objective.
    """
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
    found: list[int] = []
    seen: set[int] = set()
    rungs: dict[float, list[float]] = {1 / 15: [], 1 / 5: [], 1 / 2: []}
    spent, draws = 0.0, 0
    while spent < units and draws < 50 * units:
        trial, draws = study.ask(), draws + 1
        row = bench.ask(trial)
        if row in seen:  # known already, and free
            study.tell(trial, state=TrialState.FAIL)
            continue
        seen.add(row)
        curve = bench.curve(row)
        stopped = 0
        for share, known in rungs.items() if halve else ():
            epoch = max(1, round(share * len(curve)))
            if epoch < len(curve):
                known.append(curve[epoch - 1, 0])
                if curve[epoch - 1, 0] < np.median(known):
                    stopped = epoch
                    break
        spent += (stopped or len(curve)) / len(curve)
        if stopped or not np.isfinite(curve[-1]).all():
            study.tell(trial, state=TrialState.PRUNED if stopped else TrialState.FAIL)
        else:
            study.tell(trial, [curve[-1, 0], np.log10(curve[-1, 1])])
            found.append(row)
    return found


def main() -> None:
    """Compare three samplers of Optuna."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", choices=WORST, default="digits")
    parser.add_argument("--seed", type=int, default=0, help="seed that the networks were trained under")
    parser.add_argument("--units", type=float, default=60, help="full trainings that a search may spend")
    parser.add_argument("--seeds", type=int, default=5, help="searches of each sampler")
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the Parquet files")
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    bench = Bench(arguments.task, arguments.seed, arguments.data)
    trained = f"{len(bench.candidates)} of {bench.listed} candidates"
    print(f"{trained}; share of their hypervolume after {arguments.units:g} full trainings")
    samplers: dict[str, Callable[[int], optuna.samplers.BaseSampler]] = {
        "random": lambda seed: optuna.samplers.RandomSampler(seed=seed),
        "TPE": lambda seed: optuna.samplers.TPESampler(seed=seed),
        "NSGA-II": lambda seed: optuna.samplers.NSGAIISampler(seed=seed, population_size=20),
    }
    for name, make in samplers.items():
        for halve in (False, True):
            shares = [
                bench.share(search(bench, make(seed), arguments.units, halve=halve)) for seed in range(arguments.seeds)
            ]
            print(f"{name + ', halving' * halve:18s} {np.mean(shares):.3f}", flush=True)


if __name__ == "__main__":
    main()
