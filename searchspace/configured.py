"""A plugin with its settings, as one line of text: ``chip-table(node=14nm, memory=True)``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spikefront.searchspace.errors import UnknownName, UsageError
from spikefront.searchspace.fields import Field, build, fields_of
from spikefront.searchspace.narrowing import read_value


def write_configured(name: str, settings: Mapping[str, object]) -> str:
    """Return a plugin's name with its settings as text.

    Example:
        >>> write_configured("chip-table", {"node": "14nm", "memory": True}), write_configured("loihi-1", {})
        ('chip-table(node=14nm, memory=True)', 'loihi-1')
    """
    return f"{name}({', '.join(f'{field}={value}' for field, value in settings.items())})" if settings else name


def name_of(text: str) -> str:
    """Return the name in a text that ``write_configured`` writes."""
    return text.partition("(")[0].strip()


def read_config(text: str, config: type) -> Any:
    """Return the config that a text of ``write_configured`` sets; a field that it leaves out has its default.

    Args:
        text: the text.
        config: class of the plugin's config.

    Raises:
        UnknownName: for a field that the config does not have.
        UsageError: for a value outside its range, or text of another form.
    """
    name, bracket, rest = text.partition("(")
    name, rest = name.strip(), rest.strip()
    if not bracket:
        return config()
    if not rest.endswith(")"):
        raise UsageError(f"{text!r} must read {name}(NAME=VALUE, NAME=VALUE)")
    fields: dict[str, Field] = {field.name: field for field in fields_of(config)}
    values = {}
    for part in filter(str.strip, rest[:-1].split(",")):  # no value of a choice has a comma
        field, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals:
            raise UsageError(f"{text!r} must read {name}(NAME=VALUE, NAME=VALUE)")
        if field not in fields:
            raise UnknownName(f"setting of {name}:", field, fields)
        values[field] = read_value(value, fields[field].domain, f"{name}.{field}")
    return build(config, values, name)
