from __future__ import annotations

from itertools import product
from typing import Any

import pytest
import torch
from tests.plugins.neurons.perceptrons import perceptron
from torch import Tensor

from spikefront.plugins import Kind, MaxPool, Operations, Signal, Synapse
from spikefront.plugins.neurons.i_lif import ILIF, ILIFConfig, unit_spikes
from spikefront.plugins.surrogates.atan import ATan
from spikefront.runners.judging.counting import count_operations
from spikefront.runners.judging.network import Network

ORACLE = [0.4, 1.3, 2.6, 5.0, -1.0, 0.7]


def neuron(**hyperparameters: Any) -> ILIF:
    return ILIF(ILIFConfig(**hyperparameters), surrogate=ATan())


def currents(steps: int, *shape: int, seed: int = 0) -> Tensor:
    return 2 * torch.randn(steps, *shape, generator=torch.Generator().manual_seed(seed))


def test_hand_computed_counts_and_potentials() -> None:
    current = torch.tensor(ORACLE, dtype=torch.float64).view(-1, 1, 1)
    assert neuron()(current, 6).flatten().tolist() == [0, 1, 3, 4, 0, 1]
    potential, state = [], None
    for x in current:
        _, state = neuron().step(x, state)
        potential.append(state[0].item())
    assert potential == pytest.approx([0.4, 0.4, -0.3, 0.925, -0.76875, -0.4921875], abs=1e-12)


def test_halves_go_to_the_even_count() -> None:
    assert neuron()(torch.tensor([[[0.5, 1.5, 2.5, 3.5, 4.5, -0.5]]]), 1).flatten().tolist() == [0, 2, 2, 4, 4, 0]


@pytest.mark.parametrize("steps", [1, 4, 8])
def test_agrees_with_spikingjelly(steps: int) -> None:
    theirs = pytest.importorskip("spikingjelly.activation_based.neuron")
    if not hasattr(theirs, "ILIFNode"):
        pytest.skip("a version without ILIFNode")
    from spikingjelly.activation_based.surrogate import MultiLevelSpikeCount

    for tau, most, threshold, detach in product((4 / 3, 2.7), (1, 4, 8), (1.0, 0.7), (False, True)):
        node = theirs.ILIFNode(tau, threshold, MultiLevelSpikeCount(most), detach, step_mode="m")
        current = (most * currents(steps, 4, 300, seed=most)).requires_grad_()
        weight = currents(steps, 4, 300, seed=99)
        ours = neuron(tau=tau, most=most, threshold=threshold, detach_reset=detach)(current, steps)
        counts = node(current)
        assert torch.equal(ours, counts)
        assert ours.max() == most
        gradients = [torch.autograd.grad((one * weight).sum(), current)[0] for one in (ours, counts)]
        torch.testing.assert_close(*gradients, rtol=0, atol=1e-5)


def slot_by_slot(current: Tensor, most: int, keep: float, threshold: float) -> Tensor:
    """Return unit spikes ``(T * D, B, N)`` of neurons that are run as a chip does: a comparison and a reset a slot."""
    v, fired = torch.zeros_like(current[0]), []
    for x in current:
        v = keep * v + x
        running = torch.ones_like(v, dtype=torch.bool)
        for _ in range(most):
            running = running & (v > threshold / 2)
            v = v - threshold * running
            fired.append(running.to(v.dtype))
    return torch.stack(fired)


@pytest.mark.parametrize(("most", "tau", "threshold"), [(1, 4 / 3, 1.0), (4, 4 / 3, 1.0), (8, 2.7, 0.6)])
def test_a_comparison_and_a_reset_per_slot_give_the_counts(most: int, tau: float, threshold: float) -> None:
    current = currents(12, 3, 200).double()  # halves have no weight
    counts = neuron(most=most, tau=tau, threshold=threshold)(current, 12)
    expanded = unit_spikes(counts, most)
    assert torch.equal(slot_by_slot(current, most, 1 - 1 / tau, threshold), expanded)
    assert set(expanded.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(expanded.unflatten(0, (12, most)).sum(1), counts)


def network(most: int = 4, steps: int = 5) -> Network:
    return perceptron(lambda: neuron(most=most), (1, 4, 4), outputs=3, steps=steps)


def test_network_of_unit_spikes_equals_that_of_counts() -> None:
    steps, most = 5, 4
    net, x = network(most, steps), torch.rand(64, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    layers = [module.folded() for module in net.modules() if isinstance(module, Synapse)]
    with torch.no_grad():
        weight, bias = layers[0]
        assert bias is not None
        current, events = x.flatten(1).expand(steps, -1, -1) @ weight.T + bias, 0
        for weight, bias in layers[1:]:
            spikes = slot_by_slot(current, most, 0.25, 1.0)
            events += int(spikes.sum()) * len(weight)
            by_slot = torch.stack([one @ weight.T for one in spikes])  # accumulates only, and no bias
            current = by_slot.unflatten(0, (steps, most)).sum(1) + (0 if bias is None else bias)
        outputs = net(x)
        assert outputs.std() > 0.1
        torch.testing.assert_close(net.decode(Signal(current, steps, Kind.ANALOG)), outputs, rtol=0, atol=1e-5)
    counts = count_operations(net, x)
    assert counts.sops * len(x) == events
    assert counts.macs == pytest.approx(float(torch.count_nonzero(x)) * 32 / len(x))  # of the analog input alone


def test_max_pooling_of_counts_is_an_or_in_each_slot() -> None:
    counts = neuron()(currents(3, 2, 4, 6, 6), 3)
    pooled = MaxPool(2)(Signal(counts, 3, Kind.COUNT)).values
    by_slot = MaxPool(2)(Signal(unit_spikes(counts, 4), 12, Kind.BINARY)).values
    assert torch.equal(unit_spikes(pooled, 4), by_slot)
    assert pooled.max() > 1


def test_potentials_are_those_that_a_chip_holds() -> None:
    current = currents(6, 2, 50) / 2
    current = (current * 64).round() / 64
    made = neuron(tau=2.0)
    counts = made(current, 6)
    v = torch.zeros_like(current[0])
    for x, count, held in zip(current, counts, made.potentials(current, counts), strict=False):
        assert torch.allclose(held, v, atol=1 / 32)  # each leak cuts to 1/64
        v = v / 2 + x - count


def test_states_its_operations() -> None:
    assert neuron().update_operations() == Operations(adds=5, shifts=1)
    assert neuron(tau=4.0, most=1).update_operations() == Operations(adds=3, shifts=1)  # 3/4 is a shift and an addition
    assert neuron(tau=3.0, most=8).update_operations() == Operations(adds=9, multiplies=1)
    assert neuron().spike_operations() == Operations(adds=1)
    counts = torch.tensor([[[3.0, 0.0]], [[1.0, 4.0]]])
    assert neuron().operations(counts, counts) == Operations(adds=4 * 5 + 8, shifts=4)


def test_a_step_takes_as_many_slots_as_it_may_fire() -> None:
    assert network(most=4, steps=5).latency_steps(0) == 20
    assert network(most=1, steps=5).latency_steps(0) == 5
    cut = network(most=4, steps=5)
    with cut.cut_at(2):
        assert cut.latency_steps(0) == 8
