"""Neurons of snnTorch and SpikingJelly: on equal settings they fire as ours do, and nothing of them is kept."""

from __future__ import annotations

import importlib.util
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from spikefront.plugins import Neuron, Operations, load_registry
from spikefront.plugins.neurons.lif import LIF, LIFConfig
from spikefront.plugins.neurons.plif import PLIF, PLIFConfig
from spikefront.plugins.neurons.snntorch_leaky import SnnTorchLeaky, SnnTorchLeakyConfig
from spikefront.plugins.neurons.snntorch_synaptic import SnnTorchSynaptic, SnnTorchSynapticConfig
from spikefront.plugins.neurons.spikingjelly_lif import SpikingJellyLIF, SpikingJellyLIFConfig
from spikefront.plugins.neurons.spikingjelly_qif import SpikingJellyQIF, SpikingJellyQIFConfig
from spikefront.plugins.surrogates.atan import ATan

has_snntorch = pytest.mark.skipif(importlib.util.find_spec("snntorch") is None, reason="needs snntorch")
has_spikingjelly = pytest.mark.skipif(importlib.util.find_spec("spikingjelly") is None, reason="needs spikingjelly")

BETAS = (0.5, 0.75, 0.3, 0.875)


def currents(steps: int = 8, *, low: float = -2.0, high: float = 4.0) -> Tensor:
    torch.manual_seed(steps)
    return low + (high - low) * torch.rand(steps, 5, 200)


def assert_alike(ours: Neuron, theirs: Neuron, current: Tensor) -> None:
    """Check that two neurons fire the same spikes, some of them, and learn by the same gradient."""
    weight, found = torch.randn_like(current), []
    for neuron in (ours, theirs):
        x = current.clone().requires_grad_()
        spikes = neuron(x, len(current))
        assert 0 < spikes.mean() < 1
        found.append((spikes, torch.autograd.grad((spikes * weight).sum(), x)[0]))
    (spikes, gradient), (their_spikes, their_gradient) = found
    assert int((spikes != their_spikes).sum()) == 0
    torch.testing.assert_close(gradient, their_gradient, rtol=1e-4, atol=1e-5)


def lif(beta: float, threshold: float, reset: str, detach_reset: bool = True) -> LIF:
    config = LIFConfig(1 / (1 - beta), threshold, reset, decay_input=False, detach_reset=detach_reset)
    return LIF(config, surrogate=ATan())


@has_snntorch
@pytest.mark.parametrize("reset_delay", [True, False])
def test_snntorch_that_resets_to_zero_fires_as_lif_with_a_hard_reset(reset_delay: bool) -> None:
    for beta, threshold in product(BETAS, (1.0, 0.7)):
        config = SnnTorchLeakyConfig(beta, threshold, "zero", reset_delay)
        theirs = SnnTorchLeaky(config, surrogate=ATan())
        assert_alike(lif(beta, threshold, "hard", detach_reset=reset_delay), theirs, currents())


@has_snntorch
def test_snntorch_that_subtracts_at_once_fires_as_lif_with_a_soft_reset() -> None:
    """While currents are too weak for a potential of twice the threshold, at which snnTorch subtracts once only."""
    for beta in BETAS:
        theirs = SnnTorchLeaky(SnnTorchLeakyConfig(beta, 1.0, "subtract", reset_delay=False), surrogate=ATan())
        assert_alike(lif(beta, 1.0, "soft", detach_reset=False), theirs, currents(low=-1.0, high=2 - beta))


@has_snntorch
def test_snntorch_that_subtracts_later_leaks_first() -> None:
    theirs = SnnTorchLeaky(SnnTorchLeakyConfig(0.5, 1.0, "subtract"), surrogate=ATan())
    # U: 1.5; 0.75 + 0.5 - 1 = 0.25; 0.125 + 0.9 = 1.025; 0.5125 + 0.9 - 1 = 0.4125
    assert theirs(torch.tensor([1.5, 0.5, 0.9, 0.9]).view(4, 1, 1), 4).flatten().tolist() == [1, 0, 1, 0]
    # lif takes the threshold off before the leak: 1.5 -> 0.5; 0.25 + 0.5; 0.375 + 0.9 = 1.275 -> 0.275; 1.0375
    current = torch.tensor([1.5, 0.5, 0.9, 0.9]).view(4, 1, 1)
    assert lif(0.5, 1.0, "soft")(current, 4).flatten().tolist() == [1, 0, 1, 1]


@has_spikingjelly
@pytest.mark.parametrize("reset", ["hard", "soft"])
@pytest.mark.parametrize("decay_input", [True, False])
def test_spikingjelly_fires_as_lif(reset: str, decay_input: bool) -> None:
    for tau, detach in product((2.0, 4.0, 1.3, 2.7), (True, False)):
        settings: dict[str, Any] = {"reset": reset, "decay_input": decay_input, "detach_reset": detach}
        theirs = SpikingJellyLIF(SpikingJellyLIFConfig(tau, 0.8, **settings), surrogate=ATan())
        assert_alike(LIF(LIFConfig(tau, 0.8, **settings), surrogate=ATan()), theirs, currents())


