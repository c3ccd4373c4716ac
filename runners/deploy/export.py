"""Exporting: a trained network and its card into files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import torch

from spikefront.plugins import Registry, SearchData, Task
from spikefront.runners.deploy.card import card_file, model_card
from spikefront.runners.deploy.description import Confirmation, Origin, describe
from spikefront.runners.deploy.model import Model
from spikefront.runners.deploy.torch_file import write_archive
from spikefront.runners.judging.training import evaluate
from spikefront.searchspace import UnknownName, UsageError, Value, from_flat

FORMATS: Final = ("torch", "nir", "onnx")

COMPARED: Final = 100
"""Validation samples on which an ONNX graph is compared with the network."""


def export_trained(
    path: Path,
    form: str,
    *,
    candidate: Mapping[str, Value],
    weights: Path,
    registry: Registry,
    metrics: Mapping[str, float],
    plugins: Mapping[str, str],
    energy_model: str,
    origin: Origin,
    confirmation: Confirmation | None = None,
    data_dir: Path | None = None,
) -> Model:
    """Export what a search trained, and write its card beside it.

    The network is measured once more on the validation split, so that a file never holds other weights than its card
    speaks of.

    Args:
        path: where to; the card gets its name and ``.card.md``.
        form: one of ``FORMATS``.
        candidate: flat form of what was trained.
        weights: the trained network's ``state_dict``, as the search saved it.
        registry: where plugins are looked up.
        metrics: what the search measured.
        plugins: versions of the plugins that it was trained with, by ``kind.name``.
        energy_model: what priced its operations.
        origin: where it was found.
        confirmation: its quality on the test split.
        data_dir: where to look for data files.

    Returns:
        The network, ready for use.

    Raises:
        UsageError: for an unknown format or plugin, weights that don't fit, missing data, or a network that the format
            can't express.
    """
    check_target(path, form)
    found = from_flat(candidate, registry)
    task: Task = registry.get("task", found.task.name)(found.task.config)
    data = task.search_data(data_dir, found.steps)
    description = describe(
        found,
        data,
        registry,
        metrics=metrics,
        plugins=plugins,
        energy_model=energy_model,
        origin=origin,
        confirmation=confirmation,
    )
    model = Model(description, torch.load(weights, map_location="cpu", weights_only=True), registry)
    return export_model(model, path, form, registry=registry, data=data)


def export_model(model: Model, path: Path, form: str, *, registry: Registry, data: SearchData) -> Model:
    """Export a model, and write its card beside it.

    Args:
        model: what to export.
        path: where to.
        form: one of ``FORMATS``.
        registry: where its task and energy model are looked up.
        data: the task's data.

    Raises:
        UsageError: for an unknown format, or a network that the format can't express.
    """
    check_target(path, form)
    remarks = []
    if form == "torch":
        write_archive(path, model.description.to_json(), model.network.state_dict())
    elif form == "nir":
        from spikefront.runners.deploy.nir import export_nir

        export_nir(model, path)
        remarks += _unit(model)
    else:
        from spikefront.runners.deploy.onnx import export_onnx

        agreement = export_onnx(model, path, data.validation.inputs[:COMPARED])
        remarks.append(
            f"ONNX Runtime gave the network's outputs on {agreement.close} of {agreement.inputs} validation samples; "
            f"the largest difference of an output was {agreement.largest:.2g}."
        )
    task: Task = registry.get("task", model.candidate.task.name)(model.candidate.task.config)
    again = evaluate(model.network, task, data.validation)
    card = model_card(model.description, registry, path.name, form, again=again, remarks=remarks)
    card_file(path).write_text(card, encoding="utf-8")
    return model


def check_target(path: Path, form: str) -> None:
    """Refuse an unknown format and a file that can't be written, before anything is read.

    Raises:
        UsageError: for either.
    """
    if form not in FORMATS:
        raise UnknownName("format", form, FORMATS)
    if path.is_dir():
        raise UsageError(f"--to {path} is a folder; name a file in it, for example {path / 'network.pt'}")
    if not path.parent.is_dir():
        raise UsageError(f"--to {path}: folder {path.parent} does not exist; create it or choose another")


def _unit(model: Model) -> list[str]:
    """Say in which unit a graph without the task's part in it gives values; nothing if it is that of the data."""
    if model.description.classes:
        return []
    ends = torch.stack([torch.zeros(model.description.outputs), torch.ones(model.description.outputs)])
    zero, one = model.in_units(ends)
    if torch.equal(one - zero, ends[1]) and torch.equal(zero, ends[0]):
        return []
    pairs = zip((one - zero).tolist(), zero.tolist(), strict=True)
    told = ", ".join(f"{scale:.6g} x + {mean:.6g}" for scale, mean in pairs)
    return [f"Decoded outputs x are in the unit that was learnt; in that of the data they are {told}."]
