"""Export to NIR, for neuromorphic hardware and other simulators.

NIR describes neurons in continuous time. One time step is ``STEP_S`` seconds, the default of its readers; the forward
Euler step of NIR's equations is then the step of our neuron:

====== ==================================================== ==========================================
neuron NIR's equation                                       parameters
====== ==================================================== ==========================================
IF     ``dv/dt = r I``                                      ``r = 1 / STEP_S``
LIF    ``tau dv/dt = -v + r I`` (v_leak = 0)                tau in seconds; r = 1 with ``decay_input``,
                                                            the time constant in steps without
====== ==================================================== ==========================================

Both reset to 0 when they fire. Batch norm is folded into the weights. NIR has no encoding of inputs and no decoding of
outputs: the graph's metadata hold the description of the network, with its coding and steps, and the weight of each
step's output.

Reference: Pedersen et al., "Neuromorphic intermediate representation", Nature Communications 15 (2024).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from spikefront.plugins import AvgPool, Dropout, Flatten, Kind, Neuron, Signal, Site, Synapse
from spikefront.plugins.bases.conversion import Conversion
from spikefront.plugins.network.layers import Add, MaxPool
from spikefront.plugins.neurons.integrate_and_fire import IF
from spikefront.runners.deploy.model import Model
from spikefront.runners.deploy.nir_readers import (
    Reader,
    constants_of,
    factors,
    gain_of,
    reader_named,
    steps_of_decay,
    without_leak,
)
from spikefront.searchspace import UsageError

if TYPE_CHECKING:
    import nir

STEP_S: Final = 1e-4
"""Seconds of one time step."""

Shape = tuple[int, ...]


def export_nir(model: Model, path: Path, reader: Reader | None = None) -> None:
    """Write a network as a NIR file (HDF5).

    Args:
        model: the network.
        path: the file to write.
        reader: for whom it is; None for readers that take NIR as it is defined.

    Raises:
        UsageError: when NIR has no primitive for a part of it, with all such parts and the alternatives; or when the
            package ``nir`` is missing.
    """
    graph = nir_graph(model, reader)
    import nir

    nir.write(path, graph)


def nir_graph(model: Model, reader: Reader | None = None) -> nir.NIRGraph:
    """Return a network as a NIR graph: the input, one node per layer, the output, in a chain.

    Neurons are numbered as the network's sites are: ``0_neuron``, ``1_neuron``, ... Weights keep their dtype. Inputs
    are flat where the first layer takes them so.

    Raises:
        UsageError: as ``export_nir``.
    """
    try:
        import nir
    except ImportError as error:
        raise UsageError("NIR needs the package nir; install it with: pip install 'spikefront[nir]'") from error
    reader = reader or reader_named(None)
    refuse_inexpressible(model, reader)
    layers = [each for each in _with_shapes(model) if not isinstance(each[0], Dropout)]  # which does nothing any more
    if isinstance(layers[0][0], Flatten):
        layers = layers[1:]
    sites = [layer for layer, _, _ in layers if isinstance(layer, Site)]
    gains = [gain_of(constants_of(site.neuron), reader) for site in sites]
    scales = factors([layer for layer, _, _ in layers], gains, reader)
    shape = layers[0][1]
    nodes: dict[str, Any] = {"input": nir.Input({"input": np.array(shape)})}
    numbers = {"neuron": 0, "synapse": 0, "pool": 0, "flatten": 0}
    for (layer, before, after), scale in zip(layers, scales, strict=True):
        name, node = _node(layer, before, after, reader, scale)
        nodes[f"{numbers[name]}_{name}"] = node
        numbers[name] += 1
        shape = after
    nodes["output"] = nir.Output({"output": np.array(shape)})
    names = list(nodes)
    return nir.NIRGraph(nodes, list(pairwise(names)), metadata=_metadata(model, reader), type_check=False)


def _metadata(model: Model, reader: Reader) -> dict[str, str]:
    """Return what NIR has no place for, as text: how inputs are scaled and coded, outputs decoded, classes named."""
    about = model.description
    return {
        "spikefront": about.to_json(),
        "reader": reader.name,
        "reset": "subtract" if any(site.neuron.config.reset == "soft" for site in model.network.sites) else "zero",
        "seconds_per_step": str(STEP_S),
        "steps": str(_steps(model)),
        "decoding": json.dumps(_decoding_weights(model).tolist()),
        "class_names": json.dumps(list(about.class_names)),
        "constants": json.dumps({name: list(values) for name, values in (about.constants or {}).items()}),
    }


def refuse_inexpressible(model: Model, reader: Reader) -> None:
    """Raise ``UsageError`` with each part of a network for which NIR, or a reader of it, has no primitive."""
    reasons = list(_reasons(model, reader))
    if reasons:
        raise UsageError(f"NIR can't express this network: {'; '.join(reasons)}")


def _reasons(model: Model, reader: Reader) -> Iterator[str]:
    coding = model.network.coding
    if model.generates:
        yield f"backbone {model.network.backbone.name!r} draws the spikes of its latent at random, and NIR has no draws"
        return
    if isinstance(coding, Conversion):
        yield f"coding {coding.name!r} needs {coding.not_in_nir}"
        return
    if _encoded(model).coefficient is not None:
        yield f"coding {coding.name!r} weights spikes by their time step, and NIR has no weighted spikes"
    if not _is_weighted_sum(model):
        yield f"coding {coding.name!r} reads more from the output than a weighted sum of its steps"
    layers: dict[str, list[str]] = {}
    for number, layer in enumerate(_chain(model.network.backbone.layers)):
        if reason := _no_primitive(layer, reader):
            layers.setdefault(f"({type(layer).__name__}): {reason}", []).append(str(number))
    for reason, numbers in layers.items():
        yield f"layer{'s' if len(numbers) > 1 else ''} {', '.join(numbers)} {reason}"


def _no_primitive(layer: nn.Module, reader: Reader) -> str:
    """Return the reason why NIR can't express a layer; empty if it can."""
    if isinstance(layer, MaxPool):
        return "NIR has no max pooling; search with backbone.*.pool=avg"
    if isinstance(layer, Site):
        if layer.between is not None:
            return f"NIR has no attention such as {type(layer.between).__name__} behind the neurons"
        if layer.neuron.kind is not Kind.BINARY:
            return f"NIR has no {layer.neuron.kind.value} spikes, which neuron {layer.neuron.name!r} fires"
        return _no_neuron(layer.neuron, reader)
    if isinstance(layer, Synapse) and isinstance(layer.weight, nn.ConvTranspose2d):
        return "NIR has no transposed convolution"
    if isinstance(layer, (Synapse, AvgPool, Flatten, Dropout)):
        return ""
    if isinstance(layer, Add) or any(isinstance(inner, Add) for inner in layer.modules()):
        return "shortcuts are not exported; mlp, convnet and vgg have none"
    return "NIR has no such primitive"


