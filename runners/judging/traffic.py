"""Counter of a network's traffic on a chip of spiking cores, beside its operations.

Hooks give each signal a route: the cores that its events come from, or the synapses that a current comes from, and how
many layers lie before. A spike of a step acts in the next, so a layer works one step behind those that it reads.

Reconstructed, where the chip leaves it open: analog values on the way are sent as eight spikes; spikes that meet in a
sum come from the cores of its first part, and a window of max pooling sends from the core of its first neuron; a
current that goes to two layers is sent to the first of them; a layer that is called twice is two. Where neurons fire
several times in a time step, the chip takes a step for each of its slots: all neurons are accessed at each, and those
that are updated in the time step at each too, an upper bound.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from spikefront.plugins import AvgPool, Counted, Counts, Kind, MaxPool, Neuron, Signal, Site, Synapse
from spikefront.plugins.bases.prices import LOIHI_1, Storage
from spikefront.plugins.network.membrane import RESOLUTION, potentials
from spikefront.plugins.network.traffic import ANALOG_SPIKES, Timing, Traffic
from spikefront.runners.judging.cores import fans
from spikefront.runners.judging.hooks import Hook, inside_attention, listening
from spikefront.runners.judging.network import Network
from spikefront.runners.judging.populations import (
    PER_CORE,
    Edge,
    Population,
    busy_times,
    by_core,
    core_of,
    later_updates,
    messages_of,
    upkeep_times,
    whole_updates,
)
from spikefront.runners.judging.tally import Tally


@dataclass(frozen=True, slots=True)
class Route:
    """Where the values of a signal come from.

    Attributes:
        depth: steps by which they lag the input, besides silent periods.
        constant: whether they are a constant analog input.
        source: the neurons that emit them; None where that is lost.
        cores: number of the core of each value within ``source``, in the shape of the values.
        unpooled: the values before average pooling, ``(T, B, C, H, W)``.
        edges: of a current, the synapses that it comes from.
        driven: of a current, the neurons that it drives in a step, ``(T, B, ...)``; None where that is lost.
        biased: of a current, the neurons that have a bias.
    """

    depth: int
    constant: bool = False
    source: Population | None = None
    cores: Tensor | None = None
    unpooled: Tensor | None = None
    edges: tuple[Edge, ...] = ()
    driven: Tensor | None = None
    biased: Tensor | None = None


class TrafficCounter:
    """Counts the traffic of one forward pass; see ``spikefront.plugins.network.traffic`` for the layout.

    Args:
        tally: says how many steps of each edge lie before the end of the network.
    """

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._populations: list[Population] = []
        self._edges: list[Edge] = []
        self._fired: dict[str, tuple[str, Neuron, Tensor, Tensor]] = {}
        self._calls: Counter[str] = Counter()
        self._cores = 0
        self._slots = 1
        self._unmapped: frozenset[str] = frozenset()
        self._off_chip: list[str] = []

    @contextmanager
    def listening(self, network: Network) -> Iterator[None]:
        self._unmapped, self._slots = inside_attention(network), network.slots
        hooks: dict[type[nn.Module], Hook] = {
            Synapse: self._synapse,
            Neuron: self._neuron,
            Site: self._site,
            Counted: self._counted,
            AvgPool: self._average,
            MaxPool: self._maximum,
        }
        handles = [
            network.backbone.register_forward_pre_hook(self._input),
            network.backbone.register_forward_hook(self._output),
        ]
        try:
            with listening(network, hooks):
                yield
        finally:
            for handle in handles:
                handle.remove()

    def _call(self, name: str) -> str:
        """Return the name that the op counter gives a module's call."""
        self._calls[name] += 1
        return name if self._calls[name] == 1 else f"{name}#{self._calls[name]}"

    def _settle(self, name: str, like: Tensor, arrives: int, emits: int) -> Population:
        """Give neurons, ``(T, B, ...)``, cores of their own."""
        steps, samples, size = len(like), len(like[0]), like[0, 0].numel()
        sent = torch.zeros(steps, samples, -(-size // PER_CORE), dtype=torch.float64)
        made = Population(name, size, self._cores, arrives, emits, sent)
        self._cores += made.cores
        self._populations.append(made)
        return made

    def _input(self, module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        signal: Signal = args[0]
        if signal.kind is Kind.ANALOG and len(signal.values) == 1:
            route = Route(signal.delay, constant=True)
        else:
            source = self._settle("", self._tally.of(signal).values, 0, signal.delay)
            route = Route(0, source=source, cores=core_of(signal.values))
        return (replace(signal, route=route), *args[1:])

    def _synapse(self, name: str, module: Synapse, signal: Signal, current: Signal) -> Signal:
        call = self._call(name)
        route: Route = signal.route or Route(0)
        weight, size_in = module.weight, tuple(signal.values.shape[2:])
        bias = module.folded()[1]
        biased = None if bias is None else (bias != 0).view(-1, *[1] * (current.values.dim() - 3))
        after = Route(route.depth + (not route.constant), biased=biased)
        flat = isinstance(weight, nn.Linear) and len(size_in) > 1
        if name in self._unmapped or flat:  # attention, or tokens that share weights
            return replace(current, route=after)
        values = signal.values if signal.events is None or route.unpooled is None else route.unpooled
        values = values[: self._tally.steps(signal.steps, signal.delay)]
        whole = signal.kind in (Kind.BINARY, Kind.COUNT, Kind.SIGNED)
        events = (values.abs() if whole else values != 0).to(torch.float32)
        events = events.flatten(3) if events.dim() > 3 else events.unsqueeze(3)  # (T, B, C, positions)
        channels = weight.in_features if isinstance(weight, nn.Linear) else weight.in_channels
        if events.shape[2] > channels:  # trains that lie side by side, and reach the same synapses
            events, size_in = events.unflatten(2, (-1, channels)).sum(2), (channels, *size_in[1:])
        size_out = tuple(current.values.shape[2:])
        blocks = -(-current.values[0, 0].numel() // PER_CORE)
        price = LOIHI_1.synapse[storage(weight)]
        times = ANALOG_SPIKES if signal.kind is Kind.ANALOG else 1
        source, cores = route.source, route.cores
        if cores is None or cores.numel() != events.shape[2:].numel():  # a module in between has laid them out anew
            source, cores = None, torch.zeros(events.shape[2:], dtype=torch.long)
        cores = cores.reshape(events.shape[2:])
        arrival = torch.zeros(*events.shape[:2], blocks, dtype=torch.float64)
        messages = torch.zeros(1 if source is None else source.cores, blocks, dtype=torch.float64)
        driven = []
        for fan in fans(weight, size_in, size_out, signal.events, PER_CORE):
            of_group = events[:, :, fan.channels]
            by_place = of_group.sum(2).double().cpu()  # (T, B, positions)
            reached = (fan.synapses > 0).double()
            arrival[..., fan.cores] += times * (
                LOIHI_1.received_ns * (by_place @ reached) + price.ns * (by_place @ fan.synapses)
            )
            of_cores = cores[fan.channels]
            totals = of_group.sum((0, 1)).double().cpu()  # (C, positions)
            sources = torch.zeros(len(messages), totals.shape[1], dtype=torch.float64)
            sources.scatter_add_(0, of_cores, totals)
            messages[:, fan.cores] += sources @ reached
            if source is not None:
                source.sent += times * _sent(of_group, by_place, of_cores, reached.sum(1), source.cores)
            outputs = 1 if isinstance(weight, nn.Linear) else weight.out_channels // weight.groups
            driven.append(fan.reached(by_place).expand(-1, -1, outputs, *[-1] * (len(size_out) - 1)))
        edge = Edge(call, storage(weight), messages, route.constant, source, starts=route.depth + signal.delay)
        self._edges.append(edge)
        if route.constant:
            return replace(current, route=replace(after, edges=(edge,), driven=current.values != 0))
        edge.arrival_ns = arrival
        mask = torch.cat(driven, 2) if len(driven) > 1 else driven[0]
        return replace(current, route=replace(after, edges=(edge,), driven=mask.to(current.values.device)))

    def _neuron(self, name: str, module: Neuron, current: Tensor, spikes: Tensor) -> None:
        self._fired[name] = (self._call(name), module, current, spikes)

    def _site(self, name: str, module: Site, current: Signal, out: Signal) -> Signal:
        fired = self._fired.pop(f"{name}.neuron", None)
        if fired is None:
            return out
        call, neuron, values, spikes = fired
        route: Route = current.route or Route(0)
        arrives = route.depth + current.delay
        delay = neuron.delay_over(current.steps)
        spikes = spikes[: self._tally.steps(len(spikes), current.delay + delay)]
        population = self._settle(call, spikes, arrives, arrives + delay)
        self._drive(population, route, values, spikes, neuron.potentials(values, spikes), neuron.states)
        number = spikes.abs() if neuron.kind in (Kind.COUNT, Kind.SIGNED) else spikes != 0
        population.spikes = torch.stack([by_core(one) for one in number])
        return replace(out, route=Route(route.depth, source=population, cores=core_of(spikes)))

    def _drive(
        self,
        population: Population,
        route: Route,
        current: Tensor,
        spikes: Tensor,
        charge: Iterator[Tensor] | None,
        states: int,
    ) -> None:
        """Find the updates of neurons, and let the synapses of their current end there."""
        for edge in route.edges:
            edge.target = edge.target or population
            if edge.target is population and edge.arrival_ns is not None:
                population.received.append((edge.starts, edge.arrival_ns))
        driven = current != 0 if route.driven is None else _shaped(route.driven, current)
        biased = torch.zeros_like(current[0], dtype=torch.bool)
        if route.biased is not None:
            biased |= _shaped(route.biased.expand(1, 1, *route.biased.shape), current)[0].to(biased.device)
        updates, touched = [], torch.zeros_like(biased)
        for t in range(len(spikes)):
            charged = touched if charge is None else next(charge).abs() >= RESOLUTION
            if t == 0:
                population.outside = states * by_core(biased | charged)
            due = (spikes[t] != 0) | driven[t if len(driven) > 1 else 0] | biased | charged
            updates.append(states * by_core(due))
            touched = due if charge is None else touched
        population.accesses, population.updates = states, torch.stack(updates)
        population.later = later_updates(charge, biased, touched, states)

    def _counted(self, name: str, module: Counted, *signals: Signal) -> Signal | None:
        self._call(name)
        *inputs, out = signals
        routes = [one.route for one in inputs if isinstance(one, Signal) and one.route is not None]
        if not isinstance(out, Signal) or not routes:
            return None
        first = next((route for route in routes if route.source is not None), routes[0])
        depth = max(route.depth for route in routes)
        if module.role == "attention" or out.kind is not Kind.ANALOG:
            return replace(out, route=replace(first, depth=depth + (module.role == "attention"), driven=None))
        edges = tuple(edge for route in routes for edge in route.edges)
        masks = [route.driven for route in routes]
        driven = None if any(mask is None for mask in masks) else _any(masks)
        biased = _any([route.biased for route in routes if route.biased is not None])
        return replace(out, route=Route(depth, edges=edges, driven=driven, biased=biased))

    def _average(self, name: str, module: AvgPool, signal: Signal, pooled: Signal) -> Signal | None:
        route: Route | None = signal.route
        if signal.kind is Kind.ANALOG:
            call = self._call(name)
            if route is not None and route.constant:
                self._off_chip.append(call)
            return replace(pooled, route=_windows(route, module.size, pooled))
        if route is None or route.unpooled is not None:
            return None
        return replace(pooled, route=replace(route, unpooled=signal.values))

    def _maximum(self, name: str, module: MaxPool, signal: Signal, pooled: Signal) -> Signal | None:
        return replace(pooled, route=_windows(signal.route, (module.size, module.size), pooled))

    def _output(self, module: nn.Module, args: Any, output: Signal) -> None:
        """Put the neurons that sum the last current over time, and never fire, on cores of their own."""
        route: Route | None = output.route
        if route is None or route.source is not None:
            return
        values = self._tally.of(output).decoded()
        current = values.expand(self._tally.of(output).steps, *values.shape[1:])
        arrives = route.depth + output.delay
        population = self._settle("coding.decode", current, arrives, arrives)
        silent = torch.zeros_like(current)
        self._drive(population, route, current, silent, potentials(current, silent, leak=0.0, threshold=1.0), 1)

    def annotated(self, counts: Counts) -> Counts:
        """Return the counts of the same pass with what was found."""
        steps = counts.steps + max((one.emits for one in self._populations), default=0)
        traffic = {edge.name: messages_of(edge) for edge in self._edges}
        traffic |= {name: Traffic(off_chip=True) for name in self._off_chip}
        slots, busy = self._slots, torch.zeros(steps, counts.samples, dtype=torch.float64)
        again = torch.zeros_like(busy)  # what each further slot of a step takes: its spikes are those of the step
        for population in self._populations:
            updates = whole_updates(population, steps)
            own, received = busy_times(population, updates, steps)
            busy = torch.maximum(busy, torch.maximum(own, received).amax(2))
            if slots > 1:
                again = torch.maximum(again, upkeep_times(population, updates).amax(2))
            if population.accesses:
                accesses = population.accesses * population.size * steps * counts.samples
                traffic[population.name] = Traffic(accesses, int(updates.sum())) * slots
        layers = tuple(
            replace(layer, traffic=traffic.get(layer.layer, Traffic() if layer.role == "readout" else None))
            for layer in counts.layers
        )
        busy_ns = float(busy.sum() + (slots - 1) * again.sum())
        return replace(
            counts, layers=layers, timing=Timing(steps * slots, self._cores, LOIHI_1.tiles(self._cores), busy_ns)
        )


def storage(weight: nn.Module) -> Storage:
    """Return how a core stores the weights of a layer."""
    return "dense" if isinstance(weight, nn.Linear) else "conv"


def _windows(route: Route | None, size: tuple[int, int], pooled: Signal) -> Route | None:
    """Return the route of values that are pooled: each has the core of the first in its window."""
    if route is None or route.cores is None:
        return route
    height, width = pooled.values.shape[-2:]
    return replace(route, cores=route.cores[:, :: size[0], :: size[1]][:, :height, :width])


def _sent(events: Tensor, by_place: Tensor, cores: Tensor, fan_out: Tensor, of: int) -> Tensor:
    """Return the messages by step, sample and source core."""
    if of == 1:
        return (by_place @ fan_out).unsqueeze(2)
    sent = (events * fan_out.to(events)).flatten(2)
    found = sent.new_zeros(*sent.shape[:2], of)
    return found.index_add_(2, cores.flatten().to(sent.device), sent).double().cpu()


def _shaped(mask: Tensor, current: Tensor) -> Tensor:
    """View a mask ``(T, B, ...)`` so that it broadcasts over a current, whose neurons may have been laid out anew."""
    if mask.dim() == current.dim():
        return mask
    one = mask.shape[2:].numel() == 1
    return mask.reshape(*mask.shape[:2], *([1] * (current.dim() - 2) if one else current.shape[2:]))


def _any(masks: list[Any]) -> Tensor | None:
    found: Tensor | None = None
    for mask in masks:
        found = mask if found is None else found | mask
    return found
