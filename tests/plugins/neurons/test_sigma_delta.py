from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from tests.plugins.neurons.perceptrons import perceptron
from torch import Tensor

from spikefront.plugins import Add, Kind, MaxPool, Operations, Signal, Synapse, load_registry
from spikefront.plugins.bases.stepwise import Stepwise
from spikefront.plugins.neurons.i_lif import unit_spikes
from spikefront.plugins.neurons.sigma_delta import SigmaDelta, SigmaDeltaConfig
from spikefront.plugins.surrogates.atan import ATan
from spikefront.runners.judging.counting import count_operations
from spikefront.runners.judging.network import Network

ORACLE = [1.0, 1.0, 1.0, 1.0, 0.0, 0.0]


def neuron(**hyperparameters: Any) -> SigmaDelta:
    return SigmaDelta(SigmaDeltaConfig(**hyperparameters), surrogate=ATan())


def potentials(current: Tensor, beta: float) -> Tensor:
    v, held = torch.zeros_like(current[0]), []
    for x in current:
        v = beta * v + x
        held.append(v)
    return torch.stack(held)


def open_loop(current: Tensor, beta: float, step: float) -> Tensor:
    """Return the messages of the published form, which rounds each change of the potential by itself."""
    v = potentials(current, beta)
    return step * (torch.diff(v, dim=0, prepend=torch.zeros_like(v[:1])) / step).round()


@pytest.mark.parametrize("rectified", [True, False])
def test_oracle_of_six_steps(rectified: bool) -> None:
    current = torch.tensor(ORACLE, dtype=torch.float64).view(-1, 1, 1)
    sent = 0.25 * neuron(beta=0.5, step=0.25, rectified=rectified)(current, 6)
    assert sent.flatten().tolist() == [1, 0.5, 0.25, 0, -0.75, -0.5]
    assert sent.sum() == 0.5
    as_published = open_loop(current, 0.5, 0.25)
    assert as_published.flatten().tolist() == [1, 0.5, 0.25, 0, -1, -0.5]
    assert as_published.sum() == 0.25
    assert potentials(current, 0.5)[-1] == 0.46875


@pytest.mark.parametrize("rectified", [True, False])
@pytest.mark.parametrize(("beta", "step"), [(0.0, 0.25), (0.5, 0.05), (0.9, 0.25), (1.0, 2.0)])
def test_the_sum_is_never_off_by_more_than_half_a_step(beta: float, step: float, rectified: bool) -> None:
    current = 0.3 * torch.randn(400, 1, 200, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    v = potentials(current, beta)
    sent = step * neuron(beta=beta, step=step, rectified=rectified)(current, 400).cumsum(0)
    assert (sent - (v.relu() if rectified else v)).abs().max() <= step / 2 + 1e-9


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("beta", "step"), [(0.0, 0.25), (0.0, 0.01), (0.5, 0.05), (0.9, 0.25), (1.0, 2.0)])
def test_a_run_is_its_steps_and_so_is_its_gradient(beta: float, step: float, dtype: torch.dtype) -> None:
    """Halves of a step are rounded by where the sum stands."""
    drawn = torch.Generator().manual_seed(0)
    current = torch.randn(60, 2, 30, dtype=dtype, generator=drawn)
    current[:, :, ::3] = (current[:, :, ::3] / step * 2).round() * step / 2
    weight, one = torch.randn(60, 2, 30, dtype=dtype, generator=drawn), neuron(beta=beta, step=step)
    gradients: list[Tensor] = []
    counts: list[Tensor] = []
    for run in (one.forward, partial(Stepwise.forward, one)):
        leaf = current.clone().requires_grad_()
        counts.append(run(leaf, 60))
        gradients += torch.autograd.grad((counts[-1] * weight).sum(), leaf)
    assert torch.equal(counts[0], counts[1])
    torch.testing.assert_close(gradients[0], gradients[1])


