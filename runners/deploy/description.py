"""Metadata of an exported network: how to rebuild it, its origin and its measurements."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields

import torch

from spikefront.plugins import Registry, SearchData
from spikefront.searchspace import Candidate, Value, from_flat
from spikefront.searchspace.candidate import JOINT_FAMILIES
from spikefront.searchspace.objectives import DEFAULT_ENERGY_MODEL
from spikefront.searchspace.records import Spread


@dataclass(frozen=True, slots=True)
class Origin:
    """Origin of a network: its search and trial. Unknown fields are empty.

    Attributes:
        search: name of the search.
        trial: number of the trial.
        run_id: MLflow's run of the trial.
        commit: git commit of the folder in which the search ran.
    """

    search: str = ""
    trial: str = ""
    run_id: str = ""
    commit: str = ""


@dataclass(frozen=True, slots=True)
class Description:
    """Everything about a trained network except its weights. Survives JSON.

    Attributes:
        candidate: its flat form.
        plugins: versions of the plugins that it was trained with, by ``kind.name``.
        input_shape: shape of one raw input of the task's data.
        input_dtype: dtype of the raw inputs, for example ``uint8``.
        network_shape: shape of one prepared input at one step.
        outputs: number of outputs.
        classes: whether the outputs are the scores of classes.
        quality: name of the quality metric.
        samples: number of samples by split.
        metrics: measurements on the validation split after its training.
        energy_model: name of the energy model.
        origin: its search and trial.
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
    confirmation: Spread | None = None

    def to_json(self) -> str:
        """Write it as JSON."""
        return json.dumps(asdict(self), indent=2)

    @classmethod
    def from_json(cls, text: str) -> Description:
        """Read it back.

        Raises:
            ValueError: for a missing or unknown field, or text that is not JSON.
        """
        found = json.loads(text)
        names = {each.name for each in fields(cls)}
        if not isinstance(found, dict) or found.keys() != names:
            raise ValueError(f"it must have exactly {', '.join(sorted(names))}")
        found["input_shape"], found["network_shape"] = tuple(found["input_shape"]), tuple(found["network_shape"])
        if not isinstance(getattr(torch, str(found["input_dtype"]), None), torch.dtype):
            raise ValueError(f"{found['input_dtype']!r} is not a dtype")
        found["origin"] = Origin(**found["origin"])
        confirmation = found["confirmation"]
        found["confirmation"] = None if confirmation is None else Spread(**confirmation)
        return cls(**found)


def output_name(description: Description) -> str:
    """Return the name of the output of an ONNX graph."""
    return "logits" if description.classes else "outputs"


def describe(
    candidate: Candidate | Mapping[str, object],
    data: SearchData,
    registry: Registry,
    *,
    metrics: Mapping[str, float],
    plugins: Mapping[str, str] | None = None,
    energy_model: str = DEFAULT_ENERGY_MODEL,
    origin: Origin | None = None,
    confirmation: Spread | None = None,
) -> Description:
    """Describe a network that was trained on a task's data.

    Args:
        candidate: a ``Candidate``, or its flat form.
        data: the data it was trained on.
        registry: contains its plugins.
        metrics: its measurements.
        plugins: versions of the plugins that it was trained with, by ``kind.name``; those of the registry when None.
        energy_model: name of the energy model.
        origin: its search and trial.
        confirmation: its quality on the test split.

    Raises:
        UsageError: for an unknown name, or a value outside its range.
    """
    if not isinstance(candidate, Candidate):
        candidate = from_flat(candidate, registry)
    task = registry.task(candidate)
    prepared = task.prepare(data.validation.inputs[:1])
    targets = data.train.targets
    if plugins is None:
        names = [f"{family}.{getattr(candidate, family).name}" for family in JOINT_FAMILIES]
        plugins = {name: registry.versions()[name] for name in names}
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
