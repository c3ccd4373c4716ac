"""The contract of a neuron."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from spikefront.plugins.checks.probe import SAMPLES as SAMPLES_OF_A_PROBE
from spikefront.plugins.codings.direct import Direct
from spikefront.plugins.contracts import Neuron
from spikefront.plugins.surrogates.atan import ATan
from spikefront.plugins.testing.base import (
    PluginContract,
    assert_honest,
    assert_priced,
    sample_configs,
)
from spikefront.plugins.testing.properties import assert_network_sound, assert_sound, network_of

PLACES: Final = 0.01
"""Share of values that rounding may change where a batch is laid out otherwise."""


class NeuronContract(PluginContract):
    """What every neuron must do."""

    kind = "neuron"

    def test_emits_one_value_per_neuron_and_step(self, plugin: type[Neuron]) -> None:
        for config in sample_configs(plugin.Config):
            for shape in ((4, 3, 7), (4, 3, 2, 5, 6), (1, 3, 7)):
                for dtype in (torch.float32, torch.float64):
                    current = 2 * torch.randn(shape, dtype=dtype)
                    spikes = plugin(config, surrogate=ATan())(current, 4)
                    assert spikes.shape == (4, *shape[1:])
                    assert spikes.dtype == dtype
                    assert_honest(spikes, plugin.kind)

    def test_keeps_the_memory_layout(self, plugin: type[Neuron]) -> None:
        for length in (4, 1):
            flat = torch.randn(length * 3, 5, 6, 7).to(memory_format=torch.channels_last)
            spikes = plugin(surrogate=ATan())(flat.unflatten(0, (length, 3)), 4)
            assert spikes.flatten(0, 1).is_contiguous(memory_format=torch.channels_last)
            contiguous = flat.contiguous().unflatten(0, (length, 3))
            assert plugin(surrogate=ATan())(contiguous, 4).is_contiguous()

    def test_constant_current_equals_the_current_repeated(self, plugin: type[Neuron]) -> None:
        torch.manual_seed(0)
        constant = (2 * torch.randn(1, 3, 50)).requires_grad_()
        weight = torch.randn(6, 3, 50)
        for config in sample_configs(plugin.Config):
            neuron = plugin(config, surrogate=ATan())
            spikes, repeated = neuron(constant, 6), neuron(constant.repeat(6, 1, 1), 6)
            assert torch.equal(spikes, repeated)
            leaves = [constant, *neuron.parameters()]
            torch.testing.assert_close(
                torch.autograd.grad((spikes * weight).sum(), leaves),
                torch.autograd.grad((repeated * weight).sum(), leaves),
                rtol=1e-4,
                atol=1e-5,
            )

    def test_silent_without_current(self, plugin: type[Neuron]) -> None:
        for config in sample_configs(plugin.Config):
            assert not plugin(config, surrogate=ATan())(torch.zeros(5, 2, 3), 5).any()

    def test_gradient_reaches_the_current_and_every_parameter(self, plugin: type[Neuron]) -> None:
        for config in sample_configs(plugin.Config):
            neuron = plugin(config, surrogate=ATan())
            current = torch.randn(5, 2, 20, requires_grad=True)
            neuron(current, 5).mul(torch.randn(5, 2, 20)).sum().backward()
            for leaf in (current, *neuron.parameters()):
                assert leaf.grad is not None
                assert leaf.grad.isfinite().all()
                assert leaf.grad.any()

    def test_keeps_no_state_between_calls(self, plugin: type[Neuron]) -> None:
        for config in sample_configs(plugin.Config):
            neuron = plugin(config, surrogate=ATan())
            current = 2 * torch.randn(5, 2, 20)
            torch.manual_seed(0)
            first = neuron(current, 5)
            neuron(current[:, :1], 5)  # another batch size
            torch.manual_seed(0)
            assert torch.equal(neuron(current, 5), first)

    def test_samples_and_later_steps_do_not_matter_at_inference(self, plugin: type[Neuron]) -> None:
        for config in sample_configs(plugin.Config):
            neuron = plugin(config, surrogate=ATan()).eval()
            for length in (6, 1):
                current, other = (scale * torch.randn(length, SAMPLES_OF_A_PROBE, 40) for scale in (2, 4))

                def call(inputs: list[Tensor], neuron: Neuron = neuron) -> tuple[Tensor, int]:
                    return neuron(inputs[0], 6), neuron.delay_over(6)

                assert_sound(f"neuron {plugin.name!r}", call, [current], [other])

    def test_spikes_do_not_depend_on_how_many_steps_follow(self, plugin: type[Neuron]) -> None:
        for config in sample_configs(plugin.Config):
            neuron = plugin(config, surrogate=ATan()).eval()
            current = 2 * torch.randn(6, 3, 40)
            for steps in range(1 + neuron.delay_over(6), 6):
                known = steps - neuron.delay_over(6)  # the others answer to currents that are not there
                assert torch.equal(neuron(current[:steps], steps)[:known], neuron(current, 6)[:known]), (
                    f"neuron {plugin.name!r}: the spikes of {steps} steps are not the first ones of 6"
                )
                weights = neuron.step_weights(6, current)
                if weights is not None:
                    fewer = neuron.step_weights(steps, current)
                    assert fewer is not None
                    assert torch.equal(fewer[:known], weights[:known]), "what a spike is worth depends on T"

    def test_steps_one_by_one_fire_as_a_run_does(self, plugin: type[Neuron]) -> None:
        if not plugin.states_a_step():
            return
        for config in sample_configs(plugin.Config):
            neuron = plugin(config, surrogate=ATan())
            assert neuron.delay_over(6) == 0, "a neuron of a recurrent layer answers at once"
            assert plugin.operations is Neuron.operations, "a recurrent layer charges update_operations()"
            current = (2 * torch.randn(6, 3, 40)).requires_grad_()
            run, weight = neuron(current, 6), torch.randn(6, 3, 40)
            assert neuron.step_weights(6, current) is None
            assert not neuron.emits_changes
            spikes, state = [], None
            for x in current:
                fired, state = neuron.step(x, state)
                spikes.append(fired)
            stepped = torch.stack(spikes)
            assert torch.equal(stepped, run), f"neuron {plugin.name!r}: step() fires otherwise than forward()"
            leaves = [current, *neuron.parameters()]
            torch.testing.assert_close(
                torch.autograd.grad((stepped * weight).sum(), leaves),
                torch.autograd.grad((run * weight).sum(), leaves),
                rtol=1e-4,
                atol=1e-5,
            )

    def test_neurons_of_a_layer_do_not_matter_to_each_other(self, plugin: type[Neuron]) -> None:
        for config in sample_configs(plugin.Config):
            neuron = plugin(config, surrogate=ATan()).eval()
            for shape in ((5, 3, 40), (5, 3, 4, 5, 8)):
                current = 2 * torch.randn(shape)
                other = torch.where(torch.arange(shape[-1]) < 4, current, 4 * torch.randn(shape))
                assert torch.equal(neuron(current, 5)[..., :4], neuron(other, 5)[..., :4]), (
                    f"neuron {plugin.name!r}: a neuron's spikes depend on the currents of others in its layer"
                )

    def test_the_place_in_a_batch_does_not_matter(self, plugin: type[Neuron]) -> None:
        for config in sample_configs(plugin.Config):
            neuron = plugin(config, surrogate=ATan()).eval()
            current = 2 * torch.randn(5, 6, 40)
            differ = neuron(current.flip(1), 5).flip(1) != neuron(current, 5)
            assert differ.double().mean() < PLACES, "a sample fires otherwise at another place of the batch"

    def test_training_and_inference_fire_alike(self, plugin: type[Neuron]) -> None:
        for config in sample_configs(plugin.Config):
            neuron = plugin(config, surrogate=ATan())
            current = 2 * torch.randn(5, 3, 40)
            trained = neuron.train()(current, 5)
            assert torch.equal(neuron.eval()(current, 5), trained), "it fires otherwise at inference than in training"

    def test_networks_of_it_are_sound_and_everything_is_counted(self, plugin: type[Neuron]) -> None:
        for config in sample_configs(plugin.Config, count=5):
            network = network_of(Direct(steps=4), (1, 4, 4), neuron=plugin, configs=(config, None))
            assert_network_sound(network, torch.rand(6, 1, 4, 4))

    def test_states_its_operations(self, plugin: type[Neuron]) -> None:
        for config in sample_configs(plugin.Config):
            neuron = plugin(config, surrogate=ATan())
            update = neuron.update_operations()
            assert_priced(update)
            assert update.adds + update.multiplies > 0, (
                "an update costs nothing; comparing with a threshold is an addition"
            )
            assert_priced(neuron.spike_operations())

    def test_delay_is_a_whole_number_of_steps(self, plugin: type[Neuron]) -> None:
        for config in sample_configs(plugin.Config):
            delay = plugin(config, surrogate=ATan()).delay_over(4)
            assert delay >= 0, f"delay is {delay} steps: a spike can't come before its current"
            assert delay == int(delay)
