"""What an exported network says of itself: how to rebuild it, where it comes from, how good it was found to be."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields

import torch

from spikefront.plugins import Registry, SearchData, Task
from spikefront.searchspace import Candidate, Value, from_flat

KINDS = ("task", "coding", "neuron", "backbone")
"""Kinds of plugin that a network is rebuilt from."""


@dataclass(frozen=True, slots=True)
class Confirmation:
    """Quality on the test split over several seeds.

    Attributes:
        seeds: how many.
        mean: over the seeds.
        sd: standard deviation over the seeds.
        low: lower end of the 95 % interval of the mean.
        high: its upper end.
    """

    seeds: int
    mean: float
    sd: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a network was found. What is not known is empty.

    Attributes:
        search: name of the search.
        trial: number of the trial.
        run_id: MLflow's run of the trial.
        commit: what was checked out in the folder in which the search ran.
    """

    search: str = ""
    trial: str = ""
    run_id: str = ""
    commit: str = ""


@dataclass(frozen=True, slots=True)
class Description:
    """All that is known of a trained network but its weights. Survives JSON.

    Attributes:
        candidate: its flat form.
        plugins: versions of the plugins that it was trained with, by ``kind.name``.
        input_shape: shape of one raw input, as the task's data come.
        input_dtype: dtype of the raw inputs, for example ``uint8``.
        network_shape: shape of one prepared input at one step.
        outputs: number of outputs.
        classes: whether the outputs are the scores of classes.
        quality: name of the quality metric.
        samples: number of samples by split.
        metrics: what was measured on the validation split when it was trained.
        energy_model: what priced its operations.
        origin: where it was found.
        confirmation: its quality on the test split, or None.
    """

    candidate: Mapping[str, Value]
    plugins: Mapping[str, str]
    input_shape: tuple[int, ...]
    input_dtype: str
    network_shape: tuple[int, ...]
    outputs: int
    classes: bool
    quality: str
    samples: Mapping[str, int]
    metrics: Mapping[str, float]
    energy_model: str
    origin: Origin = field(default_factory=Origin)
    confirmation: Confirmation | None = None

    def to_json(self) -> str:
        """Write it as JSON."""
        return json.dumps(asdict(self), indent=2)

    @classmethod
    def from_json(cls, text: str) -> Description:
        """Read it back.

        Raises:
            ValueError: when something is missing or unknown, or it is no JSON.
        """
        found = json.loads(text)
        wanted = {each.name for each in fields(cls)}
        if not isinstance(found, dict) or found.keys() != wanted:
            raise ValueError(f"it must have exactly {', '.join(sorted(wanted))}")
        found["input_shape"], found["network_shape"] = tuple(found["input_shape"]), tuple(found["network_shape"])
        if not isinstance(getattr(torch, str(found["input_dtype"]), None), torch.dtype):
            raise ValueError(f"{found['input_dtype']!r} is no dtype")
        found["origin"] = Origin(**found["origin"])
        confirmation = found["confirmation"]
        found["confirmation"] = None if confirmation is None else Confirmation(**confirmation)
        return cls(**found)


def output_name(description: Description) -> str:
    """Return what a graph in a format of others calls its output."""
    return "logits" if description.classes else "outputs"


def describe(
    candidate: Candidate | Mapping[str, object],
    data: SearchData,
    registry: Registry,
    *,
    metrics: Mapping[str, float],
    plugins: Mapping[str, str] | None = None,
    energy_model: str = "horowitz-45nm",
    origin: Origin | None = None,
    confirmation: Confirmation | None = None,
) -> Description:
    """Describe a network that was trained on a task's data.

    Args:
        candidate: a ``Candidate``, or its flat form.
        data: what it was trained on.
        registry: where its plugins are looked up.
        metrics: what was measured.
        plugins: versions of the plugins that it was trained with, by ``kind.name``; those of the registry when None.
        energy_model: what priced its operations.
        origin: where it was found.
        confirmation: its quality on the test split.

    Raises:
        UsageError: for an unknown name, or a value outside its range.
    """
    if not isinstance(candidate, Candidate):
        candidate = from_flat(candidate, registry)
    task: Task = registry.get("task", candidate.task.name)(candidate.task.config)
    prepared = task.prepare(data.validation.inputs[:1])
    targets = data.train.targets
    if plugins is None:
        plugins = {
            key: registry.versions()[key] for kind in KINDS for key in (f"{kind}.{getattr(candidate, kind).name}",)
        }
    return Description(
        candidate=candidate.flat(),
        plugins=dict(plugins),
        input_shape=tuple(data.train.inputs.shape[1:]),
        input_dtype=str(data.train.inputs.dtype).removeprefix("torch."),
        network_shape=tuple(prepared.shape[2:] if task.inputs == "events" else prepared.shape[1:]),
        outputs=data.outputs,
        classes=targets.dim() == 1 and targets.dtype not in (torch.float16, torch.float32, torch.float64),
        quality=task.quality,
        samples={"train": len(data.train), "validation": len(data.validation)},
        metrics=dict(metrics),
        energy_model=energy_model,
        origin=origin or Origin(),
        confirmation=confirmation,
    )
