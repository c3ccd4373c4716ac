"""Evaluation of one candidate: training, quality and energy. No Ray, no Optuna, no MLflow."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from spikefront.plugins import ContractError, Counts, Data, EnergyModel, Registry, SearchData, load_registry
from spikefront.plugins.bases.conversion import Conversion
from spikefront.runners.judging.activity import activity_of
from spikefront.runners.judging.conversion import Converter
from spikefront.runners.judging.distributed import ALONE, Processes
from spikefront.runners.judging.footprint import needs_recomputing
from spikefront.runners.judging.layers import layers_json
from spikefront.runners.judging.measuring import (
    cuts_that_hold,
    measure,
    measure_points,
    measuring_batch,
    silent_counts,
    silent_counts_at,
)
from spikefront.runners.judging.memory import PeakMemory
from spikefront.runners.judging.network import Network, assemble
from spikefront.runners.judging.recompute import recompute
from spikefront.runners.judging.sampling import energy_errors
from spikefront.runners.judging.seeding import random_state, seed_everything, set_random_state
from spikefront.runners.judging.soundness import refuse_unsound
from spikefront.runners.judging.training import Trainer, evaluate, split_outputs_at
from spikefront.searchspace import Candidate, from_flat
from spikefront.searchspace.activity import Activity
from spikefront.searchspace.candidate import JOINT_FAMILIES
from spikefront.searchspace.objectives import DEFAULT_ENERGY_MODEL


@dataclass(frozen=True, slots=True)
class Judgement:
    """Result of the evaluation of a candidate.

    Attributes:
        candidate: the candidate.
        metrics: the last epoch's metrics.
        history: metrics of every epoch.
        counts: operations of the trained network, layer by layer.
        network: the trained network.
        energy_model: what priced the operations.
        registry: contains its plugins.
        data: the task's training and validation splits.
        origin: where the candidate came from: ``SEARCH/TRIAL``, or a file; empty for a candidate that was given.
        stored: metrics that it has there, on the same split; empty where none are known.
        silent: operations of the network with its neurons muted, as its energy model needs them; None where unknown.
        points: metrics of the network when it is stopped after T' < T steps, by T'; see ``Judging.points``.
    """

    candidate: Candidate
    metrics: dict[str, float]
    history: tuple[dict[str, float], ...]
    counts: Counts
    network: Network
    energy_model: EnergyModel | None = None
    registry: Registry | None = None
    data: SearchData | None = None
    origin: str = ""
    stored: Mapping[str, float] = field(default_factory=dict)
    silent: Counts | None = None
    points: Mapping[int, Mapping[str, float]] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return candidate, versions of its plugins, metrics of each epoch and energy by layer as JSON."""
        versions = {} if self.registry is None else self.registry.versions()
        kinds = [(family, getattr(self.candidate, family).name) for family in JOINT_FAMILIES]
        kinds += [] if self.energy_model is None else [("energy", self.energy_model.name)]
        layers = {}
        if self.energy_model is not None and self.silent is not None:
            layers = json.loads(layers_json(self.counts, self.silent, self.energy_model))
        document = {
            "candidate": self.candidate.flat(),
            "plugins": {f"{kind}.{name}": versions.get(f"{kind}.{name}", "") for kind, name in kinds},
            "energy_model": str(self.energy_model or ""),
            "metrics": _finite(self.metrics),
            "points": {str(cut): _finite(metrics) for cut, metrics in self.points.items()},
            "history": [_finite(metrics) for metrics in self.history],
            "origin": self.origin,
            "stored": _finite(self.stored),
            "layers": layers.get("layers", []),
        }
        return json.dumps(document, indent=2, allow_nan=False)


def _finite(metrics: Mapping[str, float]) -> dict[str, float | None]:
    return {name: value if math.isfinite(value) else None for name, value in metrics.items()}


