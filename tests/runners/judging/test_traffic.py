"""The traffic counter against a loop over neurons and messages, on networks of one core to several tiles."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from tests.plugins.energy.chip_loop import Found, Net, run, table_input, table_net
from tests.runners.judging.test_counting import Chain, Given
from torch import Tensor, nn

from spikefront.plugins import AvgPool, Counts, Flatten, Kind, MaxPool, Neuron, Site, SiteInfo, Synapse, load_registry
from spikefront.plugins.energy.loihi_1 import Loihi1
from spikefront.plugins.network.traffic import Timing, Traffic
from spikefront.plugins.neurons.alif import ALIF
from spikefront.plugins.neurons.i_lif import ILIF, ILIFConfig
from spikefront.plugins.neurons.integrate_and_fire import IF, IFConfig
from spikefront.plugins.neurons.lif import LIF, LIFConfig
from spikefront.plugins.surrogates.atan import ATan
from spikefront.runners.judging.counting import count_operations
from spikefront.runners.judging.network import Network, assemble
from spikefront.searchspace import from_flat

PJ = {"dense": 35.5, "conv": 24.0}


def site(neuron: Neuron) -> Site:
    return Site(SiteInfo(0, 0, 1, (1, 1), True), neuron, None)


def lif(keep: float, *, hard: bool = False, threshold: float = 1.0) -> Neuron:
    config = {"threshold": threshold, "reset": "hard" if hard else "soft"}
    if keep == 1:
        return IF(IFConfig(**config), surrogate=ATan())  # type: ignore[arg-type]
    return LIF(LIFConfig(tau=1 / (1 - keep), decay_input=False, **config), surrogate=ATan())  # type: ignore[arg-type]


def energy_pj(found: Found) -> float:
    events = (found.accesses, 51.2), (found.updates, 21.6), (found.spikes, 69.3), (found.messages, 111.0)
    hops = 3.0 * found.x_hops + 4.2 * found.y_hops
    return sum(n * pj for n, pj in events) + hops + sum(n * PJ[kind] for kind, n in found.synapses.items())


def targets(layer: nn.Module, shape: tuple[int, ...]) -> Mapping[int, list[tuple[int, float]]]:
    """Return the synapses of layers, folded pooling included, from the response to each input by itself.

    A weight of 0 is told from no synapse by a second layer, whose weights are all 1.
    """
    ones = torch.eye(torch.Size(shape).numel()).view(-1, *shape)
    with torch.no_grad():
        response = layer(ones).flatten(1).tolist()
        for parameter in layer.parameters():
            parameter_before = parameter.clone()
            parameter.fill_(1.0)
            reach = layer(ones).flatten(1) != 0
            parameter.copy_(parameter_before)
    found = defaultdict(list)
    for i, j in reach.nonzero().tolist():
        found[i].append((j, response[i][j]))
    return found


def layout(sizes: list[int]) -> list[list[int]]:
    """Return the cores of each neuron by the mapping rule: layers in order, each from a new core on, 1,024 on each."""
    cores, first = [], 0
    for size in sizes:
        cores.append([first + i // 1024 for i in range(size)])
        first = cores[-1][-1] + 1
    return cores


def against_loop(
    layers: list[tuple[nn.Module, ...]],
    shape: tuple[int, ...],
    spikes: Tensor,
    *,
    keep: float,
    hard: bool,
) -> tuple[Counts, Found]:
    """Count a network of synapses with neurons behind, and run the same one neuron by neuron.

    Args:
        layers: of each layer an optional pooling, an optional Flatten, and its weights, which are last.
        shape: of the input.
        spikes: of one sample, ``(T, *shape)``.
        keep: share of the potential that a step keeps.
        hard: how neurons are reset.
    """
    modules: list[nn.Module] = []
    sizes, found_targets, stores, inner = [torch.Size(shape).numel()], [], [], shape
    for layer in layers:
        plain = nn.Sequential(*(nn.Flatten() if isinstance(one, Flatten) else _plain(one) for one in layer))
        found_targets.append(targets(plain, inner))
        inner = tuple(plain(torch.zeros(1, *inner)).shape[1:])
        sizes.append(torch.Size(inner).numel())
        stores.append("dense" if isinstance(layer[-1], nn.Linear) else "conv")
        modules += [Synapse(one) if isinstance(one, nn.Linear | nn.Conv2d) else one for one in layer]
        modules.append(site(lif(keep, hard=hard)))
    network = Network(Given(spikes.unsqueeze(1), Kind.BINARY), Chain(*modules))
    counts = count_operations(network, torch.zeros(1, 1))
    net = Net(
        sizes,
        found_targets,
        stores,
        layout(sizes),
        keep,
        hard,
        [[0.0] * size for size in sizes[1:]],
        fires=lambda v: v >= 1.0,
        exact=True,
    )
    flat = spikes.flatten(1)
    steps = len(spikes)
    return counts, run(net, steps + len(layers), lambda i, t: t < steps and bool(flat[t, i]), window=steps)


def _plain(module: nn.Module) -> nn.Module:
    return nn.AvgPool2d(module.size) if isinstance(module, AvgPool) else module


def totals(counts: Counts) -> tuple[int, ...]:
    traffic = [layer.traffic for layer in counts.layers if layer.traffic is not None]
    spikes = sum(layer.events for layer in counts.layers if layer.role == "neuron")
    of = {name: sum(getattr(one, name) for one in traffic) for name in ("accesses", "updates", "messages", "hops_x")}
    y = sum(one.hops_y for one in traffic)
    sops = int(sum(layer.sops for layer in counts.layers))
    return of["accesses"], of["updates"], spikes, of["messages"], sops, of["hops_x"], y


def agree(counts: Counts, found: Found) -> None:
    assert totals(counts) == found.events
    model = Loihi1()
    assert 1000 * model.energy_nj(counts) == pytest.approx(energy_pj(found), rel=1e-12)
    latency = model.latency_us(counts)
    assert latency is not None
    assert 1000 * latency == pytest.approx(found.ns, rel=1e-12)


def random_weights(layer: nn.Module, draw: random.Random) -> nn.Module:
    """Set weights to multiples of 1/8, some of them 0, so that currents may cancel."""
    with torch.no_grad():
        for parameter in layer.parameters():
            values = [draw.randint(-4, 8) / 8 for _ in range(parameter.numel())]
            parameter.copy_(torch.tensor(values).view_as(parameter))
    return layer


@pytest.mark.parametrize("seed", range(10))
def test_random_networks_cost_and_take_what_a_loop_over_neurons_finds(seed: int) -> None:
    draw = random.Random(seed)
    keep, hard = draw.choice([1.0, 0.5, 0.75]), draw.random() < 0.5
    layers: list[tuple[nn.Module, ...]]
    if seed % 2:  # convolutions over several cores, pooling, and a linear layer
        shape: tuple[int, ...] = (2, draw.randint(10, 13), 12)
        channels, stride = draw.choice([9, 12]), 1
        conv = nn.Conv2d(2, channels, 3, padding=1, stride=stride, bias=False)
        behind = nn.Conv2d(channels, 3, draw.choice([2, 3]), stride=2, bias=False)
        features = nn.Sequential(conv, nn.AvgPool2d(2), behind, nn.Flatten())(torch.zeros(1, *shape)).shape[1]
        layers = [(conv,), (AvgPool(2), behind), (Flatten(), nn.Linear(features, 5, bias=False))]
    else:  # fully connected, some of it on several cores
        widths = [draw.randint(5, 20), *draw.choice([(1100, 3), (7, 1030)]), 4]
        shape = (widths[0],)
        layers = [(nn.Linear(a, b, bias=False),) for a, b in pairwise(widths)]
    for layer in layers:
        random_weights(layer[-1], draw)
    steps = draw.randint(2, 4)
    size = torch.Size(shape).numel()
    spikes = torch.tensor([[draw.random() < 0.2 for _ in range(size)] for _ in range(steps)]).float()
    counts, found = against_loop(layers, shape, spikes.view(steps, *shape), keep=keep, hard=hard)
    assert found.spikes > 0
    agree(counts, found)


def test_layer_of_the_documentation_takes_three_steps_by_itself() -> None:
    conv = nn.Conv2d(1, 2, 3, bias=False)
    nn.init.constant_(conv.weight, 0.125)
    spikes = torch.zeros(2, 1, 5, 5)
    spikes[:, 0, 2, 2] = 1.0
    spikes[0, 0, 2, 1] = 0.0
    network = Network(Given(spikes.unsqueeze(1), Kind.BINARY), Chain(Synapse(conv), site(lif(1.0, threshold=2.0))))
    counts = count_operations(network, torch.zeros(1, 1))
    neurons = next(layer for layer in counts.layers if layer.role == "neuron")
    assert neurons.traffic is not None
    assert (neurons.traffic.accesses, neurons.traffic.updates) == (54, 36)


def traffic(counts: Counts, role: str) -> list[Traffic]:
    return [layer.traffic for layer in counts.layers if layer.role == role and layer.traffic is not None]


def chain(values: Tensor, kind: Kind, *layers: nn.Module, steps: int = 0) -> Counts:
    return count_operations(Network(Given(values, kind, steps=steps), Chain(*layers)), torch.zeros(values.shape[1], 1))


def linear(inputs: int, outputs: int, weight: float = 0.25, bias: bool = False) -> Synapse:
    made = nn.Linear(inputs, outputs, bias=bias)
    nn.init.constant_(made.weight, weight)
    if bias:
        nn.init.constant_(made.bias, 0.0625)
    return Synapse(made)


def test_a_constant_analog_input_is_a_current_of_the_host() -> None:
    x = torch.tensor([[[0.5, 0.0, 1.0]]])
    counts = chain(x, Kind.ANALOG, linear(3, 4), site(lif(1.0, threshold=2.0)), steps=3)
    (read,) = traffic(counts, "synapse")
    assert read == Traffic(messages=2, off_chip=True, storage="dense")
    (neurons,) = traffic(counts, "neuron")
    assert neurons == Traffic(accesses=4 * 3, updates=4 * 3)  # the current acts in the first step; no messages
    assert counts.timing == Timing(3, cores=1, tiles=1, busy_ns=3 * 4 * (6.0 + 3.7))


def test_a_current_that_is_nothing_and_no_bias_leaves_neurons_alone() -> None:
    x = torch.zeros(1, 1, 3)
    counts = chain(x, Kind.ANALOG, linear(3, 4), site(lif(1.0)), steps=3)
    assert traffic(counts, "neuron") == [Traffic(accesses=12, updates=0)]
    biased = chain(x, Kind.ANALOG, linear(3, 4, bias=True), site(lif(1.0)), steps=3)
    assert traffic(biased, "neuron") == [Traffic(accesses=12, updates=12)]


def test_a_bias_keeps_neurons_busy_before_and_after_their_steps() -> None:
    spikes = torch.zeros(2, 1, 3)
    counts = chain(spikes, Kind.BINARY, linear(3, 4, bias=True), site(lif(1.0, threshold=2.0)))
    assert traffic(counts, "neuron") == [Traffic(accesses=4 * 3, updates=4 * 3)]


def test_neurons_of_counts_are_accessed_and_updated_in_each_slot() -> None:
    class InOneSlot(ILIF):
        slots = 1

    spikes = torch.zeros(2, 1, 3)
    spikes[0] = 1.0
    config = ILIFConfig(tau=2.0, most=3)

    def made(neuron: type[ILIF]) -> Counts:
        counted = site(neuron(config, surrogate=ATan()))
        return chain(spikes, Kind.BINARY, linear(3, 4, weight=0.5), counted)  # 1.5 in: 2 spikes, -0.5 is left

    counts, least = made(ILIF), made(InOneSlot)
    assert traffic(counts, "neuron") == [Traffic(accesses=3 * 4 * 3, updates=3 * 4 * 2)]
    assert [layer.events for layer in counts.layers if layer.role == "neuron"] == [4 * 2]
    assert traffic(counts, "synapse") == traffic(least, "synapse")  # a spike is a message in one slot
    assert counts.timing is not None
    assert least.timing is not None
    assert counts.timing.steps == 3 * least.timing.steps == 3 * 3
    further = 2 * (3 * 4 * 6.0 + 2 * 4 * 3.7)  # two slots more in each of three steps
    assert counts.timing.busy_ns - least.timing.busy_ns == pytest.approx(further)


def test_readout_is_summed_by_neurons_of_its_own() -> None:
    spikes = torch.zeros(2, 1, 3)
    spikes[0, 0, 0] = 1.0
    counts = chain(spikes, Kind.BINARY, linear(3, 5))
    assert traffic(counts, "readout") == [Traffic(accesses=5 * 3, updates=5 * 2)]  # charged from the second step on
    fired = chain(spikes, Kind.BINARY, linear(3, 5), site(lif(1.0)))
    assert traffic(fired, "readout") == [Traffic()]  # whose spikes leave the chip


def test_a_window_of_max_pooling_sends_from_the_core_of_its_first_neuron() -> None:
    spikes = torch.zeros(1, 1, 3, 32, 32)  # three cores, one for each channel
    spikes[0, 0, 2, 5, 5] = 1.0
    counts = chain(spikes, Kind.BINARY, MaxPool(2), Flatten(), linear(3 * 256, 1025), site(lif(1.0)))
    (sent,) = traffic(counts, "synapse")
    # from core 2 to cores 3, of the same tile, and 4, of the next one in y
    assert (sent.messages, sent.hops_x, sent.hops_y) == (2, 0, 1)


def test_spikes_of_counts_are_messages_each_and_negative_ones_are_too() -> None:
    counted = chain(torch.tensor([[[3.0, 0.0, 1.0]]]), Kind.COUNT, linear(3, 4), site(lif(1.0)))
    assert traffic(counted, "synapse")[0].messages == 4
    signed = chain(torch.tensor([[[-1.0, 0.0, 1.0]]]), Kind.TERNARY, linear(3, 4), site(lif(1.0)))
    assert traffic(signed, "synapse")[0].messages == 2


def test_a_neuron_with_two_states_is_looked_at_twice_and_charged_from_its_first_input_on() -> None:
    spikes = torch.zeros(3, 1, 3)
    spikes[1, 0, 0] = 1.0
    adaptive = site(ALIF(surrogate=ATan()))
    counts = chain(spikes, Kind.BINARY, linear(3, 4, weight=1e-6), adaptive)
    # four steps; the message of the second one acts in the third: 2 states, 4 neurons, 2 steps
    assert traffic(counts, "neuron") == [Traffic(accesses=2 * 4 * 4, updates=2 * 4 * 2)]


def test_a_potential_below_a_64th_is_at_rest() -> None:
    spikes = torch.zeros(6, 1, 1)
    spikes[0] = 1.0
    # 3/64 halves to 1/64, cut from 1.5/64, then to nothing: updated for the message, and two times more
    counts = chain(spikes, Kind.BINARY, linear(1, 1, weight=3 / 64), site(lif(0.5)))
    assert traffic(counts, "neuron") == [Traffic(accesses=7, updates=3)]


@pytest.mark.parametrize("backbone", ["ms-resnet", "sew-resnet", "spiking-transformer", "vgg", "fsvae"])
def test_every_layer_of_a_backbone_has_its_place(backbone: str) -> None:
    registry = load_registry(third_parties=False)
    task = "digits-generation" if backbone == "fsvae" else "digits"
    candidate = from_flat({"task": task, "coding": "rate", "backbone": backbone, "steps": 3}, registry)
    torch.manual_seed(0)
    network = assemble(candidate, registry, (1, 8, 8), 64 if backbone == "fsvae" else 10)
    counts = count_operations(network, torch.rand(2, 1, 8, 8))
    assert Loihi1().shortfall(counts) == ""
    assert counts.timing is not None
    layers = sum(layer.role == "neuron" for layer in counts.layers)
    assert counts.timing.cores >= layers
    assert 3 < counts.timing.steps <= 3 + layers + 1
    for layer in counts.layers:
        if layer.role == "neuron":
            assert layer.traffic is not None
            assert layer.traffic.accesses == layer.sites // 3 * counts.timing.steps
            assert layer.active_sites <= layer.traffic.updates <= layer.traffic.accesses
        if layer.role == "synapse" and layer.sops:
            assert layer.traffic is not None
            assert layer.traffic.messages >= layer.events > 0


class Strict(IF):
    """An integrator that fires above its threshold, not at it, as Loihi does."""

    def forward(self, current: Tensor, steps: int) -> Tensor:
        v, spikes = torch.zeros_like(current[0]), []
        for t in range(steps):
            v = v + current[t]
            spikes.append((v > self.config.threshold).to(v.dtype))
            v = v - self.config.threshold * spikes[-1]
        return torch.stack(spikes)


def test_net_a_of_the_simulator_is_counted_as_a_loop_does_with_the_synapses_that_it_lacks_at_weight_0() -> None:
    net, steps = table_net("A")
    layers: list[nn.Module] = []
    full: list[dict[int, list[tuple[int, float]]]] = []
    for k, reached in enumerate(net.targets):
        weights = torch.zeros(net.sizes[k + 1], net.sizes[k])
        for i, ends in reached.items():
            for j, weight in ends:
                weights[j, i] = weight
        full.append({i: list(enumerate(weights[:, i].tolist())) for i in range(net.sizes[k])})
        layer = nn.Linear(net.sizes[k], net.sizes[k + 1], bias=False)
        layer.weight.data.copy_(weights)
        layers += [Synapse(layer), site(Strict(IFConfig(threshold=1.0, reset="soft"), surrogate=ATan()))]
    spikes = torch.tensor([[[float(table_input(i, t)) for i in range(6)]] for t in range(6)])
    counts = chain(spikes, Kind.BINARY, *layers)
    found = run(replace(net, targets=full), steps, table_input, window=6)
    agree(counts, found)
    lacking = run(net, steps, table_input, window=6)
    assert (found.accesses, found.spikes, found.messages) == (96, lacking.spikes, lacking.messages)
