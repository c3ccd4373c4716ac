"""Export of a trained network and its model card to files."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import torch

from spikefront.plugins import Registry, SearchData
from spikefront.runners.deploy.card import (
    Usage,
    card_file,
    mlflow_usage,
    model_card,
    neurobench_usage,
    nir_usage,
    onnx_usage,
    torch_usage,
)
from spikefront.runners.deploy.description import Origin, describe
from spikefront.runners.deploy.model import Model
from spikefront.runners.deploy.torch_file import read_weights, write_archive
from spikefront.runners.judging.exits import Exits
from spikefront.runners.judging.training import evaluate
from spikefront.searchspace import UnknownName, UsageError, Value
from spikefront.searchspace.errors import OptionError
from spikefront.searchspace.exits import Exit
from spikefront.searchspace.records import Spread
from spikefront.searchspace.targets import check_target as check_file

_DIGITS: Final = 6

COMPARED: Final = 100
"""Validation samples on which an ONNX graph is compared with the network."""


def export_trained(
    path: Path,
    format: str,
    *,
    candidate: Mapping[str, Value],
    weights: Path,
    registry: Registry,
    metrics: Mapping[str, float],
    plugins: Mapping[str, str],
    energy_model: str,
    origin: Origin,
    confirmation: Spread | None = None,
    data_dir: Path | None = None,
    exit: Exit | None = None,
    reader: str | None = None,
) -> Model:
    """Export a network that a search trained, and write its card beside it.

    The network is measured once more on the validation split, so that the card describes the weights in the file.

    Args:
        path: the file to write; the card gets its name and ``.card.md``.
        format: one of ``FORMATS``.
        candidate: flat form of its candidate.
        weights: file with the trained network's ``state_dict``, as the search saved it.
        registry: contains its plugins.
        metrics: measurements of the search.
        plugins: versions of the plugins that it was trained with, by ``kind.name``.
        energy_model: name of the energy model.
        origin: its search and trial.
        confirmation: its quality on the test split.
        data_dir: folder with data files.
        exit: rule by which it stops early; None for none.
        reader: for whom a NIR file is; None for readers that take NIR as it is defined.

    Returns:
        The network, ready for use.

    Raises:
        UsageError: for an unknown format or plugin, weights that are damaged or don't fit, missing data, or a network
            that the format can't express.
    """
    check_target(path, format, exit, reader)
    about = {"energy_model": energy_model, "origin": origin, "confirmation": confirmation, "exit": exit}
    model, data = rebuilt(candidate, weights, registry, data_dir=data_dir, metrics=metrics, plugins=plugins, **about)
    return export_model(model, path, format, registry=registry, data=data, reader=reader)


def rebuilt(
    candidate: Mapping[str, Value], weights: Path, registry: Registry, *, data_dir: Path | None = None, **about: Any
) -> tuple[Model, SearchData]:
    """Return a network that a search trained, and the data of its task.

    Args:
        candidate: flat form of its candidate.
        weights: file with the trained network's ``state_dict``, as the search saved it.
        registry: contains its plugins.
        data_dir: folder with data files.
        about: what else ``describe`` takes.

    Raises:
        UsageError: for an unknown plugin, weights that are damaged or don't fit, or missing data.
    """
    found, state = registry.stored(candidate), read_weights(weights)
    data = registry.task(found).search_data(data_dir, found.steps)
    return Model(describe(found, data, registry, **about), state, registry), data


def export_model(
    model: Model, path: Path, format: str, *, registry: Registry, data: SearchData, reader: str | None = None
) -> Model:
    """Export a model, and write its card beside it.

    Args:
        model: the network.
        path: the file to write.
        format: one of ``FORMATS``.
        registry: contains its task and energy model.
        data: the task's data.
        reader: for whom a NIR file is; None for readers that take NIR as it is defined.

    Raises:
        UsageError: for an unknown format, or a network that the format can't express.
    """
    check_target(path, format, model.exit, reader)
    write = partial(_write_nir, reader=reader) if reader is not None else FORMATS[format].write
    remarks, usage = write(model, path, data), FORMATS[format].usage
    task = registry.task(model.candidate)
    remarks += _exits(model, data, registry)
    again = evaluate(model.network, task, data.validation)
    card = model_card(model.description, registry, path.name, format, usage, again=again, remarks=remarks)
    if FORMATS[format].for_hub:
        from spikefront.runners.deploy.hub_card import hub_metadata, with_metadata

        card = with_metadata(card, hub_metadata(model.description, type(task), again))
    card_file(path).write_text(card, encoding="utf-8")
    return model


def check_target(path: Path, format: str, exit: Exit | None = None, reader: str | None = None) -> None:
    """Check the format and the file to write, before anything is read.

    Raises:
        UsageError: for an unknown format or reader, one that can't express an exit, or a file that can't be written.
    """
    if format not in FORMATS:
        raise UnknownName("format", format, FORMATS)
    if exit is not None and format not in ("torch", "safetensors"):
        raise UsageError(f"exit: format {format} can't express {exit}; export it in format torch")
    if format == "mlflow" and path.is_file():
        raise UsageError(f"--to {path} is a file, and an MLflow model is a folder; name a new one")
    if reader is not None:
        from spikefront.runners.deploy.nir_readers import reader_named

        reader_named(reader)
        if format != "nir":
            raise OptionError("for_", reader, f"is a reader of NIR files, and the format is {format}", flag="--for")
    check_file(path, beside=".card.md")


def _exits(model: Model, data: SearchData, registry: Registry) -> list[str]:
    """Return a remark on what the exit of a network does on the validation split; none where it has none."""
    if model.exit is None:
        return []
    priced = registry.energy_model(model.description.energy_model)
    exits = Exits(model.network, registry.task(model.candidate), data.validation, priced)
    found, whole = exits.at(model.exit), exits.fixed()[-1]
    return [
        f"It stops early, sample by sample, at `{model.exit}`: on the validation split after {found.steps:.2f} of "
        f"{whole.steps:g} steps on average, with quality {found.quality:.4f} where all steps give {whole.quality:.4f}, "
        f"and {found.energy_nj:.4g} nJ a sample where they take {whole.energy_nj:.4g} nJ, checks included. "
        "`predict_with_steps` returns the steps. A batch on a GPU saves nothing by it; a chip does."
    ]


def _unit(model: Model) -> list[str]:
    """Return a remark on the unit of a graph's outputs; none where it is the unit of the data."""
    if model.description.classes:
        return []
    ends = torch.stack([torch.zeros(model.description.outputs), torch.ones(model.description.outputs)]).double()
    zero, one = model.in_units(ends)
    if torch.equal(one - zero, ends[1]) and torch.equal(zero, ends[0]):
        return []
    pairs = zip((one - zero).tolist(), zero.tolist(), strict=True)
    units = ", ".join(f"{scale:.{_DIGITS}g} x + {_offset(mean, scale)}" for scale, mean in pairs)
    return [f"Decoded outputs x are in the unit that was learnt; in that of the data they are {units}."]