def test_an_open_loop_drifts_from_its_potential() -> None:
    current = 0.3 * torch.randn(400, 1, 200, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    drift = (open_loop(current, 0.9, 0.25).cumsum(0) - potentials(current, 0.9)).abs()
    assert drift.max() > 4 * 0.125  # which no closed loop is off by
    assert drift[-1].mean() > 3 * drift[3].mean()


def test_what_is_still_is_not_sent() -> None:
    current = torch.rand(2, 1, 50, generator=torch.Generator().manual_seed(0)).repeat_interleave(40, 0)
    counts = neuron(beta=0.5, step=0.25)(current, 80)
    assert counts[:5].any()
    assert counts[40:45].any()
    assert not counts[20:40].any()
    assert not counts[60:].any()


def test_gradient_is_that_of_the_rectified_potential() -> None:
    current = torch.randn(6, 2, 30, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    weight = torch.randn(6, 2, 30, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    received = 0.25 * neuron(beta=0.9)(current, 6).cumsum(0)
    (ours,) = torch.autograd.grad((received * weight).sum(), current)
    (expected,) = torch.autograd.grad((potentials(current, 0.9).relu() * weight).sum(), current)
    torch.testing.assert_close(ours, expected)


def network(steps: int = 8) -> Network:
    return perceptron(neuron, (3,), outputs=4, steps=steps, inputs="sequences")


def test_a_chip_with_accumulators_gives_the_outputs_and_the_counts() -> None:
    steps, samples = 8, 20
    net, x = network(steps), torch.rand(samples, 4, 3, generator=torch.Generator().manual_seed(1))
    layers = [module.folded() for module in net.modules() if isinstance(module, Synapse)]
    with torch.no_grad():
        weight, bias = layers[0]
        assert bias is not None
        current, events = x.repeat_interleave(2, 1).transpose(0, 1) @ weight.T + bias, 0
        for weight, bias in layers[1:]:
            counts = neuron()(current, steps)
            most = int(counts.abs().max())
            spikes = unit_spikes(counts, most).unflatten(0, (steps, most))
            assert set(spikes.unique().tolist()) == {-1.0, 0.0, 1.0}
            held, reached = torch.zeros(samples, len(weight)) + (0 if bias is None else bias), []
            for of_step in spikes:
                for one in of_step:  # one by one, each an accumulate per synapse
                    events += int(one.abs().sum()) * len(weight)
                    held = held + one @ (0.25 * weight).T
                reached.append(held)
            current = torch.stack(reached)
        outputs = net(x)
        assert outputs.std() > 0.1
        torch.testing.assert_close(net.decode(Signal(current, steps, Kind.ANALOG)), outputs, rtol=0, atol=1e-5)
    counted = count_operations(net, x)
    assert counted.sops * samples == events
    first, *behind = [layer for layer in counted.layers if layer.role == "synapse"]
    assert first.biases == steps * samples * 32
    assert [layer.biases for layer in behind] == [0, 0]
    assert [layer.operations.adds for layer in behind] == [steps * samples * 32, steps * samples * 4]
    assert net.latency_steps(0) == steps


def test_a_network_that_stops_sums_what_it_has_got() -> None:
    net, x = network(8), torch.rand(6, 4, 3, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        at_each_step = net.propagate(net.encode(x)).decoded()
        with net.cut_at(4):
            assert torch.equal(net(x), at_each_step[:4].mean(0))


def test_states_its_operations() -> None:
    assert neuron().update_operations() == Operations(adds=5, shifts=1)
    assert neuron(beta=0.9, rectified=False).update_operations() == Operations(adds=4, multiplies=1)
    counts = torch.tensor([[[3.0, 0.0]], [[-1.0, 4.0]]])
    assert neuron().operations(counts, counts) == Operations(adds=4 * 5 + 8, shifts=4)


def changes(*values: float, coefficient: Tensor | None = None) -> Signal:
    return Signal(torch.tensor(values).view(-1, 1, 1), len(values), Kind.SIGNED, coefficient, changes=True)


def test_an_edge_of_changes_carries_their_weighted_sum() -> None:
    edge = changes(2.0, -1.0, 0.0, 3.0).weighted(torch.tensor([0.5]))
    assert edge.decoded().flatten().tolist() == [1, 0.5, 0.5, 2]
    assert edge.kind is Kind.SIGNED
    assert edge.accumulation(10) == Operations(adds=40)
    by_step = edge.weighted(torch.tensor([1.0, 2.0, 1.0, 0.0]))
    assert by_step.decoded().flatten().tolist() == [1, 1, 0.5, 0]
    assert (by_step.kind, by_step.changes) == (Kind.ANALOG, False)
    assert edge.first(2).decoded().flatten().tolist() == [1, 0.5]


def test_sums_of_changes_are_changes_and_their_largest_is_not() -> None:
    both = Add()(changes(1.0, -1.0), changes(1.0, 2.0))
    assert (both.kind, both.changes) == (Kind.SIGNED, True)
    assert both.decoded().flatten().tolist() == [2, 3]
    spikes = Signal(torch.ones(2, 1, 1), 2, Kind.BINARY)
    mixed = Add()(changes(1.0, -1.0), spikes)
    assert (mixed.kind, mixed.changes) == (Kind.ANALOG, False)
    assert mixed.decoded().flatten().tolist() == [2, 1]
    assert Add().operations(changes(1.0, -1.0), spikes) == Operations(adds=2 + 2)
    with pytest.raises(ValueError, match="max pooling of changes"):
        MaxPool(2)(Signal(torch.ones(2, 1, 1, 2, 2), 2, Kind.SIGNED, changes=True))


def test_it_is_for_sequences_and_not_for_recurrent_layers() -> None:
    registry = load_registry(third_parties=False)
    chosen = {"task": "digits", "coding": "direct", "neuron": "sigma-delta", "backbone": "mlp"}
    assert "is for sequences" in str(registry.problem(chosen))
    assert registry.problem(chosen | {"task": "mnist1d"}) is None
    assert "defines no step" in str(registry.problem(chosen | {"task": "mnist1d", "backbone": "recurrent"}))
