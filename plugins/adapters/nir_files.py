"""The network in a NIR file as steps: its nodes in the order of their edges.

Neurons are replaced by sites, so their thresholds and time constants are not read. Sum pooling becomes average pooling
before larger weights. Several edges into one node are summed, by two.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import nn

from spikefront.plugins.adapters.translation import INPUT, WEIGHTS, Step
from spikefront.searchspace import UsageError

_NEURONS: Final = ("IF", "LIF", "CubaLIF")
_KNOWN: Final = ("Affine", "AvgPool2d", "Conv2d", "Flatten", "Linear", "SumPool2d", *_NEURONS)


def read_steps(file: Path, input_shape: tuple[int, ...], who: str) -> list[Step]:
    """Return the layers of a NIR file.

    Args:
        file: the file.
        input_shape: shape of one input at one step; has to be that of the file's input, but for flattening.
        who: the backbone, for messages.

    Raises:
        UsageError: when the file can't be read, holds a node that is not understood, or feeds back.
    """
    import nir

    try:
        graph = nir.read(file)
    except (OSError, KeyError, ValueError) as error:
        raise UsageError(f"backbone {who!r}: {file} is not a NIR file that can be read: {error}") from None
    steps: list[Step] = []
    names: dict[str, str] = {}  # of what a node gives
    for name in _in_order(graph, who):
        node, sources = graph.nodes[name], [names[source] for source, target in graph.edges if target == name]
        if type(node).__name__ == "Input":
            names[name] = _input(node, input_shape, who, steps)
            continue
        for number, more in enumerate(sources[1:]):
            steps.append(Step(f"{name}_sum{number}", "sum", (sources[0], more)))
            sources[0] = steps[-1].name
        if type(node).__name__ == "Output":
            steps.append(Step(name, nn.Identity(), (sources[0],)))
            return _unscaled(steps, who)
        steps.append(Step(f"{type(node).__name__.lower()}_{name}", _layer(name, node, who), (sources[0],)))
        names[name] = steps[-1].name
    raise UsageError(f"backbone {who!r}: the NIR graph has no output")


def _in_order(graph: Any, who: str) -> list[str]:
    """Return the names of a graph's nodes, each behind those it reads, the output last."""
    left = {name: {source for source, target in graph.edges if target == name} for name in graph.nodes}
    found: list[str] = []
    outputs = [name for name, node in graph.nodes.items() if type(node).__name__ == "Output"]
    if len(outputs) > 1:
        raise UsageError(f"backbone {who!r}: the NIR graph has {len(outputs)} outputs; it must have one")
    while left:
        ready = [name for name, sources in left.items() if sources <= set(found)]
        if not ready:
            raise UsageError(f"backbone {who!r}: node {next(iter(left))!r} of the NIR graph feeds back")
        for name in sorted(ready, key=lambda each: each in outputs):
            found.append(name)
            del left[name]
    return [name for name in found if name not in outputs] + outputs


def _layer(name: str, node: Any, who: str) -> Any:
    kind = type(node).__name__
    if kind in _NEURONS:
        return "neurons"
    if kind in ("Affine", "Linear"):
        bias = getattr(node, "bias", None)
        linear = nn.Linear(node.weight.shape[1], node.weight.shape[0], bias=bias is not None)
        return _filled(linear, node.weight, bias)
    if kind == "Conv2d":
        weight, groups = np.asarray(node.weight), int(node.groups)
        padding = node.padding if isinstance(node.padding, str) else _pair(node.padding)
        conv = nn.Conv2d(
            weight.shape[1] * groups, weight.shape[0], (weight.shape[2], weight.shape[3]), _pair(node.stride), padding,
            _pair(node.dilation), groups,
        )  # fmt: skip
        return _filled(conv, weight, node.bias)
    if kind in ("AvgPool2d", "SumPool2d"):
        pool = nn.AvgPool2d(_pair(node.kernel_size), _pair(node.stride), _pair(node.padding))
        if kind == "SumPool2d":
            pool.sums = True  # type: ignore[assignment]  # read by _unscaled
        return pool
    if kind == "Flatten":
        return nn.Flatten()
    raise UsageError(f"backbone {who!r}: NIR node {name!r} ({kind}) is not understood; known are {', '.join(_KNOWN)}")


def _filled(layer: Any, weight: Any, bias: Any) -> nn.Module:
    with torch.no_grad():
        layer.weight.copy_(torch.as_tensor(np.asarray(weight, dtype=np.float32)))
        if bias is not None:
            layer.bias.copy_(torch.as_tensor(np.asarray(bias, dtype=np.float32)))
    found: nn.Module = layer
    return found


def _unscaled(steps: list[Step], who: str) -> list[Step]:
    """Multiply the weights behind sum pooling by its number of values, as averages come in."""
    for step in steps:
        if not getattr(step.layer, "sums", False):
            continue
        assert isinstance(step.layer, nn.AvgPool2d)
        window = int(np.prod(_pair(step.layer.kernel_size)))
        readers = [each for each in steps if step.name in each.inputs]
        while readers:
            reader = readers.pop()
            if isinstance(reader.layer, WEIGHTS):
                with torch.no_grad():
                    reader.layer.weight.mul_(window)
            elif isinstance(reader.layer, (nn.Flatten, nn.AvgPool2d)):
                readers += [each for each in steps if reader.name in each.inputs]
            else:
                raise UsageError(f"backbone {who!r}: sum pooling {step.name!r} has no weights behind it to go into")
    return steps


def _input(node: Any, input_shape: tuple[int, ...], who: str, steps: list[Step]) -> str:
    """Return the step that gives what a graph takes: the input, flattened where the graph takes it flat."""
    declared = tuple(int(each) for each in np.atleast_1d(next(iter(node.input_type.values()))))
    if declared == input_shape:
        return INPUT
    if declared == (math.prod(input_shape),):
        steps.append(Step("flatten_input", nn.Flatten(), (INPUT,)))
        return steps[-1].name
    raise UsageError(
        f"backbone {who!r}: the NIR graph takes inputs of shape {declared}, and the task has {input_shape}"
    )


def _pair(values: Any) -> tuple[int, int]:
    flat = np.atleast_1d(values).tolist()
    return int(flat[0]), int(flat[-1])
