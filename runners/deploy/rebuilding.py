"""What an exported network takes from the plugins that are here: its task, constants of its data, and versions."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Final

import torch

from spikefront.plugins import ArrayTask, Registry, Task
from spikefront.plugins.registry import Entry
from spikefront.runners.deploy.description import Description
from spikefront.runners.failures import one_line
from spikefront.searchspace import UsageError

_SEQUENCE: Final = 2
"""Axes of a sequence, without that of the samples."""


def restore(task: Task, description: Description) -> None:
    """Give a task the constants of its training data, which fit the sizes of the network.

    Raises:
        UsageError: when they don't.
    """
    if not description.constants:
        return
    shape, count = description.input_shape, description.outputs
    try:
        task.restore(description.constants)
        batch = torch.empty(1, *shape, dtype=getattr(torch, description.input_dtype), device="meta")
        prepared = task.shape_at_one_step(tuple(task.prepare(batch).shape[1:]))
        made = prepared, task.in_units(torch.empty(1, count, device="meta")).shape
        reason = "" if made == (description.network_shape, (1, count)) else "they are of other sizes"
    except UsageError as error:
        reason = str(error)
    except Exception as error:  # a plugin may raise anything for constants that are not its own
        reason = one_line(error)[:200]
    if reason:
        raise UsageError(f"constants of its data don't fit task {task.name!r} ({reason})")


def with_arrays(description: Description, registry: Registry) -> Registry:
    """Return a registry that has the task: one of arrays that is not here is prepared as the file says."""
    name = str(description.candidate["task"])
    if not description.arrays or not description.constants or name in registry.entries["task"]:
        return registry
    body: dict[str, object] = {"name": name, "__doc__": "Arrays that a network was trained on."}
    if len(description.input_shape) == _SEQUENCE:
        body |= {"inputs": "sequences", "layout": "sequences", "length": description.input_shape[0]}
    task = type("ExportedArrays", (ArrayTask,), body)
    version = description.plugins.get(f"task.{name}", "")
    tasks = {**registry.entries["task"], name: Entry(task, "exported network", version)}
    return replace(registry, entries={**registry.entries, "task": tasks})


def compare_plugins(description: Description, registry: Registry) -> list[str]:
    """Return the plugins that have another version here, and warn about them.

    Raises:
        UsageError: when one is missing.
    """
    here = registry.versions()
    trained_with = description.plugins.items()
    for key, version in trained_with:
        if key not in here:
            kind, _, name = key.partition(".")
            registry.need(kind, name, version)
    changed = [f"{key} {here[key]} (was {version})" for key, version in trained_with if here[key] != version]
    if changed:
        text = f"trained with other versions of its plugins, and may compute something else: {', '.join(changed)}"
        warnings.warn(text, UserWarning, stacklevel=4)
    return changed
