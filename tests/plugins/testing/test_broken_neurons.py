"""The contract tests of neurons catch each of these faults, with a message that names what is broken."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from spikefront.plugins import Neuron, Operations
from spikefront.plugins.neurons.lif import LIF
from spikefront.plugins.testing import NeuronContract


class Backwards(LIF):
    """Runs time backwards."""

    name = "backwards"

    def forward(self, current: Tensor, steps: int) -> Tensor:
        return super().forward(current.flip(0), steps).flip(0)


class LooksAhead(LIF):
    """Is driven by the next step, too, but says that it does not wait."""

    name = "looks-ahead"

    def forward(self, current: Tensor, steps: int) -> Tensor:
        return super().forward((current + current.roll(-1, 0)) / 2, steps)


class SubtractsTheMean(LIF):
    """Subtracts the mean of the batch."""

    name = "subtracts-the-mean"

    def forward(self, current: Tensor, steps: int) -> Tensor:
        return super().forward(current - current.mean(1, keepdim=True), steps)


class DividesByTheMaximum(LIF):
    """Divides by the maximum of the layer, in each sample and step."""

    name = "divides-by-the-maximum"

    def forward(self, current: Tensor, steps: int) -> Tensor:
        largest = current.flatten(2).abs().amax(2).clamp_min(1e-6)
        return super().forward(3 * current / largest.view(*largest.shape, *[1] * (current.dim() - 2)), steps)


class Free(LIF):
    """Says that an update costs nothing."""

    name = "free"

    def update_operations(self) -> Operations:
        return Operations()


class Early(LIF):
    """Fires before its current."""

    name = "early"

    @property
    def delay(self) -> int:
        return -2


class Tires(LIF):
    """Counts its calls in a threshold."""

    name = "tires"
    calls = 0

    def forward(self, current: Tensor, steps: int) -> Tensor:
        self.calls += 1
        return super().forward(current / self.calls, steps)


class WeighsPlaces(LIF):
    """Is driven harder at the end of a batch."""

    name = "weighs-places"

    def forward(self, current: Tensor, steps: int) -> Tensor:
        return super().forward(current * torch.linspace(0.5, 1.5, current.shape[1]).unsqueeze(1), steps)


class QuietAtInference(LIF):
    """Fires half as often at inference."""

    name = "quiet-at-inference"

    def forward(self, current: Tensor, steps: int) -> Tensor:
        return super().forward(current if self.training else current / 2, steps)


class Recurrent(LIF):
    """Multiplies its current by weights that nobody counts."""

    name = "recurrent"

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.linear = nn.LazyLinear(128)

    def forward(self, current: Tensor, steps: int) -> Tensor:
        return super().forward(self.linear(current), steps)


class CountsSteps(LIF):
    """Gets a stronger current the more steps there are."""

    name = "counts-steps"

    def forward(self, current: Tensor, steps: int) -> Tensor:
        return super().forward(current * steps, steps)


SOUND = NeuronContract.test_samples_and_later_steps_do_not_matter_at_inference


@pytest.mark.parametrize(
    ("test", "plugin", "message"),
    [
        (SOUND, Backwards, "neuron 'backwards' sees the future"),
        (SOUND, LooksAhead, "neuron 'looks-ahead' sees the future"),
        (SOUND, SubtractsTheMean, "neuron 'subtracts-the-mean' mixes the samples"),
        (SOUND, Tires, "neuron 'tires' keeps state"),
        (SOUND, Early, "neuron 'early' has a delay of -2 steps"),
        (
            NeuronContract.test_neurons_of_a_layer_do_not_matter_to_each_other,
            DividesByTheMaximum,
            "others in its layer",
        ),
        (NeuronContract.test_spikes_do_not_depend_on_how_many_steps_follow, CountsSteps, "not the first ones of 6"),
        (NeuronContract.test_states_its_operations, Free, "an update costs nothing"),
        (NeuronContract.test_delay_is_a_whole_number_of_steps, Early, "delay is -2 steps"),
        (NeuronContract.test_the_place_in_a_batch_does_not_matter, WeighsPlaces, "another place of the batch"),
        (NeuronContract.test_training_and_inference_fire_alike, QuietAtInference, "otherwise at inference"),
        (
            NeuronContract.test_networks_of_it_are_sound_and_everything_is_counted,
            Recurrent,
            "neuron 'recurrent' of spiking layer 0, linear .* computes products that nobody counts",
        ),
    ],
)
def test_fault_is_caught_by_name(test: Any, plugin: type[Neuron], message: str) -> None:
    torch.manual_seed(0)
    with pytest.raises((AssertionError, ValueError), match=message):
        test(NeuronContract(), plugin)
