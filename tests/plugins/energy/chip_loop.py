"""A spiking network on Loihi's mesh, neuron by neuron and message by message: an oracle of its own."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import trunc

Targets = Mapping[int, Sequence[tuple[int, float]]]
"""By number of a neuron, the neurons of the next layer that it reaches, each with its weight."""

SYNAPSE_NS = {"dense": 3.8, "sparse": 4.7, "conv": 3.1}
BARRIERS = ((29, 1800.0), (4, 1400.0), (2, 1000.0), (1, 600.0))


@dataclass
class Net:
    """Layers of neurons in a row; the first one are inputs.

    Attributes:
        sizes: neurons by layer.
        targets: of each layer but the last.
        stores: how the synapses of each of these are stored.
        cores: of each neuron, by layer.
        keep: share of the potential that a step keeps.
        hard: whether a spike sets the potential to 0; else it takes the threshold.
        biases: of each neuron behind the inputs.
        fires: whether a neuron fires, by its potential.
        threshold: what a spike takes.
        exact: whether neurons fire by a potential that is not cut to 64ths, as in a simulation on floats.
    """

    sizes: Sequence[int]
    targets: Sequence[Targets]
    stores: Sequence[str]
    cores: Sequence[Sequence[int]]
    keep: float
    hard: bool
    biases: Sequence[Sequence[float]]
    fires: Callable[[float], bool]
    threshold: float = 1.0
    exact: bool = False


@dataclass
class Found:
    """Events of a run."""

    accesses: int = 0
    updates: int = 0
    spikes: int = 0
    messages: int = 0
    synapses: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    x_hops: int = 0
    y_hops: int = 0
    ns: float = 0.0

    @property
    def events(self) -> tuple[int, ...]:
        synapses = sum(self.synapses.values())
        return self.accesses, self.updates, self.spikes, self.messages, synapses, self.x_hops, self.y_hops


def run(net: Net, steps: int, inputs: Callable[[int, int], bool], *, window: int | None = None) -> Found:
    """Run a network.

    Args:
        net: the network.
        steps: of the chip.
        inputs: whether input i spikes at step t.
        window: steps for which each layer may fire, from when the first spikes can reach it; None for all.
    """
    found, depth = Found(), len(net.sizes)
    potential = [[0.0] * size for size in net.sizes]
    exact = [[0.0] * size for size in net.sizes]
    arriving: list[dict[int, float]] = [{} for _ in net.sizes]
    tiles = {core // 4 for cores in net.cores for core in cores}
    barrier = next(ns for least, ns in BARRIERS if len(tiles) >= least)
    for t in range(steps):
        busy: dict[int, float] = defaultdict(float)
        receiving: dict[int, float] = defaultdict(float)
        fired = [[i for i in range(net.sizes[0]) if inputs(i, t)]]
        for layer in range(1, depth):
            fired.append([])
            for i, core in enumerate(net.cores[layer]):
                found.accesses += 1
                busy[core] += 6.0
                bias, before = net.biases[layer - 1][i], potential[layer][i]
                now = trunc(64 * net.keep * before) / 64 + bias + arriving[layer].get(i, 0.0)
                exact[layer][i] = net.keep * exact[layer][i] + bias + arriving[layer].get(i, 0.0)
                spike = net.fires(exact[layer][i] if net.exact else now)
                if window is not None and not layer <= t < layer + window:
                    spike = False
                if spike or i in arriving[layer] or trunc(64 * before) != 0 or bias != 0:
                    found.updates += 1
                    busy[core] += 3.7
                if spike:
                    found.spikes += 1
                    busy[core] += 30.0
                    fired[layer].append(i)
                    now = 0.0 if net.hard else now - net.threshold
                    exact[layer][i] = 0.0 if net.hard else exact[layer][i] - net.threshold
                potential[layer][i] = now
        arriving = [{} for _ in net.sizes]
        for layer in range(depth - 1):
            for i in fired[layer]:
                by_core: dict[int, int] = defaultdict(int)
                for j, weight in net.targets[layer].get(i, ()):
                    arriving[layer + 1][j] = arriving[layer + 1].get(j, 0.0) + weight
                    by_core[net.cores[layer + 1][j]] += 1
                source = net.cores[layer][i]
                for target, synapses in by_core.items():
                    found.messages += 1
                    busy[source] += 5.1
                    receiving[target] += 16.0 + synapses * SYNAPSE_NS[net.stores[layer]]
                    found.synapses[net.stores[layer]] += synapses
                    found.x_hops += abs(source // 4 // 4 - target // 4 // 4)
                    found.y_hops += abs(source // 4 % 4 - target // 4 % 4)
        found.ns += max([0.0, *busy.values(), *receiving.values()]) + barrier
    return found


def table_net(name: str) -> tuple[Net, int]:
    """Return net A, B or C, given by formulas, and its number of steps."""
    sizes, keep, hard, bias, store, lists, steps = {
        "A": ((6, 8, 4), 1.0, False, 0.0, "dense", ((0,), (1,), (2,)), 8),
        "B": ((8, 12, 10, 4), 0.5, True, 0.0, "sparse", ((0,), (1, 2), (5, 22), (127,)), 9),
        "C": ((8, 12, 10, 4), 0.75, False, 0.125, "conv", ((0,), (1, 2), (5, 22), (127,)), 9),
    }[name]
    targets = [
        {
            i: [(j, ((7 * i + 3 * j + k) % 13 - 4) / 8) for j in range(sizes[k + 1]) if (i + 2 * j) % 5 != 0]
            for i in range(sizes[k])
        }
        for k in range(len(sizes) - 1)
    ]
    cores = [[lists[k][i % len(lists[k])] for i in range(size)] for k, size in enumerate(sizes)]
    biases = [[bias] * size for size in sizes[1:]]
    net = Net(sizes, targets, [store] * len(targets), cores, keep, hard, biases, fires=lambda v: v > 1.0)
    return net, steps


def table_input(i: int, t: int) -> bool:
    """Return whether input i of nets A, B and C spikes at step t."""
    return t < 6 and (3 * i + 5 * t) % 4 == 0
