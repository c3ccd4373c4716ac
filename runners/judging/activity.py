"""Activity of a trained network: which of its neurons fire when, for one sample, and what it says of the others.

One forward pass of the sample, watched where operations are counted; outputs of the split are known from its quality.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import torch
from torch import Tensor

from spikefront.plugins import Data, Neuron, Signal, Task
from spikefront.runners.judging.events import event_numbers
from spikefront.runners.judging.hooks import listening
from spikefront.runners.judging.network import Network
from spikefront.runners.judging.seeding import fixed_randomness
from spikefront.runners.judging.training import evenly, prepared, split_outputs
from spikefront.searchspace.activity import Activity, LayerActivity

SHOWN: Final = 128
"""Most neurons of a layer that are shown."""
PAIRS: Final = 500
"""Most pairs of a true and a predicted value."""
CLASSES: Final = 200
"""Most classes of a confusion matrix."""
_SPIKES: Final = 8_000
"""Most spikes of all layers, some 10 bytes each; of very deep networks fewer neurons of each layer are shown."""
_PIXELS: Final = 64
_SEED: Final = 20_236


@torch.no_grad()
def activity_of(
    network: Network,
    task: Task,
    validation: Data,
    names: Sequence[str] = (),
    sample: int = 0,
    outputs: Tensor | None = None,
) -> Activity:
    """Return what a trained network does with a sample of the validation split, and with the whole split.

    A random code is drawn from a fixed seed.

    Args:
        network: the network, which is left in eval mode.
        task: its task.
        validation: the split.
        names: names of its classes, by number; empty where they have none.
        sample: index of the sample.
        outputs: decoded outputs of the split; computed when None, and where they are needed.
    """
    network.eval()
    x = prepared(task, validation.inputs[sample : sample + 1].to(network.device))
    with fixed_randomness(_SEED):
        edges, output = _watched(network, x)
    values = x[0] if task.inputs == "static" else None
    most, layers = SHOWN, _layers(edges, values, SHOWN)
    while most > 16 and sum(len(layer.spikes) for layer in layers) > _SPIKES:
        most //= 2
        layers = _layers(edges, values, most)
    found = Activity(sample, network.steps, layers, image=_image(task, x))
    if task.output == "images":
        return found
    outputs = (split_outputs(network, task, validation) if outputs is None else outputs).cpu()
    target = validation.targets[sample : sample + 1].cpu()
    if task.classifies():
        return _classified(found, outputs, validation.targets.cpu(), names, int(target), int(output.argmax()))
    chosen = [evenly(part, PAIRS // outputs.shape[1]).cpu() for part in (validation.targets, outputs)]
    true, predicted = (task.in_units(part.reshape(len(part), -1)).tolist() for part in chosen)
    pairs = [
        (at, _short(value), _short(said))
        for row in zip(true, predicted, strict=True)
        for at, (value, said) in enumerate(zip(*row, strict=True))
    ]
    words = (", ".join(f"{value:.4g}" for value in task.in_units(one.reshape(1, -1))[0]) for one in (target, output))
    return replace(found, target=next(words), output=next(words), pairs=tuple(pairs))


def png(pixels: Tensor, most: int | None = None) -> bytes:
    """Return an image as PNG.

    Args:
        pixels: in [0, 1], ``(H, W)`` or ``(3, H, W)``.
        most: pixels of the longer side of the file; None for those of the image.
    """
    from PIL import Image

    whole = (pixels.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
    image = Image.fromarray(whole if whole.ndim == 2 else whole.transpose(1, 2, 0))
    if most is not None:
        image.thumbnail((most, most))
    file = io.BytesIO()
    image.save(file, format="PNG")
    return file.getvalue()


def _watched(network: Network, x: Tensor) -> tuple[dict[str, Signal], Tensor]:
    """Return the coded input and what each spiking layer emits, by name, and the decoded output ``(1, K)``."""
    edges: dict[str, Signal] = {}

    def fired(name: str, module: Neuron, current: Tensor, spikes: Tensor) -> None:
        calls = sum(known.partition("#")[0] == name for known in edges)
        edges[f"{name}#{calls + 1}" if calls else name] = Signal(spikes, len(spikes), module.kind)

    with listening(network, {Neuron: fired}):
        code = network.encode(x)
        output = network.decode(network.propagate(code))
    return {"input": code, **edges}, output.cpu()


def _layers(edges: dict[str, Signal], values: Tensor | None, most: int) -> tuple[LayerActivity, ...]:
    return tuple(_layer(name, edge, values if name == "input" else None, most) for name, edge in edges.items())


def _layer(name: str, edge: Signal, values: Tensor | None, most: int) -> LayerActivity:
    """Return what is kept of a layer.

    Args:
        name: its name.
        edge: its values, of one sample.
        values: what it encodes; None where that is not known.
        most: neurons to show.
    """
    shape, emitted = edge.values.shape[2:], edge.values[:, 0].flatten(1).float().cpu()
    shown = _spread(emitted.shape[1], most)
    trains = emitted[:, shown].T
    spikes = [(row, step, _short(float(trains[row, step]))) for row, step in trains.nonzero().tolist()]
    encoded = values.flatten()[shown].tolist() if values is not None and values.shape == shape else ()
    return LayerActivity(
        name,
        str(edge.kind),
        tuple(shape),
        tuple(shown.tolist()),
        tuple(spikes),
        rate=float(event_numbers(edge).sum()) / edge.values.numel(),
        constant=len(emitted) == 1,
        inputs=tuple(map(_short, encoded)),
    )


def _spread(neurons: int, most: int) -> Tensor:
    """Return the neurons that are shown: all, or one of each of as many equal parts of the layer, at random.

    Evenly spaced ones would often lie in one column of all maps.
    """
    if neurons <= most:
        return torch.arange(neurons)
    starts = torch.arange(most + 1) * neurons // most
    places = torch.rand(most, generator=torch.Generator().manual_seed(_SEED), dtype=torch.float64)
    return starts[:-1] + (places * starts.diff()).long()


def _classified(
    found: Activity, outputs: Tensor, targets: Tensor, names: Sequence[str], target: int, output: int
) -> Activity:
    """Return activity with the classes of the sample in words, and the confusion matrix of the split."""
    size = outputs.shape[1]
    names = tuple(names) or tuple(map(str, range(size)))
    found = replace(found, target=names[target], output=names[output])
    if size > CLASSES:
        return found
    cells = torch.bincount(targets * size + outputs.argmax(1), minlength=size * size).view(size, size).tolist()
    return replace(found, classes=names, confusion=tuple(map(tuple, cells)))


def _image(task: Task, x: Tensor) -> str:
    """Return a small picture of the sample as PNG in base64; empty where it is no image."""
    pixels = x[0].float()
    if task.inputs == "events":
        pixels = pixels.sum(0)
        pixels = pixels / pixels.mean(0).amax().clamp(min=1e-9)
    if pixels.dim() != 3:
        return ""
    pixels = pixels if len(pixels) == 3 else pixels.mean(0)
    return base64.b64encode(png(pixels, _PIXELS)).decode()


def _short(value: float) -> float:
    """Return a number in four digits, a whole one without a point."""
    return int(value) if value == int(value) else float(f"{value:.4g}")
