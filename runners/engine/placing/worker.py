"""Ray Tune trainable: one actor evaluates one candidate after another, an epoch per step."""

from __future__ import annotations

import json
import time
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
from spikefront.runners.engine.compat import without_compiler
from spikefront.runners.engine.placing.data import SharedData
from spikefront.runners.engine.placing.files import (
    BEFORE,
    FAILURE,
    POINTS,
    TRACEBACK,
    UNKEPT,
    UNSEEN,
    beside,
    checkpoint_file,
    counts_file,
    weights_file,
)
from spikefront.runners.engine.placing.nodes import check_this_node
from spikefront.runners.engine.placing.process_group import GroupConfig, ParallelJudging, ProcessGroup
from spikefront.runners.engine.placing.watchdog import Watchdog, hang_file, reason_of_hang
from spikefront.runners.engine.settings import cores
from spikefront.runners.failures import Failure, one_line
from spikefront.runners.judging.activity import png
from spikefront.runners.judging.footprint import share_of_trial
from spikefront.runners.judging.judge import Judging
from spikefront.runners.judging.layers import counts_json, layers_json
from spikefront.runners.judging.training import device
from spikefront.searchspace import from_flat
from spikefront.searchspace.targets import replaced
from spikefront.searchspace.trial import ACTIVITY, LAYERS, PICTURE


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """Settings of a worker, besides data and candidates.

    Attributes:
        plugins_dir: folders with loose plugin files.
        energy_model: name of the energy model, with its settings.
        weights: folder for trained weights.
        anns: folder of the ANNs that conversion codings share.
        threads: threads of one worker.
        checkpoint_every_s: seconds of work between two checkpoints, which are written at the end of an epoch. Writing
            one takes 3 ms, or 15 ms at 340,000 parameters, on a local disk; a lost worker costs at most one epoch, or
            this much of shorter ones.
        epoch_timeout_s: time limit of an epoch, and of building a candidate, in seconds; None for no limit.
        cuts: whether trained networks are measured after fewer steps, too.
        group: settings of several processes per trial; None for one.
        expected: plugins and versions that every node must have; None on one machine.
        at_once: trials at a time on this machine, which share its memory; None for no limit. On a cluster, where nodes
            may have fewer processors than this, it is one for each of those.
    """

    plugins_dir: tuple[Path, ...]
    energy_model: str
    weights: Path
    anns: Path
    threads: int = 1
    checkpoint_every_s: float = 1.0
    epoch_timeout_s: float | None = None
    cuts: bool = True
    group: GroupConfig | None = None
    expected: Mapping[str, str] | None = None
    at_once: int | None = None


class Checkpoint:
    """Checkpoint file of a trial, from which it goes on after the loss of its worker.

    Not one of Tune's checkpoints: to Tune a resumed search is a new experiment, which would not find them.

    Args:
        path: the trial's own file, which every node must see.
        flat: the trial's candidate. Checkpoints of other candidates are ignored.
    """

    def __init__(self, path: Path, flat: Mapping[str, Any]) -> None:
        self._path = path
        self._flat = dict(flat)

    def read(self) -> Mapping[str, Any] | None:
        """Return the state that was written last; None where there is none, or it can't be used."""
        try:
            stored = torch.load(self._path, weights_only=True, map_location="cpu")
            state: Mapping[str, Any] = stored["state"]
            return state if stored["candidate"] == self._flat else None
        except Exception:  # torch raises anything for a damaged file, and the trial can always start from the beginning
            return None

    def write(self, state: Mapping[str, Any]) -> None:
        """Replace the file. Failures are ignored: a trial without a checkpoint is better than none."""
        with suppress(Exception):  # torch raises anything on a full disk
            self._path.parent.mkdir(parents=True, exist_ok=True)
            # a worker that was taken for lost may still write at the same time as its successor
            with replaced(self._path, unique=True) as part:
                torch.save({"candidate": self._flat, "state": state}, part)

    def delete(self) -> None:
        """Delete the file, and unfinished ones of killed workers."""
        for path in self._path.parent.glob(f"{self._path.stem}.*"):
            path.unlink(missing_ok=True)


