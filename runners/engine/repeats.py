"""Repeated training of front members under several seeds, in parallel on Ray, evaluated on the test split."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import ray
import torch

from spikefront.plugins import EnergyModel, load_registry
from spikefront.runners.engine.placing.data import SharedData
from spikefront.runners.failures import LOST_WORKER, one_line
from spikefront.runners.judging.confirm import judge_for_good
from spikefront.runners.judging.training import device
from spikefront.searchspace import Value, from_flat
from spikefront.searchspace.records import Repeat


def repeat_all(
    members: Mapping[int, Mapping[str, Value]],
    seeds: Sequence[int],
    data: ray.ObjectRef[Any],
    *,
    plugins_dir: tuple[Path, ...],
    energy_model: str,
    ann_cache: Path,
    gpus: float,
    done: Iterable[tuple[int, int]] = (),
    on_repeat: Callable[[Repeat], None],
) -> None:
    """Train and evaluate each member under each seed. Call it inside a ``RaySession``; a failure ends only its repeat.

    Args:
        members: flat candidates by the numbers of their trials.
        seeds: the seeds; all members are trained under the first before any is under the second.
        data: the data for confirming, as ``share`` put them into Ray's object store.
        plugins_dir: folders with loose plugin files.
        energy_model: name of the energy model, with its settings.
        ann_cache: folder in which the ANNs of conversion codings are kept, so that each is trained once.
        gpus: GPUs of one training.
        done: trials and seeds with known results.
        on_repeat: called as each ends, in the order in which they do.
    """
    known = set(done)
    work = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=1)(_repeat)
    asked = {
        work.remote(members[trial], seed, data, plugins_dir, energy_model, ann_cache): (trial, seed)
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
                found = ray.get(call)
                on_repeat(Repeat(trial, seed, *(({}, found) if isinstance(found, str) else (found,))))
            except ray.exceptions.RayError as error:
                on_repeat(Repeat(trial, seed, {}, _reason(error)))


def _repeat(
    flat: Mapping[str, Any],
    seed: int,
    data: SharedData,
    plugins_dir: tuple[Path, ...],
    energy_model: str,
    ann_cache: Path,
) -> dict[str, float] | str:
    """Return the metrics of one repeat, or the reason why it failed, which has its place only here."""
    try:
        return _judged(flat, seed, data, plugins_dir, energy_model, ann_cache)
    except Exception as error:  # a plugin may raise anything
        return one_line(error)[:300]


def _judged(
    flat: Mapping[str, Any],
    seed: int,
    data: SharedData,
    plugins_dir: tuple[Path, ...],
    energy_model: str,
    ann_cache: Path,
) -> dict[str, float]:
    torch.set_num_threads(1)
    registry = load_registry(plugins_dir)
    model: EnergyModel = registry.energy_model(energy_model)
    candidate = from_flat(flat, registry)
    return judge_for_good(
        candidate,
        seed,
        registry=registry,
        data=data.data_for(candidate, registry),
        energy_model=model,
        device=device(),
        ann_cache=ann_cache,
    )


def _reason(error: Exception) -> str:
    cause = getattr(error, "cause", None) or error
    if isinstance(cause, ray.exceptions.WorkerCrashedError | ray.exceptions.OutOfMemoryError):
        return LOST_WORKER
    return one_line(cause)[:300]
