"""NeuroBench's metrics beside its harness, and beside loops over every product, on three nets.

``neurobench.json`` has what ``run_neurobench.py`` printed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest
import torch
import torch.nn.functional as F
from tests.runners.judging.neurobench_nets import (
    KEEP,
    NETS,
    SAMPLES,
    STEPS,
    THRESHOLD,
    built,
    feedback,
    inputs,
    network,
    site,
)
from tests.runners.judging.test_counting import Chain, Given
from torch import Tensor, nn

from spikefront.plugins import Kind, Synapse
from spikefront.plugins.neurons.alif import ALIF
from spikefront.plugins.neurons.integrate_and_fire import IF, IFConfig
from spikefront.plugins.neurons.lif import LIF, LIFConfig
from spikefront.plugins.neurons.qb_lif import QBLIF, QBLIFConfig
from spikefront.plugins.surrogates.atan import ATan
from spikefront.runners.judging.network import Network
from spikefront.runners.judging.neurobench import complexity

THEIRS: Final[dict[str, Any]] = json.loads(Path(__file__).with_name("neurobench.json").read_text())["nets"]


@pytest.mark.parametrize("name", NETS)
def test_metrics_are_those_of_the_harness(name: str) -> None:
    found, theirs = complexity(network(name), torch.zeros(SAMPLES, 1)), THEIRS[name]
    ours = found.results()
    assert set(ours) == set(theirs)
    assert ours["Footprint"] == theirs["Footprint"]
    assert round(found.connection_sparsity, 4) == theirs["ConnectionSparsity"]
    assert ours["ActivationSparsity"] == pytest.approx(theirs["ActivationSparsity"], abs=1e-12)
    assert ours["SynapticOperations"] == pytest.approx(theirs["SynapticOperations"], abs=1e-9)
    assert ours["MembraneUpdates"] == pytest.approx(theirs["MembraneUpdates"], abs=1e-9)
    assert 0 < found.connection_sparsity < 1
    assert 0 < found.activation_sparsity < 1


class Loops:
    """The three nets, step by step, with a look at every product."""

    def __init__(self) -> None:
        self.macs = self.acs = self.dense = self.silent = self.outputs = self.updates = 0

    def products(self, weight: Tensor, x: Tensor, *, padding: int = 0) -> None:
        columns = F.unfold(F.pad(x, (padding,) * 4), 3) if x.dim() == 4 else x.unsqueeze(2)
        there = F.unfold(F.pad(torch.ones_like(x), (padding,) * 4), 3) if x.dim() == 4 else torch.ones_like(columns)
        plain = set(x.unique().tolist()) <= {-1.0, 0.0, 1.0}
        for row in weight.flatten(1):
            done = int(((columns != 0) & (row.view(1, -1, 1) != 0)).sum())
            self.dense += int(there.sum())
            self.acs += done if plain else 0
            self.macs += 0 if plain else done

    def neurons(self, v: Tensor | None, current: Tensor) -> tuple[Tensor, Tensor]:
        before = torch.zeros_like(current) if v is None else v
        h = KEEP * before + current
        fired = (h >= THRESHOLD).float()
        after = h * (1 - fired)
        self.silent += int((fired == 0).sum())
        self.outputs += fired.numel()
        self.updates += after.numel() if v is None else int((after != before).sum())
        return fired, after


@pytest.mark.parametrize("name", NETS)
def test_metrics_are_those_of_a_look_at_every_product(name: str) -> None:
    layers = [built(one) for one in NETS[name]]
    loops, given = Loops(), inputs(name)
    held: dict[int, Tensor] = {}
    spikes: dict[int, Tensor] = {}
    for t in range(STEPS):
        x = given[t if len(given) > 1 else 0]
        for number, layer in enumerate(layers):
            match NETS[name][number]:
                case ("conv", *_):
                    loops.products(layer.weight.weight, x, padding=1)
                    x = layer.weight(x)
                case ("linear", *_):
                    loops.products(layer.weight.weight, x)
                    x = layer.weight(x)
                case ("recurrent", channels, _):
                    back = spikes.get(number, torch.zeros(SAMPLES, channels))
                    loops.products(feedback(channels), back)
                    x, held[number] = loops.neurons(held.get(number), x + back @ feedback(channels).T)
                    spikes[number] = x
                case ("lif",):
                    x, held[number] = loops.neurons(held.get(number), x)
                case ("pool",):
                    x = F.avg_pool2d(x, 2)
                case ("flatten",):
                    x = x.flatten(1)
    ours = complexity(network(name), torch.zeros(SAMPLES, 1))
    assert ours.effective_macs * SAMPLES == loops.macs
    assert ours.effective_acs * SAMPLES == loops.acs
    assert ours.dense * SAMPLES == loops.dense
    assert ours.activation_sparsity == pytest.approx(loops.silent / loops.outputs)
    assert ours.membrane_updates is not None
    assert ours.membrane_updates * SAMPLES == loops.updates
    parameters = network(name).parameters()
    assert ours.footprint == 4 * sum(one.numel() for one in parameters)


def test_a_constant_scale_folds_into_weights_and_counts_above_one_are_multiplied() -> None:
    first, second = nn.Linear(1, 1, bias=False), nn.Linear(1, 2, bias=False)
    nn.init.ones_(first.weight)
    neuron = QBLIF(QBLIFConfig(tau=2.0, most=4, init_scale=0.5), surrogate=ATan())
    chain = Chain(Synapse(first), site(neuron), Synapse(second))
    x = torch.tensor([[[0.5]], [[1.5]]])  # one spike, then three
    found = complexity(Network(Given(x, Kind.ANALOG), chain), torch.zeros(1, 1))
    assert (found.effective_acs, found.effective_macs) == (2, 2 + 2)  # that of step 1; the inputs, and that of step 2


@pytest.mark.parametrize("reset", ["hard", "soft"])
def test_a_step_that_leaves_the_potential_is_no_update(reset: str) -> None:
    weight = nn.Linear(1, 1, bias=False)
    nn.init.ones_(weight.weight)
    current = torch.tensor([0.001, 0.003, 0.0, 0.5]).view(4, 1, 1)  # less than a chip tells from nothing
    for neuron in (IF(IFConfig(reset=reset), surrogate=ATan()), LIF(LIFConfig(tau=2.0, reset=reset), surrogate=ATan())):
        chain = Chain(Synapse(weight), site(neuron))
        found = complexity(Network(Given(current, Kind.ANALOG), chain), torch.zeros(1, 1))
        assert found.membrane_updates == 3 + isinstance(neuron, LIF)  # in the third step only a leak changes it


def test_neurons_that_do_not_state_their_potential_leave_updates_unknown() -> None:
    chain = Chain(Synapse(nn.Linear(2, 2)), site(ALIF(surrogate=ATan())))
    found = complexity(Network(Given(torch.ones(2, 3, 2), Kind.BINARY), chain), torch.zeros(3, 1))
    assert found.membrane_updates is None
    assert found.unstated == ("alif",)
    assert found.results()["MembraneUpdates"] is None
