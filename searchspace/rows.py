"""Hyperparameters of a space as they are printed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from spikefront.searchspace.candidate import DEFAULTS, STEPS
from spikefront.searchspace.domains import Domain, Value, describe, held
from spikefront.searchspace.fields import Field


@dataclass(frozen=True, slots=True)
class Row:
    """One hyperparameter of a space, as it is printed: ``active`` says under which choice it exists."""

    name: str
    domain: str
    default: Value
    active: str
    doc: str
    searched: bool


def conditions_of(field: Field, fields: Sequence[Field], prefix: str = "") -> list[str]:
    """Return the conditions under which a field exists, from the outermost on."""
    if field.when is None:
        return []
    (parent,) = (other for other in fields if other.name == field.when.field)
    return [*conditions_of(parent, fields, prefix), f"{prefix}{parent.name}={'|'.join(map(str, field.when.values))}"]


def steps_row(coding: str, domain: Domain) -> Row:
    """Return the row of a coding's time steps."""
    return Row("steps", describe(domain), held(domain, STEPS), f"coding={coding}", "time steps T", not domain.single())


def default_name(family: str, names: Sequence[str]) -> str:
    """Return the default of those names that a space keeps in a family: the usual one, or else the first."""
    return DEFAULTS[family] if DEFAULTS.get(family) in names else names[0]
