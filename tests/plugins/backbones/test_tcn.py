"""Temporal convolutions by delays: against torch's convolution, causal, and counted spike by spike."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from spikefront.plugins import Kind, Registry, Signal, load_registry
from spikefront.plugins.backbones.tcn import TCN, Delays, TCNConfig
from spikefront.runners.judging.counting import count_operations
from spikefront.runners.judging.network import assemble
from spikefront.runners.judging.temporal import is_blind_without_state
from spikefront.searchspace import UsageError, from_flat

TAPS, DISTANCE, STEPS, CHANNELS = 3, 2, 9, 4


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load_registry(third_parties=False)


def test_delays_and_a_weight_are_a_causal_convolution_over_time() -> None:
    values, weight = torch.randn(STEPS, 5, CHANNELS), torch.randn(6, CHANNELS, TAPS)
    delayed = Delays(TAPS, DISTANCE)(Signal(values, STEPS, Kind.ANALOG)).values
    ours = delayed @ weight.flip(2).permute(2, 1, 0).reshape(TAPS * CHANNELS, 6)
    padded = F.pad(values.permute(1, 2, 0), ((TAPS - 1) * DISTANCE, 0))
    theirs = F.conv1d(padded, weight, dilation=DISTANCE).permute(2, 0, 1)
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("shape", [(STEPS,), (1,), (STEPS, CHANNELS), (1, CHANNELS), (STEPS, 5, 1)])
def test_what_a_spike_is_worth_goes_with_it(shape: tuple[int, ...]) -> None:
    spikes = (torch.rand(STEPS, 5, CHANNELS) < 0.5).float()
    signal = Signal(spikes, STEPS, Kind.BINARY).weighted(torch.rand(shape))
    layer = Delays(TAPS, DISTANCE)
    delayed = layer(signal)
    assert delayed.kind is (Kind.ANALOG if len(shape) == 3 else Kind.BINARY)
    torch.testing.assert_close(delayed.decoded(), layer(Signal(signal.decoded(), STEPS, Kind.ANALOG)).values)


def test_a_constant_input_begins_with_the_first_step() -> None:
    delayed = Delays(2, 1)(Signal(torch.ones(1, 1, 1), 3, Kind.ANALOG))
    assert delayed.values.flatten().tolist() == [1, 0, 1, 1, 1, 1]


def test_each_spike_is_charged_for_each_delay_that_ends_in_time(registry: Registry) -> None:
    flat = {"task": "mnist1d", "coding": "delta", "backbone": "tcn", "neuron": "lif", "steps": 40}
    flat |= {"backbone.tcn.width": 8, "backbone.tcn.depth": 2, "backbone.tcn.taps": 3, "backbone.tcn.growth": 4}
    net = assemble(from_flat(flat, registry), registry, (1,), 10).eval()
    x = torch.rand(3, 40, 1)
    for site in net.sites:
        site.neuron.config = replace(site.neuron.config, threshold=0.3)
    fired = []
    net.sites[0].register_forward_hook(lambda module, args, out: fired.append(out.values))
    with torch.no_grad():
        code = net.encode(x)
        net.propagate(code)
    layers = {layer.layer: layer.sops for layer in count_operations(net, x).layers}
    for name, spikes, distance in (("2", code.values, 1), ("5", fired[0], 4)):
        assert spikes.any()
        arrive = sum(int(spikes[: 40 - tap * distance].count_nonzero()) for tap in range(3))
        assert layers[f"backbone.layers.{name}"] == arrive * 8


def test_delays_do_not_go_with_parts_and_leave_a_network_without_state_its_order(registry: Registry) -> None:
    flat = {"task": "mnist1d", "coding": "direct", "backbone": "tcn", "neuron": "lif", "steps": 40}
    assert not is_blind_without_state(from_flat(flat, registry), registry)
    with pytest.raises(UsageError, match=r"backbone 'tcn' has delays.*backbones without: .*recurrent"):
        registry.refuse(from_flat({**flat, "training.truncation": 10}, registry))


def test_distances_grow_from_layer_to_layer() -> None:
    config = TCNConfig(depth=3, growth=3, width=8)
    net = TCN(config, input_shape=(2,), outputs=5, sites=lambda channels, *size, **where: torch.nn.Identity())
    assert [layer.distance for layer in net.modules() if isinstance(layer, Delays)] == [1, 3, 9]