def _offset(mean: float, scale: float) -> str:
    """Return a mean with as many digits as the values that are added to it need."""
    more = math.ceil(math.log10(abs(mean / scale))) if abs(mean) > abs(scale) > 0 else 0
    return f"{mean:.{min(_DIGITS + more, 17)}g}"


def _scaling(model: Model) -> list[str]:
    """Return a remark on how inputs of a graph are scaled, for a task of arrays."""
    if not model.description.arrays:
        return []
    if model.description.input_dtype == "uint8":
        return ["Inputs are scaled first: bytes / 255."]
    return [
        "Inputs are scaled first, each feature to (x - low) / (high - low), clipped to 0 and 1; low and high are the "
        '`constants` in `json.loads(graph.metadata["spikefront"])`.'
    ]


def _write_torch(model: Model, path: Path, data: SearchData) -> list[str]:
    write_archive(path, model.description.to_json(), model.network.state_dict())
    return []


def _write_safetensors(model: Model, path: Path, data: SearchData) -> list[str]:
    from spikefront.runners.deploy.safetensors_file import write_safetensors

    write_safetensors(path, model.description.to_json(), model.network.state_dict())
    return ["For the Hugging Face Hub, this card is the `README.md` of the model's repository."]


def _write_nir(model: Model, path: Path, data: SearchData, reader: str | None = None) -> list[str]:
    from spikefront.runners.deploy.nir import export_nir
    from spikefront.runners.deploy.nir_readers import reader_named

    export_nir(model, path, reader_named(reader))
    told = [f"The file is for {reader}, which takes NIR otherwise than it is defined: see docs/export.md."]
    return [*(told if reader is not None else []), *_scaling(model), *_unit(model)]


def _write_onnx(model: Model, path: Path, data: SearchData) -> list[str]:
    from spikefront.runners.deploy.onnx import export_onnx

    agreement = export_onnx(model, path, data.validation.inputs[:COMPARED])
    return [
        f"ONNX Runtime gave the network's outputs on {agreement.close} of {agreement.inputs} validation samples; "
        f"the largest difference of an output was {agreement.largest:.2g}"
        f"{'' if model.description.classes or model.generates else ', in the unit that was learnt'}."
    ]


def _write_neurobench(model: Model, path: Path, data: SearchData) -> list[str]:
    from spikefront.runners.deploy.neurobench import export_neurobench

    return export_neurobench(model, path, data)


def _write_mlflow(model: Model, path: Path, data: SearchData) -> list[str]:
    from spikefront.runners.deploy.mlflow_model import export_mlflow

    return export_mlflow(model, path, data)


@dataclass(frozen=True, slots=True)
class Format:
    """A file format of exported networks.

    Attributes:
        write: writes a model to a file, given the task's data, and returns remarks for the card.
        usage: makes the lines of the card that show how to load a file.
        for_hub: whether the card begins with the metadata of the Hugging Face Hub.
    """

    write: Callable[[Model, Path, SearchData], list[str]]
    usage: Usage
    for_hub: bool = False


FORMATS: Final = {
    "torch": Format(_write_torch, torch_usage),
    "safetensors": Format(_write_safetensors, torch_usage, for_hub=True),
    "nir": Format(_write_nir, nir_usage),
    "onnx": Format(_write_onnx, onnx_usage),
    "mlflow": Format(_write_mlflow, mlflow_usage),
    "neurobench": Format(_write_neurobench, neurobench_usage),
}
"""File formats by name."""
