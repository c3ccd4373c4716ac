"""Exact operation counts of a network, whole or stopped after a step.

One pass in eval mode with forward hooks. For each synapse: the non-zero inputs times the outputs that each one reaches
(edges, stride and groups respected), step by step. The kind of values on an edge is declared by the module that
produces them, and checked here; it decides between accumulates and multiply-accumulates. The tests compare with a
brute-force loop.

The pass counts for several ends at once. A network that is stopped after step T' of its output has run for ``T' + D``
steps, D being the delay of the output; an edge that lags by d steps has then carried its first ``T' + D - d`` steps,
at most T, and whatever stands on it later is not counted.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
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
from spikefront.plugins.contracts.recurrent import Recurrent, recurrent_layers
from spikefront.plugins.network.layers import Weight
from spikefront.plugins.network.operations import Role
from spikefront.runners.judging.events import check_kind, events_by_place, events_by_step, nonzero_by_step
from spikefront.runners.judging.hooks import Hook, inside_attention, listening
from spikefront.runners.judging.network import Network
from spikefront.runners.judging.passes import divided
from spikefront.runners.judging.reach import compose, conv_reach, window_reach
from spikefront.runners.judging.seeding import fixed_randomness, kept_randomness
from spikefront.runners.judging.tally import Tally
from spikefront.runners.judging.traffic import TrafficCounter


def count_operations(network: Network, batch: Tensor, *, traffic: bool = True) -> Counts:
    """Count the operations of one forward pass, up to where the network is cut.

    Args:
        network: the network, whose mode is restored.
        batch: prepared inputs ``(B, ...)``.
        traffic: whether to count what a chip of spiking cores does too, which takes two to three times as long.

    Raises:
        EdgeKindError: when a binary or ternary edge carries other values.
    """
    return _counted(network, [batch], (network.cut or network.coding.steps,), traffic)[0][0]


@torch.no_grad()
def try_to_count(network: Network, batch: Tensor) -> None:
    """Raise what ``count_operations`` would raise, in one pass of a few samples.

    Args:
        network: the network, in eval mode.
        batch: prepared inputs, so few that they need not be divided.
    """
    ends = (network.cut or network.coding.steps,)
    _count(network, batch, list(map(Tally, ends, _until(network, batch, ends))), traffic=False)


def count_ends(
    network: Network, batches: Sequence[Tensor], ends: Sequence[int], *, traffic: bool, seed: int
) -> dict[int, list[Counts]]:
    """Count the operations of a network that is stopped after each of several steps.

    They are what ``count_operations`` returns, with these random draws, for the network cut there. All are counted in
    one pass, but for a chip's traffic, which takes one each.

    Args:
        network: the network; its mode is restored.
        batches: prepared inputs, ``(B, ...)`` each.
        ends: steps of ``network.cuts``, and 0 for the network as it is.
        traffic: whether to count what a chip of spiking cores does too.
        seed: seed of what is drawn at random.

    Returns:
        By step, the operations of each batch.
    """
    if not ends:
        return {}
    if not traffic:
        steps = [end or network.cut or network.coding.steps for end in ends]
        with fixed_randomness(seed):
            by_batch = _counted(network, batches, steps, traffic=False)
        return {end: [of_batch[at] for of_batch in by_batch] for at, end in enumerate(ends)}
    found = {}
    for end in ends:
        with network.cut_at(end or network.cut), fixed_randomness(seed):
            found[end] = [count_operations(network, batch) for batch in batches]
    return found


@torch.no_grad()
def count_samples(
    network: Network, batch: Tensor, ends: Sequence[int], *, traffic: bool, seed: int
) -> list[list[Counts]]:
    """Count the operations on each sample by itself, when the network is stopped after each of several steps.

    A random code has the draws that it has in ``count_operations`` of the whole batch.

    Args:
        network: the network, not cut, which stays in eval mode.
        batch: prepared inputs ``(B, ...)``, few enough for one pass.
        ends: steps of ``network.cuts``, and T.
        traffic: whether to count what a chip of spiking cores does too, which takes a pass for each step.
        seed: seed of what is drawn at random.

    Returns:
        By sample, the operations by step.
    """
    network.eval()
    with fixed_randomness(seed):
        code = network.encode(batch)
    until = _until(network, batch, ends)
    found = []
    for number in range(len(batch)):
        one, coded = batch[number : number + 1], code.sample(number)
        if not traffic:
            found.append(_count(network, one, list(map(Tally, ends, until)), traffic=False, code=coded))
            continue
        of_sample = []
        for end, steps in zip(ends, until, strict=True):
            with network.cut_at(0 if end == network.coding.steps else end):
                tallies = [Tally(end, steps)]
                of_sample += _count(network, one, tallies, traffic=True, code=coded.first(network.steps))
        found.append(of_sample)
    return found


def _until(network: Network, batch: Tensor, ends: Sequence[int]) -> list[float]:
    """Return the steps for which a network has run when it is stopped after each of several steps of its output."""
    steps = network.coding.steps
    if all(end == steps for end in ends):
        return [math.inf] * len(ends)
    with kept_randomness():
        delay = network.propagate(network.encode(batch[:1])).delay
    return [math.inf if end == steps else end + delay for end in ends]


@torch.no_grad()
def _counted(network: Network, batches: Sequence[Tensor], ends: Sequence[int], traffic: bool) -> list[list[Counts]]:
    """Return the operations of each batch, by end."""
    training = network.training
    network.eval()
    try:
        until = _until(network, batches[0], ends) if batches else []
        return [_summed(network, batch, ends, until, traffic) for batch in batches]
    finally:
        if training:
            network.train()


def _summed(
    network: Network, batch: Tensor, ends: Sequence[int], until: Sequence[float], traffic: bool
) -> list[Counts]:
    """Return the operations of a batch by end, from passes that fit the memory."""
    parts = [
        _count(network, part, list(map(Tally, ends, until)), traffic, code) for part, code in divided(network, batch)
    ]
    return [reduce(add, of_one_end) for of_one_end in zip(*parts, strict=True)]


def _count(
    network: Network, batch: Tensor, tallies: Sequence[Tally], traffic: bool, code: Signal | None = None
) -> list[Counts]:
    counter, chip = _Counter(network, tallies), TrafficCounter(tallies[0])
    traffic = traffic and not any(recurrent_layers(network))  # chip has no layers that read themselves
    with counter.listening(), chip.listening(network) if traffic else nullcontext():
        code = network.encode(batch) if code is None else code
        counter.encoder(batch, code)
        network.decode(network.propagate(code))  # in this order: pooling first finds its events
    found = [tally.counts(len(batch)) for tally in tallies]
    return [chip.annotated(found[0])] if traffic else found


class _Counter:
    """Listens to one pass, and tells each tally of what lies before its end."""

    def __init__(self, network: Network, tallies: Sequence[Tally]) -> None:
        self._network = network
        self._tallies = tallies
        self._inside_attention = inside_attention(network)
        self._emits = 0  # by how many steps the spikes of the site that is being run lag

    @contextmanager
    def listening(self) -> Iterator[None]:
        hooks: dict[type[nn.Module], Hook] = {
            Synapse: self._synapse,
            Neuron: self._neuron,
            Site: self._site,
            Counted: self._counted,
            AvgPool: self._pooling,
        }
        handles = [self._network.backbone.register_forward_hook(self._readout)]
        handles += [site.register_forward_pre_hook(self._enter) for site in self._network.sites]
        try:
            with listening(self._network, hooks):
                yield
        finally:
            for handle in handles:
                handle.remove()

    def encoder(self, batch: Tensor, code: Signal) -> None:
        """Count the encoder of a coding that states its operations."""
        if type(self._network.coding).encode_operations is not Coding.encode_operations:
            for tally in self._tallies:
                operations = self._network.encode_operations(batch, tally.of(code))
                tally.add(LayerCount("coding.encode", "encoder", operations=operations))

    def _synapse(self, name: str, module: Synapse, signal: Signal, current: Signal) -> None:
        check_kind(signal, name)
        events, reached = map(_running, synaptic_events(module.weight, signal, current))
        role: Role = "attention" if name in self._inside_attention else "synapse"
        biased, outputs = module.biased, current.values[0].numel()
        adds_biases = biased and not signal.changes  # the sum of changes starts at them
        geometry = _geometry(module, signal, current, biased)
        for tally in self._tallies:
            then = tally.of(signal)
            biases = _biases(module, tally.of(current)) if adds_biases else 0
            numbers = (_upto(events, then), _upto(reached, then), biases)
            tally.add_synapse(_synapse_count(name, role, then, numbers, _in_time(geometry, module, then)), outputs)

    def _enter(self, site: nn.Module, args: tuple[Signal, ...]) -> None:
        assert isinstance(site, Site)
        self._emits = args[0].delay + site.neuron.delay_over(args[0].steps)

    def _neuron(self, name: str, module: Neuron, current: Tensor, spikes: Tensor) -> None:
        inner = tuple(range(1, spikes.dim()))
        active = _running(nonzero_by_step(spikes))
        counts = module.kind in (Kind.COUNT, Kind.SIGNED)
        fired = _running(spikes.abs().sum(inner, dtype=torch.float64)) if counts else active
        neurons, update, spike = spikes[0].numel(), module.update_operations(), module.spike_operations()
        for tally in self._tallies:
            steps = tally.steps(len(spikes), self._emits)
            if type(module).operations is Neuron.operations:
                done = update * (neurons * (steps + module.delay_over(steps))) + spike * fired[steps - 1]
            else:
                done = module.operations(current[:steps], spikes[:steps])
            known = LayerCount(name, "neuron", operations=done, events=fired[steps - 1], sites=neurons * steps)
            tally.add(replace(known, active=active[steps - 1]))
        if isinstance(module, Recurrent):
            fed_back = module.fed_back(spikes, self._emits)
            self._synapse(f"{name}.feedback", module.feedback, fed_back, fed_back.current(spikes))

    def _site(self, name: str, module: Site, current: Signal, _: Signal) -> None:
        """Fold biases into neurons, and count the products of an edge with a coefficient that ends in neurons."""
        check_kind(current, name)
        reads_current = module.between is not None and module.between.reads_current
        for tally in self._tallies:
            if module.neuron.folds_bias and not reads_current:
                tally.fold_biases()
            tally.close_biases()
            then = tally.of(current)
            if then.weightings():
                tally.add(LayerCount(f"{name}.coefficient", "residual", operations=then.weighting_of_events()))

    def _counted(self, name: str, module: Counted, *signals: Signal) -> None:
        *inputs, out = signals
        delay = out.delay if isinstance(out, Signal) else None
        for tally in self._tallies:
            then = (tally.of(one, delay) if isinstance(one, Signal) else one for one in inputs)
            tally.add(LayerCount(name, module.role, operations=module.operations(*then)))

    def _pooling(self, name: str, module: AvgPool, signal: Signal, pooled: Signal) -> Signal:
        """Pass the events on to the next synapse; pooling of analog values is counted here, as additions."""
        check_kind(signal, name)
        if signal.kind is Kind.ANALOG:
            added = _running(nonzero_by_step(signal.values))
            for tally in self._tallies:
                operations = Operations(adds=_upto(added, tally.of(signal)))
                tally.add(LayerCount(name, "synapse", operations=operations))
            return pooled
        events = signal.events or _events(signal)
        (h_in, w_in), (h_out, w_out) = signal.values.shape[-2:], pooled.values.shape[-2:]
        height, width = module.size
        rows = window_reach(h_in, h_out, kernel=height, stride=height, padding=0)
        columns = window_reach(w_in, w_out, kernel=width, stride=width, padding=0)
        passed_on = Events(events.count, compose(rows, events.rows), compose(columns, events.columns))
        return replace(pooled, events=passed_on)

    def _readout(self, module: nn.Module, args: Any, output: Signal) -> None:
        for tally in self._tallies:
            tally.read_out(self._network.coding, output)


def _running(by_step: Tensor) -> list[int]:
    """Return the running sum of whole numbers by step."""
    return [int(one) for one in by_step.cumsum(0).tolist()]


def _upto(sums: list[int], signal: Signal) -> int:
    """Return the running sum at the end of a signal; that of one constant over time has one entry."""
    return sums[min(signal.steps, len(sums)) - 1]


def synaptic_events(weight: Weight, signal: Signal, current: Signal) -> tuple[Tensor, Tensor]:
    """Return the non-zero inputs of a synapse and the synaptic operations that they cause, by step, ``(T|1,)``."""
    if isinstance(weight, nn.Linear):
        if signal.events is None:
            count = events_by_step(signal)
            return count, count * weight.out_features
        covered = _weigh(signal.events, signal.events.rows.any(0).long(), signal.events.columns.any(0).long())
        return signal.events.count.sum((1, 2, 3)), covered * weight.out_features
    events = signal.events or _events(signal)
    (h, w), (h_out, w_out) = signal.values.shape[-2:], current.values.shape[-2:]
    rows, columns = conv_reach(weight, (h, w), (h_out, w_out))
    fan_out_rows = compose(rows, events.rows).sum(0)
    fan_out_columns = compose(columns, events.columns).sum(0)
    reached = _weigh(events, fan_out_rows, fan_out_columns) * (weight.out_channels // weight.groups)
    return events.count.sum((1, 2, 3)), reached


def _synapse_count(
    name: str, role: Role, signal: Signal, numbers: tuple[int, int, int], geometry: Geometry
) -> LayerCount:
    """Return the count of a synapse, from its events, the operations that they cause, and additions of biases."""
    (events, reached, biases), spiking = numbers, signal.kind is not Kind.ANALOG
    shifts = reached if signal.kind is Kind.POWER else 0
    on_outputs = signal.weighting(geometry.outputs) + signal.accumulation(geometry.outputs)
    return LayerCount(
        name,
        role,
        sops=reached if spiking else 0,
        macs=0 if spiking else reached,
        macs_every_step=0 if spiking else reached * _presentations(signal),
        operations=on_outputs + Operations(shifts=shifts),
        events=events,
        sites=signal.values.numel(),
        geometry=geometry,
        biases=biases,
    )


def _events(signal: Signal) -> Events:
    """Count the events of ``(T, B, C, H, W)`` by step and position, before any pooling."""
    count = events_by_place(signal).cpu()
    return Events(count, torch.eye(count.shape[-2], dtype=torch.bool), torch.eye(count.shape[-1], dtype=torch.bool))


def _presentations(signal: Signal) -> int:
    """Return the number of presentations of a constant input, by the convention of T presentations."""
    if len(signal.values) > 1:
        return 1
    if signal.coefficient is not None and len(signal.coefficient) > 1:
        return int(signal.coefficient.reshape(signal.steps, -1).any(1).sum())
    return signal.steps


def _geometry(module: Synapse, signal: Signal, current: Signal, biased: bool) -> Geometry:
    inputs, outputs = signal.values[0, 0].numel(), current.values[0, 0].numel()
    weight = module.weight
    if isinstance(weight, nn.Linear):
        return Geometry(inputs, outputs, outputs, weight.weight.numel(), biased=biased)
    kernel, stride = ((size[0], size[1]) for size in (weight.kernel_size, weight.stride))
    return Geometry(inputs, outputs, weight.out_channels, weight.weight.numel(), kernel, stride, biased)


def _in_time(geometry: Geometry, module: Synapse, signal: Signal) -> Geometry:
    """Return the size of a synapse that has a set of weights for each step, where the signal asks for that."""
    by_step = signal.coefficient is not None and signal.coefficient.dim() == 2 and len(signal.coefficient) > 1
    return replace(geometry, weights=module.weight.weight.numel() * signal.steps) if by_step else geometry


def _biases(module: Synapse, current: Signal) -> int:
    """Return the additions of a synapse's biases, at each step at which it adds some."""
    return module.bias_steps(len(current.values)) * current.values[0].numel()


def _weigh(events: Events, rows: Tensor, columns: Tensor) -> Tensor:
    """Sum the events of each step, weighted by how many output rows and columns each reaches; integers throughout."""
    return (events.count.sum(1) * rows.unsqueeze(1) * columns).sum((1, 2))
