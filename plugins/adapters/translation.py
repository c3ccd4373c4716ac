"""Networks of other libraries as layers of ours: their weights stay, their neurons become sites.

A network comes as steps, each a layer of torch, neurons or a sum, with what it reads. What can't be expressed, or not
counted, is refused in one line that names the layer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import torch
from torch import Tensor, nn

from spikefront.plugins.contracts import Sites
from spikefront.plugins.network.layers import Add, AvgPool, Dropout, Flatten, MaxPool, Synapse, Weight
from spikefront.plugins.network.signal import Signal
from spikefront.searchspace import UsageError

INPUT: Final = "input"
"""Name of the step that nothing comes before."""

WEIGHTS: Final = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)
_NORMS: Final = (nn.BatchNorm1d, nn.BatchNorm2d)
_POOLS: Final = (nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d)
KNOWN: Final = (*WEIGHTS, *_NORMS, *_POOLS, nn.Flatten, nn.Dropout, nn.Identity)
"""Layers of torch that are understood."""

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """One layer of a network.

    Attributes:
        name: its name in the network.
        layer: one of ``KNOWN``; ``neurons``, or the ``sum`` of two.
        inputs: names of the steps that it reads, or ``INPUT``.
    """

    name: str
    layer: nn.Module | Literal["neurons", "sum"]
    inputs: tuple[str, ...]


class Graph(nn.Module):
    """Layers that read one or two of those before them; the last one's output is the network's.

    Args:
        layers: by name, in an order in which each comes behind what it reads.
        inputs: the names of what each layer reads.
    """

    def __init__(self, layers: Mapping[str, nn.Module], inputs: Mapping[str, tuple[str, ...]]) -> None:
        super().__init__()
        for name, layer in layers.items():
            self.add_module(name, layer)
        self._inputs = dict(inputs)

    def forward(self, signal: Signal) -> Signal:
        found = {INPUT: signal}
        for name, inputs in self._inputs.items():
            found[name] = self.get_submodule(name)(*(found[each] for each in inputs))
        return found[name]


class Translation:
    """The layers of a network, made one by one.

    Args:
        steps: the network, in the order of its forward pass; the last one is its output.
        input_shape: shape of one input at one step.
        sites: makes the spiking layers.
        who: the backbone, for messages.
    """

    def __init__(self, steps: Sequence[Step], input_shape: Shape, sites: Sites, who: str) -> None:
        self._who, self._sites = who, sites
        self._steps = steps
        self._readers = Counter(each for step in steps for each in step.inputs)
        self._stages = _stages(steps)
        self._last = {stage: name for name, stage in self._stages.items() if self._fires(name)}
        self._shapes: dict[str, Shape] = {INPUT: input_shape}
        self._spikes: dict[str, bool] = {INPUT: False}
        self._layers: dict[str, nn.Module] = {}
        self._inputs: dict[str, tuple[str, ...]] = {}
        self._is: dict[str, str] = {INPUT: INPUT}  # layers that do nothing, and batch norms, by what stands for them

    def layers(self, outputs: int) -> nn.Module:
        """Return the whole network, from an input to ``outputs`` values.

        Raises:
            UsageError: for what can't be expressed, counted, or has other shapes.
        """
        for step in self._steps:
            self._add(step)
        if not self._steps or self._is[self._steps[-1].name] not in self._layers:
            raise self._error("it has no layers")
        last = self._is[self._steps[-1].name]
        if self._shapes[last] != (outputs,):
            raise self._error(f"it gives values of shape {self._shapes[last]}, and the task has {outputs} outputs")
        if not any(self._fires(step.name) for step in self._steps):
            raise self._error("it has no neurons")
        unread = [name for name in self._layers if name != last and name not in sum(self._inputs.values(), ())]
        if unread:
            raise self._error(f"nothing reads layer {unread[0]!r}, which is not the last one")
        before = [INPUT, *self._layers][:-1]
        if list(self._inputs.values()) == [(name,) for name in before]:
            chain = nn.Sequential()
            for name, layer in self._layers.items():
                chain.add_module(name, layer)
            return chain
        return Graph(self._layers, self._inputs)

    def _add(self, step: Step) -> None:
        name, layer, inputs = step.name.replace(".", "_"), step.layer, tuple(self._is[each] for each in step.inputs)
        self._is[step.name] = name
        if isinstance(layer, nn.Identity) or (isinstance(layer, nn.Dropout) and layer.p == 0):
            self._is[step.name] = inputs[0]
        elif isinstance(layer, _NORMS):
            self._is[step.name] = self._norm(step, layer, inputs[0])
        else:
            made, shape, spikes = self._made(step, inputs)
            self._layers[name], self._inputs[name] = made, inputs
            self._shapes[name], self._spikes[name] = shape, spikes

    def _made(self, step: Step, inputs: tuple[str, ...]) -> tuple[nn.Module, Shape, bool]:
        """Return a layer, the shape of its output, and whether it carries spikes."""
        layer, shape, spikes = step.layer, self._shapes[inputs[0]], self._spikes[inputs[0]]
        if layer == "sum":
            if len({self._shapes[each] for each in inputs}) > 1:
                raise self._error(
                    f"sum {step.name!r} is of shapes {' and '.join(str(self._shapes[i]) for i in inputs)}"
                )
            return Add(), shape, False
        if layer == "neurons":
            return self._neurons(step.name, shape), shape, True
        if isinstance(layer, WEIGHTS):
            return self._synapse(step.name, layer, shape)
        if isinstance(layer, nn.Flatten):
            return Flatten(), (int(torch.Size(shape).numel()),), spikes
        if isinstance(layer, nn.Dropout):
            return Dropout(layer.p), shape, spikes
        if isinstance(layer, _POOLS):
            return self._pool(step.name, layer, shape, spikes)
        known = ", ".join(each.__name__ for each in KNOWN)
        raise self._error(f"layer {step.name!r} ({type(layer).__name__}) is not understood; known are {known}")

    def _neurons(self, name: str, shape: Shape) -> nn.Module:
        channels, *size = shape
        stage = self._stages[name]
        height, width = size if len(size) == 2 else (1, 1)
        return self._sites(channels, (height, width), stage=stage, last_of_stage=self._last[stage] == name)

    def _synapse(self, name: str, layer: Weight, shape: Shape) -> tuple[Synapse, Shape, bool]:
        if getattr(layer, "padding_mode", "zeros") != "zeros":
            raise self._error(f"layer {name!r} pads by {layer.padding_mode!r}; only zeros are counted")
        takes = layer.in_features if isinstance(layer, nn.Linear) else layer.in_channels
        rank = 1 if isinstance(layer, nn.Linear) else 3
        if len(shape) != rank or shape[0] != takes:
            flat = "; put nn.Flatten before it" if rank == 1 and len(shape) == 3 else ""
            raise self._error(
                f"layer {name!r} takes {takes} {'values' if rank == 1 else 'channels'}, not {shape}{flat}"
            )
        return Synapse(layer), self._tried(name, layer, shape), False

    def _norm(self, step: Step, norm: nn.BatchNorm1d | nn.BatchNorm2d, before: str) -> str:
        """Merge a batch norm with the weights before it, and return their name."""
        synapse = self._layers.get(before)
        if not isinstance(synapse, Synapse) or synapse.norm is not None or self._readers[step.inputs[0]] > 1:
            raise self._error(f"batch norm {step.name!r} is not behind weights, with nothing else behind these")
        if not (norm.affine and norm.track_running_stats):
            raise self._error(f"batch norm {step.name!r} must have affine=True and track_running_stats=True")
        if norm.num_features != self._shapes[before][0]:
            raise self._error(
                f"batch norm {step.name!r} takes {norm.num_features} channels, not {self._shapes[before]}"
            )
        synapse.norm = norm
        return before

    def _pool(self, name: str, layer: Any, shape: Shape, spikes: bool) -> tuple[nn.Module, Shape, bool]:
        if len(shape) != 3:
            raise self._error(f"pooling {name!r} takes maps, not {shape}")
        if isinstance(layer, nn.AdaptiveAvgPool2d):
            after = self._tried(name, layer, shape)
            if shape[1] % after[1] or shape[2] % after[2]:
                raise self._error(f"pooling {name!r} makes {after[1:]} of {shape[1:]}, with windows of several sizes")
            return AvgPool((shape[1] // after[1], shape[2] // after[2])), after, False
        size, stride = _pair(layer.kernel_size), _pair(layer.stride)
        plain = (
            _pair(layer.padding) == (0, 0) and not layer.ceil_mode and _pair(getattr(layer, "dilation", 1)) == (1, 1)
        )
        if size != stride or not plain or getattr(layer, "divisor_override", None):
            raise self._error(f"pooling {name!r} must have windows side by side: stride = kernel_size, no padding")
        after = self._tried(name, layer, shape)
        if isinstance(layer, nn.AvgPool2d):
            return AvgPool(size), after, False
        if not spikes:
            raise self._error(f"pooling {name!r} takes the largest current; put it behind neurons, or average")
        if size[0] != size[1]:
            raise self._error(f"pooling {name!r} must have square windows")
        return MaxPool(size[0]), after, True

    def _tried(self, name: str, layer: nn.Module, shape: Shape) -> Shape:
        try:
            with torch.no_grad():
                weight = next(layer.parameters(), torch.empty(0))
                out: Tensor = layer(torch.zeros(1, *shape, dtype=weight.dtype, device=weight.device))
        except RuntimeError as error:
            raise self._error(f"layer {name!r} does not take inputs of shape {shape}: {error}") from None
        return tuple(out.shape[1:])

    def _fires(self, name: str) -> bool:
        return any(step.name == name and step.layer == "neurons" for step in self._steps)

    def _error(self, what: str) -> UsageError:
        return UsageError(f"backbone {self._who!r}: {what}")


def _stages(steps: Sequence[Step]) -> dict[str, int]:
    """Return the stage of each step: the number of poolings before it."""
    stages = {INPUT: 0}
    for step in steps:
        pooled = isinstance(step.layer, _POOLS)
        stages[step.name] = max(stages[each] for each in step.inputs) + pooled
    return stages


def _pair(size: Any) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))
