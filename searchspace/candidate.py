"""A candidate: everything needed to evaluate one spiking network, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Protocol

from spikefront.searchspace.domains import Choice, Domain, Float, Int, Value, contains, held, nearest
from spikefront.searchspace.errors import UnknownName, UsageError
from spikefront.searchspace.fields import PINNED, When, build, fields_of, settings_of, settled
from spikefront.searchspace.narrowing import Narrowing, read_value

JOINT_FAMILIES: Final = ("task", "coding", "neuron", "backbone")
"""Families of plugins that must go together to be one network."""

FAMILIES: Final = (*JOINT_FAMILIES, "training.optimizer", "training.surrogate", "training.loss")
"""Families of plugins that a candidate is made of, by their flat name, in the order in which they are chosen."""

DEFAULTS: Final = {
    "neuron": "lif",
    "backbone": "convnet",
    "training.optimizer": "adam",
    "training.surrogate": "atan",
    "training.loss": "task",
}
"""Plugins that a candidate takes by default."""

STEPS: Final = 4
"""Number of time steps T of a candidate that says none, where its coding is searched over it."""

PINNED_FAMILIES: Final = ("training.optimizer", "training.loss")
"""Families that stay at their default until a user opens them."""


class Catalogue(Protocol):
    """Names and configs by family. The plugin registry is one."""

    def options(self, family: str) -> Mapping[str, type]:
        """Return the config dataclass of each name in ``family``."""
        ...

    def refuse_missing(self, family: str, name: str) -> None:
        """Raise ``UsageError`` for a name in ``family`` that can't be used here, with what it needs."""
        ...

    def default(self, family: str, coding: str, task: str) -> str | None:
        """Return the default name in ``family`` beside coding and task; None where a candidate must name one."""
        ...

    def steps(self, coding: str, task: str = "") -> Int:
        """Return the numbers of time steps over which ``coding`` is searched on a task; of none, on static inputs."""
        ...

    def domains(self, family: str, name: str, coding: str, steps: int) -> Mapping[str, Domain]:
        """Return the hyperparameter domains of a plugin that are tighter beside ``coding`` at this T, by field."""
        ...


