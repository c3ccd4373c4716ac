"""What goes together: the reason why a task, a coding, a neuron and a backbone can't be one network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from spikefront.plugins.contracts import Backbone, Coding, Neuron, Task
from spikefront.plugins.contracts.plugin import SEQUENTIAL
from spikefront.plugins.entry import Entry

Entries = Mapping[str, Mapping[str, Entry]]


def why_not_together(
    entries: Entries, *, task: type[Task], coding: type[Coding], neuron: type[Neuron], backbone: type[Backbone]
) -> str | None:
    """Return in a sentence why four plugins can't be one network, with those that could; None when they can.

    Args:
        entries: all plugins by kind and name.
        task: the task.
        coding: the coding.
        neuron: the neuron.
        backbone: the backbone.
    """
    return (
        _task_and_coding(entries, task, coding)
        or _task_and_backbone(entries, task, backbone)
        or _with_coding(entries, coding, neuron, backbone)
        or _with_neuron(entries, task, neuron, backbone)
    )


def why_not_truncated(
    entries: Entries, *, coding: type[Coding], neuron: type[Neuron], backbone: type[Backbone]
) -> str | None:
    """Return in a sentence why a network can't be trained in parts of its time steps; None when it can.

    Args:
        entries: all plugins by kind and name.
        coding: the coding.
        neuron: the neuron.
        backbone: the backbone.
    """

    def alone(one: type[Coding]) -> bool:
        return one.trained_by == "bptt" and one.between is Coding.between

    def hands_on(one: type[Neuron]) -> bool:
        return one.states_a_step() and not one.emits_changes

    if not hands_on(neuron):
        able = _names(entries, "neuron", hands_on)
        why = "emits changes, which are summed over all steps" if neuron.emits_changes else "defines no step()"
        return f"neuron {neuron.name!r} {why}; neurons that hand their state on: {able}"
    if not alone(coding):
        able = _names(entries, "coding", alone)
        return f"coding {coding.name!r} is trained over all time steps at once; codings that need not be: {able}"
    if backbone.output != "values":
        return f"backbone {backbone.name!r} makes {backbone.output}, whose loss is not that of an output over time"
    if backbone.delays:
        able = _names(entries, "backbone", lambda one: not one.delays and one.output == "values")
        return f"backbone {backbone.name!r} has delays, which reach into the part before; backbones without: {able}"
    return None


def fits_task(backbone: type[Backbone], task: type[Task]) -> bool:
    """Return whether a backbone takes what a task gives, and makes what it asks for."""
    return backbone.output == task.output and task.layout in backbone.layouts


def _task_and_coding(entries: Entries, task: type[Task], coding: type[Coding]) -> str | None:
    given = task.inputs
    if given not in coding.inputs:
        return (
            f"coding {coding.name!r} takes {' or '.join(sorted(coding.inputs))} input, but task {task.name!r} "
            f"gives {given}; codings that take it: {_names(entries, 'coding', lambda one: given in one.inputs)}"
        )
    if given in SEQUENTIAL and task.length > coding.longest:
        return (
            f"coding {coding.name!r} goes up to {coding.longest} time steps, but task {task.name!r} gives sequences of "
            f"{task.length} points; take the mean of several points for one"
        )
    return None


def _task_and_backbone(entries: Entries, task: type[Task], backbone: type[Backbone]) -> str | None:
    if backbone.output != task.output:
        able = _names(entries, "backbone", lambda one: one.output == task.output)
        return (
            f"task {task.name!r} needs a backbone that makes {task.output}, and {backbone.name!r} makes "
            f"{backbone.output}; backbones that do: {able}"
        )
    if task.layout not in backbone.layouts:
        able = _names(entries, "backbone", lambda one: task.layout in one.layouts)
        return (
            f"backbone {backbone.name!r} takes {' or '.join(sorted(backbone.layouts))}, but task {task.name!r} "
            f"gives {task.layout}; backbones that take them: {able}"
        )
    return None


def _with_coding(entries: Entries, coding: type[Coding], neuron: type[Neuron], backbone: type[Backbone]) -> str | None:
    sums = getattr(coding, "sums_trains", False)
    if coding.trained_by == "conversion" and not (backbone.convertible or (sums and backbone.sums_trains)):
        able = _names(entries, "backbone", lambda one: one.convertible or (sums and one.sums_trains))
        return (
            f"coding {coding.name!r} converts an ANN, which backbone {backbone.name!r} can't be; "
            f"backbones that can: {able}"
        )
    if getattr(coding, "chains_only", False) and not backbone.chain:
        return (
            f"coding {coding.name!r} needs a chain of layers, which backbone {backbone.name!r} is not; "
            f"backbones that are: {_names(entries, 'backbone', lambda one: one.chain and one.convertible)}"
        )
    if coding.neurons is not None and neuron.name not in coding.neurons:
        return f"coding {coding.name!r} needs neuron {' or '.join(sorted(coding.neurons))}, not {neuron.name!r}"
    if neuron.codings is not None and coding.name not in neuron.codings:
        return f"neuron {neuron.name!r} goes with coding {' or '.join(sorted(neuron.codings))}, not {coding.name!r}"
    return None


def _with_neuron(entries: Entries, task: type[Task], neuron: type[Neuron], backbone: type[Backbone]) -> str | None:
    given = task.inputs
    if given not in neuron.inputs:
        return (
            f"neuron {neuron.name!r} is for {' or '.join(sorted(neuron.inputs))}, but task {task.name!r} gives "
            f"{given}; neurons for it: {_names(entries, 'neuron', lambda one: given in one.inputs)}"
        )
    if backbone.recurrent and not neuron.states_a_step():
        return (
            f"backbone {backbone.name!r} has recurrent layers, for which neuron {neuron.name!r} defines no step(); "
            f"neurons that do: {_names(entries, 'neuron', lambda one: one.states_a_step())}"
        )
    return None


def _names(entries: Entries, kind: str, able: Callable[[Any], bool]) -> str:
    """Return the names of the plugins of a kind that are able to do something."""
    return ", ".join(sorted(name for name, entry in entries[kind].items() if able(entry.plugin))) or "none"
