"""Model cards: one page of Markdown beside each exported network, with its origin, measurements and use."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from spikefront.plugins import EnergyModel, Registry, Task
from spikefront.plugins.contracts.task import listed
from spikefront.runners.deploy.description import Description, output_name
from spikefront.runners.judging.measuring import MEASURING_SAMPLES
from spikefront.searchspace.candidate import JOINT_FAMILIES
from spikefront.searchspace.configured import name_of
from spikefront.searchspace.units import format_energy

Usage = Callable[[Description, type[Task], str], list[str]]
"""Makes the lines that show how to load a file, from its network, task and name."""

_COUNTS: Final = {
    "sops": "accumulates of synapses (SOPs)",
    "macs": "multiply-accumulates, a constant input once",
    "macs_every_step": "multiply-accumulates, a constant input at every step",
    "spike_rate": "spikes per neuron and step",
    "parameters": "learnt parameters",
}
"""Metrics of the energy section, and what they count."""

_MOST_NAMES: Final = 200
"""Most names of classes in a card; the file has all of them."""

_NIR_NOTE: Final = (
    "The graph takes what coding `{coding}` makes of an input, step by step, and gives the last layer's output at each "
    'step. Decoded outputs are their sum over the steps, weighted by `json.loads(graph.metadata["decoding"])`. '
    "A neuron fires where its potential reaches the threshold."
)


def card_file(path: Path) -> Path:
    """Return the path of the card of an exported file."""
    return path.with_name(f"{path.name}.card.md")


def model_card(
    description: Description,
    registry: Registry,
    file: str,
    format: str,
    usage: Usage,
    *,
    again: Mapping[str, float],
    remarks: Sequence[str] = (),
) -> str:
    """Return the card of an exported network.

    Args:
        description: description of the network.
        registry: contains its task and energy model.
        file: name of the exported file.
        format: name of the file's format.
        usage: how to load a file of this format.
        again: the task's measurements on the validation split at the export, among them ``quality``.
        remarks: findings of the export, each a sentence.
    """
    flat = description.candidate
    task: type[Task] = registry.get("task", str(flat["task"]))
    sections = {
        f"Spiking network for {flat['task']}": _summary(description, format),
        "Data": _data(description, task),
        "Quality": _quality(description, task, again),
        "Energy and latency": _energy(description, registry),
        "Network": _table(("hyperparameter", "value"), [(name, f"`{value}`") for name, value in flat.items()]),
        "Where it comes from": _origin(description),
        "How to load it": [*usage(description, task, file), "", *remarks],
        "Licence": ["*Not stated. Whoever publishes this file states it here, with the terms of the data.*"],
    }
    parts = [f"{'#' if number == 0 else '##'} {title}\n" for number, title in enumerate(sections)]
    bodies = ["\n".join(lines).strip() + "\n" for lines in sections.values()]
    return "\n".join(f"{title}\n{body}" for title, body in zip(parts, bodies, strict=True))


def _summary(description: Description, format: str) -> list[str]:
    flat = description.candidate
    what = f"coding `{flat['coding']}`, neuron `{flat['neuron']}`, backbone `{flat['backbone']}`, T = {flat['steps']}"
    what += f", stopped after {flat['cut']} of these steps" if flat.get("cut") else ""
    return [f"A spiking neural network found by spikefront: {what}. Format: {format}."]


def _data(description: Description, task: type[Task]) -> list[str]:
    flat, samples = description.candidate, description.samples
    subset = flat.get("training.subset", 0)
    trained = f"{subset} of its {samples['train']}" if subset else f"all {samples['train']}"
    what = " ".join((task.__doc__ or "").partition("\n\n")[0].split()).rstrip(".")
    names = listed(description.class_names, _MOST_NAMES)
    return [
        f"Task `{flat['task']}`{what and f' ({what})'}. Trained on {trained} training samples, for "
        f"{flat['training.epochs']} epochs, with seed {flat['seed']}; chosen by its quality on "
        f"{samples['validation']} validation samples.",
        "",
        f"Inputs: {_inputs(description, task)}. Outputs: {_outputs(description, task)}."
        f"{names and f' Names of the classes, from class 0: {names}.'}",
    ]


def _quality(description: Description, task: type[Task], again: Mapping[str, float]) -> list[str]:
    measured, name, confirmed = description.metrics.get("quality"), description.quality, description.confirmation
    found = "not recorded" if measured is None else f"{measured:.4f}"
    lines = [
        f"- {name}, validation split, one seed: {found}; measured again at the export: {again['quality']:.4f}",
        *(f"- {other}, likewise: {value:.4f}" for other, value in again.items() if other not in ("quality", name)),
    ]
    if confirmed is not None:
        interval = f"95 % interval {confirmed.low:.4f} to {confirmed.high:.4f}"
        spread = f"standard deviation {confirmed.sd:.4f}, {interval}"
        lines.append(f"- {name}, test split, mean of {confirmed.seeds} seeds: {confirmed.mean:.4f} ({spread})")
    better = f"{'More' if task.maximize else 'Less'} {name} is better; {task.best_quality:g} is the best there can be."
    if confirmed is not None:
        return [*lines, "", f"{better} The seeds were trained anew; the weights in this file are those of the search."]
    caution = "One seed, validation split, **not confirmed**: the best of many is chosen by luck too, so expect "
    return [*lines, "", better, "", f"{caution}worse on new data. `spikefront confirm` measures it on the test split."]


def _energy(description: Description, registry: Registry) -> list[str]:
    metrics, prices = description.metrics, description.energy_model
    if name_of(prices) in registry.entries["energy"]:
        model: type[EnergyModel] = registry.get("energy", name_of(prices))
        prices += f": {model.technology}; {model.source}" + (f"; {stated}" if (stated := model.description()) else "")
    rows = [("energy", format_energy(metrics["energy_nj"]))] if "energy_nj" in metrics else []
    if "latency_steps" in metrics:
        rows.append(("latency", f"{metrics['latency_steps']:g} time steps"))
    if "latency_us" in metrics:
        rows.append(("time on the chip", f"{metrics['latency_us']:.4g} µs"))
    rows += [(text, f"{metrics[name]:.6g}") for name, text in _COUNTS.items() if name in metrics]
    counted = min(MEASURING_SAMPLES, description.samples["validation"])
    note = f"Per sample, counted on {counted} evenly spaced validation samples, priced by energy model"
    return [*_table(("what", "value"), rows), "", f"{note} {prices}"]


def _origin(description: Description) -> list[str]:
    origin, flat = description.origin, description.candidate
    rows = [
        ("search", origin.search),
        ("trial", origin.trial),
        ("MLflow run", origin.run_id),
        ("commit in the folder of the search", origin.commit),
    ]
    rows += [(f"{kind} {flat[kind]}", description.plugins.get(f"{kind}.{flat[kind]}", "")) for kind in JOINT_FAMILIES]
    return _table(("what", "value"), [(what, f"`{value}`" if value else "not known") for what, value in rows])


def _inputs(description: Description, task: type[Task]) -> str:
    shape = ", ".join(["N", *map(str, description.input_shape)])
    read = f"`{description.input_dtype}` of shape ({shape}), as task `{description.candidate['task']}` reads them"
    more = {"events": ": numbers of events (N, T, C, H, W)", "spikes": ": numbers of spikes (N, L, F)"}
    return read + more.get(task.inputs, "")


def _outputs(description: Description, task: type[Task]) -> str:
    if description.classes:
        return f"{description.outputs} classes"
    if task.output == "images":
        return f"images of shape {description.network_shape}, pixels in [0, 1]"
    return f"{description.outputs} value{'s' * (description.outputs > 1)}, in the unit of the data"


def torch_usage(description: Description, task: type[Task], file: str) -> list[str]:
    """Return how to load a file of format ``torch``."""
    images = task.output == "images"
    answers = "classes" if description.classes else "reconstructions" if images else "values"
    code = ["import spikefront", "", f'model = spikefront.load("{file}")']
    code += ["samples = model.sample(16)  # random images"] * images
    given, comment = _argument(description, task)
    code.append(f"{answers} = model.predict({given})  {comment}")
    code += [f"names = model.predict_names({given})"] * bool(description.class_names)
    return _block(code)


def nir_usage(description: Description, task: type[Task], file: str) -> list[str]:
    """Return how to load a file of format ``nir``."""
    comment = '# one time step is 0.0001 s; metadata["spikefront"] describes the network'
    code = ["import nir", "", f'graph = nir.read("{file}")  {comment}']
    return [*_block(code), "", _NIR_NOTE.format(coding=description.candidate["coding"])]


def onnx_usage(description: Description, task: type[Task], file: str) -> list[str]:
    """Return how to load a file of format ``onnx``."""
    out = output_name(description)
    code = ["import onnxruntime", "", f'session = onnxruntime.InferenceSession("{file}")']
    given, comment = _argument(description, task)
    return _block([*code, f'({out},) = session.run(["{out}"], {{"inputs": {given}}})  {comment}'])


def mlflow_usage(description: Description, task: type[Task], file: str) -> list[str]:
    """Return how to load a folder of format ``mlflow``, and how to serve it."""
    given, comment = _argument(description, task)
    code = ["import mlflow", "", f'model = mlflow.pyfunc.load_model("{file}")']
    serve = ["```sh", f"mlflow models serve --model-uri {file} --env-manager local --port 5001", "```"]
    return [*_block([*code, f"answers = model.predict({given})  {comment}"]), "", *serve]


def neurobench_usage(description: Description, task: type[Task], file: str) -> list[str]:
    """Return how to read a file of format ``neurobench``, which has no network in it."""
    return _block(["import json", "", f'results = json.load(open("{file}"))["results"]'])


def _argument(description: Description, task: type[Task]) -> tuple[str, str]:
    """Return a name for raw inputs, and a comment on their shape and dtype."""
    return "frames" if task.inputs == "events" else task.layout, f"# {_inputs(description, task).replace('`', '')}"


def _block(code: Sequence[str]) -> list[str]:
    return ["```python", *code, "```"]


def _table(head: tuple[str, str], rows: Sequence[tuple[str, str]]) -> list[str]:
    cells = ((left, right.replace("|", "\\|").replace("\n", " ")) for left, right in rows)
    return [f"| {head[0]} | {head[1]} |", "| --- | --- |", *(f"| {left} | {right} |" for left, right in cells)]
