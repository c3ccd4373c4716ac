"""Which backbones take which inputs: what they say, and what they do."""

from __future__ import annotations

import pytest
import torch

from spikefront.plugins import Backbone, Kind, Signal, load_registry
from spikefront.plugins.testing.base import NumberedSites
from spikefront.searchspace import Space, UsageError, from_flat, parse_set

REGISTRY = load_registry(third_parties=False)
BACKBONES = [entry.plugin for entry in REGISTRY.entries["backbone"].values()]
VALUES = [plugin for plugin in BACKBONES if plugin.output == "values"]


def build(plugin: type[Backbone]) -> Backbone:
    sites = NumberedSites(REGISTRY.get("neuron", "lif"))
    backbone = plugin(input_shape=(10,), outputs=1, sites=sites)
    sites.finish()
    return backbone


@pytest.mark.parametrize("plugin", BACKBONES, ids=lambda plugin: plugin.name)
def test_backbone_takes_features_if_it_says_so(plugin: type[Backbone]) -> None:
    if plugin.layouts == {"images"}:
        with pytest.raises(UsageError, match=f"backbone '{plugin.name}'"):
            build(plugin)
    else:
        assert build(plugin)(Signal(torch.rand(2, 3, 10), 2, Kind.ANALOG)).values.shape == (2, 3, 1)


def test_a_search_on_features_is_offered_no_backbone_for_images() -> None:
    rows = {row.name: row for row in Space(REGISTRY, "diabetes").rows()}

    assert set(rows["backbone"].domain.split(", ")) == {p.name for p in VALUES if "features" in p.layouts}
    assert rows["coding"].domain == {row.name: row for row in Space(REGISTRY, "digits").rows()}["coding"].domain


@pytest.mark.parametrize("backbone", [plugin.name for plugin in VALUES if "features" not in plugin.layouts])
def test_backbone_for_other_layouts_is_refused_on_features_before_the_search(backbone: str) -> None:
    taken = " or ".join(sorted(REGISTRY.get("backbone", backbone).layouts))
    said = f"^backbone '{backbone}' takes {taken}, but task 'diabetes' gives features; backbones that take them: mlp$"

    with pytest.raises(UsageError, match=said):
        Space(REGISTRY, "diabetes", [parse_set(f"backbone={backbone}")])
    with pytest.raises(UsageError, match=said):
        REGISTRY.refuse(from_flat({"task": "diabetes", "coding": "direct", "backbone": backbone}, REGISTRY))
