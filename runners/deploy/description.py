"""Metadata of an exported network: how to rebuild it, its origin and its measurements."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final, cast

import torch

from spikefront.plugins import ArrayTask, Registry, SearchData
from spikefront.searchspace import Candidate, UsageError, Value, from_flat
from spikefront.searchspace.candidate import JOINT_FAMILIES
from spikefront.searchspace.exits import Exit
from spikefront.searchspace.json_values import LARGEST, is_count, is_number, is_table, is_text, is_value
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
        class_names: names of the classes, by number; empty where they have none.
        constants: what the task's ``prepare`` and ``in_units`` take from the training data, by name; see
            ``Task.constants``. None in files of earlier versions, for which the task reads its data.
        arrays: whether the task is one of arrays that prepares inputs as ``array_task`` does, so that its plugin is not
            needed.
        exit: rule by which it stops early, as ``Exit`` is written; empty for none, and then no part of the JSON.
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
    class_names: tuple[str, ...] = ()
    constants: Mapping[str, Sequence[float]] | None = None
    arrays: bool = False
    exit: str = ""

    def to_json(self) -> str:
        """Write it as JSON."""
        plain = asdict(self)
        if not self.exit:  # so that earlier versions read what they can run
            del plain["exit"]
        return json.dumps(plain, indent=2)

    @classmethod
    def from_json(cls, text: str) -> Description:
        """Read it back; also that of an earlier version, without names of classes and constants.

        Raises:
            ValueError: for text that is not JSON, and a missing or unknown field or one of a wrong type or size.
        """
        try:
            found = json.loads(text)
        except RecursionError:
            raise ValueError("it is nested too deeply") from None
        names = {each.name for each in fields(cls)}
        if isinstance(found, dict):
            for later in _LATER:
                if not found.keys() & later.keys():
                    found |= later
        if not isinstance(found, dict) or found.keys() != names:
            raise ValueError(f"it must have exactly {', '.join(sorted(names))}")
        for name, holds in _HOLDS.items():
            if not holds(found[name]):
                if name == "input_dtype":
                    raise ValueError(f"{found[name]!r:.60} is not a dtype")
                raise ValueError(f"{name} is {_short(found[name])}, which no export writes")
        found["input_shape"], found["network_shape"] = tuple(found["input_shape"]), tuple(found["network_shape"])
        found["class_names"] = tuple(found["class_names"])
        if found["class_names"] and (not found["classes"] or len(found["class_names"]) != found["outputs"]):
            raise ValueError(f"it names {len(found['class_names'])} classes for {found['outputs']} outputs")
        found["origin"] = Origin(**found["origin"])
        confirmation = found["confirmation"]
        found["confirmation"] = None if confirmation is None else Spread(**confirmation)
        return cls(**found)


def _short(value: object) -> str:
    text = " ".join(json.dumps(value).split())
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _is_shape(value: object) -> bool:
    if not isinstance(value, list) or not 1 <= len(value) <= _AXES or not all(map(is_count, value)):
        return False
    return 1 <= math.prod(value) <= LARGEST


def _has_exactly(value: object, holds: Callable[[object], bool], *keys: str) -> bool:
    return is_table(value, holds, *keys) and len(cast("dict[str, object]", value)) == len(keys)


def _is_numbers(value: object) -> bool:
    return isinstance(value, list) and all(is_number(one) and math.isfinite(one) for one in value)


def _is_exit(value: str) -> bool:
    try:
        Exit.parse(value)
    except UsageError:
        return False
    return True


_SHOWN: Final = 60
_AXES: Final = 8
_DTYPES: Final = frozenset({"bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"}) | {
    "float16", "bfloat16", "float32", "float64",
}  # fmt: skip
_LATER: Final[Sequence[Mapping[str, object]]] = (
    {"class_names": [], "constants": None, "arrays": False},
    {"exit": ""},
)
"""Fields that files of earlier versions lack, by the version that added them."""

_HOLDS: Final[Mapping[str, Callable[[Any], bool]]] = {
    "candidate": lambda value: is_table(value, is_value) and is_text(value.get("task")),
    "plugins": lambda value: is_table(value, is_text),
    "input_shape": _is_shape,
    "input_dtype": lambda value: is_text(value) and value in _DTYPES,
    "network_shape": _is_shape,
    "outputs": lambda value: is_count(value) and value >= 1,
    "classes": lambda value: isinstance(value, bool),
    "quality": is_text,
    "samples": lambda value: _has_exactly(value, is_count, "train", "validation"),
    "metrics": lambda value: is_table(value, is_number),
    "energy_model": is_text,
    "origin": lambda value: _has_exactly(value, is_text, *(each.name for each in fields(Origin))),
    "confirmation": lambda value: (
        value is None
        or (_has_exactly(value, is_number, *(each.name for each in fields(Spread))) and is_count(value["seeds"]))
    ),
    "class_names": lambda value: isinstance(value, list) and all(map(is_text, value)) and len(set(value)) == len(value),
    "constants": lambda value: value is None or is_table(value, _is_numbers),
    "arrays": lambda value: isinstance(value, bool),
    "exit": lambda value: is_text(value) and (not value or _is_exit(value)),
}
"""Whether a field of the JSON holds what ``to_json`` writes there."""


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
    exit: Exit | None = None,
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
        exit: rule by which it stops early; None for none.

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
    arrays = isinstance(task, ArrayTask) and task.is_plain
    return Description(
        candidate=candidate.flat(),
        plugins=dict(plugins),
        input_shape=tuple(data.train.inputs.shape[1:]),
        input_dtype=str(data.train.inputs.dtype).removeprefix("torch."),
        network_shape=task.shape_at_one_step(tuple(prepared.shape[1:])),
        outputs=data.outputs,
        classes=targets.dim() == 1 and targets.dtype not in (torch.float16, torch.float32, torch.float64),
        quality=task.quality,
        samples={"train": len(data.train), "validation": len(data.validation)},
        metrics=dict(metrics),
        energy_model=energy_model,
        origin=origin or Origin(),
        confirmation=confirmation,
        class_names=data.classes,
        constants={name: list(numbers) for name, numbers in task.constants().items()},
        arrays=arrays,
        exit="" if exit is None else str(exit),
    )
