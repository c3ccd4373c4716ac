"""Hyperparameter domains: Optuna's distributions, read off the fields of a config dataclass.

A config declares each hyperparameter once::

    @dataclass(frozen=True, slots=True)
    class LatencyConfig:
        threshold: Annotated[float, Float(0.0, 0.2)] = 0.0
        \"\"\"Inputs at or below this value never fire.\"\"\"

Default, range, documentation and validation all come from that line. A field marked ``PINNED`` has a range but is held
at its default until a user opens it (``--set training.batch=32,64``).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Final, get_args, get_origin, get_type_hints

from optuna.distributions import BaseDistribution as Domain
from optuna.distributions import CategoricalDistribution as Choice
from optuna.distributions import FloatDistribution as Float
from optuna.distributions import IntDistribution as Int

from spikefront.searchspace.docs import attribute_docs
from spikefront.searchspace.errors import UnknownName, UsageError

__all__ = [
    "PINNED",
    "Choice",
    "Domain",
    "Field",
    "Float",
    "Int",
    "Value",
    "When",
    "build",
    "check",
    "contains",
    "describe",
    "fields_of",
    "nearest",
    "validate",
]

Value = bool | int | float | str
"""What a hyperparameter can be: anything that JSON, Optuna and MLflow all carry unchanged."""


class _Pinned:
    """Marker: searched only when the user opens it."""


PINNED: Final = _Pinned()


@dataclasses.dataclass(frozen=True, slots=True)
class When:
    """Marker: the hyperparameter exists only while an earlier field of its config has one of ``values``."""

    field: str
    values: tuple[Value, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Field:
    """One hyperparameter of a config.

    Attributes:
        name: the field's name.
        domain: the values it may have.
        default: its value unless searched or set.
        pinned: whether it stays at its default until a user opens it.
        when: the condition under which it exists, or None for always.
        doc: its documentation, the string below it.
    """

    name: str
    domain: Domain
    default: Value
    pinned: bool
    when: When | None
    doc: str

    def active(self, values: Mapping[str, object]) -> bool:
        """Return whether it exists beside these values of the other fields."""
        return self.when is None or values[self.when.field] in self.when.values


def fields_of(config: type) -> tuple[Field, ...]:
    """Return the hyperparameters that a config dataclass declares, in order.

    Raises:
        TypeError: when ``config`` is not a dataclass, or a field has no domain or no default.
        ValueError: when a default lies outside its own domain.
    """
    return _read_fields(config)


@cache
def _read_fields(config: type) -> tuple[Field, ...]:
    if not dataclasses.is_dataclass(config):
        raise TypeError(f"{config.__qualname__} must be a dataclass of Annotated[type, domain] fields")
    hints = get_type_hints(config, include_extras=True)
    docs = attribute_docs(config)
    found: list[Field] = []
    for field in dataclasses.fields(config):
        marks = get_args(hints[field.name])[1:] if get_origin(hints[field.name]) is Annotated else ()
        domain = next((mark for mark in marks if isinstance(mark, Domain)), None)
        if domain is None or field.default is dataclasses.MISSING:
            raise TypeError(
                f"{config.__qualname__}.{field.name} must read 'Annotated[type, Float|Int|Choice(...)] = default'"
            )
        check(domain, field.default, f"{config.__qualname__}.{field.name}, default")
        pinned = any(isinstance(mark, _Pinned) for mark in marks)
        when = next((mark for mark in marks if isinstance(mark, When)), None)
        if when is not None and when.field not in {earlier.name for earlier in found}:
            raise TypeError(f"{config.__qualname__}.{field.name}: When({when.field!r}) must name an earlier field")
        found.append(Field(field.name, domain, field.default, pinned, when, docs.get(field.name, "")))
    return tuple(found)


def contains(domain: Domain, value: object) -> bool:
    """Return whether ``value`` has the domain's type and lies in it."""
    if isinstance(domain, Choice):
        return any(value == choice and type(value) is type(choice) for choice in domain.choices)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    assert isinstance(domain, (Int, Float))
    if not domain.low <= value <= domain.high:
        return False
    if isinstance(domain, Int):
        return isinstance(value, int) and (value - domain.low) % domain.step == 0
    return True


def nearest(domain: Domain) -> Value:
    """Return a value of the domain for a default that lies outside it: the lowest, which is also the cheapest T."""
    if isinstance(domain, Choice):
        first = domain.choices[0]
        assert first is not None
        return first
    assert isinstance(domain, (Int, Float))
    return domain.low


def check(domain: Domain, value: object, where: str) -> None:
    """Raise ``UsageError`` naming ``where`` unless ``value`` lies in ``domain``."""
    if not contains(domain, value):
        raise UsageError(f"{where}: {value!r} is outside {describe(domain)}")


def describe(domain: Domain) -> str:
    """Write a domain as a user writes it: ``0.3..2.0``, ``4..32 (log)``, ``hard, soft``."""
    if isinstance(domain, Choice):
        return ", ".join(map(str, domain.choices))
    assert isinstance(domain, (Int, Float))
    marks = " (log)" if domain.log else ""
    if isinstance(domain, Int) and domain.step != 1:
        marks = f" (step {domain.step})"
    low, high = (str(b) if isinstance(domain, Int) else f"{b:g}" for b in (domain.low, domain.high))
    return f"{low}..{high}{marks}"


def build(config: type, values: Mapping[str, object], where: str) -> Any:
    """Make a config from plain values, checking names and ranges.

    Args:
        config: the config dataclass.
        values: field values; what is missing takes its default.
        where: prefix of the message, for example ``"coding.latency"``.

    Raises:
        UnknownName: for a field that the config does not have.
        UsageError: for a value of the wrong type or outside its range.
    """
    fields = {field.name: field for field in fields_of(config)}
    for name, value in values.items():
        if name not in fields:
            raise UnknownName(f"hyperparameter of {where}", name, fields)
        check(fields[name].domain, value, f"{where}.{name}")
    return config(**values)


def validate(config: Any, where: str) -> None:
    """Check a config that was built by hand, as ``build`` checks one built from values."""
    build(type(config), {field.name: getattr(config, field.name) for field in fields_of(type(config))}, where)
