"""What runs on a worker: one actor judges one candidate after another, an epoch per step."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from ray import tune

from spikefront.plugins import Data, EnergyModel, Registry, SearchData, load_registry
from spikefront.runners.engine.searcher import FAILURE, weights_file
from spikefront.runners.judging.judge import Judging
from spikefront.searchspace import from_flat

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class SharedData:
    """The data of a search as NumPy arrays, which Ray shares between the workers of a node without copying."""

    train: tuple[Array, Array]
    validation: tuple[Array, Array]
    outputs: int

    @classmethod
    def of(cls, data: SearchData) -> SharedData:
        """Wrap a task's splits."""
        pairs = ((split.inputs.numpy(), split.targets.numpy()) for split in (data.train, data.validation))
        return cls(next(pairs), next(pairs), data.outputs)

    def tensors(self) -> SearchData:
        """Return the splits as tensors on the same memory."""
        splits = [Data(*(_as_tensor(array) for array in pair)) for pair in (self.train, self.validation)]
        return SearchData(splits[0], splits[1], self.outputs)


def _as_tensor(array: Array) -> torch.Tensor:
    with warnings.catch_warnings():
        # Ray's shared memory is read-only, and so is all use of it here
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array)


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """What a worker needs besides data and candidates.

    Attributes:
        weights: folder in which trained weights are left.
        anns: folder of the ANNs that conversion codings share.
    """

    plugin_dirs: tuple[Path, ...]
    energy_model: str
    weights: Path
    anns: Path
    threads: int = 1


class CandidateTrainable(tune.Trainable):
    """Judges one candidate; reused for the next. A failing candidate is reported, not raised, so the actor lives on."""

    _judging: Judging | None
    _failure: str

    def setup(  # type: ignore[override]  # Ray's with_parameters adds the arguments
        self, config: dict[str, Any], data: SharedData, settings: WorkerSettings
    ) -> None:
        torch.set_num_threads(settings.threads)
        self._settings = settings
        self._registry: Registry = load_registry(settings.plugin_dirs)
        self._energy_model: EnergyModel = self._registry.get("energy", settings.energy_model)()
        self._data = data.tensors()
        self._start(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._start(new_config)
        return True

    def _start(self, config: Mapping[str, Any]) -> None:
        self._number: int = config["number"]
        self._judging, self._failure = None, ""
        try:
            self._judging = Judging(
                from_flat(config["candidate"], self._registry),
                registry=self._registry,
                data=self._data,
                energy_model=self._energy_model,
                device="cuda" if torch.cuda.is_available() else "cpu",
                ann_cache=self._settings.anns,
            )
        except Exception as error:  # a plugin may raise anything; the search goes on
            self._failure = _one_line(error)

    def step(self) -> dict[str, Any]:
        if self._judging is None:
            return {FAILURE: self._failure, "done": True}
        try:
            metrics = self._judging.epoch()
        except Exception as error:  # as above
            return {FAILURE: _one_line(error), "done": True}
        bad = [name for name in ("quality", "energy_nj", "loss") if not np.isfinite(metrics[name])]
        if bad:
            return {FAILURE: f"{bad[0]} is {metrics[bad[0]]:g} at epoch {self._judging.epochs_done}", "done": True}
        if self._judging.finished:
            self._settings.weights.mkdir(parents=True, exist_ok=True)
            torch.save(self._judging.network.state_dict(), weights_file(self._settings.weights, self._number))
        return {"epoch": self._judging.epochs_done, "metrics": metrics, "done": self._judging.finished}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Save nothing: a trial that lost its worker starts again."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Load nothing: a trial that lost its worker starts again."""


def _one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}".rstrip(": ")