def _no_neuron(neuron: Neuron, reader: Reader) -> str:
    if constants_of(neuron) is None:
        names = "if, lif, plif, spikingjelly-lif and snntorch-leaky"
        return f"NIR has no neuron like {neuron.name!r}; {names} can be exported"
    reset = neuron.config.reset
    if reset == "subtract" or (reset == "soft" and not reader.subtracts):
        told = "zero" if reset == "subtract" else "hard"
        return f"NIR resets to a fixed potential, and neuron.{neuron.name}.reset is {reset}; search with reset={told}"
    if isinstance(neuron, IF) and neuron.config.start:
        return f"NIR's neurons start at rest, and neuron.if.start is {neuron.config.start:g}"
    return ""


def _chain(layers: nn.Module) -> Iterator[nn.Module]:
    """Yield the layers in their order, those of nested sequences too."""
    if isinstance(layers, nn.Sequential):
        for layer in layers:
            yield from _chain(layer)
    else:
        yield layers


@torch.no_grad()
def _encoded(model: Model) -> Signal:
    """Return the encoded signal of one input of zeros."""
    weight = next(model.network.parameters())
    empty = torch.zeros(1, *model.description.network_shape, dtype=weight.dtype, device=weight.device)
    if model.takes_events:
        return model.network.coding.encode_events(empty.expand(model.candidate.steps, *empty.shape))
    return model.network.coding.encode(empty)


@torch.no_grad()
def _decoding_weights(model: Model) -> Tensor:
    """Return the weight of each step's output: the decoded value of a single event at each step in turn.

    ``(T,)``, or ``(T',)`` of a network that is cut: so many steps are to be run.
    """
    return _decoded(model, torch.eye(_steps(model))).flatten()


def _steps(model: Model) -> int:
    return model.candidate.cut or model.candidate.steps


