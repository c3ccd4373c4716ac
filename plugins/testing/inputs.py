"""The contract of a coding with inputs in time: frames of events, sequences and spikes."""

from __future__ import annotations

import torch

from spikefront.plugins.contracts import Coding, Neuron
from spikefront.plugins.network.signal import Kind
from spikefront.plugins.testing.base import (
    SAMPLES,
    PluginContract,
    assert_honest,
    assert_priced,
    built_in,
    sample_configs,
)
from spikefront.plugins.testing.properties import assert_network_sound, network_of


class InputsContract(PluginContract):
    """What a coding must do with each kind of input that it takes."""

    kind = "coding"

    def neuron(self, plugin: type[Coding]) -> type[Neuron]:
        """Return a neuron that the coding goes with."""
        neurons = built_in().entries["neuron"]
        name = min(plugin.neurons or {"lif"})
        assert name in neurons, f"override neuron(): {name!r} is not built in"
        plugin_class: type[Neuron] = neurons[name].plugin
        return plugin_class

    def test_passes_events_on_as_events(self, plugin: type[Coding]) -> None:
        if "events" not in plugin.inputs:
            return
        for steps in spans(plugin):
            frames = torch.randint(0, 4, (steps, 3, 2, 8, 8)).float()
            signal = plugin(steps=steps).encode_events(frames)
            assert signal.kind is not Kind.ANALOG  # whose synapses would multiply
            assert signal.values.shape == (steps, 3, *plugin(steps=steps).encoded_shape((2, 8, 8)))
            assert_honest(signal.values, signal.kind)

    def test_codes_sequences_point_by_point(self, plugin: type[Coding]) -> None:
        if "sequences" not in plugin.inputs:
            return
        for config in sample_configs(plugin.Config, count=SAMPLES // 3):
            for per_point in (1, 3):
                points, steps = torch.rand(8, 6, 4), 8 * per_point
                coding = plugin(config, steps=steps)
                torch.manual_seed(0)
                code = coding.encode_sequences(points)
                assert code.steps == len(code.values) == steps
                assert code.values.shape[1:] == (6, *coding.encoded_shape((4,)))
                assert_honest(code.values, code.kind)
                assert_priced(coding.encode_operations(points, code))
                network = network_of(coding, (4,), neuron=self.neuron(plugin), inputs="sequences")
                assert_network_sound(network, points.transpose(0, 1), "sequences")

    def test_passes_spikes_on_as_events_at_the_first_step_of_their_time(self, plugin: type[Coding]) -> None:
        if "spikes" not in plugin.inputs:
            return
        for config in sample_configs(plugin.Config, count=SAMPLES // 3):
            for per_time in (1, 3):
                spikes = torch.randint(0, 4, (6, 8, 4)).float()
                coding = plugin(config, steps=8 * per_time)
                network = network_of(coding, (4,), neuron=self.neuron(plugin), inputs="spikes")
                torch.manual_seed(0)
                code = network.encode(spikes)
                assert code.kind is not Kind.ANALOG  # whose synapses would multiply
                assert code.values.shape == (8 * per_time, 6, *coding.encoded_shape((4,)))
                assert_honest(code.values, code.kind)
                assert_priced(network.encode_operations(spikes, code))
                assert_network_sound(network, spikes, "spikes")


def spans(plugin: type[Coding]) -> list[int]:
    """Return the fewest, some and the most time steps that a coding is searched over."""
    return sorted({plugin.step_range.low, some_steps(plugin), min(plugin.step_range.high, 32)})


def some_steps(plugin: type[Coding]) -> int:
    """Return a number of time steps that a coding is searched over: 5, or what is nearest."""
    return min(max(plugin.step_range.low, 5), plugin.step_range.high)
