"""Repeated training of front members under several seeds, in parallel on Ray."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import ray
import torch

from spikefront.plugins import load_registry
from spikefront.runners.engine.placing.data import Purpose, SharedData, read_splits, share
from spikefront.runners.engine.placing.session import RaySession
from spikefront.runners.engine.settings import SearchSettings
from spikefront.runners.failures import LOST_WORKER, one_line
from spikefront.runners.judging.training import device
from spikefront.searchspace import Value, from_flat
from spikefront.searchspace.records import Repeat

Judge = Callable[..., dict[str, float]]
"""Trains and measures a candidate under a seed, as ``runners.judging.confirm.judge_for_good`` does."""


@dataclass(frozen=True, slots=True)
class Round:
    """Repeats that are made of the same splits in the same way.

    Attributes:
        purpose: what the splits are for.
        judge: what trains and measures; a function of a module, which workers import.
        pairs: trials and seeds, in the order in which they begin.
        on_repeat: called as each ends, in the order in which they do.
    """

    purpose: Purpose
    judge: Judge
    pairs: Sequence[tuple[int, int]]
    on_repeat: Callable[[Repeat], None]


def repeat_all(members: Mapping[int, Mapping[str, Value]], rounds: Sequence[Round], settings: SearchSettings) -> None:
    """Make repeats, one round after the other, in a Ray session of their own; a failure ends only its repeat.

    Args:
        members: flat candidates by the numbers of their trials, of one task.
        rounds: those without repeats are left out; without any, Ray is not started.
        settings: folders, energy model, workers and address.

    Raises:
        UsageError: before any training starts, for plugins, data or a cluster that are not there.
    """
    rounds = [each for each in rounds if each.pairs]
    if not rounds:
        return
    registry = load_registry(settings.plugin_folders)
    first = registry.stored(next(iter(members.values())))
    task = registry.task(first)
    with RaySession(settings) as session:
        is_ready = False
        for purpose, alike in groupby(rounds, lambda each: each.purpose):
            data = read_splits(task, settings.data_folder, first.steps, purpose)
            if not is_ready:  # Ray starts while data are read
                session.wait()
                is_ready = True
            shared = share(data, task, settings.data_folder, purpose=purpose, plugins_dir=settings.plugin_folders)
            del data  # the driver, too, has no copy beside that of its node then
            for each in alike:
                _run(members, each, shared, settings)


def _run(
    members: Mapping[int, Mapping[str, Value]], repeats: Round, data: ray.ObjectRef[Any], settings: SearchSettings
) -> None:
    work = ray.remote(num_cpus=1, num_gpus=settings.gpus_per_trial, max_retries=1)(_repeat)
    plugins_dir, energy_model, anns = settings.plugin_folders, settings.energy_model, settings.anns.resolve()
    asked = {
        work.remote(repeats.judge, members[trial], seed, data, plugins_dir, energy_model, anns): (trial, seed)
        for trial, seed in repeats.pairs
    }
    waiting = list(asked)
    while waiting:
        ended, waiting = ray.wait(waiting)
        for call in ended:
            trial, seed = asked[call]
            try:
                found = ray.get(call)
                repeats.on_repeat(Repeat(trial, seed, *(({}, found) if isinstance(found, str) else (found,))))
            except ray.exceptions.RayError as error:
                repeats.on_repeat(Repeat(trial, seed, {}, _reason(error)))


def _repeat(
    judge: Judge,
    flat: Mapping[str, Any],
    seed: int,
    data: SharedData,
    plugins_dir: tuple[Path, ...],
    energy_model: str,
    ann_cache: Path,
) -> dict[str, float] | str:
    """Return the metrics of one repeat, or the reason why it failed, which has its place only here."""
    try:
        torch.set_num_threads(1)
        registry = load_registry(plugins_dir)
        candidate = from_flat(flat, registry)
        return judge(
            candidate,
            seed,
            registry=registry,
            data=data.data_for(candidate, registry),
            energy_model=registry.energy_model(energy_model),
            device=device(),
            ann_cache=ann_cache,
        )
    except Exception as error:  # a plugin may raise anything
        return one_line(error)[:300]


def _reason(error: Exception) -> str:
    cause = getattr(error, "cause", None) or error
    if isinstance(cause, ray.exceptions.WorkerCrashedError | ray.exceptions.OutOfMemoryError):
        return LOST_WORKER
    return one_line(cause)[:300]
