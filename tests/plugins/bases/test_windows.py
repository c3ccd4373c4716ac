"""Layers in windows: step by step, and in whole numbers at once, a network gives the same."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from spikefront.plugins import AvgPool, Flatten, Kind, MaxPool, Signal, Site, SiteInfo, Synapse
from spikefront.plugins.bases.windows import (
    FirstSpikePool,
    SumPool,
    WholeSynapse,
    WindowAdd,
    in_windows,
    integrated,
    preload,
)
from spikefront.plugins.neurons.ttfs import TTFS, TTFSConfig
from spikefront.plugins.surrogates.atan import ATan


def spikes_of(levels: Tensor, steps: int) -> Signal:
    """Return one spike per level that is not 0, at step ``steps - level``."""
    values = torch.stack([(levels == steps - t).float() for t in range(steps)])
    return Signal(values, steps, Kind.BINARY)


@dataclass
class StepRun:
    """A chip's loop over whole numbers, one event and one neuron at a time."""

    outputs: list[int]
    levels: list[list[int]]
    most_spikes: int
    sops: int
    comparisons: int
    ramps: int


def step_run(weights: list[Tensor], biases: list[Tensor], levels: list[int], steps: int, bits: int) -> StepRun:
    run = StepRun([], [], 0, 0, 0, 0)
    times = [steps - n if n else None for n in levels]
    for number, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        rows = [[int(w) for w in row] for row in weight.tolist()]
        potential, slope = [int(b) for b in bias.tolist()], [0] * len(rows)
        for t in range(steps):
            for source, time in enumerate(times):
                if time == t:
                    run.sops += len(rows)
                    slope = [total + row[source] for total, row in zip(slope, rows, strict=True)]
            potential = [v + rise for v, rise in zip(potential, slope, strict=True)]
            run.ramps += len(rows)
        if number == len(weights) - 1:
            run.outputs = potential
            return run
        fired: list[list[int]] = [[] for _ in rows]
        for t in range(steps):
            for neuron, v in enumerate(potential):
                if not fired[neuron]:
                    run.comparisons += 1
                    if v >= (steps - t) << bits:
                        fired[neuron].append(t)
        run.most_spikes = max(run.most_spikes, *map(len, fired))
        times = [at[0] if at else None for at in fired]
        run.levels.append([0 if at is None else steps - at for at in times])
    return run


def closed_form(weights: list[Tensor], biases: list[Tensor], levels: list[int], steps: int, bits: int) -> list[int]:
    n = torch.tensor(levels)
    for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
        n = ((weight @ n + bias) >> bits).clamp(0, steps)
    found: list[int] = (weights[-1] @ n + biases[-1]).tolist()
    return found


def network(weights: list[Tensor], biases: list[Tensor], bits: int) -> tuple[nn.Sequential, list[Site]]:
    """Return layers with the same whole numbers: a level is 1, and a quantum is 2^-bits."""
    layers: list[nn.Module] = []
    sites = []
    for number, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        linear = nn.Linear(weight.shape[1], weight.shape[0])
        with torch.no_grad():
            linear.weight.copy_(weight * 2.0**-bits)
            linear.bias.copy_(bias * 2.0**-bits)
        whole = WholeSynapse(Synapse(linear))
        whole.quantum.fill_(2.0**-bits)
        layers.append(whole)
        if number < len(weights) - 1:
            neuron = TTFS(TTFSConfig(0.0), surrogate=ATan())
            neuron.parts = torch.full((1, 1), 2.0**bits)
            info = SiteInfo(number, stage=0, channels=len(weight), size=(1, 1), last_of_stage=True)
            sites.append(Site(info, neuron, None, torch.ones(1, 1)))
            layers.append(sites[-1])
    return nn.Sequential(*layers).eval(), sites


@torch.no_grad()
def outputs(layers: nn.Sequential, levels: list[int], steps: int, bits: int) -> list[int]:
    for layer in layers:
        if isinstance(layer, Synapse):
            layer.bias_over_time = preload(steps)
    potentials = integrated(layers(spikes_of(torch.tensor([levels]), steps))) * 2**bits
    assert torch.equal(potentials, potentials.round())
    return [int(v) for v in potentials[0]]


@pytest.mark.parametrize("nets", [60, pytest.param(2000, marks=pytest.mark.slow)])
def test_random_nets_step_by_step_and_at_once_give_the_same(nets: int) -> None:
    generator = torch.Generator().manual_seed(nets)

    def draw(low: int, high: int, *shape: int) -> Tensor:
        return torch.randint(low, high, shape, generator=generator)

    fired = silent = 0
    for _ in range(nets):
        steps = (2, 3, 5, 8, 16, 32)[int(draw(0, 6, 1))]
        bits = (0, 3, 8)[int(draw(0, 3, 1))]
        widths = [int(n) for n in draw(2, 7, 4)]
        largest = 2 ** (bits + 1)
        weights = [draw(-largest, largest + 1, after, before) for before, after in pairwise(widths)]
        biases = [draw(-largest * 2, largest * 2 + 1, len(weight)) for weight in weights]
        levels = [int(n) for n in draw(0, steps + 1, widths[0])]
        run = step_run(weights, biases, levels, steps, bits)
        assert run.outputs == closed_form(weights, biases, levels, steps, bits)
        assert run.outputs == outputs(network(weights, biases, bits)[0], levels, steps, bits)
        assert run.most_spikes <= 1
        fired += sum(n > 0 for layer in run.levels for n in layer)
        silent += sum(n == 0 for layer in run.levels for n in layer)
    assert min(fired, silent) > nets


