"""Repeated training of front members under several seeds, in parallel on Ray."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import ray
import torch

from spikefront.plugins import load_registry
from spikefront.runners.engine.placing.data import Purpose, SharedData, read_splits, share
from spikefront.runners.engine.placing.session import RaySession
from spikefront.runners.engine.settings import SearchSettings
from spikefront.runners.failures import LOST_WORKER, one_line
from spikefront.runners.judging.confirm import RIGHT
from spikefront.runners.judging.training import device
from spikefront.searchspace import Value, from_flat
from spikefront.searchspace.candidate import identity
from spikefront.searchspace.records import Repeat
from spikefront.searchspace.trial import CUT

Judge = Callable[..., Mapping[int, Mapping[str, Any]]]
"""Trains a candidate under a seed, and measures it at each cut, as ``judge_for_good`` and ``judge_by_sample`` of
``runners.judging.confirm`` do."""


@dataclass(frozen=True, slots=True)
class Round:
    """Repeats that are made of the same splits in the same way.

    Attributes:
        purpose: what the splits are for.
        judge: what trains and measures; a function of a module, which workers import.
        pairs: names of members and seeds, in the order in which they begin. A trial and its points under one seed are
            one training.
        on_repeat: called as each ends, in the order in which they do.
        until: time of ``time.monotonic`` from which on none begins; None for no limit.
    """

    purpose: Purpose
    judge: Judge
    pairs: Sequence[tuple[str, int]]
    on_repeat: Callable[[Repeat], None]
    until: float | None = None


class Repeating:
    """Context in which repeats are made, one round after the other, in a Ray session that the first of them starts.

    A failure ends only its repeat. The splits of one purpose are shared at a time: rounds alike go together.

    Args:
        members: flat candidates by the names of trials or points, of one task.
        settings: folders, energy model, workers and address.
    """

    def __init__(self, members: Mapping[str, Mapping[str, Value]], settings: SearchSettings) -> None:
        self._members, self._settings = members, settings
        self._stack = ExitStack()
        self._session: RaySession | None = None
        self._is_ready = False
        self._shared: tuple[Purpose, ray.ObjectRef[Any]] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._shared = None
        self._stack.close()

    def run(self, repeats: Round) -> None:
        """Make the repeats of a round; without any, Ray is not started.

        Raises:
            UsageError: before any training starts, for plugins, data or a cluster that are not there.
        """
        if not repeats.pairs:
            return
        settings = self._settings
        if self._session is None:
            self._registry = load_registry(settings.plugin_folders)
            self._session = self._stack.enter_context(RaySession(settings))
        if self._shared is None or self._shared[0] != repeats.purpose:
            self._shared = None
            self._shared = repeats.purpose, self._share(repeats.purpose, self._session)
        _run(self._members, repeats, self._shared[1], settings)

    def _share(self, purpose: Purpose, session: RaySession) -> ray.ObjectRef[Any]:
        registry, settings = self._registry, self._settings
        first = registry.stored(next(iter(self._members.values())))
        task = registry.task(first)
        data = read_splits(task, settings.data_folder, first.steps, purpose)
        if not self._is_ready:  # Ray starts while data are read
            session.wait()
            self._is_ready = True
        return share(data, task, settings.data_folder, purpose=purpose, plugins_dir=settings.plugin_folders)


def repeat_all(members: Mapping[str, Mapping[str, Value]], rounds: Sequence[Round], settings: SearchSettings) -> None:
    """Make repeats, one round after the other, in a Ray session of their own; a failure ends only its repeat.

    Args:
        members: flat candidates by the names of trials or points, of one task.
        rounds: those without repeats are left out; without any, Ray is not started.
        settings: folders, energy model, workers and address.

    Raises:
        UsageError: before any training starts, for plugins, data or a cluster that are not there.
    """
    with Repeating(members, settings) as repeating:
        for each in rounds:
            repeating.run(each)


def _run(
    members: Mapping[str, Mapping[str, Value]], repeats: Round, data: ray.ObjectRef[Any], settings: SearchSettings
) -> None:
    work = ray.remote(num_cpus=1, num_gpus=settings.gpus_per_trial, max_retries=1)(_repeat)
    plugins_dir, energy_model, anns = settings.plugin_folders, settings.energy_model, settings.anns.resolve()
    left, asked = deque(_trainings(members, repeats.pairs)), dict[Any, _Training]()
    waiting: list[Any] = []
    while left or waiting:
        while left and (repeats.until is None or len(waiting) < settings.worker_count):
            if repeats.until is not None and time.monotonic() >= repeats.until:
                left.clear()
                break
            one = left.popleft()
            cuts = sorted(set(one.members.values()))
            call = work.remote(repeats.judge, one.flat, one.seed, cuts, data, plugins_dir, energy_model, anns)
            asked[call] = one
            waiting.append(call)
        if not waiting:
            return
        ended, waiting = ray.wait(waiting)
        for call in ended:
            one = asked.pop(call)
            try:
                found = ray.get(call)
            except ray.exceptions.RayError as error:
                found = _reason(error)
            for name, cut in one.members.items():
                repeats.on_repeat(_made(name, one.seed, found if isinstance(found, str) else found.get(cut), cut))


@dataclass(frozen=True, slots=True)
class _Training:
    """One training: a candidate, the seed, and its members: their T' by name, 0 for one that runs all steps."""

    flat: Mapping[str, Value]
    seed: int
    members: dict[str, int] = field(default_factory=dict)


def _trainings(members: Mapping[str, Mapping[str, Value]], pairs: Sequence[tuple[str, int]]) -> list[_Training]:
    """Return the trainings that repeats take: members that differ in their T' alone share those under one seed."""
    found: dict[object, _Training] = {}
    for name, seed in pairs:
        flat = {key: value for key, value in members[name].items() if key != CUT}
        training = found.setdefault((identity(flat), seed), _Training(flat, seed))
        training.members[name] = int(members[name].get(CUT, 0))
    return list(found.values())


def _made(name: str, seed: int, found: Mapping[str, Any] | str | None, cut: int) -> Repeat:
    """Return the repeat of one member from its metrics, or the reason why it has none."""
    if found is None:
        found = f"its network can't be stopped after {cut} steps, or is not finite there"
    if isinstance(found, str):
        return Repeat(name, seed, {}, found)
    return Repeat(name, seed, {key: each for key, each in found.items() if key != RIGHT}, right=found.get(RIGHT, ()))


def _repeat(
    judge: Judge,
    flat: Mapping[str, Any],
    seed: int,
    cuts: Sequence[int],
    data: SharedData,
    plugins_dir: tuple[Path, ...],
    energy_model: str,
    ann_cache: Path,
) -> Mapping[int, Mapping[str, Any]] | str:
    """Return the metrics of one training by cut, or the reason why it failed, which has its place only here."""
    try:
        torch.set_num_threads(1)
        registry = load_registry(plugins_dir)
        candidate = from_flat(flat, registry)
        return judge(
            candidate,
            seed,
            cuts=cuts,
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