@dataclass(frozen=True, slots=True)
class Part:
    """One named choice with its hyperparameters, for example coding ``latency`` with its ``LatencyConfig``.

    Hyperparameters that don't exist beside the others have their defaults, whatever was given.
    """

    name: str
    config: Any

    def __post_init__(self) -> None:
        object.__setattr__(self, "config", settled(self.config))

    def existing(self) -> dict[str, Value]:
        """Return the hyperparameters that exist, by field."""
        return settings_of(self.config)


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long, on how much data and on which variations of it a candidate is trained."""

    epochs: Annotated[int, Int(1, 10_000), PINNED] = 15
    """Passes over the training data."""
    batch: Annotated[int, Int(1, 65_536), PINNED] = 64
    """Samples per training step."""
    subset: Annotated[int, Int(0, 100_000_000), PINNED] = 0
    """Training samples to use, drawn once with a fixed seed; 0 means all of them."""
    decay: Annotated[str, Choice(("cosine", "cosine-by-epoch", "constant")), PINNED] = "cosine"
    """Learning rate over the run: a cosine down to zero, step by step or epoch by epoch, or constant."""
    flip: Annotated[bool, Choice((False, True)), PINNED] = False
    """Mirror each training image left to right with a probability of one half."""
    crop: Annotated[int, Int(0, 256), PINNED] = 0
    """Pad training images with zeros by this many pixels, then cut each to its size at a random place; 0 for none."""
    cutout: Annotated[int, Int(0, 1024), PINNED] = 0
    """Side in pixels of a square set to zero at a random place of each training image; 0 for none."""
    mix: Annotated[str, Choice(("none", "mixup", "cutmix")), PINNED] = "none"
    """Mix training samples, and their losses: mixup blends whole samples, cutmix swaps a rectangle."""
    mix_probability: Annotated[float, Float(0.0, 1.0), PINNED, When("mix", ("mixup", "cutmix"))] = 0.5
    """Share of the batches that are mixed."""
    mix_alpha: Annotated[float, Float(0.05, 8.0, log=True), PINNED, When("mix", ("mixup", "cutmix"))] = 1.0
    """Both parameters of the beta distribution of the share that a sample keeps."""
    mix_by: Annotated[str, Choice(("batch", "epoch")), PINNED, When("mix", ("mixup", "cutmix"))] = "batch"
    """Whether it is drawn for each batch, or for all batches of an epoch together, that they are mixed."""
    drop_last: Annotated[bool, Choice((False, True)), PINNED] = False
    """Leave out the last batch of an epoch where it is not full."""
    truncation: Annotated[int, Int(0, 100_000), PINNED] = 0
    """Time steps K of the parts that the gradient does not leave, of which a training step holds one; 0 for all T."""
    precision: Annotated[str, Choice(("fp32", "bf16")), PINNED] = "fp32"
    """Floats of convolutions and linear layers in training; membrane potentials and the trained network are fp32."""


@dataclass(frozen=True, slots=True)
class Training:
    """How a candidate is trained: optimiser, surrogate gradient and loss by name, and the schedule.

    No loss stands for the task's own, as the loss ``task`` does.
    """

    optimizer: Part
    surrogate: Part
    schedule: Schedule = Schedule()
    loss: Part | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "schedule", settled(self.schedule))


@dataclass(frozen=True, slots=True)
class Candidate:
    """One point of the search space. Hashable, and survives JSON.

    Attributes:
        task: what is learnt, on which data.
        coding: how an input becomes spikes and spikes become an output.
        neuron: the spiking neuron model.
        backbone: the network.
        training: how it is trained.
        steps: number of time steps T, at least 1.
        seed: seed of every random source while this candidate is evaluated.
        cut: the step T' < T after which the trained network is stopped; it is trained over all T. 0 for a network that
            is not cut.
    """

    task: Part
    coding: Part
    neuron: Part
    backbone: Part
    training: Training
    steps: int
    seed: int = 0
    cut: int = 0

    def flat(self) -> dict[str, Value]:
        """Write the candidate as one flat mapping of active hyperparameters, the form of Optuna, MLflow and JSON.

        ``cut`` is part of it where the network is cut.
        """
        flat: dict[str, Value] = {}
        for family in FAMILIES:
            part = _part(self, family)
            if part is None:
                continue
            flat[family] = part.name
            flat |= {f"{family}.{part.name}.{name}": value for name, value in part.existing().items()}
        flat |= {f"training.{name}": value for name, value in settings_of(self.training.schedule).items()}
        return flat | {"steps": self.steps, "seed": self.seed} | ({"cut": self.cut} if self.cut else {})

    def to_json(self) -> str:
        """Write the flat form as JSON."""
        return json.dumps(self.flat(), indent=2)

    def __str__(self) -> str:
        names = (self.task, self.coding, self.neuron, self.backbone)
        return " ".join(part.name for part in names) + f" T={self.steps}" + (f" cut at {self.cut}" if self.cut else "")


def identity(flat: Mapping[str, object]) -> frozenset[tuple[str, object]]:
    """Return what equal candidates have in common, from the flat form: a key of dictionaries and sets."""
    return frozenset((name, tuple(value) if isinstance(value, list) else value) for name, value in flat.items())


def _part(candidate: Candidate, family: str) -> Part | None:
    owner: object = candidate
    for name in family.split("."):
        owner = getattr(owner, name)
    assert owner is None or isinstance(owner, Part)
    return owner


def from_flat(flat: Mapping[str, object], catalogue: Catalogue) -> Candidate:
    """Read a candidate back from its flat form.

    What is missing takes its default, or the value nearest to it that the coding allows.

    Args:
        flat: hyperparameters by flat name, as ``Candidate.flat`` writes them. ``task`` and ``coding`` are required.
        catalogue: where names are looked up.

    Raises:
        UnknownName: for a name that no plugin or config answers to.
        UsageError: for a value outside its range, or a missing choice.
    """
    rest = dict(flat)
    steps, seed = rest.pop("steps", _default_steps(flat, catalogue)), rest.pop("seed", 0)
    cut = rest.pop("cut", 0)
    for name, value, least in (("steps", steps, 1), ("seed", seed, 0), ("cut", cut, 0)):
        if type(value) is not int or value < least:
            raise UsageError(f"{name}: {value!r} is not a whole number of at least {least}")
    assert isinstance(steps, int) and isinstance(seed, int) and isinstance(cut, int)
    if cut >= steps:
        raise UsageError(f"cut: {cut} is not below the {steps} time steps; 0 runs all of them")
    parts: dict[str, Part] = {}
    for family in FAMILIES:
        parts[family] = _take_part(rest, family, catalogue, steps, parts)
    schedule_names = [field.name for field in fields_of(Schedule)]
    schedule = {name: rest.pop(f"training.{name}") for name in schedule_names if f"training.{name}" in rest}
    if rest:
        known = {*FAMILIES, "steps", "seed", "cut", *(f"training.{name}" for name in schedule_names)}
        for family, part in parts.items():
            known |= {f"{family}.{part.name}.{field.name}" for field in fields_of(type(part.config))}
        raise UnknownName("hyperparameter", next(iter(rest)), known)
    training = Training(
        parts.pop("training.optimizer"),
        parts.pop("training.surrogate"),
        build(Schedule, schedule, "training"),
        parts.pop("training.loss"),
    )
    return Candidate(**parts, training=training, steps=steps, seed=seed, cut=cut)


def _default_steps(flat: Mapping[str, object], catalogue: Catalogue) -> Value:
    coding = str(flat.get("coding"))
    return (
        held(catalogue.steps(coding, str(flat.get("task"))), STEPS) if coding in catalogue.options("coding") else STEPS
    )


def typed(flat: Mapping[str, object], catalogue: Catalogue) -> dict[str, object]:
    """Return a flat candidate whose values have the types of their domains, though some were stored as text.

    Names that nothing answers to stay as they are, for ``from_flat`` to refuse.

    Raises:
        UsageError: for text that no value of its hyperparameter is written as.
    """
    found = dict(flat)
    for name, value in flat.items():
        domain = domain_of(name, catalogue)
        if domain is not None and not contains(domain, value):
            found[name] = read_value(str(value), domain, name)
        elif name in ("steps", "seed", "cut") and isinstance(value, str) and value.isdecimal() and value.isascii():
            found[name] = int(value)
    return found


def domain_of(name: str, catalogue: Catalogue) -> Domain | None:
    """Return the domain of a hyperparameter by its flat name; None where there is none, as for names of plugins."""
    config: type | None = Schedule if name.startswith("training.") else None
    field = name.removeprefix("training.")
    for family in FAMILIES:
        if name.startswith(f"{family}."):
            part, _, field = name.removeprefix(f"{family}.").partition(".")
            config = catalogue.options(family).get(part)
    return next((each.domain for each in fields_of(config) if each.name == field), None) if config else None


def altered(flat: Mapping[str, object], narrowings: Iterable[Narrowing]) -> dict[str, object]:
    """Return a flat candidate with other values, as text; what belongs to a plugin that is replaced is left out.

    Args:
        flat: the candidate.
        narrowings: one value for each name.

    Raises:
        UsageError: for several values, a range or a pattern.
    """
    found = dict(flat)
    for narrowing in narrowings:
        name = narrowing.pattern
        if len(narrowing.values) != 1 or "*" in name:
            raise UsageError(f"{narrowing.source}: a candidate has one value of each hyperparameter: give NAME=VALUE")
        if name in FAMILIES and narrowing.values[0] != found.get(name):
            found = {key: value for key, value in found.items() if not key.startswith(f"{name}.{found.get(name)}.")}
        found[name] = narrowing.values[0]
    return found


def _take_part(
    rest: dict[str, object], family: str, catalogue: Catalogue, steps: int, before: Mapping[str, Part]
) -> Part:
    options, coding = catalogue.options(family), before.get("coding")
    if family not in rest and coding is not None:  # asked for here alone, as it may read the data of a task
        rest[family] = catalogue.default(family, coding.name, before["task"].name)
    name = rest.pop(family, None)
    if name is None:
        raise UsageError(f"a candidate needs a {family}: one of {', '.join(sorted(options))}")
    if name not in options:
        catalogue.refuse_missing(family, str(name))
        raise UnknownName(family, str(name), options)
    name = str(name)
    prefix = f"{family}.{name}."
    values = {key.removeprefix(prefix): rest.pop(key) for key in list(rest) if key.startswith(prefix)}
    if family == "coding" or coding is not None:
        tighter = catalogue.domains(family, name, coding.name if coding else name, steps)
        for field in fields_of(options[name]):
            if field.name in tighter and not contains(tighter[field.name], field.default):
                values.setdefault(field.name, nearest(tighter[field.name]))
    return Part(name, build(options[name], values, f"{family}.{name}"))
