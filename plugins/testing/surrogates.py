"""The contract of a surrogate gradient."""

from __future__ import annotations

import torch

from spikefront.plugins.contracts import Surrogate
from spikefront.plugins.registry import load_registry
from spikefront.plugins.testing.base import PluginContract, sample_configs


class SurrogateContract(PluginContract):
    """What every surrogate gradient must do."""

    kind = "surrogate"

    def test_is_elementwise_and_keeps_shape_dtype_and_device(self, plugin: type[Surrogate]) -> None:
        for surrogate in sample_configs(plugin.Config):
            for dtype in (torch.float32, torch.float64):
                x = torch.linspace(-2, 2, 24, dtype=dtype).view(2, 3, 4)
                before = x.clone()
                y = surrogate(x)
                assert y.shape == x.shape
                assert y.dtype == dtype
                assert torch.equal(x, before), "x must not be changed"
                torch.testing.assert_close(surrogate(x.flatten().flip(0)), y.flatten().flip(0))
                torch.testing.assert_close(surrogate(x[1, 2, 3:]), y[1, 2, 3:])
            assert surrogate(torch.empty(5, device="meta")).device.type == "meta"

    def test_is_finite_and_not_negative(self, plugin: type[Surrogate]) -> None:
        x = torch.cat([torch.linspace(-3, 3, 601), torch.tensor([-1e4, -50.0, 50.0, 1e4])])
        for surrogate in sample_configs(plugin.Config):
            y = surrogate(x)
            assert y.isfinite().all()
            assert (y >= 0).all()
            assert y[x.abs() <= 1].any(), "no gradient passes near the threshold"

    def test_quotient_is_the_derivative(self, plugin: type[Surrogate]) -> None:
        x = torch.linspace(-3, 3, 601, dtype=torch.float64)
        for surrogate in sample_configs(plugin.Config):
            quotient = surrogate.quotient()
            if quotient is not None:
                torch.testing.assert_close(quotient(x), surrogate(x), rtol=1e-7, atol=1e-7)

    def test_exponential_is_the_derivative(self, plugin: type[Surrogate]) -> None:
        x = torch.linspace(-3, 3, 601, dtype=torch.float64)
        for surrogate in sample_configs(plugin.Config):
            exponential = surrogate.exponential()
            if exponential is not None:
                torch.testing.assert_close(exponential(x), surrogate(x), rtol=1e-7, atol=1e-7)

    def test_trains_a_spiking_layer(self, plugin: type[Surrogate]) -> None:
        lif = load_registry(third_parties=False).get("neuron", "lif")
        x, target = torch.rand(1, 64, 20), (torch.rand(64, 8) < 0.5).float()
        for surrogate in sample_configs(plugin.Config, count=5):
            torch.manual_seed(0)
            weight = (torch.randn(20, 8) / 4).requires_grad_()
            spikes = lif(surrogate=surrogate)(x @ weight, 6)
            (spikes.mean(0) - target).square().mean().backward()
            assert weight.grad is not None
            assert weight.grad.isfinite().all()
            assert weight.grad.any()
