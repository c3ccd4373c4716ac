"""What operations the edges of each backbone cost."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from spikefront.plugins import Counts, load_registry
from spikefront.runners.judging.counting import count_operations
from spikefront.runners.judging.network import assemble
from spikefront.searchspace import from_flat

REGISTRY = load_registry(third_parties=False)
BACKBONES = sorted(name for name, e in REGISTRY.entries["backbone"].items() if e.plugin.output == "values")


def count(backbone: str, **more: object) -> Counts:
    """Count on four images; neurons with a low threshold, so that no layer is silent."""
    flat: dict[str, object] = {"task": "digits", "backbone": backbone, "neuron.lif.threshold": 0.3, "steps": 3}
    network = assemble(from_flat({**flat, **more}, REGISTRY), REGISTRY, (2, 12, 9), 5)
    for module in network.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            module.momentum = None  # takes the statistics of one batch over
    network.train()(torch.rand(8, 2, 12, 9))
    return count_operations(network, torch.rand(4, 2, 12, 9))


def multiplying(counts: Counts) -> list[str]:
    return [layer.layer.removeprefix("backbone.layers.") for layer in counts.layers if layer.macs]


FIRST = {"mlp": "1", "recurrent": "1", "tcn": "2", "spiking-transformer": "0.0"}


@pytest.mark.parametrize("backbone", [name for name in BACKBONES if name != "ms-resnet"])
def test_spikes_are_multiplied_nowhere_but_in_the_first_layer(backbone: str) -> None:
    counts = count(backbone, coding="direct")
    assert multiplying(counts) == [FIRST.get(backbone, "0")]
    assert counts.sops > 0


def test_ms_resnet_multiplies_the_sums_that_its_later_shortcuts_read() -> None:
    counts = count("ms-resnet", coding="direct", **{"backbone.ms-resnet.layout": "medium"})
    # the first stage's shortcut reads the stem's spikes; layers 2-3, 4-5 and 6-7 are the blocks
    assert multiplying(counts) == ["0", "4.shortcut", "6.shortcut"]
    sums = {layer.layer: layer.operations.adds for layer in counts.layers if layer.role == "residual"}
    values = 3 * 4  # steps and samples
    maps = [16 * 12 * 9] * 2 + [32 * 6 * 5] * 2 + [64 * 3 * 3] * 2
    assert list(sums.values()) == [values * size for size in maps]


@pytest.mark.parametrize(("connect", "cost"), [("add", 0), ("and", 1), ("iand", 1)])
def test_sew_resnet_joins_spikes_for_free_or_by_a_comparison(connect: str, cost: int) -> None:
    counts = count("sew-resnet", coding="direct", **{"backbone.sew-resnet.connect": connect})
    adds = [layer.operations.adds for layer in counts.layers if layer.role == "residual"]
    assert adds == [cost * 3 * 4 * 16 * 12 * 9, cost * 3 * 4 * 32 * 6 * 5]


def test_attention_is_charged() -> None:
    counts = count("spiking-transformer", coding="direct", **{"backbone.spiking-transformer.depth": 2})
    charged = [layer for layer in counts.layers if layer.role == "attention"]
    assert len(charged) == 2
    assert charged[0].operations.adds > 0
    assert charged[0].operations.multiplies == 0


@pytest.mark.parametrize("readout", ["current", "spikes"])
@pytest.mark.parametrize("backbone", BACKBONES)
def test_weighted_spikes_are_counted_in_every_backbone(backbone: str, readout: str) -> None:
    counts = count(backbone, coding="sac", **{"coding.sac.scope": "layer", f"backbone.{backbone}.readout": readout})
    assert counts.sops > 0
    assert FIRST.get(backbone, "0") in multiplying(counts)
    neurons = [layer for layer in counts.layers if layer.role == "neuron"]
    assert any(layer.events for layer in neurons)


@pytest.mark.parametrize("coding", ["gac", "tcja"])
@pytest.mark.parametrize("backbone", BACKBONES)
def test_gated_spikes_are_counted_in_every_backbone(backbone: str, coding: str) -> None:
    counts = count(backbone, coding=coding)
    assert len(multiplying(counts)) > 1  # what reads the gated edge
