"""Diabetes: 10 measurements of 442 patients, and how far the disease went in a year; shipped with scikit-learn.

Age, sex, body mass index, mean blood pressure and six blood serum values predict one number, 25 to 346. Each
measurement is scaled to [0, 1] by its range in the training split, and the number given in standard deviations from
the mean of that split (see ``ArrayTask``). A linear model explains about half of the variance.

Source: Efron, Hastie, Johnstone & Tibshirani, "Least angle regression", Annals of Statistics 32 (2004).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from spikefront.plugins import Task, hookimpl
from spikefront.plugins.data.arrays import ArrayTask
from spikefront.plugins.data.samples import Array


class Diabetes(ArrayTask):
    """Disease progression from 10 measurements of a patient (scikit-learn); regression."""

    name = "diabetes"
    held_out = "16 % of the patients, at random, of whom each is in the data once"

    def files(self, data_dir: Path | None) -> Sequence[Path]:
        return ()

    @classmethod
    def read(cls) -> tuple[Array, Array]:
        package = find_spec("sklearn")  # importing sklearn.datasets would take over a second
        assert package is not None and package.origin is not None, "scikit-learn is a dependency"
        folder = Path(package.origin).parent / "datasets" / "data"
        return np.loadtxt(folder / "diabetes_data_raw.csv.gz"), np.loadtxt(folder / "diabetes_target.csv.gz")


@hookimpl
def register_tasks(register: Callable[[type[Task]], None]) -> None:
    register(Diabetes)
