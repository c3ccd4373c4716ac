"""Hyperparameters, read off the fields of a config dataclass.

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
from typing import Annotated, Any, Final, get_args, get_origin

from spikefront.searchspace.declarations import evaluated, refuse_domain, refuse_scalar, refuse_type
from spikefront.searchspace.docs import attribute_docs
from spikefront.searchspace.domains import Domain, Value, check, contains, describe, on_grid
from spikefront.searchspace.errors import UnknownName, UsageError

__all__ = ["PINNED", "Field", "Snap", "When", "build", "existing", "fields_of", "settings_of", "settled", "validate"]


class _Pinned:
    """Marker: searched only when the user opens it."""


PINNED: Final = _Pinned()


@dataclasses.dataclass(frozen=True, slots=True)
class When:
    """Marker: the hyperparameter exists only while an earlier field of its config exists and has one of ``values``."""

    field: str
    values: tuple[Value, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Snap:
    """Marker: of a range, what a search draws near one of ``values`` is that value.

    For values that are cheaper than all their neighbours, such as powers of two, which no draw from a continuous range
    ever hits. It acts on the whole range alone: what is given, and a range that a user narrows, stay as they are.

    Attributes:
        values: the values.
        within: how near, as a share of the value.
    """

    values: tuple[float, ...]
    within: float = 0.05


@dataclasses.dataclass(frozen=True, slots=True)
class Field:
    """One hyperparameter of a config.

    Attributes:
        name: the field's name.
        domain: the values it may have.
        default: its value unless searched or set.
        pinned: whether it stays at its default until a user opens it.
        when: the condition under which it exists, or None for always.
        config: the class that declares it, or inherits it.
        snap: values that draws are moved to, or None.
    """

    name: str
    domain: Domain
    default: Value
    pinned: bool
    when: When | None
    config: type
    snap: Snap | None = None

    @property
    def doc(self) -> str:
        """Its documentation, the string below it; read from the source when it is asked for, which few processes do."""
        return attribute_docs(self.config).get(self.name, "")

    def active(self, values: Mapping[str, object]) -> bool:
        """Return whether it exists beside the fields that exist, given with their values."""
        when = self.when
        return when is None or (when.field in values and values[when.field] in when.values)

    def snapped(self, value: Value, domain: Domain) -> Value:
        """Return what stands for a value that was drawn from ``domain``."""
        if self.snap is None or domain != self.domain or isinstance(value, str):
            return value
        return next((one for one in self.snap.values if abs(value - one) <= self.snap.within * abs(one)), value)


def fields_of(config: type) -> tuple[Field, ...]:
    """Return the hyperparameters that a config dataclass declares, in order.

    Raises:
        TypeError: when ``config`` is not a dataclass, a field has no domain or no default, or a condition does not name
            an earlier field.
        UsageError: when a domain or a condition makes no sense, or a default lies outside its own domain.
    """
    return _read_fields(config)


@cache
def _read_fields(config: type) -> tuple[Field, ...]:
    if not dataclasses.is_dataclass(config):
        raise TypeError(f"{config.__qualname__} must be a dataclass of Annotated[type, domain] fields")
    hints = evaluated(config)
    found: dict[str, Field] = {}
    for field in dataclasses.fields(config):
        where = f"{config.__qualname__}.{field.name}"
        marks = get_args(hints[field.name])[1:] if get_origin(hints[field.name]) is Annotated else ()
        domains = [mark for mark in marks if isinstance(mark, Domain)]
        if not domains or field.default is dataclasses.MISSING or not field.init:
            raise TypeError(f"{where} must read 'Annotated[type, Float|Int|Choice(...)] = default'")
        conditions = [mark for mark in marks if isinstance(mark, When)]
        if len(domains) > 1 or len(conditions) > 1:
            raise UsageError(f"{where} has several domains or conditions; give one of each")
        refuse_domain(domains[0], where)
        refuse_scalar(field.default, where)
        check(domains[0], field.default, f"{where}, default")
        refuse_type(get_args(hints[field.name])[0], domains[0], field.default, where)
        if conditions:
            _refuse_condition(conditions[0], found, where)
        pinned = any(isinstance(mark, _Pinned) for mark in marks)
        when = conditions[0] if conditions else None
        snap = next((mark for mark in marks if isinstance(mark, Snap)), None)
        for value in snap.values if snap is not None else ():
            check(domains[0], value, f"{where}, Snap")
        found[field.name] = Field(field.name, domains[0], field.default, pinned, when, config, snap)
    return tuple(found.values())


def _refuse_condition(when: When, earlier: Mapping[str, Field], where: str) -> None:
    if when.field not in earlier:
        raise TypeError(f"{where}: When({when.field!r}) must name an earlier field")
    if not isinstance(when.values, (tuple, list)) or not when.values:
        raise UsageError(f"{where}: When({when.field!r}, {when.values!r}) needs a tuple of one or more values")
    domain = earlier[when.field].domain
    for value in when.values:
        if not contains(domain, value):
            raise UsageError(
                f"{where}: When({when.field!r}, {when.values!r}): {when.field} is never {value!r}: it has "
                f"{describe(domain)}"
            )


def existing(fields: tuple[Field, ...], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of the fields that exist: those whose condition holds, and so on up to a field without one."""
    found: dict[str, Any] = {}
    for field in fields:
        if field.active(found):
            found[field.name] = values[field.name]
    return found


def settings_of(config: Any) -> dict[str, Value]:
    """Return the hyperparameters of a config that exist, by field."""
    fields = fields_of(type(config))
    return existing(fields, {field.name: getattr(config, field.name) for field in fields})


def settled(config: Any) -> Any:
    """Return a config whose fields that don't exist have their defaults, so that equal networks have equal configs."""
    fields = fields_of(type(config))
    if all(field.when is None for field in fields):
        return config
    found = existing(fields, {field.name: getattr(config, field.name) for field in fields})
    other = {f.name: f.default for f in fields if f.name not in found and getattr(config, f.name) != f.default}
    return dataclasses.replace(config, **other) if other else config


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
    given: dict[str, Any] = {}
    for name, value in values.items():
        if name not in fields:
            raise UnknownName(f"hyperparameter of {where}", name, fields)
        check(fields[name].domain, value, f"{where}.{name}")
        assert isinstance(value, (bool, int, float, str))
        given[name] = on_grid(fields[name].domain, value)
    return config(**given)


def validate(config: Any, where: str) -> None:
    """Check a config that was built by hand, as ``build`` checks one built from values."""
    for field in fields_of(type(config)):
        check(field.domain, getattr(config, field.name), f"{where}.{field.name}")
