from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.plugins.neurons.perceptrons import perceptron
from tests.plugins.neurons.test_i_lif import currents, slot_by_slot

from spikefront.plugins import Kind, Operations, Signal, Synapse, load_registry
from spikefront.plugins.neurons.i_lif import ILIF, ILIFConfig
from spikefront.plugins.neurons.qb_lif import QBLIF, QBLIFConfig
from spikefront.plugins.surrogates.atan import ATan
from spikefront.runners.judging.counting import count_operations
from spikefront.searchspace.narrowing import parse_set
from spikefront.searchspace.space import Space


def neuron(**hyperparameters: Any) -> QBLIF:
    return QBLIF(QBLIFConfig(**hyperparameters), surrogate=ATan())


def test_hand_computed_counts_and_potentials() -> None:
    current = torch.tensor([0.4, 1.3, 2.6, -1.0], dtype=torch.float64).view(-1, 1, 1)
    made = neuron(init_scale=0.5).double()
    assert made(current, 4).flatten().tolist() == [1, 3, 4, 0]
    potential, state = [], None
    for x in current:
        _, state = made.step(x, state)
        potential.append(state[0].item())
    assert potential == pytest.approx([-0.1, -0.225, 0.54375, -0.8640625], abs=1e-7)


def test_at_a_scale_of_one_it_is_the_integer_neuron() -> None:
    current = (4 * currents(8, 4, 300)).requires_grad_()
    weight = currents(8, 4, 300, seed=9)
    ours, theirs = neuron(tau=2.7)(current, 8), ILIF(ILIFConfig(tau=2.7), surrogate=ATan())(current, 8)
    assert torch.equal(ours, theirs)
    gradients = [torch.autograd.grad((one * weight).sum(), current)[0] for one in (ours, theirs)]
    torch.testing.assert_close(*gradients, rtol=0, atol=1e-5)


def test_gradient_of_the_scale_is_that_of_a_learnt_step_size() -> None:
    made = neuron(init_scale=0.5)
    current = torch.tensor([[[-0.3, 0.3, 1.2, 9.0]]], requires_grad=True)
    message = made.step_weights(1, current) * made(current, 1)
    for at, (of_current, of_scale) in enumerate([(0, 0), (1, 1 - 0.6), (1, 2 - 2.4), (0, 4)]):
        x, logarithm = torch.autograd.grad(message[0, 0, at], [current, made.log_scale], retain_graph=True)
        assert x[0, 0, at].item() == pytest.approx(of_current, abs=1e-6)
        assert logarithm.item() == pytest.approx(0.5 * of_scale, abs=1e-6)  # d/d log q = q d/dq


def test_the_scale_folds_into_the_weights_behind() -> None:
    steps, most = 5, 3
    net = perceptron(lambda: neuron(most=most, init_scale=0.3), (1, 4, 4), outputs=3, steps=steps)
    x = torch.rand(64, 1, 4, 4)
    scales = [one.scale.item() for one in net.modules() if isinstance(one, QBLIF)]
    layers = [module.folded() for module in net.modules() if isinstance(module, Synapse)]
    with torch.no_grad():
        weight, bias = layers[0]
        assert bias is not None
        current, events = x.flatten(1).expand(steps, -1, -1) @ weight.T + bias, 0
        for (weight, bias), scale in zip(layers[1:], scales, strict=True):
            spikes = slot_by_slot(current / scale, most, 0.25, 1.0)  # unit spikes, whose worth is in the weights
            events += int(spikes.sum()) * len(weight)
            current = (spikes @ (weight * scale).T).unflatten(0, (steps, most)).sum(1) + (0 if bias is None else bias)
        outputs = net(x)
        assert outputs.std() > 0.05
        torch.testing.assert_close(net.decode(Signal(current, steps, Kind.ANALOG)), outputs, rtol=0, atol=1e-5)
    counts = count_operations(net, x)
    assert counts.sops * len(x) == events
    assert counts.macs == pytest.approx(float(torch.count_nonzero(x)) * 32 / len(x))  # of the analog input alone
    synapses = [layer.operations for layer in counts.layers if layer.role == "synapse"]
    assert synapses == [Operations()] * 3
    assert net.latency_steps(0) == steps * most


def test_states_its_operations() -> None:
    assert neuron().update_operations() == Operations(adds=5, shifts=1)
    assert neuron(tau=3.0, most=8).update_operations() == Operations(adds=9, multiplies=1)
    assert neuron().spike_operations() == Operations(adds=1)


@pytest.mark.parametrize("task", ["digits", "mnist1d"])
def test_searches_take_it_where_it_is_named(task: str) -> None:
    registry = load_registry(third_parties=False)

    def neurons(*texts: str) -> set[str]:
        rows = Space(registry, task, [parse_set(text) for text in texts]).rows()
        return set(next(row for row in rows if row.name == "neuron").domain.split(", "))

    default = neurons()
    assert {"lif", "i-lif"} <= default
    assert not {"qb-lif", "sigma-delta"} & default
    assert neurons("neuron=lif,qb-lif") == {"lif", "qb-lif"}
