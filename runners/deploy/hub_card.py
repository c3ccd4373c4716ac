"""Metadata of a model card for the Hugging Face Hub: the YAML block at its beginning, by which models are found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from spikefront.plugins import Task
from spikefront.runners.deploy.description import Description


def hub_metadata(description: Description, task: type[Task], again: Mapping[str, float]) -> dict[str, Any]:
    """Return the metadata of a network's card, as the Hub's model cards have it.

    A licence is left out, since nobody here states one.

    Args:
        description: description of the network.
        task: its task.
        again: the task's measurements on the validation split at the export, among them ``quality``.
    """
    flat = description.candidate
    name, kind = str(flat["task"]), _pipeline(description, task)
    words = ["spiking-neural-network", "neuromorphic", *(str(flat[each]) for each in ("coding", "neuron", "backbone"))]
    metrics = [{"type": _word(description.quality), "name": description.quality, "value": float(again["quality"])}]
    result = {
        "task": {"type": kind or "other"},
        "dataset": {"type": name, "name": name, "split": "validation"},
        "metrics": metrics,
    }
    title = f"{name}-{flat['coding']}-{flat['neuron']}-{flat['backbone']}"
    return {
        "library_name": "spikefront",
        "tags": list(dict.fromkeys(words)),
        **({"pipeline_tag": kind} if kind else {}),
        "model-index": [{"name": title, "results": [result]}],
    }


def with_metadata(card: str, metadata: Mapping[str, Any]) -> str:
    """Return a card behind its metadata."""
    return f"---\n{yaml.safe_dump(dict(metadata), sort_keys=False, allow_unicode=True)}---\n\n{card}"


def _pipeline(description: Description, task: type[Task]) -> str:
    """Return the Hub's name of what a network does; empty where it has none."""
    if task.output == "images" or task.inputs == "events":
        return ""
    if task.layout == "images":
        return "image-classification" if description.classes else ""
    if task.layout == "features":
        return "tabular-classification" if description.classes else "tabular-regression"
    return "" if description.classes else "time-series-forecasting"


def _word(quality: str) -> str:
    return quality.lower().replace(" ", "_")