class CandidateTrainable(tune.Trainable):
    """Evaluation of one candidate, then the next. A failure is reported, not raised, so that the actor can be reused.

    A trial that lost its worker goes on from its checkpoint on another worker.
    """

    _judging: Judging | None
    _failure: Failure | None
    _checkpoint: Checkpoint

    def setup(  # type: ignore[override]  # Ray's with_parameters adds the arguments
        self, config: dict[str, Any], data: SharedData, settings: WorkerSettings
    ) -> None:
        torch.set_num_threads(settings.threads)
        without_compiler()
        self._memory = _share(settings)
        self._settings = settings
        self._registry: Registry = load_registry(settings.plugins_dir)
        self._energy_model: EnergyModel = self._registry.energy_model(settings.energy_model)
        self._data = data
        self._group = None if settings.group is None else ProcessGroup(settings.group)
        self._start(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        # not sooner: until the driver has the result of its last step, the trial may have to be run again
        if new_config["number"] != self._number:
            self._checkpoint.delete()
        self._start(new_config)
        return True

    def cleanup(self) -> None:
        if self._done:  # else the search was ended, and the trial goes on from here when it is resumed
            self._checkpoint.delete()

    def _start(self, config: Mapping[str, Any]) -> None:
        self._number: int = config["number"]
        path = checkpoint_file(self._settings.weights, self._number)
        self._checkpoint, hang = Checkpoint(path, config["candidate"]), hang_file(path)
        self._watchdog = Watchdog(hang)
        self._flat: Mapping[str, Any] = config["candidate"]
        self._judging, self._failure, self._done = None, None, False
        self._history: dict[str, dict[str, float]] = {}
        self._before: dict[str, dict[str, float]] = {}
        hung = reason_of_hang(hang)
        if hung is not None:  # the worker before this one did; the same candidate would hang again
            self._failure = Failure(hung)

    def _build(self) -> Judging:
        """Build the candidate: in the first step, as Tune starts no trial again whose worker is lost while reset."""
        with self._limit("the candidate was not built"):
            judging = self._resumed(self._flat)
        self._saved = time.monotonic()
        return judging

    def _resumed(self, flat: Mapping[str, Any]) -> Judging:
        """Return a judging that goes on from the checkpoint; a new one where there is none."""
        judging = self._new(flat)
        state = self._checkpoint.read()
        if state is None:
            return judging
        try:
            judging.restore(state)
        except Exception:  # it does not fit, perhaps because a plugin was changed
            return self._new(flat)
        self._history = dict(state.get("history", {}))  # earlier versions wrote none
        self._before = dict(self._history)
        return judging

    def _new(self, flat: Mapping[str, Any]) -> Judging:
        check_this_node(self._settings.expected, self._settings.plugins_dir)
        make = Judging if self._group is None else partial(ParallelJudging, group=self._group)
        candidate = from_flat(flat, self._registry)
        return make(
            candidate,
            registry=self._registry,
            data=self._data.data_for(candidate, self._registry),
            energy_model=self._energy_model,
            device=device(),
            ann_cache=self._settings.anns,
            cuts=self._settings.cuts,
            memory=self._memory,
        )

    def step(self) -> dict[str, Any]:
        result = self._epoch()
        if self._before:
            result[BEFORE], self._before = self._before, {}
        self._done = bool(result["done"])
        return result

    def _epoch(self) -> dict[str, Any]:
        if self._failure is not None:
            return _report(self._failure)
        try:
            if self._judging is None:
                self._judging = self._build()
            metrics = self._timed_epoch(self._judging)
        except Exception as error:  # a plugin may raise anything; the search goes on
            return _report(Failure.of(error))
        bad = [name for name in ("quality", "energy_nj", "loss") if not np.isfinite(metrics[name])]
        if bad:
            return _report(Failure(f"{bad[0]} is {metrics[bad[0]]:g} at epoch {self._judging.epochs_done}"))
        result = {"epoch": self._judging.epochs_done, "metrics": metrics, "done": self._judging.finished}
        self._history[str(self._judging.epochs_done)] = metrics
        if self._judging.finished:
            result[POINTS] = {
                str(cut): {name: float(value) for name, value in point.items()}
                for cut, point in self._judging.points.items()
            }
            try:
                self._save(self._judging)
                if unseen := self._write_activity(self._judging):
                    result[UNSEEN] = unseen
            except Exception as error:  # torch raises anything on a full disk, which says nothing about the candidate
                self._unsave()
                result[UNKEPT] = one_line(error)
        elif time.monotonic() - self._saved >= self._settings.checkpoint_every_s:
            self._checkpoint.write({**self._judging.state(), "history": self._history})
            self._saved = time.monotonic()
        return result

    def _timed_epoch(self, judging: Judging) -> dict[str, float]:
        """Train and measure an epoch; for a conversion coding, train the ANN for all its epochs.

        The limit of an ANN is doubled: another worker may train the same ANN first, and be lost just before its end.
        """
        epochs = judging.candidate.training.schedule.epochs
        if isinstance(judging.network.coding, Conversion):
            limit = self._limit(f"its ANN did not end its {epochs} epochs", 2 * epochs)
        else:
            limit = self._limit(f"epoch {judging.epochs_done + 1} did not end")
        with limit:
            # a plugin's metrics may be anything, and Tune does not check them
            return {name: float(value) for name, value in judging.epoch().items()}

    def _limit(self, what: str, times: int = 1) -> AbstractContextManager[None]:
        timeout = self._settings.epoch_timeout_s
        if timeout is None:
            return nullcontext()
        allowed = f"{timeout:g} s" if times == 1 else f"{times} times {timeout:g} s"
        return self._watchdog.limit(timeout * times, f"{what} within {allowed} (--epoch-timeout)")

    def _save(self, judging: Judging) -> None:
        path = weights_file(self._settings.weights, self._number)
        path.parent.mkdir(parents=True, exist_ok=True)
        every = {0: judging.counts, **judging.point_counts}
        for cut, counted in every.items():
            counts = counts_file(self._settings.weights, self._number, cut)
            counts.parent.mkdir(parents=True, exist_ok=True)
            with replaced(counts, unique=True) as part:
                part.write_text(counts_json(counted), encoding="utf-8")
        torch.save(judging.network.state_dict(), path)
        picture = judging.picture()
        if picture is not None:
            beside(path, PICTURE).write_bytes(png(picture))
        for cut, silent in judging.silent_points().items():
            layers = layers_json(every[cut], silent, self._energy_model)
            beside(path, LAYERS, cut).write_text(layers, encoding="utf-8")

    def _write_activity(self, judging: Judging) -> str:
        """Write what the network does beside its weights, and return why there is nothing to write, if so."""
        try:
            text = json.dumps(judging.activity().to_dict(), separators=(",", ":"), allow_nan=False)
            beside(weights_file(self._settings.weights, self._number), ACTIVITY).write_text(text, encoding="utf-8")
        except Exception as error:  # a plugin's outputs may have any shape, and no number depends on this
            return one_line(error)
        return ""

    def _unsave(self) -> None:
        """Delete what was written of the weights and the files beside them."""
        path = weights_file(self._settings.weights, self._number)
        with suppress(OSError):
            for part in path.parent.glob(f"{path.stem}[.@]*"):
                part.unlink(missing_ok=True)

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Do nothing: ``Checkpoint`` does."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Do nothing: ``Checkpoint`` does."""


def _share(settings: WorkerSettings) -> float | None:
    """Return the bytes that a trial may take here; None for no limit, as on a GPU, whose memory is another."""
    if settings.at_once is None or device() != "cpu":
        return None
    here = settings.at_once if settings.expected is None else min(settings.at_once, cores())
    return share_of_trial(here)


def _report(failure: Failure) -> dict[str, Any]:
    traceback = {TRACEBACK: failure.traceback} if failure.traceback else {}
    return {FAILURE: failure.reason, **traceback, "done": True}
