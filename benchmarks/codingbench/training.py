"""One training of CodingBench: a candidate, trained under one seed, and what is stored of it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Final

import torch
from grid import registry  # a file beside this one

from spikefront.plugins import Data, SearchData, Task
from spikefront.runners.judging.counting import count_ends
from spikefront.runners.judging.judge import Judging, refuse_infinite
from spikefront.runners.judging.measuring import MEASURING_SEED, measuring_batch
from spikefront.runners.judging.training import evaluate, split_outputs_at
from spikefront.searchspace import from_flat
from spikefront.searchspace.objectives import DEFAULT_ENERGY_MODEL

ENERGY_MODEL: Final = DEFAULT_ENERGY_MODEL
"""What ``energy_nj`` is priced by; the counts are stored, so that any other model can price them."""
AFTER_EPOCHS: Final = (
    "quality", "energy_nj", "loss", "sops", "macs", "spike_rate", "min_layer_rate", "max_layer_rate",
)  # fmt: skip
"""Metrics that are stored of each epoch."""
AT_END: Final = ("latency_steps", "macs_every_step", "parameters", "encoder_nj", "attention_nj", "energy_se_nj")
"""Metrics that are stored of the last epoch besides."""
AT_CUTS: Final = ("quality", "energy_nj", "sops", "macs", "spike_rate", "latency_steps")
"""Metrics that are stored of a network that is stopped early."""
COUNTED: Final = (
    "sops", "macs", "macs_every_step", "adds", "multiplies", "shifts", "biases", "events", "sites", "active",
)  # fmt: skip
"""Numbers of each layer that are summed by role."""
OF_CONVERSIONS: Final = ("ann_quality", "ann_trained")


@dataclass(frozen=True, slots=True)
class Job:
    """A training to do: candidate ``number`` of a task, in its flat form, under a seed."""

    task: str
    number: int
    flat: Mapping[str, Any]
    seed: int

    @property
    def key(self) -> tuple[str, int, int]:
        """What no other training has."""
        return self.task, self.number, self.seed


@dataclass(frozen=True, slots=True)
class Splits:
    """A task with its data."""

    task: Task
    search: SearchData
    test: Data


@cache
def splits(name: str, data_dir: Path | None) -> Splits:
    """Read the data of a task, once in a process."""
    task: Task = registry().get("task", name)()
    return Splits(task, task.search_data(data_dir, 1), task.test_data(data_dir, 1))


def trained(job: Job, *, ann_cache: Path, data_dir: Path | None = None) -> dict[str, Any]:
    """Train and measure, and return what the journal stores: plain numbers, for JSON.

    A training that fails has the state ``failed``, the reason, and the epochs before it. Processor time is that of this
    process. The test split is read once, at the end.
    """
    found: dict[str, Any] = {"task": job.task, "candidate": job.number, "seed": job.seed, "state": "complete"}
    epochs: list[dict[str, float]] = []
    try:
        for measured in _measured(job, ann_cache, data_dir, found):
            epochs.append(measured)
    except Exception as error:  # a row like any other
        found |= {"state": "failed", "reason": f"{type(error).__name__}: {error}"}
    return {**found, "epochs": epochs}


def _measured(job: Job, ann_cache: Path, data_dir: Path | None, found: dict[str, Any]) -> Iterator[dict[str, float]]:
    """Yield what is stored of each epoch, and add what is stored of the whole training to ``found``."""
    data = splits(job.task, data_dir)
    candidate = replace(from_flat(job.flat, registry()), seed=job.seed)
    registry().refuse(candidate)
    started = time.process_time()
    model = registry().energy_model(ENERGY_MODEL)
    judging = Judging(candidate, registry=registry(), data=data.search, energy_model=model, ann_cache=ann_cache)
    while not judging.finished:
        metrics = judging.epoch()
        now = time.process_time()
        refuse_infinite(metrics, judging.epochs_done)
        yield {
            "epoch": judging.epochs_done,
            **{name: metrics[name] for name in AFTER_EPOCHS},
            "cpu_seconds": now - started,
        }
        started = now
    found |= {name: metrics[name] for name in (*AT_END, *OF_CONVERSIONS) if name in metrics}
    found["test_quality"] = evaluate(judging.network, data.task, data.test)["quality"]
    found["counts"] = judging.counts.to_dict()
    found["points"] = points_of(judging, data)


def points_of(judging: Judging, data: Splits) -> dict[int, dict[str, Any]]:
    """Return what a trained network does when it is stopped after T' < T steps, by T'."""
    cuts = tuple(judging.points)
    batch = measuring_batch(data.task, data.search.validation)
    counts = count_ends(judging.network, [batch], cuts, traffic=False, seed=MEASURING_SEED)
    outputs = split_outputs_at(judging.network, data.task, data.test, cuts)
    found = {}
    for cut, metrics in judging.points.items():
        test = evaluate(judging.network, data.task, data.test, outputs[cut])
        named = {name: metrics[name] for name in AT_CUTS}
        found[cut] = {**named, "test_quality": test["quality"], "counts": by_role(counts[cut][0].to_dict())}
    return found


def by_role(counts: Mapping[str, Any]) -> dict[str, float]:
    """Return operations per sample, summed over the layers of one role: ``synapse_sops``, ``encoder_adds``, ...

    Args:
        counts: ``Counts.to_dict``.
    """
    found: dict[str, float] = {}
    for layer in counts["layers"]:
        numbers = layer | layer["operations"]
        for name in COUNTED:
            if numbers[name]:
                key = f"{layer['role']}_{name}"
                found[key] = found.get(key, 0.0) + numbers[name] / counts["samples"]
    return found


def chance(task: str, data_dir: Path | None = None) -> float:
    """Return the validation quality of the best constant output."""
    data = splits(task, data_dir)
    return data.task.chance_quality(data.search)


def one_thread() -> None:
    """Set torch to one thread: a candidate then gives the same numbers whatever the number of processors."""
    torch.set_num_threads(1)
