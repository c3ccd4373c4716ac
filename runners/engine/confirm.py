"""Confirming: the members of a front, each judged for good under several seeds, side by side on Ray."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
import torch

from spikefront.plugins import EnergyModel, load_registry
from spikefront.runners.engine.placing.data import SharedData
from spikefront.runners.judging.confirm import judge_for_good
from spikefront.searchspace import Value, from_flat


@dataclass(frozen=True, slots=True)
class Repeat:
    """One training of a member.

    Attributes:
        trial: number of the member's trial.
        seed: what it was trained under.
        metrics: on the test split; empty where it failed.
        reason: why it failed; empty where it did not.
    """

    trial: int
    seed: int
    metrics: Mapping[str, float]
    reason: str = ""


def repeat_all(
    members: Mapping[int, Mapping[str, Value]],
    seeds: Sequence[int],
    data: ray.ObjectRef[Any],
    *,
    plugin_dirs: tuple[Path, ...],
    energy_model: str,
    ann_cache: Path,
    gpus: float,
    done: Iterable[tuple[int, int]] = (),
    on_repeat: Callable[[Repeat], None],
) -> None:
    """Judge each member under each seed. Call it inside a ``RaySession``; a failure ends only its own repeat.

    Args:
        members: flat candidates by the numbers of their trials.
        seeds: what to train under; every member comes to its first seed before any comes to its second.
        data: those of confirming, as ``share`` put them into Ray's object store.
        plugin_dirs: folders with loose plugin files.
        energy_model: name of the energy model.
        ann_cache: folder in which the ANNs of conversion codings are kept, so that each is trained once.
        gpus: GPUs of one training.
        done: trials and seeds that are known already.
        on_repeat: called as each ends, in the order in which they do.
    """
    known = set(done)
    work = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=1)(_repeat)
    asked = {
        work.remote(members[trial], seed, data, plugin_dirs, energy_model, ann_cache): (trial, seed)
        for seed in seeds
        for trial in members
        if (trial, seed) not in known
    }
    waiting = list(asked)
    while waiting:
        ended, waiting = ray.wait(waiting)
        for call in ended:
            trial, seed = asked[call]
            try:
                on_repeat(Repeat(trial, seed, ray.get(call)))
            except ray.exceptions.RayError as error:
                on_repeat(Repeat(trial, seed, {}, _reason(error)))


def _repeat(
    flat: Mapping[str, Any],
    seed: int,
    data: SharedData,
    plugin_dirs: tuple[Path, ...],
    energy_model: str,
    ann_cache: Path,
) -> dict[str, float]:
    torch.set_num_threads(1)
    registry = load_registry(plugin_dirs)
    model: EnergyModel = registry.get("energy", energy_model)()
    candidate = from_flat(flat, registry)
    return judge_for_good(
        candidate,
        seed,
        registry=registry,
        data=data.data_for(candidate, registry),
        energy_model=model,
        device="cuda" if torch.cuda.is_available() else "cpu",
        ann_cache=ann_cache,
    )


def _reason(error: Exception) -> str:
    cause = getattr(error, "cause", None) or error
    if isinstance(cause, ray.exceptions.WorkerCrashedError | ray.exceptions.OutOfMemoryError):
        return "lost its worker (killed, out of memory, or the machine went away)"
    return f"{type(cause).__name__}: {' '.join(str(cause).split())}"[:300]
