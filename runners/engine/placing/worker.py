"""What runs on a worker: one actor judges one candidate after another, an epoch per step."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ray import tune

from spikefront.plugins import EnergyModel, Registry, load_registry
from spikefront.plugins.bases.conversion import Conversion
from spikefront.runners.engine.placing.data import SharedData
from spikefront.runners.engine.placing.files import FAILURE, beside, checkpoint_file, weights_file
from spikefront.runners.engine.placing.nodes import refuse_misfit
from spikefront.runners.engine.placing.process_group import ParallelJudging, Team
from spikefront.runners.engine.placing.watchdog import Watchdog, hang_file, reason_of_hang
from spikefront.runners.judging.judge import Judging
from spikefront.runners.judging.layers import layers_json
from spikefront.searchspace import from_flat


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """What a worker needs besides data and candidates.

    Attributes:
        weights: folder in which trained weights are left.
        anns: folder of the ANNs that conversion codings share.
        threads: threads of one worker.
        checkpoint_every_s: seconds of work after which an epoch's end is worth a checkpoint. One takes 3 ms, or 15 ms
            at 340,000 parameters, on a local disk; a lost worker costs at most one epoch, or this much of shorter ones.
        epoch_timeout_s: seconds after which an epoch, or the building of a candidate, is taken to hang; None for never.
        team: what several processes of one trial need; None where the worker is alone.
        expected: plugins and versions that every node must have; None where there is but one machine.
    """

    plugin_dirs: tuple[Path, ...]
    energy_model: str
    weights: Path
    anns: Path
    threads: int = 1
    checkpoint_every_s: float = 1.0
    epoch_timeout_s: float | None = None
    team: Team | None = None
    expected: Mapping[str, str] | None = None


class Checkpoint:
    """The file from which a trial goes on when it has lost its worker.

    Not one of Tune's checkpoints, which a resumed search, being a new experiment to Tune, would not find.

    Args:
        path: the trial's own, which every node must see.
        flat: the trial's candidate. The checkpoint of any other is none of this trial.
    """

    def __init__(self, path: Path, flat: Mapping[str, Any]) -> None:
        self._path = path
        self._flat = dict(flat)

    def read(self) -> Mapping[str, Any] | None:
        """Return the state that was written last; None where there is none, or none that can be used."""
        try:
            stored = torch.load(self._path, weights_only=True, map_location="cpu")
            state: Mapping[str, Any] = stored["state"]
            return state if stored["candidate"] == self._flat else None
        except Exception:  # torch raises anything for a damaged file, and the trial can always start anew
            return None

    def write(self, state: Mapping[str, Any]) -> None:
        """Replace what was written before, if it can be: a trial without a checkpoint is better than none."""
        # a worker that was taken for lost may still write beside its successor
        part = self._path.with_suffix(f".{uuid.uuid4().hex[:8]}.part")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            torch.save({"candidate": self._flat, "state": state}, part)
            os.replace(part, self._path)
        except Exception:  # whatever torch makes of a full disk
            with suppress(OSError):
                part.unlink(missing_ok=True)

    def delete(self) -> None:
        """Remove the file, and what a killed worker left of writing it."""
        for path in self._path.parent.glob(f"{self._path.stem}.*"):
            path.unlink(missing_ok=True)


class CandidateTrainable(tune.Trainable):
    """Judges one candidate; reused for the next. A failing candidate is reported, not raised, so the actor lives on.

    A trial that lost its worker goes on from its checkpoint, on whichever worker Tune gives it.
    """

    _judging: Judging | None
    _failure: str
    _checkpoint: Checkpoint

    def setup(  # type: ignore[override]  # Ray's with_parameters adds the arguments
        self, config: dict[str, Any], data: SharedData, settings: WorkerSettings
    ) -> None:
        torch.set_num_threads(settings.threads)
        self._settings = settings
        self._registry: Registry = load_registry(settings.plugin_dirs)
        self._energy_model: EnergyModel = self._registry.get("energy", settings.energy_model)()
        self._data = data
        self._start(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        # not sooner: until the driver has heard of its last step, the trial may have to be run again
        if new_config["number"] != self._number:
            self._checkpoint.delete()
        self._start(new_config)
        return True

    def cleanup(self) -> None:
        if self._done:  # else the search was ended; it goes on from here when the search is resumed
            self._checkpoint.delete()

    def _start(self, config: Mapping[str, Any]) -> None:
        self._number: int = config["number"]
        path = checkpoint_file(self._settings.weights, self._number)
        self._checkpoint, hang = Checkpoint(path, config["candidate"]), hang_file(path)
        self._watchdog = Watchdog(hang)
        self._judging, self._failure, self._done = None, reason_of_hang(hang) or "", False
        if self._failure:  # of the worker before this one; the same candidate would hang again
            return
        try:
            with self._limit("the candidate was not built"):
                self._judging = self._resumed(config["candidate"])
        except Exception as error:  # a plugin may raise anything; the search goes on
            self._failure = _one_line(error)
        self._saved = time.monotonic()

    def _resumed(self, flat: Mapping[str, Any]) -> Judging:
        """Return a judging that goes on from the checkpoint, or starts where there is none."""
        judging = self._new(flat)
        state = self._checkpoint.read()
        if state is None:
            return judging
        try:
            judging.restore(state)
        except Exception:  # it does not fit, perhaps because a plugin was changed
            return self._new(flat)
        return judging

    def _new(self, flat: Mapping[str, Any]) -> Judging:
        refuse_misfit(self._settings.expected, self._settings.plugin_dirs)
        team = self._settings.team
        make = Judging if team is None else partial(ParallelJudging, team=team)
        candidate = from_flat(flat, self._registry)
        return make(
            candidate,
            registry=self._registry,
            data=self._data.data_for(candidate, self._registry),
            energy_model=self._energy_model,
            device="cuda" if torch.cuda.is_available() else "cpu",
            ann_cache=self._settings.anns,
        )

    def step(self) -> dict[str, Any]:
        result = self._epoch()
        self._done = bool(result["done"])
        return result

    def _epoch(self) -> dict[str, Any]:
        if self._judging is None:
            return {FAILURE: self._failure, "done": True}
        try:
            metrics = self._timed_epoch(self._judging)
        except Exception as error:  # as above
            return {FAILURE: _one_line(error), "done": True}
        bad = [name for name in ("quality", "energy_nj", "loss") if not np.isfinite(metrics[name])]
        if bad:
            return {FAILURE: f"{bad[0]} is {metrics[bad[0]]:g} at epoch {self._judging.epochs_done}", "done": True}
        if self._judging.finished:
            try:
                self._keep_weights(self._judging)
            except Exception as error:  # whatever torch makes of a full disk
                return {FAILURE: f"its weights were not kept: {_one_line(error)}", "done": True}
        elif time.monotonic() - self._saved >= self._settings.checkpoint_every_s:
            self._checkpoint.write(self._judging.state())
            self._saved = time.monotonic()
        return {"epoch": self._judging.epochs_done, "metrics": metrics, "done": self._judging.finished}

    def _timed_epoch(self, judging: Judging) -> dict[str, float]:
        """Judge an epoch; for a conversion coding, train the ANN for all its epochs.

        That takes up to twice as long: another worker may train the same ANN first, and be lost just before its end.
        """
        epochs = judging.candidate.training.schedule.epochs
        if isinstance(judging.network.coding, Conversion):
            limit = self._limit(f"its ANN did not end its {epochs} epochs", 2 * epochs)
        else:
            limit = self._limit(f"epoch {judging.epochs_done + 1} did not end")
        with limit:
            # what a coding adds is a plugin's, and Tune carries anything
            return {name: float(value) for name, value in judging.epoch().items()}

    def _limit(self, what: str, times: int = 1) -> AbstractContextManager[None]:
        timeout = self._settings.epoch_timeout_s
        if timeout is None:
            return nullcontext()
        allowed = f"{timeout:g} s" if times == 1 else f"{times} times {timeout:g} s"
        return self._watchdog.limit(timeout * times, f"{what} within {allowed} (--epoch-timeout)")

    def _keep_weights(self, judging: Judging) -> None:
        path = weights_file(self._settings.weights, self._number)
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(judging.network.state_dict(), path)
        picture = judging.picture()
        if picture is not None:
            _write_png(picture, beside(path, "picture.png"))
        beside(path, "layers.json").write_text(layers_json(judging.counts, self._energy_model), encoding="utf-8")

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Save nothing: ``Checkpoint`` does."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Load nothing: ``Checkpoint`` does."""


def _write_png(picture: torch.Tensor, path: Path) -> None:
    """Write a picture in [0, 1], ``(H, W)`` or ``(3, H, W)``."""
    from PIL import Image

    pixels = (picture.clamp(0, 1) * 255).round().to(torch.uint8).numpy()
    Image.fromarray(pixels if pixels.ndim == 2 else pixels.transpose(1, 2, 0)).save(path)


def _one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}".rstrip(": ")
