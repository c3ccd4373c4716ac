"""What a trained network does: the spikes of one sample through its layers, and its outputs on the validation split."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from spikefront.searchspace.json_values import is_count, is_number, is_text

Spike = tuple[int, int, float]
"""Row among the neurons that are shown, time step from 0, and value."""


@dataclass(frozen=True, slots=True)
class LayerActivity:
    """What one layer emits while a network sees one sample.

    Attributes:
        name: ``input`` of the coded input; else that of its neurons in the network, as in ``layers.json``.
        kind: what its values are: binary, ternary, count, signed, power or analog.
        shape: of its neurons, or of the values of the coded input, at one step.
        shown: the neurons that ``spikes`` are of, by their place in the flattened shape.
        spikes: values that are not 0, before any coefficient of the coding weighs them; of a constant layer those of
            step 0.
        rate: events per neuron and step, over all neurons; a count of n is n events.
        constant: whether its values are the same at every step.
        inputs: of the coded input, the value in [0, 1] that each neuron shown encodes; empty where the code has another
            shape than the input.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    shown: tuple[int, ...]
    spikes: tuple[Spike, ...]
    rate: float
    constant: bool = False
    inputs: tuple[float, ...] = ()

    @property
    def neurons(self) -> int:
        """Number of its neurons."""
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class Activity:
    """What a trained network does with one sample, and with all of the validation split.

    Attributes:
        sample: index of the sample in the validation split.
        steps: number of time steps T.
        layers: the coded input, then each spiking layer in the order of the network.
        target: what is true of the sample: its class, or its values in the unit of the data; empty of a generation.
        output: what the network says of it, in the same words.
        image: the sample as a small PNG file, in base64; empty where it is no image.
        classes: names of the classes, or their numbers as text; empty of other targets.
        confusion: samples of the split by class and by the class that the network says; empty without classes.
        pairs: number of the output, true value and predicted one, in the unit of the data, of at most 500 samples.
    """

    sample: int
    steps: int
    layers: tuple[LayerActivity, ...]
    target: str = ""
    output: str = ""
    image: str = ""
    classes: tuple[str, ...] = ()
    confusion: tuple[tuple[int, ...], ...] = ()
    pairs: tuple[tuple[int, float, float], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, document: object) -> Activity | None:
        """Return what ``to_dict`` wrote; None of anything else, damaged or of a stranger.

        Args:
            document: what the JSON says; fields of later versions are passed over.
        """
        if not isinstance(document, dict) or not _fits(document, _ACTIVITY):
            return None
        known = {name: _tuples(document[name]) for name in _ACTIVITY if name != "layers"}
        layers = tuple(LayerActivity(**{name: _tuples(one[name]) for name in _LAYER}) for one in document["layers"])
        found = cls(**known, layers=layers)
        size = len(found.classes)
        is_square = len(found.confusion) in (0, size) and all(len(row) == size for row in found.confusion)
        return found if is_square and all(map(_is_whole, layers)) and _in_time(found) else None


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, Sequence) and not isinstance(value, str) else value


def _is_whole(layer: LayerActivity) -> bool:
    """Return whether all rows and neurons of a layer exist."""
    rows = len(layer.shown)
    exist = all(neuron < layer.neurons for neuron in layer.shown) and all(row < rows for row, _, _ in layer.spikes)
    return exist and len(layer.inputs) in (0, rows)


def _in_time(found: Activity) -> bool:
    return found.steps > 0 and all(step < found.steps for layer in found.layers for _, step, _ in layer.spikes)


def _fits(document: object, holds: Mapping[str, Callable[[Any], bool]]) -> bool:
    return isinstance(document, dict) and all(name in document and holds[name](document[name]) for name in holds)


def _finite(value: object) -> bool:
    return is_number(value) and math.isfinite(value)  # type: ignore[arg-type]


def _each(holds: Callable[[Any], bool]) -> Callable[[object], bool]:
    return lambda value: isinstance(value, (list, tuple)) and all(map(holds, value))


def _row(*holds: Callable[[Any], bool]) -> Callable[[object], bool]:
    return lambda value: (
        isinstance(value, (list, tuple))
        and len(value) == len(holds)
        and all(fits(one) for fits, one in zip(holds, value, strict=True))
    )


_BASE64: Final = re.compile("[A-Za-z0-9+/]*={0,2}")

_LAYER: Final[Mapping[str, Callable[[Any], bool]]] = {
    "name": is_text,
    "kind": is_text,
    "shape": _each(is_count),
    "shown": _each(is_count),
    "spikes": _each(_row(is_count, is_count, _finite)),
    "rate": _finite,
    "constant": lambda value: isinstance(value, bool),
    "inputs": _each(_finite),
}
_ACTIVITY: Final[Mapping[str, Callable[[Any], bool]]] = {
    "sample": is_count,
    "steps": is_count,
    "layers": _each(lambda value: _fits(value, _LAYER)),
    "target": is_text,
    "output": is_text,
    "image": lambda value: is_text(value) and _BASE64.fullmatch(value) is not None,
    "classes": _each(is_text),
    "confusion": _each(_each(is_count)),
    "pairs": _each(_row(is_count, _finite, _finite)),
}