@torch.no_grad()
def _is_weighted_sum(model: Model) -> bool:
    """Return whether decoded outputs are the sum of the steps' outputs, weighted by ``_decoding_weights``."""
    ones = torch.ones(_steps(model), 1)
    return torch.allclose(_decoded(model, ones).flatten(), _decoding_weights(model).sum(), atol=1e-6)


def _decoded(model: Model, values: Tensor) -> Tensor:
    """Return the coding's decoded value of an output ``(T, B)``."""
    weight = next(model.network.parameters())
    spikes = isinstance(list(_chain(model.network.backbone.layers))[-1], Site)
    kind = Kind.BINARY if spikes else Kind.ANALOG
    return model.network.coding.decode(Signal(values.unsqueeze(2).to(weight), _steps(model), kind))


@torch.no_grad()
def _with_shapes(model: Model) -> Iterator[tuple[nn.Module, Shape, Shape]]:
    """Yield each layer with the shapes of its input and output, without time and batch."""
    signal = _encoded(model)
    for layer in _chain(model.network.backbone.layers):
        before = tuple(signal.values.shape[2:])
        signal = layer(signal)
        yield layer, before, tuple(signal.values.shape[2:])


def _node(layer: nn.Module, before: Shape, after: Shape, reader: Reader, scale: tuple[float, float]) -> tuple[str, Any]:
    """Return the kind of a layer and its NIR node."""
    import nir

    if isinstance(layer, Site):
        return "neuron", _neuron(layer.neuron, after, reader)
    if isinstance(layer, AvgPool):
        size = np.array(layer.size)
        pool = nir.AvgPool2d if reader.averages else nir.SumPool2d
        return "pool", pool(kernel_size=size, stride=size, padding=np.array([0, 0]))
    if isinstance(layer, Flatten):
        return "flatten", nir.Flatten(
            {"input": np.array(before)}, start_dim=-len(before)
        )  # from the end: some see a batch
    assert isinstance(layer, Synapse)
    return "synapse", _synapse(layer, before, reader, scale)


def _synapse(layer: Synapse, before: Shape, reader: Reader, scale: tuple[float, float]) -> Any:
    import nir

    of_inputs, of_output = scale
    weight, bias = (None if tensor is None else tensor.detach().cpu().numpy() for tensor in layer.folded())
    assert weight is not None
    if scale != (1, 1):
        weight = (weight * (of_inputs * of_output)).astype(weight.dtype)
        bias = None if bias is None else (bias * of_output).astype(bias.dtype)
    kind = layer.weight
    if isinstance(kind, nn.Linear):
        if reader.biases and bias is None:
            bias = np.zeros(len(weight), weight.dtype)
        return nir.Linear(weight) if bias is None else nir.Affine(weight, bias)
    return nir.Conv2d(
        input_shape=(before[1], before[2]),
        weight=np.ascontiguousarray(weight),
        stride=_pair(kind.stride),
        padding=kind.padding if isinstance(kind.padding, str) else _pair(kind.padding),
        dilation=_pair(kind.dilation),
        groups=kind.groups,
        bias=np.zeros(len(weight), weight.dtype) if bias is None else bias,
    )


def _pair(values: Sequence[int]) -> tuple[int, int]:
    return values[0], values[1]


def _neuron(neuron: Neuron, shape: Shape, reader: Reader) -> Any:
    import nir

    def full(value: float) -> NDArray[np.float64]:
        return np.full(shape, value)

    constants = constants_of(neuron)
    assert constants is not None  # or it was refused
    tau, threshold, divides = constants
    if math.isinf(tau):
        if not reader.integrators:
            return nir.LIF(**without_leak(shape, threshold, STEP_S))
        return nir.IF(r=full(1 / STEP_S), v_threshold=full(threshold), v_reset=full(0.0))
    r = tau if reader.resistances and not divides else 1.0
    seconds = steps_of_decay(tau) if reader.in_steps else in_seconds(tau)
    rest = full(0.0)
    return nir.LIF(tau=full(seconds), r=full(r), v_leak=rest, v_threshold=full(threshold), v_reset=rest)


def in_seconds(tau: float) -> float:
    """Return a time constant in seconds, such that a reader that divides by ``STEP_S`` gets it back to the last digit.

    Args:
        tau: time constant in time steps.
    """
    near = tau * STEP_S
    for seconds in (near, math.nextafter(near, 0), math.nextafter(near, math.inf)):
        if seconds / STEP_S == tau:
            return seconds
    return near
