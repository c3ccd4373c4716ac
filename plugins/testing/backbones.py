"""The contract of a backbone."""

from __future__ import annotations

import torch

from spikefront.plugins.contracts import (
    Backbone,
)
from spikefront.plugins.registry import load_registry
from spikefront.plugins.signal import Kind, Signal
from spikefront.plugins.testing.base import (
    NumberedSites,
    PluginContract,
    assert_honest,
    sample_configs,
)
from spikefront.searchspace import UsageError


class BackboneContract(PluginContract):
    """What every backbone must do."""

    kind = "backbone"

    def test_turns_any_signal_into_outputs_over_time(self, plugin: type[Backbone]) -> None:
        for input_shape in ((1, 8, 8), (3, 32, 32)):
            for length, kind in ((3, Kind.BINARY), (1, Kind.ANALOG)):
                backbone, _ = _build(plugin, input_shape)
                out = backbone(Signal(torch.randint(0, 2, (length, 2, *input_shape)).float(), 3, kind))
                assert out.values.shape == (3, 2, 5)
                assert out.steps == 3
                assert_honest(out.values, out.kind)

    def test_reaches_its_sites_in_the_order_it_asked_for_them(self, plugin: type[Backbone]) -> None:
        for config in sample_configs(plugin.Config, count=5):
            backbone, sites = _build(plugin, (3, 32, 32), config)
            backbone(Signal(torch.rand(2, 2, 3, 32, 32), 2, Kind.ANALOG))
            assert sites.made
            assert sites.reached == list(range(len(sites.made)))

    def test_takes_a_small_input_or_says_why_not(self, plugin: type[Backbone]) -> None:
        for input_shape in ((1, 1, 1), (1, 2, 2), (2, 3, 5), (1, 1, 16)):
            for config in sample_configs(plugin.Config, count=5):
                try:
                    backbone, _ = _build(plugin, input_shape, config)
                except UsageError:
                    continue
                assert backbone(Signal(torch.rand(2, 2, *input_shape), 2, Kind.ANALOG)).values.shape == (2, 2, 5)

    def test_gradient_reaches_every_parameter(self, plugin: type[Backbone]) -> None:
        backbone, _ = _build(plugin, (1, 8, 8))
        out = backbone(Signal(torch.rand(1, 4, 1, 8, 8), 4, Kind.ANALOG))
        (out.decoded() * torch.randn_like(out.decoded())).sum().backward()
        for name, parameter in backbone.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name

    def test_sampled_configs_construct_and_run(self, plugin: type[Backbone]) -> None:
        for config in sample_configs(plugin.Config):
            try:
                backbone, _ = _build(plugin, (1, 8, 8), config)
            except UsageError:  # too deep for an input this small
                continue
            assert backbone(Signal(torch.rand(2, 2, 1, 8, 8), 2, Kind.ANALOG)).values.shape == (2, 2, 5)


def _build(plugin: type[Backbone], shape: tuple[int, ...], config: object = None) -> tuple[Backbone, NumberedSites]:
    torch.manual_seed(0)
    sites = NumberedSites(load_registry(third_parties=False).get("neuron", "lif"))
    backbone = plugin(config, input_shape=shape, outputs=5, sites=sites)
    sites.finish()
    return backbone, sites