class Judging:
    """Evaluation of a candidate, one epoch at a time.

    The constructor seeds all random sources, so that the same candidate gives the same numbers in every process with
    the same number of threads.

    Args:
        candidate: the candidate.
        registry: contains its plugins.
        data: the task's training and validation splits.
        energy_model: the energy model.
        device: device of the training.
        ann_cache: folder of the ANNs of conversion codings, each of which is trained once; None for none.
        processes: the processes that train the network together. The first one evaluates; the others call ``train``.
        cuts: whether it is measured after fewer steps, too.
        memory: bytes that its training may take; None for no limit. What would take more computes activations again
            in the backward pass, or is refused.

    Attributes:
        recomputes: whether it does so; weights and gradients are the same.
        points: after the last epoch, what the network achieves when it is stopped after T' < T steps, by T': the
            metrics of ``epoch``, as they would be of the candidate with ``cut = T'``. Empty of a candidate that is cut
            itself, and of one that can't be.
        point_counts: the operations of these, by T'.

    Raises:
        ContractError: when the task's frames are of another T.
        DoesNotFit: when its training would take more memory than it may.
    """

    def __init__(
        self,
        candidate: Candidate,
        *,
        registry: Registry,
        data: SearchData,
        energy_model: EnergyModel,
        device: torch.device | str = "cpu",
        ann_cache: Path | None = None,
        processes: Processes = ALONE,
        cuts: bool = True,
        memory: float | None = None,
    ) -> None:
        self._memory = PeakMemory(device)
        self.recomputes = memory is not None and needs_recomputing(candidate, registry, data, memory)
        seed_everything(candidate.seed)
        self.candidate = candidate
        self._processes, self._cuts = processes, cuts
        self.epochs_done = 0
        self._task = registry.task(candidate)
        self._energy_model = energy_model
        self._computed = [axis for axis in registry.objectives.values() if axis.measure is not None]
        train, self._validation, self._classes = data.train, data.validation, data.classes
        if not self._task.mapped:  # mapped data may be larger than the device's memory
            train, self._validation = (_on_device(split, device) for split in (train, self._validation))
        self._measuring: Tensor = measuring_batch(self._task, self._validation, device)
        shape = self._task.shape_at_one_step(tuple(self._measuring.shape[1:]))
        if self._task.inputs == "events" and (frames := self._measuring.shape[1]) != candidate.steps:
            raise ContractError(f"task {self._task.name!r} gave {frames} frames per sample, but T is {candidate.steps}")
        self._refuse_unsound = partial(refuse_unsound, candidate, registry, self._measuring, shape, data.outputs)
        self.network = assemble(candidate, registry, shape, data.outputs).to(device)
        self._learner: Trainer | Converter
        if isinstance(self.network.coding, Conversion):
            self._learner = Converter(
                candidate,
                self.network,
                registry=registry,
                task=self._task,
                train=train,
                shape=shape,
                outputs=data.outputs,
                read=data.train,
                cache=ann_cache,
            )
        else:
            self._learner = Trainer(self.network, self._task, train, candidate.training, candidate.seed, processes)
        if self.recomputes:
            recompute(self.ann or self.network)
        if processes.rank > 0:  # the same network, but other draws of random codes and of dropout
            seed_everything(candidate.seed + processes.rank)
        self.counts = Counts(0, candidate.steps, ())
        self.points: dict[int, dict[str, float]] = {}
        self.point_counts: dict[int, Counts] = {}
        self._outputs: Tensor | None = None  # of the validation split, after the last epoch

    @property
    def converts(self) -> bool:
        """Whether the coding converts a trained ANN: all of its epochs are then one step."""
        return isinstance(self._learner, Converter)

    @property
    def ann(self) -> Network | None:
        """The ANN that a conversion coding trains and converts; None of any other coding."""
        return self._learner.ann if isinstance(self._learner, Converter) else None

    @property
    def finished(self) -> bool:
        """Whether all epochs are done."""
        return self.epochs_done >= self.candidate.training.schedule.epochs

    def train(self) -> float:
        """Train as ``epoch`` does, without measuring, and return the mean training loss.

        Raises:
            ContractError: before the first epoch, when a plugin does what would falsify the numbers of the candidate;
                see ``refuse_unsound``.
        """
        if not self.epochs_done:
            self._refuse_unsound()
        if isinstance(self._learner, Trainer):
            self.epochs_done += 1
            return self._learner.epoch()
        self.epochs_done = self.candidate.training.schedule.epochs
        # one process trains the ANN; it may be in the cache, or in training by another trial
        return self._learner.run() if self._processes.rank == 0 else 0.0

    def epoch(self) -> dict[str, float]:
        """Train for one epoch and measure; a conversion coding trains its ANN for all epochs, and is done.

        Returns:
            ``quality`` on the validation split; per sample ``energy_nj``, the parts of it that attention modules and
            the encoder take, ``attention_nj`` and ``encoder_nj`` (what it would be, where the model does not charge
            the encoder), ``sops``, ``macs`` and ``macs_every_step``; ``spike_rate`` per neuron and step, and that of
            the quietest and the busiest spiking layer, ``min_layer_rate`` and ``max_layer_rate``; ``latency_steps``,
            and what else the energy model says, such as ``latency_us`` and ``edp_uj_s``; ``parameters``; training
            ``loss``; ``seconds`` of this epoch; ``peak_memory_mb`` of this process so far, and ``peak_gpu_memory_mb``
            where it has a GPU, see ``PeakMemory``; ``recomputed`` = 1 where ``recomputes`` holds; for a conversion
            coding ``ann_quality`` of the ANN and whether it was trained for this candidate (``ann_trained``, 0 or 1);
            metrics of task and coding; and after the last epoch ``energy_se_nj``, the standard error of the energy over
            the measured samples.
        """
        started = time.perf_counter()
        loss, more = self.train(), {}
        if isinstance(self._learner, Converter):
            more["ann_quality"] = evaluate(self._learner.ann, self._task, self._validation)["quality"]
            more["ann_trained"] = float(self._learner.trained_here)
        measured_on = (self.network, self._task, self._validation, self._measuring, self._energy_model)
        cuts = cuts_that_hold(self.network, self._measuring) if self.finished and self._cuts else ()
        at_cuts = split_outputs_at(self.network, self._task, self._validation, cuts)
        outputs = at_cuts.pop(0)
        self._outputs = outputs if self.finished else None
        traffic = self.finished or self._energy_model.reads_traffic
        measured, self.counts = measure(*measured_on, traffic=traffic, outputs=outputs)
        metrics = {
            **measured,
            "loss": loss,
            "seconds": time.perf_counter() - started,
            **self._memory.metrics(),
            **({"recomputed": 1.0} if self.recomputes else {}),
            **more,
            **self.network.coding.metrics(),
        }
        if self.finished:
            errors = energy_errors(self.network, self._measuring, self._energy_model, (0, *cuts))
            metrics |= errors[0]
            at_points = measure_points(*measured_on, at_cuts, errors, self.point_counts)
            self.points = {cut: self._with_computed({**metrics, **point}) for cut, point in at_points.items()}
        return self._with_computed(metrics)

    def _with_computed(self, metrics: dict[str, float]) -> dict[str, float]:
        """Return metrics with those of objectives that are computed from others."""
        for axis in self._computed:
            assert axis.measure is not None
            metrics[axis.metric] = float(axis.measure(metrics))
        return metrics

    def silent_counts(self) -> Counts:
        """Return the operations of the network, as it is now, with its neurons muted, for this energy model."""
        return silent_counts(self.network, self._measuring, traffic=self._energy_model.reads_traffic)

    def silent_points(self) -> dict[int, Counts]:
        """Return by T' what ``silent_counts`` returns of the network that is stopped there; under 0 of the whole.

        It is known for each of ``points``.
        """
        traffic = self._energy_model.reads_traffic
        return silent_counts_at(self.network, self._measuring, (0, *self.points), traffic=traffic)

    def picture(self) -> Tensor | None:
        """Return the task's picture of the network on the validation split; None if it has none."""
        return self._task.picture(self.network.eval(), self._validation)

    def activity(self) -> Activity:
        """Return what the network does with a sample of the validation split, and with the whole split."""
        return activity_of(self.network, self._task, self._validation, self._classes, outputs=self._outputs)

    def state(self) -> dict[str, Any]:
        """Return the state on which further epochs depend, for ``restore`` by a judging of the same candidate.

        Plain values and tensors, which share memory with the network: save them before the next epoch. They can be read
        with ``torch.load(weights_only=True)``. Empty for a conversion coding, which has one epoch.
        """
        if isinstance(self._learner, Converter):
            return {}
        return {"epochs_done": self.epochs_done, "trainer": self._learner.state(), "random": random_state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore a state: further epochs give the same numbers, on the same number of threads.

        Args:
            state: the result of ``state``, whose tensors are taken over. One that does not fit raises an exception of
                any type, and leaves this object unusable.
        """
        if not state:
            return
        assert isinstance(self._learner, Trainer)
        self._learner.restore(state["trainer"])
        self.epochs_done = state["epochs_done"]
        set_random_state(state["random"])


def refuse_infinite(metrics: Mapping[str, float], epoch: int) -> None:
    """Raise ``FloatingPointError`` with the first of quality, energy and loss that is no finite number.

    Args:
        metrics: some or all metrics of an epoch.
        epoch: its number, for the message.
    """
    for name in ("quality", "energy_nj", "loss"):
        if not math.isfinite(metrics.get(name, 0.0)):
            raise FloatingPointError(f"{name} is {metrics[name]:g} at epoch {epoch}")


def _on_device(data: Data, device: torch.device | str) -> Data:
    return Data(data.inputs.to(device), data.targets.to(device))


def judge(
    candidate: Candidate | Mapping[str, object],
    *,
    registry: Registry | None = None,
    data: SearchData | None = None,
    data_dir: Path | None = None,
    energy_model: str | EnergyModel = DEFAULT_ENERGY_MODEL,
    device: torch.device | str = "cpu",
    ann_cache: Path | None = None,
    on_epoch: Callable[[int, dict[str, float]], None] | None = None,
) -> Judgement:
    """Train and evaluate one candidate in this process.

    Args:
        candidate: a ``Candidate``, or its flat form, in which only ``task`` and ``coding`` are required.
        registry: the plugins; None for all that are installed.
        data: the task's data; read when None.
        data_dir: folder with data files.
        energy_model: the energy model, or its name, with settings where it has some: ``chip-table(node=14nm)``.
        device: device of the training.
        ann_cache: folder of the ANNs of conversion codings, shared with other candidates; None for none.
        on_epoch: called with the epoch, from 1, and its metrics.

    Raises:
        UsageError: for an unknown name, a value outside its range, parts that do not go together, or missing data.
        FloatingPointError: when quality, energy or loss is no finite number after an epoch: its training diverged.

    Example:
        >>> found = judge({"task": "digits", "coding": "latency", "steps": 6, "training.epochs": 2})
        >>> 0 < found.metrics["quality"] <= 1 and found.metrics["energy_nj"] > 0
        True
    """
    registry = registry or load_registry()
    if not isinstance(candidate, Candidate):
        candidate = from_flat(candidate, registry)
    registry.refuse(candidate)
    model = registry.energy_model(energy_model) if isinstance(energy_model, str) else energy_model
    task = registry.task(candidate)
    data = data or task.search_data(data_dir, candidate.steps)
    judging = Judging(candidate, registry=registry, data=data, energy_model=model, device=device, ann_cache=ann_cache)
    history = []
    while not judging.finished:
        history.append(judging.epoch())
        refuse_infinite(history[-1], judging.epochs_done)
        if on_epoch is not None:
            on_epoch(judging.epochs_done, history[-1])
    silent, network = judging.silent_counts(), judging.network
    return Judgement(
        candidate,
        history[-1],
        tuple(history),
        judging.counts,
        network,
        model,
        registry,
        data,
        silent=silent,
        points=judging.points,
    )
