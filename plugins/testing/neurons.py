"""The contract of a neuron."""

from __future__ import annotations

import torch

from spikefront.plugins.contracts import (
    Neuron,
)
from spikefront.plugins.surrogates.atan import ATan
from spikefront.plugins.testing.base import (
    PluginContract,
    assert_honest,
    assert_priced,
    sample_configs,
)


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

    def test_states_its_operations(self, plugin: type[Neuron]) -> None:
        for config in sample_configs(plugin.Config):
            neuron = plugin(config, surrogate=ATan())
            assert_priced(neuron.update_operations())
            assert_priced(neuron.spike_operations())
