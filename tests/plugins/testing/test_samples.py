from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import pytest
import torch
from torch import Tensor

from spikefront.plugins import Coding, Kind, Neuron, Signal
from spikefront.plugins.surrogates.atan import ATan
from spikefront.plugins.testing import CodingContract, NeuronContract, sample_configs
from spikefront.searchspace import PINNED, Choice, Float, Int, When


@dataclass(frozen=True, slots=True)
class Config:
    mode: Annotated[str, Choice(("a", "b")), PINNED] = "a"
    gain: Annotated[float, Float(0.0, 1.0), When("mode", ("b",))] = 0.5
    taps: Annotated[int, Int(1, 7, step=2)] = 3


class Broken(Coding):
    """A coding with a fault in every method."""

    name = "broken"

    def encode(self, x: Tensor) -> Signal:
        noise = x.sum() + torch.rand(()) * 0  # one sample's code depends on the others
        return Signal((x * noise).detach().expand(self.steps, *x.shape), self.steps, Kind.ANALOG)

    def decode(self, output: Signal) -> Tensor:
        return output.values

    def metrics(self) -> dict[str, float]:
        return {"entropy": 1.0}


class Dishonest(Coding):
    """Declares spikes, carries anything."""

    name = "dishonest"

    def encode(self, x: Tensor) -> Signal:
        return Signal(x.unsqueeze(0), self.steps, Kind.BINARY)


class Stateful(Neuron):
    """Remembers its last call."""

    name = "stateful"
    charge = 0.0

    def forward(self, current: Tensor, steps: int) -> Tensor:
        self.charge += 1.0
        return (current * self.charge > 3).to(current.dtype).expand(steps, *current.shape[1:])


@pytest.mark.parametrize(
    ("test", "plugin"),
    [
        (CodingContract.test_encodes_with_time_first, Dishonest),
        (CodingContract.test_one_sample_is_coded_as_in_a_batch, Broken),
        (CodingContract.test_gradient_reaches_the_input_unless_it_spikes, Broken),
        (CodingContract.test_decodes_to_one_value_per_output, Broken),
        (CodingContract.test_metrics_are_numbers_under_its_own_name, Broken),
        (NeuronContract.test_keeps_no_state_between_calls, Stateful),
        (NeuronContract.test_gradient_reaches_the_current_and_every_parameter, Stateful),
    ],
)
def test_contract_catches_the_fault(test: Any, plugin: type) -> None:
    contract = CodingContract() if issubclass(plugin, Coding) else NeuronContract()
    with pytest.raises((AssertionError, RuntimeError)):
        test(contract, plugin)


def test_sampled_configs_draw_everything_that_is_active() -> None:
    configs = sample_configs(Config)
    assert {config.mode for config in configs} == {"a", "b"}
    assert {config.taps for config in configs} == {1, 3, 5, 7}
    assert all(config.gain == 0.5 for config in configs if config.mode == "a")
    assert any(config.gain != 0.5 for config in configs if config.mode == "b")


def test_tighter_domains_replace_the_fields_own() -> None:
    assert {config.taps for config in sample_configs(Config, tighter={"taps": Choice((3,))})} == {3}


def test_stateful_neuron_fires() -> None:
    neuron = Stateful(surrogate=ATan())
    assert [bool(neuron(torch.ones(1, 1), 1).any()) for _ in range(4)] == [False, False, False, True]
