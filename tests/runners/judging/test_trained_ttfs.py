"""Trained TTFS coding: the network that fires is the one that was trained in levels."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from tests.runners.judging import conversions

from spikefront.plugins import Registry, SearchData
from spikefront.plugins.bases.levels import levelled
from spikefront.runners.judging.conversion import ann_key
from spikefront.searchspace import from_flat

converted = partial(conversions.converted, coding="ttfs")


def test_levels_and_their_straight_through_gradient_by_arithmetic() -> None:
    z = torch.tensor([-0.2, 0.0, 0.06, 0.0625, 0.5, 0.96875, 1.0, 1.3], requires_grad=True)
    level = levelled(z, 8, 0.5)
    assert (level * 8).tolist() == [0, 0, 0, 1, 4, 8, 8, 8]
    (level * torch.arange(8.0)).sum().backward()
    assert z.grad is not None
    assert z.grad.tolist() == [0, 1, 2, 3, 4, 5, 6, 0]
    assert (levelled(z, 8, 0.0) * 8).tolist() == [0, 0, 0, 0, 4, 7, 8, 8]


@pytest.mark.parametrize("given", ["ttfs", "analog"])
@pytest.mark.parametrize(("backbone", "more"), [("mlp", {}), ("convnet", {"backbone.convnet.pool": "max"})])
def test_spiking_network_gives_the_outputs_of_the_one_that_was_trained(
    registry: Registry, data: SearchData, backbone: str, more: dict[str, object], given: str
) -> None:
    """To the rounding of weights to quanta, which moves a level where a sum lies at its bound; seldom, of 16 bits."""
    settings = {"coding.ttfs.input": given, "coding.ttfs.bits": 16, **more}
    judging = converted(registry, data, backbone=backbone, steps=4, **settings)
    assert judging.ann is not None
    x = judging._task.prepare(data.train.inputs[:300])
    with torch.no_grad():
        spiking, ann = judging.network(x), judging.ann.eval()(x)
        code = judging.network.encode(x)
    near = (spiking - ann).abs().amax(1) < 0.01 * ann.std()
    assert near.float().mean() > 0.9
    assert (spiking.argmax(1) == ann.argmax(1)).float().mean() > 0.99
    if given == "ttfs":
        assert code.values.sum(0).max() == 1


def test_few_levels_cost_less_when_they_are_trained(registry: Registry, data: SearchData) -> None:
    more: dict[str, object] = {"steps": 2, "training.epochs": 6, "training.subset": 0, "backbone.mlp.width": 32}
    trained, rounded = (
        conversions.converted(registry, data, coding=coding, **more) for coding in ("ttfs", "ttfs-conversion")
    )
    x = data.validation.inputs
    right = [
        float((one.network(one._task.prepare(x)).argmax(1) == data.validation.targets).float().mean())
        for one in (trained, rounded)
    ]
    assert right[0] > right[1]


def test_what_it_is_trained_with_names_its_ann(registry: Registry, data: SearchData) -> None:
    def key(coding: str, **more: object) -> str:
        candidate = from_flat({"task": "digits", "coding": coding, **more}, registry)
        return ann_key(candidate, data.train, registry, registry.get("coding", coding).trained_with)

    plain = {key("ttfs-conversion", steps=steps) for steps in (4, 8)}
    assert len(plain) == 1
    settings: list[dict[str, object]] = [
        {"steps": 4},
        {"steps": 8},
        {"steps": 4, "coding.ttfs.ceiling": 1.0},
        {"steps": 4, "coding.ttfs.input": "analog"},
        {"steps": 4, "neuron.ttfs.rounding": 0.0},
    ]
    trained = {key("ttfs", **each) for each in settings}
    assert len(trained) == len(settings)
    assert not trained & plain
    assert key("ttfs", **settings[0], **{"coding.ttfs.bits": 8}) in trained
