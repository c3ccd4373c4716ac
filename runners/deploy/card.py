"""Model cards: one page of Markdown beside each exported network, on what it is, how good, and how that is known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from spikefront.plugins import EnergyModel, Registry
from spikefront.runners.deploy.description import KINDS, Description
from spikefront.searchspace.units import format_energy

_COUNTS: Final = {
    "sops": "accumulates of synapses (SOPs)",
    "macs": "multiply-accumulates, a constant input once",
    "macs_every_step": "multiply-accumulates, a constant input at every step",
    "spike_rate": "spikes per neuron and step",
    "parameters": "learnt parameters",
}
"""Metrics of the energy section, and what they count."""

_LOADING: Final = {
    "torch": (
        "```python",
        "import spikefront",
        "",
        'model = spikefront.load("{file}")',
        "classes = model.predict(images)  # {inputs}",
        "```",
    ),
    "nir": (
        "```python",
        "import nir",
        "",
        'graph = nir.read("{file}")  # one time step is 0.0001 s; metadata["spikefront"] describes the network',
        "```",
        "",
        "The graph takes what coding `{coding}` makes of an input, step by step, and gives the last layer's output at "
        "each step; coding and decoding are not in it. A neuron fires where its potential reaches the threshold.",
    ),
    "onnx": (
        "```python",
        "import onnxruntime",
        "",
        'session = onnxruntime.InferenceSession("{file}")',
        '(logits,) = session.run(["logits"], {{"inputs": images}})  # {inputs}',
        "```",
    ),
}


def card_file(path: Path) -> Path:
    """Return where the card of an exported file lies."""
    return path.with_name(f"{path.name}.card.md")


def model_card(
    description: Description, registry: Registry, file: str, form: str, *, again: float, remarks: Sequence[str] = ()
) -> str:
    """Return the card of an exported network.

    Args:
        description: what the network is.
        registry: where its energy model is looked up.
        file: name of the exported file.
        form: format of the file: ``torch``, ``nir`` or ``onnx``.
        again: quality on the validation split, measured at the export.
        remarks: what the export found out, each a sentence.
    """
    flat = description.candidate
    sections = {
        f"Spiking network for {flat['task']}": _summary(description, form),
        "Data": _data(description),
        "Quality": _quality(description, again),
        "Energy and latency": _energy(description, registry),
        "Network": _table(("hyperparameter", "value"), [(name, f"`{value}`") for name, value in flat.items()]),
        "Where it comes from": _origin(description),
        "How to load it": [_filled(line, description, file) for line in _LOADING[form]] + ["", *remarks],
        "Licence": ["*Not stated. Whoever publishes this file states it here, with the terms of the data.*"],
    }
    parts = [f"{'#' if number == 0 else '##'} {title}\n" for number, title in enumerate(sections)]
    bodies = ["\n".join(lines).strip() + "\n" for lines in sections.values()]
    return "\n".join(f"{title}\n{body}" for title, body in zip(parts, bodies, strict=True))


def _summary(description: Description, form: str) -> list[str]:
    flat = description.candidate
    what = f"coding `{flat['coding']}`, neuron `{flat['neuron']}`, backbone `{flat['backbone']}`, T = {flat['steps']}"
    return [f"A spiking neural network found by spikefront: {what}. Format: {form}."]


def _data(description: Description) -> list[str]:
    flat, samples = description.candidate, description.samples
    subset = flat.get("training.subset", 0)
    trained = f"{subset} of its {samples['train']}" if subset else f"all {samples['train']}"
    return [
        f"Task `{flat['task']}`. Trained on {trained} training samples, for {flat['training.epochs']} epochs, with "
        f"seed {flat['seed']}; chosen by its quality on {samples['validation']} validation samples.",
        "",
        f"Inputs: {_inputs(description)}. Outputs: {description.outputs}{' classes' if description.classes else ''}.",
    ]


def _quality(description: Description, again: float) -> list[str]:
    measured, name, confirmed = description.metrics.get("quality"), description.quality, description.confirmation
    found = "not recorded" if measured is None else f"{measured:.4f}"
    lines = [f"- {name}, validation split, one seed: {found}; measured again at the export: {again:.4f}"]
    if confirmed is None:
        lines += [
            "",
            "One seed, validation split, **not confirmed**: the best of many is chosen by luck too, so expect ",
        ]
        lines[-1] += "less on new data. `spikefront confirm` measures it on the test split."
        return lines
    interval = f"95 % interval {confirmed.low:.4f} to {confirmed.high:.4f}"
    spread = f"standard deviation {confirmed.sd:.4f}, {interval}"
    lines.append(f"- {name}, test split, mean of {confirmed.seeds} seeds: {confirmed.mean:.4f} ({spread})")
    return [*lines, "", "The seeds were trained anew; the weights in this file are those of the search."]


def _energy(description: Description, registry: Registry) -> list[str]:
    metrics, priced = description.metrics, description.energy_model
    if priced in registry.entries["energy"]:
        model: type[EnergyModel] = registry.get("energy", priced)
        priced += f": {model.technology}; {model.source}"
    rows = [("energy", format_energy(metrics["energy_nj"]))] if "energy_nj" in metrics else []
    if "latency_steps" in metrics:
        rows.append(("latency", f"{metrics['latency_steps']:g} time steps"))
    rows += [(text, f"{metrics[name]:.6g}") for name, text in _COUNTS.items() if name in metrics]
    note = "Per sample, counted on 128 evenly spaced validation samples, priced by energy model"
    return [*_table(("what", "value"), rows), "", f"{note} {priced}"]


def _origin(description: Description) -> list[str]:
    origin, flat = description.origin, description.candidate
    rows = [
        ("search", origin.search),
        ("trial", origin.trial),
        ("MLflow run", origin.run_id),
        ("commit in the folder of the search", origin.commit),
    ]
    rows += [(f"{kind} {flat[kind]}", description.plugins.get(f"{kind}.{flat[kind]}", "")) for kind in KINDS]
    return _table(("what", "value"), [(what, f"`{value}`" if value else "not known") for what, value in rows])


def _inputs(description: Description) -> str:
    shape = ", ".join(["N", *map(str, description.input_shape)])
    return f"`{description.input_dtype}` of shape ({shape}), as task `{description.candidate['task']}` reads them"


def _filled(line: str, description: Description, file: str) -> str:
    return line.format(file=file, inputs=_inputs(description).replace("`", ""), coding=description.candidate["coding"])


def _table(head: tuple[str, str], rows: Sequence[tuple[str, str]]) -> list[str]:
    cells = ((left, right.replace("|", "\\|").replace("\n", " ")) for left, right in rows)
    return [f"| {head[0]} | {head[1]} |", "| --- | --- |", *(f"| {left} | {right} |" for left, right in cells)]
