"""Exact operation counts of a network.

One pass in eval mode with forward hooks. For each synapse: the non-zero inputs times the outputs that each one reaches
(edges, stride and groups respected), summed over time. The kind of values on an edge is declared by the module that
produces them, and checked here; it decides between accumulates and multiply-accumulates. The tests compare with a
brute-force loop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import reduce
from operator import add
from typing import Any

import torch
from torch import Tensor, nn

from spikefront.plugins import (
    AvgPool,
    Coding,
    ContractError,
    Counted,
    Counts,
    Events,
    Geometry,
    Kind,
    LayerCount,
    Neuron,
    Operations,
    Signal,
    Site,
    Synapse,
)
from spikefront.plugins.network.layers import Weight
from spikefront.runners.judging.hooks import Hook, inside_attention, listening
from spikefront.runners.judging.network import Network
from spikefront.runners.judging.reach import compose, conv_reach, window_reach
from spikefront.runners.judging.traffic import TrafficCounter
from spikefront.runners.judging.training import affordable


class EdgeKindError(ContractError):
    """An edge carries values of another kind than declared: a bug of the plugin, which would falsify the energy."""


def count_operations(network: Network, batch: Tensor, *, traffic: bool = True) -> Counts:
    """Count the operations of one forward pass.

    Args:
        network: the network, whose mode is restored.
        batch: prepared inputs ``(B, ...)``.
        traffic: whether to count what a chip of spiking cores does too, which takes two to three times as long.

    Raises:
        EdgeKindError: when a binary or ternary edge carries other values.
    """
    training = network.training
    network.eval()
    try:
        with torch.no_grad():
            parts = [_count(network, part, traffic) for part in batch.split(affordable(network.coding.steps))]
    finally:
        network.train(training)
    return reduce(add, parts)


def _count(network: Network, batch: Tensor, traffic: bool) -> Counts:
    counter, chip = _Counter(), TrafficCounter()
    with counter.listening(network), chip.listening(network) if traffic else nullcontext():
        code = network.encode(batch)
        counter.encoder(network, batch, code)
        network.decode(network.propagate(code))  # in this order: pooling first finds its events
    counts = Counts(len(batch), network.coding.steps, tuple(counter.layers.values()), counter.delay)
    return chip.annotated(counts) if traffic else counts


class _Counter:
    def __init__(self) -> None:
        self.layers: dict[str, LayerCount] = {}
        self.delay = 0
        self._inside_attention: frozenset[str] = frozenset()
        self._biased: dict[str, int] = {}  # synapses since the last neurons, which may take over their biases

    @contextmanager
    def listening(self, network: Network) -> Iterator[None]:
        self._inside_attention = inside_attention(network)
        hooks: dict[type[nn.Module], Hook] = {
            Synapse: self._synapse,
            Neuron: self._neuron,
            Site: self._site,
            Counted: self._counted,
            AvgPool: self._pooling,
        }
        handles = [network.backbone.register_forward_hook(self._readout(network))]
        try:
            with listening(network, hooks):
                yield
        finally:
            for handle in handles:
                handle.remove()

    def _add(self, count: LayerCount) -> str:
        """Add a layer, and return the name that it has among the counts."""
        name, calls = count.layer, 1
        while name in self.layers:  # a module that is called several times
            calls += 1
            name = f"{count.layer}#{calls}"
        self.layers[name] = replace(count, layer=name)
        return name

    def encoder(self, network: Network, batch: Tensor, code: Signal) -> None:
        """Count the encoder of a coding that states its operations."""
        if type(network.coding).encode_operations is not Coding.encode_operations:
            operations = network.encode_operations(batch, code)
            self._add(LayerCount("coding.encode", "encoder", operations=operations))

    def _synapse(self, name: str, module: Synapse, signal: Signal, current: Signal) -> None:
        check_kind(signal, name)
        events, reached = synaptic_events(module.weight, signal, current)
        spiking = signal.kind is not Kind.ANALOG
        shifts = reached if signal.kind is Kind.POWER else 0
        name = self._add(
            LayerCount(
                name,
                "attention" if name in self._inside_attention else "synapse",
                sops=reached if spiking else 0,
                macs=0 if spiking else reached,
                macs_every_step=0 if spiking else reached * _presentations(signal),
                operations=signal.weighting(current.values[0, 0].numel()) + Operations(shifts=shifts),
                events=events,
                sites=signal.values.numel(),
                geometry=_geometry(module, signal, current),
                biases=_biases(module, current),
            )
        )
        self._biased[name] = current.values[0].numel()

    def _neuron(self, name: str, module: Neuron, current: Tensor, spikes: Tensor) -> None:
        active, neurons = int(torch.count_nonzero(spikes)), spikes.numel()
        counts = module.kind in (Kind.COUNT, Kind.SIGNED)
        fired = int(spikes.abs().sum(dtype=torch.float64)) if counts else active
        updates = neurons + module.delay * (neurons // len(spikes))
        operations = module.update_operations() * updates + module.spike_operations() * fired
        self._add(LayerCount(name, "neuron", operations=operations, events=fired, sites=neurons, active=active))

    def _site(self, name: str, module: Site, current: Signal, _: Signal) -> None:
        """Fold biases into neurons, and count the products of an edge with a coefficient that ends in neurons."""
        check_kind(current, name)
        reads_current = module.between is not None and module.between.reads_current
        if module.neuron.folds_bias and not reads_current:
            self._charge_biases(dict.fromkeys(self._biased, 0))
        self._biased.clear()
        if current.weightings():
            self._add(LayerCount(f"{name}.coefficient", "residual", operations=current.weighting_of_events()))

    def _counted(self, name: str, module: Counted, *signals: Signal) -> None:
        operations = module.operations(*signals[:-1])
        self._add(LayerCount(name, module.role, operations=operations))

    def _pooling(self, name: str, module: AvgPool, signal: Signal, pooled: Signal) -> Signal:
        """Pass the events on to the next synapse; pooling of analog values is counted here, as additions."""
        check_kind(signal, name)
        if signal.kind is Kind.ANALOG:
            added = int(torch.count_nonzero(signal.values))
            self._add(LayerCount(name, "synapse", operations=Operations(adds=added)))
            return pooled
        events = signal.events or _events(signal)
        (h_in, w_in), (h_out, w_out) = signal.values.shape[-2:], pooled.values.shape[-2:]
        height, width = module.size
        rows = window_reach(h_in, h_out, kernel=height, stride=height, padding=0)
        columns = window_reach(w_in, w_out, kernel=width, stride=width, padding=0)
        passed_on = Events(events.count, compose(rows, events.rows), compose(columns, events.columns))
        return replace(pooled, events=passed_on)

    def _charge_biases(self, most: Mapping[str, int]) -> None:
        for name, additions in most.items():
            self.layers[name] = replace(self.layers[name], biases=min(additions, self.layers[name].biases))

    def _readout(self, network: Network) -> Callable[[nn.Module, Any, Signal], None]:
        def hook(module: nn.Module, args: Any, output: Signal) -> None:
            self.delay = output.delay
            self._charge_biases(self._biased)  # those of the last layer are a constant of the output, added once
            self._add(LayerCount("coding.decode", "readout", operations=network.coding.decode_operations(output)))

        return hook


def check_kind(signal: Signal, name: str) -> None:
    """Raise ``EdgeKindError`` when the values into ``name`` are not of the declared kind."""
    if signal.events is not None or signal.kind is Kind.ANALOG:  # pooled events were checked in front of the pooling
        return
    values = signal.values
    wrong = {
        Kind.BINARY: lambda: (values != 0) & (values != 1),
        Kind.TERNARY: lambda: (values != 0) & (values.abs() != 1),
        Kind.COUNT: lambda: (values < 0) | (values != values.round()),
        Kind.SIGNED: lambda: values != values.round(),
        Kind.POWER: lambda: (values != 0) & (torch.frexp(values).mantissa.abs() != 0.5),
    }[signal.kind]()
    if wrong.any():
        example = signal.values[wrong][0].item()
        raise EdgeKindError(f"the edge into {name} is declared {signal.kind} but carries {example:g}")


def synaptic_events(weight: Weight, signal: Signal, current: Signal) -> tuple[int, int]:
    """Return the non-zero inputs of a synapse and the synaptic operations that they cause, over time and batch."""
    if isinstance(weight, nn.Linear):
        if signal.events is None:
            count = int(event_numbers(signal).sum())
            return count, count * weight.out_features
        covered = _weigh(signal.events, signal.events.rows.any(0).long(), signal.events.columns.any(0).long())
        return int(signal.events.count.sum()), covered * weight.out_features
    events = signal.events or _events(signal)
    (h, w), (h_out, w_out) = signal.values.shape[-2:], current.values.shape[-2:]
    rows, columns = conv_reach(weight, (h, w), (h_out, w_out))
    fan_out_rows = compose(rows, events.rows).sum(0)
    fan_out_columns = compose(columns, events.columns).sum(0)
    reached = _weigh(events, fan_out_rows, fan_out_columns) * (weight.out_channels // weight.groups)
    return int(events.count.sum()), reached


def event_numbers(signal: Signal) -> Tensor:
    """Return the number of events of each value."""
    several = signal.kind in (Kind.COUNT, Kind.SIGNED)
    return signal.values.abs().long() if several else signal.values != 0


def _events(signal: Signal) -> Events:
    """Count the events of ``(T, B, C, H, W)`` by position, before any pooling."""
    count = event_numbers(signal).sum((0, 1)).cpu()
    return Events(count, torch.eye(count.shape[-2], dtype=torch.bool), torch.eye(count.shape[-1], dtype=torch.bool))


def _presentations(signal: Signal) -> int:
    """Return the number of presentations of a constant input, by the convention of T presentations."""
    if len(signal.values) > 1:
        return 1
    if signal.coefficient is not None and len(signal.coefficient) > 1:
        return int(signal.coefficient.reshape(signal.steps, -1).any(1).sum())
    return signal.steps


def _geometry(module: Synapse, signal: Signal, current: Signal) -> Geometry:
    inputs, outputs = signal.values[0, 0].numel(), current.values[0, 0].numel()
    weight, biased = module.weight, module.folded()[1] is not None
    by_step = signal.coefficient is not None and signal.coefficient.dim() == 2 and len(signal.coefficient) > 1
    words = weight.weight.numel() * (signal.steps if by_step else 1)  # a set of weights per step
    if isinstance(weight, nn.Linear):
        return Geometry(inputs, outputs, outputs, words, biased=biased)
    kernel, stride = ((size[0], size[1]) for size in (weight.kernel_size, weight.stride))
    return Geometry(inputs, outputs, weight.out_channels, words, kernel, stride, biased)


def _biases(module: Synapse, current: Signal) -> int:
    """Return the additions of a synapse's biases, at each step at which it adds some."""
    if module.folded()[1] is None:
        return 0
    share, steps = module.bias_over_time, len(current.values)
    if share is not None and len(share) == steps:
        steps = int(torch.count_nonzero(share))
    return steps * current.values[0].numel()


def _weigh(events: Events, rows: Tensor, columns: Tensor) -> int:
    """Sum the events, each weighted by how many output rows and columns it reaches; integers throughout."""
    return int((events.count.sum(0) * rows.unsqueeze(1) * columns).sum())
