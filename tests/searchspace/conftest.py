from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import pytest
from hypothesis import settings

from spikefront.searchspace import DEFAULTS, PINNED, Choice, Domain, Float, Int, Value, When

settings.register_profile("unhurried", deadline=None)  # a busy machine is no failure
settings.load_profile("unhurried")


@dataclass(frozen=True, slots=True)
class Nothing:
    """No hyperparameters."""


@dataclass(frozen=True, slots=True)
class KernelConfig:
    """Domains that depend on the number of steps."""

    kernel: Annotated[int, Choice((1, 3, 5, 7))] = 3
    """Taps over time; no more than there are steps."""
    reach: Annotated[int, Int(1, 16)] = 2
    """Steps looked back; no more than there are."""


@dataclass(frozen=True, slots=True)
class NeuronConfig:
    """A condition and a pinned field."""

    threshold: Annotated[float, Float(0.3, 2.0)] = 1.0
    """Potential at which it fires."""
    reset: Annotated[str, Choice(("hard", "soft"))] = "hard"
    """What a spike does."""
    overshoot: Annotated[float, Float(1e-3, 1.0, log=True), When("reset", ("soft",))] = 0.1
    """Only known to a soft reset."""
    detach: Annotated[bool, Choice((True, False)), PINNED] = True
    """Stays at its default until opened."""


@dataclass(frozen=True, slots=True)
class WidthConfig:
    """One integer on a logarithmic scale."""

    width: Annotated[int, Int(4, 64, log=True)] = 16
    """Channels."""


class Shelf:
    """A catalogue in which little goes together.

    Coding ``css`` needs neuron ``tsa``, coding ``frames`` needs task ``gestures``; neurons ``tsa`` and ``if`` can't
    live in backbones ``mlp`` and ``vgg``.
    """

    _options: Mapping[str, Mapping[str, type]] = {
        "task": {"images": Nothing, "gestures": Nothing, "smells": Nothing},
        "coding": {"css": Nothing, "direct": Nothing, "frames": Nothing, "tcja": KernelConfig},
        "neuron": {"if": NeuronConfig, "lif": NeuronConfig, "tsa": Nothing},
        "backbone": {"convnet": WidthConfig, "mlp": WidthConfig, "vgg": WidthConfig},
        "training.optimizer": {"adam": Nothing, "sgd": Nothing},
        "training.surrogate": {"atan": Nothing, "sigmoid": Nothing},
        "training.loss": {"task": Nothing},
    }
    _steps: Mapping[str, Int] = {
        "css": Int(4, 6),
        "direct": Int(1, 8),
        "frames": Int(10, 20, step=5),
        "tcja": Int(2, 16, log=True),
    }

    def options(self, family: str) -> Mapping[str, type]:
        return self._options[family]

    def problem(self, chosen: Mapping[str, str]) -> str | None:
        takes = "gestures" if chosen["coding"] == "frames" else "images"
        if chosen["task"] != takes:
            return f"coding {chosen['coding']!r} takes {takes}, not {chosen['task']}"
        if chosen["coding"] == "css" and chosen["neuron"] != "tsa":
            return f"coding 'css' needs neuron tsa, not {chosen['neuron']!r}"
        if (chosen["neuron"], chosen["backbone"]) in (("tsa", "mlp"), ("if", "vgg")):
            return f"neuron {chosen['neuron']!r} can't live in backbone {chosen['backbone']!r}"
        return None

    def published(self, coding: str) -> Sequence[Mapping[str, Value]]:
        return ({"steps": 8, "coding.tcja.kernel": 7, "backbone": "vgg"}, {}) if coding == "tcja" else ()

    def starting_points(self, coding: str) -> Sequence[Mapping[str, Value]]:
        return ()

    def refuse_missing(self, family: str, name: str) -> None:
        pass

    def named_only(self, family: str, name: str) -> bool:
        return False

    def misfit(self, family: str, name: str, chosen: Mapping[str, str]) -> str | None:
        return None

    def steps(self, coding: str, task: str = "") -> Int:
        return self._steps[coding]

    def open_steps(self, coding: str, task: str = "") -> Int:
        return Int(2, 20, log=True) if coding == "tcja" else self._steps[coding]

    def default(self, family: str, coding: str, task: str) -> str | None:
        return "tsa" if (family, coding) == ("neuron", "css") else DEFAULTS.get(family)

    def applies(self, family: str, coding: str) -> bool:
        return family != "training.surrogate" or coding != "css"

    def domains(self, family: str, name: str, coding: str, steps: int) -> Mapping[str, Domain]:
        if coding == "frames" and (family, name) == ("neuron", "if"):
            return {"reset": Choice(("soft",)), "threshold": Float(0.3, 1.0), "detach": Choice((False,))}
        if name != "tcja":
            return {}
        return {"kernel": Choice([tap for tap in (1, 3, 5, 7) if tap <= steps]), "reach": Int(1, steps)}


@pytest.fixture(scope="session")
def shelf() -> Shelf:
    return Shelf()