@has_snntorch
@has_spikingjelly
def test_three_libraries_fire_the_same_spikes_on_equal_settings() -> None:
    current = currents(12)
    trains = [
        neuron(current, 12)
        for neuron in (
            lif(0.75, 1.0, "hard"),
            SnnTorchLeaky(SnnTorchLeakyConfig(0.75, 1.0, "zero"), surrogate=ATan()),
            SpikingJellyLIF(SpikingJellyLIFConfig(4.0, decay_input=False), surrogate=ATan()),
        )
    ]
    assert trains[0].any()
    assert torch.equal(trains[0], trains[1])
    assert torch.equal(trains[0], trains[2])


@has_snntorch
def test_a_potential_at_the_threshold_is_silent_in_snntorch_alone() -> None:
    at = torch.ones(1, 1, 1)
    assert not SnnTorchLeaky(surrogate=ATan())(at, 1).any()
    assert lif(0.5, 1.0, "hard")(at, 1).all()


@has_snntorch
def test_a_synaptic_neuron_fires_as_its_two_equations_say() -> None:
    neuron = SnnTorchSynaptic(SnnTorchSynapticConfig(0.5, 0.5, 1.0, "subtract"), surrogate=ATan())
    # I: 1, 0.5, 0.25, 0.125; U: 1, 0.5 + 0.5, 0.5 + 0.25, ... stays at 1 or below: silent
    assert not neuron(torch.tensor([1.0, 0, 0, 0]).view(4, 1, 1), 4).any()
    # I: 1.5, 0.75, 0.375; U: 1.5 fires; 0.75 + 0.75 - 1 = 0.5; 0.25 + 0.375
    assert neuron(torch.tensor([1.5, 0, 0]).view(3, 1, 1), 3).flatten().tolist() == [1, 0, 0]
    zero = SnnTorchSynaptic(SnnTorchSynapticConfig(0.5, 0.5, 1.0, "zero"), surrogate=ATan())
    # U: 3 fires; at rest; 0.75 of I = 3, 1.5, 0.75; then 0.375 + 0.375
    assert zero(torch.tensor([3.0, 0, 0, 0]).view(4, 1, 1), 4).flatten().tolist() == [1, 0, 0, 0]


@has_spikingjelly
def test_a_quadratic_neuron_climbs_by_itself_from_its_critical_potential() -> None:
    neuron = SpikingJellyQIF(SpikingJellyQIFConfig(tau=1.25, critical=0.5, a=1.25, threshold=1.0), surrogate=ATan())
    # H = X / 1.25, then V + V (V - 0.5): 0.4 falls, 0.9 + 0.36 = 1.26 fires
    below, above = (neuron(torch.tensor([x, 0.0]).view(2, 1, 1), 2).flatten().tolist() for x in (0.5, 1.125))
    assert (below, above) == ([0, 0], [0, 1])


@has_snntorch
def test_snntorch_keeps_no_neuron_and_no_state() -> None:
    from snntorch._neurons.neurons import SpikingNeuron

    before = len(SpikingNeuron.instances)
    neuron = SnnTorchSynaptic(surrogate=ATan())
    neuron(currents(), 8)
    assert len(SpikingNeuron.instances) == before
    assert all(held.numel() <= 1 for held in neuron.buffers())


def test_what_they_cost() -> None:
    if importlib.util.find_spec("snntorch"):
        assert SnnTorchLeaky(surrogate=ATan()).update_operations() == Operations(adds=2, shifts=1)
        assert SnnTorchLeaky(surrogate=ATan()).spike_operations() == Operations(adds=1)
    if importlib.util.find_spec("spikingjelly"):
        assert SpikingJellyLIF(surrogate=ATan()).update_operations() == LIF(surrogate=ATan()).update_operations()
        assert SpikingJellyQIF(surrogate=ATan()).update_operations() == Operations(adds=4, multiplies=2)


def test_they_are_searched_where_they_are_named_only() -> None:
    registry = load_registry(third_parties=False)
    for name, entry in registry.entries["neuron"].items():
        if name.startswith(("snntorch-", "spikingjelly-")):
            assert entry.plugin.named_only


@has_spikingjelly
def test_the_neuron_of_the_page_on_libraries_is_a_plugin_that_learns_its_time_constant(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs/libraries.md").read_text(encoding="utf-8")
    (tmp_path / "parametric.py").write_text(page.partition("```python\n")[2].partition("```")[0], encoding="utf-8")
    registry = load_registry([tmp_path], third_parties=False)
    assert registry.problems == {}
    plugin = registry.get("neuron", "spikingjelly-plif")
    theirs, ours = plugin(surrogate=ATan()), PLIF(PLIFConfig(init_tau=2.0), surrogate=ATan())
    assert_alike(ours, theirs, currents())
    theirs(currents(), 8).sum().backward()
    assert theirs.cell.w.grad
