"""The contract of a backbone."""

from __future__ import annotations

import math

import pytest
import torch

from spikefront.plugins.checks.probe import fit_norms
from spikefront.plugins.checks.uncounted import UncountedWork
from spikefront.plugins.codings.direct import Direct
from spikefront.plugins.contracts import Backbone
from spikefront.plugins.contracts.network import Network
from spikefront.plugins.network.signal import Kind, Signal
from spikefront.plugins.testing.base import (
    NumberedSites,
    PluginContract,
    assert_honest,
    built_in,
    sample_configs,
)
from spikefront.plugins.testing.properties import assert_network_sound, network_of
from spikefront.searchspace import UsageError


class BackboneContract(PluginContract):
    """What every backbone must do. One that makes images is asked for two channels of the size that it is given."""

    kind = "backbone"

    def test_turns_any_signal_into_outputs_over_time(self, plugin: type[Backbone]) -> None:
        for input_shape in ((1, 8, 8), (3, 32, 32)):
            for length, kind in ((3, Kind.BINARY), (1, Kind.ANALOG)):
                backbone, _ = _build(plugin, input_shape)
                out = backbone(Signal(torch.randint(0, 2, (length, 2, *input_shape)).float(), 3, kind))
                assert out.values.shape == (3, 2, _outputs(plugin, input_shape))
                assert out.steps == 3
                assert_honest(out.values, out.kind)

    def test_reaches_its_sites_in_the_order_it_asked_for_them(self, plugin: type[Backbone]) -> None:
        for config in sample_configs(plugin.Config, count=5):
            backbone, sites = _build(plugin, (3, 32, 32), config)
            backbone(Signal(torch.rand(2, 2, 3, 32, 32), 2, Kind.ANALOG))
            assert sites.made
            first_times = list(dict.fromkeys(sites.reached))  # what feeds back is run again
            assert first_times == list(range(len(sites.made)))

    def test_networks_of_it_are_sound_and_everything_is_counted(self, plugin: type[Backbone]) -> None:
        for config in sample_configs(plugin.Config, count=5):
            try:
                network = _network(plugin, (1, 8, 8), config)
            except UsageError:
                continue
            assert_network_sound(network, torch.rand(6, 1, 8, 8))

    def test_draws_nothing_at_inference(self, plugin: type[Backbone]) -> None:
        if plugin.output == "images":  # whose latents may be drawn
            return
        for config in sample_configs(plugin.Config, count=5):
            try:
                network = _network(plugin, (1, 8, 8), config)
            except UsageError:
                continue
            x = torch.rand(6, 1, 8, 8)
            fit_norms(network, x)
            outputs = []
            for seed in (1, 2):
                torch.manual_seed(seed)
                outputs.append(network(x))
            assert torch.equal(*outputs), "it draws at random at inference, as dropout does in training"
            moved = (network(x.flip(0)).flip(0) - outputs[0]).abs()
            near = moved <= 1e-4 * outputs[0].abs().max()
            assert near.double().mean() > 0.5, "a sample gives something else at another place of the batch"

    def test_only_neurons_and_counted_modules_are_not_linear(self, plugin: type[Backbone]) -> None:
        for config in sample_configs(plugin.Config, count=5):
            try:
                network = _network(plugin, (1, 8, 8), config)
            except UsageError:
                continue
            x = torch.rand(6, 1, 8, 8)
            fit_norms(network, x)
            work = UncountedWork(network, nonlinear=True)
            signal = network.encode(x)
            with torch.no_grad(), work.watching():
                network.propagate(signal)

    def test_takes_a_small_input_or_says_why_not(self, plugin: type[Backbone]) -> None:
        for input_shape in ((1, 1, 1), (1, 2, 2), (2, 3, 5), (1, 1, 16)):
            for config in sample_configs(plugin.Config, count=5):
                try:
                    backbone, _ = _build(plugin, input_shape, config)
                except UsageError:
                    continue
                out = backbone(Signal(torch.rand(2, 2, *input_shape), 2, Kind.ANALOG))
                assert out.values.shape == (2, 2, _outputs(plugin, input_shape))

    def test_gradient_reaches_every_parameter(self, plugin: type[Backbone]) -> None:
        backbone, _ = _build(plugin, (1, 8, 8))
        out = backbone(Signal(torch.rand(1, 4, 1, 8, 8), 4, Kind.ANALOG))
        ((out.decoded() * torch.randn_like(out.decoded())).sum() + backbone.penalty()).backward()
        for name, parameter in backbone.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name

    def test_sampled_configs_construct_and_run(self, plugin: type[Backbone]) -> None:
        for config in sample_configs(plugin.Config):
            try:
                backbone, _ = _build(plugin, (1, 8, 8), config)
            except UsageError:  # too deep for an input this small
                continue
            out = backbone(Signal(torch.rand(2, 2, 1, 8, 8), 2, Kind.ANALOG))
            assert out.values.shape == (2, 2, _outputs(plugin, (1, 8, 8)))

    def test_penalty_is_of_the_last_forward_pass_in_training(self, plugin: type[Backbone]) -> None:
        backbone, _ = _build(plugin, (1, 8, 8))
        x = Signal(torch.rand(1, 4, 1, 8, 8), 4, Kind.ANALOG)
        assert backbone.penalty() == 0.0
        backbone(x)
        assert torch.as_tensor(backbone.penalty()).isfinite()
        assert backbone.penalty() == 0.0  # taken
        backbone.eval()(x)
        assert backbone.penalty() == 0.0

    def test_samples_if_it_makes_images_and_refuses_to_if_not(self, plugin: type[Backbone]) -> None:
        backbone, _ = _build(plugin, (1, 8, 8))
        device = torch.device("cpu")
        if plugin.output != "images":
            with pytest.raises(TypeError, match=r"must define sample\(\)"):
                backbone.sample(2, 3, device)
            return
        for _ in range(40):  # until running statistics are such that neurons fire
            backbone(Signal(torch.rand(1, 8, 1, 8, 8), 3, Kind.ANALOG))
        backbone.eval()
        draws = []
        for seed in (1, 1, 2):
            torch.manual_seed(seed)
            out = backbone.sample(6, 3, device)
            assert out.values.shape == (3, 6, _outputs(plugin, (1, 8, 8)))
            assert out.steps == 3
            assert_honest(out.values, out.kind)
            draws.append(out.decoded())
        assert torch.equal(draws[0], draws[1])
        assert not torch.equal(draws[0], draws[2])


def _outputs(plugin: type[Backbone], shape: tuple[int, ...]) -> int:
    return 5 if plugin.output == "values" else 2 * math.prod(shape[1:])


def _network(plugin: type[Backbone], shape: tuple[int, ...], config: object) -> Network:
    lif = built_in().get("neuron", "lif")
    made = Direct(steps=4)
    return network_of(made, shape, neuron=lif, backbone=plugin, configs=(None, config), outputs=_outputs(plugin, shape))


def _build(plugin: type[Backbone], shape: tuple[int, ...], config: object = None) -> tuple[Backbone, NumberedSites]:
    torch.manual_seed(0)
    sites = NumberedSites(built_in().get("neuron", "lif"))
    backbone = plugin(config, input_shape=shape, outputs=_outputs(plugin, shape), sites=sites)
    sites.finish()
    return backbone, sites
