from __future__ import annotations

import time

import pytest
import torch

from spikefront.plugins.backbones.recurrent import RecurrentConfig, RecurrentNetwork
from spikefront.plugins.checks.probe import fit_norms
from spikefront.plugins.codings.rate import Rate
from spikefront.plugins.contracts.network import Network
from spikefront.plugins.contracts.recurrent import Recurrent
from spikefront.plugins.neurons.adlif import AdLIF
from spikefront.plugins.neurons.lif import LIF
from spikefront.plugins.neurons.ternary_lif import TernaryLIF
from spikefront.plugins.surrogates.atan import ATan
from spikefront.plugins.testing.base import built_in
from spikefront.plugins.testing.properties import network_of
from spikefront.runners.judging.counting import count_ends, count_operations
from spikefront.runners.judging.network import muted
from spikefront.searchspace import UsageError

WIDTH, STEPS = 24, 10


def network(neuron: type = LIF, depth: int = 2) -> Network:
    config = RecurrentConfig(width=WIDTH, depth=depth)
    made = network_of(
        Rate(steps=STEPS), (4,), neuron=neuron, backbone=RecurrentNetwork, configs=(None, config), inputs="sequences"
    )
    fit_norms(made, torch.rand(6, STEPS, 4))
    for module in made.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            torch.nn.init.constant_(module.weight, 8.0)  # else adLIF neurons are silent
    return made


def test_a_layer_is_the_loop_that_it_says() -> None:
    """By hand: LIF with tau = 2, threshold 1, hard reset, in float64."""
    layer = Recurrent(LIF(surrogate=ATan()), 7).double()
    current = 2 * torch.randn(12, 3, 7, dtype=torch.float64)
    weight, v, s = layer.feedback.weight.weight, torch.zeros(3, 7), torch.zeros(3, 7, dtype=torch.float64)
    expected = []
    for x in current:
        h = v + (x + s @ weight.T - v) / 2
        s = (h >= 1).double()
        v = h * (1 - s)
        expected.append(s)
    assert torch.stack(expected).any()
    assert torch.equal(layer(current, 12), torch.stack(expected))


def test_without_feedback_it_fires_as_its_neuron() -> None:
    layer: Recurrent = Recurrent(LIF(surrogate=ATan()), 7)
    current = 2 * torch.randn(12, 3, 7)
    torch.nn.init.zeros_(layer.feedback.weight.weight)
    assert torch.equal(layer(current, 12), layer.neuron(current, 12))


def test_feedback_starts_orthogonal() -> None:
    weight = Recurrent(LIF(surrogate=ATan()), 9).feedback.weight.weight
    torch.testing.assert_close(weight @ weight.T, torch.eye(9), atol=1e-5, rtol=0)


@pytest.mark.parametrize("neuron", [LIF, TernaryLIF, AdLIF])
def test_operations_of_the_feedback_are_those_of_brute_force(neuron: type) -> None:
    net = network(neuron)
    emitted: dict[str, torch.Tensor] = {}
    for name, module in net.named_modules():
        if isinstance(module, Recurrent):
            module.register_forward_hook(lambda _, args, spikes, name=name: emitted.update({name: spikes}))
    torch.manual_seed(0)
    counts = {layer.layer: layer for layer in count_operations(net, torch.rand(5, STEPS, 4)).layers}
    assert len(emitted) == 2
    for name, spikes in emitted.items():
        reached = 0
        for t in range(1, STEPS):  # each event of a step, and each neuron that it reaches in the next
            for sample in spikes[t - 1]:
                reached += sum(WIDTH for value in sample.tolist() if value != 0)
        found = counts[f"{name}.feedback"]
        assert reached > 0
        assert found.sops == reached
        assert found.events == reached / WIDTH
        assert (found.macs, found.biases) == (0, 0)
        assert found.role == "synapse"
        assert counts[name].operations.multiplies == net.sites[0].neuron.update_operations().multiplies * spikes.numel()


def test_feedback_of_silent_neurons_costs_nothing_and_of_part_of_the_steps_its_part() -> None:
    net, x = network(), torch.rand(5, STEPS, 4)
    with muted(net):
        assert not any(layer.sops for layer in count_operations(net, x).layers if layer.layer.endswith("feedback"))
    whole = count_ends(net, [x], net.cuts, traffic=False, seed=0)
    for cut in net.cuts:
        with net.cut_at(cut):
            alone = count_ends(net, [x], (cut,), traffic=False, seed=0)
        assert whole[cut] == alone[cut]


def test_gradient_goes_through_time() -> None:
    net = network(depth=1).train()
    x = torch.rand(4, STEPS, 4, requires_grad=True)
    output = net.propagate(net.encode(x)).values
    output[-1].sum().backward()
    layer = net.sites[0].neuron
    assert isinstance(layer, Recurrent)
    weight = layer.feedback.weight.weight
    assert weight.grad is not None
    assert weight.grad.any()


def test_neurons_without_a_step_are_refused_with_those_that_have_one() -> None:
    chosen = {"task": "mnist1d", "coding": "direct", "neuron": "if", "backbone": "recurrent"}
    named = str(built_in().problem(chosen)).partition("neurons that do: ")[2].split(", ")
    ours = [name for name in named if not built_in().get("neuron", name).library]
    assert ours == ["adlif", "i-lif", "lif", "plif", "se-adlif", "silif", "ternary-lif"]
    with pytest.raises(UsageError, match="neuron 'if' defines no step"):
        Recurrent(built_in().get("neuron", "if")(surrogate=ATan()), 3)


def test_searches_of_images_are_not_offered_what_is_for_sequences() -> None:
    registry = built_in()
    chosen = {"task": "digits", "coding": "direct", "neuron": "lif", "backbone": "mlp"}
    for neuron in ("adlif", "se-adlif", "silif"):
        assert "is for sequences" in str(registry.problem(chosen | {"neuron": neuron}))
    assert "takes sequences" in str(registry.problem(chosen | {"backbone": "recurrent"}))


@pytest.mark.slow
def test_twice_the_steps_take_about_twice_the_time() -> None:
    def seconds(steps: int) -> float:
        layer = Recurrent(LIF(surrogate=ATan()), 64)
        current = torch.randn(steps, 64, 64, requires_grad=True)
        started = time.process_time()
        layer(current, steps).sum().backward()
        return time.process_time() - started

    seconds(50)
    ratios = sorted(seconds(100) / seconds(50) for _ in range(15))
    assert ratios[7] < 2.2