WEIGHTS = [torch.tensor([[12, -5, 7], [-9, 20, 3]]), torch.tensor([[16, -8], [3, 11]])]
BIASES = [torch.tensor([8, 8]), torch.tensor([-32, 20])]


@pytest.mark.parametrize(
    ("levels", "hidden", "expected", "sops", "comparisons"),
    [([8, 3, 0], [5, 0], [48, 35], 6, 12), ([1, 8, 5], [0, 8], [-96, 108], 8, 9)],
)
def test_two_nets_by_hand(
    levels: list[int], hidden: list[int], expected: list[int], sops: int, comparisons: int
) -> None:
    run = step_run(WEIGHTS, BIASES, levels, 8, 4)
    assert (run.levels, run.outputs, run.sops, run.comparisons) == ([hidden], expected, sops, comparisons)
    assert run.ramps == 32
    layers, (site,) = network(WEIGHTS, BIASES, 4)
    assert outputs(layers, levels, 8, 4) == expected
    current = layers[0](spikes_of(torch.tensor([levels]), 8))
    spikes = site.neuron(current.values, 8)
    charged = site.neuron.operations(current.values, spikes)
    assert charged.adds == 2 * 8 + comparisons  # the ramp of two neurons; the read-out's is the coding's
    assert site.fire(current).delay == 8


def test_largest_level_is_the_first_spike() -> None:
    levels = torch.tensor([2, 7, 0, 7]).view(1, 1, 2, 2)
    signal = spikes_of(levels, 8)
    pool = FirstSpikePool(2)
    pooled = pool(signal)
    assert pooled.values.flatten().nonzero().flatten().tolist() == [1]  # level 7
    assert pool.operations(signal).adds == 3
    plain = MaxPool(2)(signal).values
    assert plain.sum() == 2  # an OR of each step has the later spike too


def test_sum_pooling_averages_levels() -> None:
    torch.manual_seed(0)
    levels = torch.randint(0, 9, (2, 3, 6, 6))
    pooled = SumPool(3)(spikes_of(levels, 8))
    assert pooled.kind is Kind.COUNT
    torch.testing.assert_close(integrated(pooled), nn.functional.avg_pool2d(levels.float(), 3))


def test_potentials_add_and_wait_for_each_other() -> None:
    torch.manual_seed(0)
    first, second = (Signal(torch.randn(5, 2, 3, dtype=torch.float64), 5, Kind.ANALOG, delay=d) for d in (0, 10))
    add = WindowAdd()
    total = add(first, second)
    torch.testing.assert_close(integrated(total), integrated(first) + integrated(second))
    assert (total.delay, add.operations(first, second).adds) == (10, 6)
    again = add(total, second)  # what is held goes on
    torch.testing.assert_close(integrated(again), integrated(first) + 2 * integrated(second))


def test_trains_drive_the_synapse_behind_one_by_one() -> None:
    torch.manual_seed(0)
    levels = [torch.randint(0, 9, (2, 3, 5, 5)) for _ in range(3)]
    worth = [0.25, 0.5, 1.5]
    trains = [spikes_of(n, 8).weighted(torch.full((1, 3), w)) for n, w in zip(levels, worth, strict=True)]
    add = WindowAdd().eval()
    both = add(add(trains[0], trains[1]), trains[2])
    assert (both.kind, both.values.shape[2], add.operations(trains[0], trains[1]).adds) == (Kind.BINARY, 9, 0)
    whole = WholeSynapse(Synapse(nn.Conv2d(3, 4, 3, padding=1, bias=False))).eval()
    total = sum(w * n for n, w in zip(levels, worth, strict=True))
    assert isinstance(total, Tensor)
    torch.testing.assert_close(integrated(whole(both)), whole.weight(total.float()), rtol=0, atol=1e-3)
    flat = WholeSynapse(Synapse(nn.Linear(75, 4))).eval()
    flat.bias_over_time = preload(8)
    found = integrated(flat(Flatten()(both)))
    torch.testing.assert_close(found, flat.weight(total.float().flatten(1)), rtol=0, atol=1e-3)


@pytest.mark.parametrize("groups", [1, 2])
def test_weights_take_in_what_a_spike_of_each_channel_is_worth(groups: int) -> None:
    torch.manual_seed(0)
    synapse = Synapse(nn.Conv2d(4, 6, 3, padding=1, groups=groups), nn.BatchNorm2d(6)).eval()
    signal = spikes_of(torch.randint(0, 6, (2, 4, 5, 5)), 5).weighted(torch.rand(1, 4))
    synapse.bias_over_time = preload(5)
    whole = WholeSynapse(synapse).eval()
    whole.bias_over_time = preload(5)
    torch.testing.assert_close(whole(signal).values, synapse(signal).values, rtol=0, atol=1e-4)
    whole.quantum.fill_(0.25)
    assert torch.equal(whole(signal).values * 4, (whole(signal).values * 4).round())


def test_layers_inside_are_replaced_and_keep_their_weights() -> None:
    linear = nn.Linear(2, 2)
    layers = nn.Sequential(nn.Sequential(Synapse(linear), MaxPool(2)), AvgPool(2))
    before = set(layers.state_dict())
    in_windows(layers)
    assert [type(layer) for layer in layers.modules() if not isinstance(layer, (nn.Sequential, nn.Linear))] == [
        WholeSynapse,
        FirstSpikePool,
        SumPool,
    ]
    assert set(layers.state_dict()) - before == {"0.0.quantum"}
    assert any(module is linear for module in layers.modules())
