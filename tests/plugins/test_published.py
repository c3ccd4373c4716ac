"""Published settings are those of the released code, field by field; networks have its numbers of parameters.

The settings were read off bollossom/GAC at ed8130a (``CODE/CIFAR``) and ridgerchu/TCJA at 5f21162 (``src/dvs128.py``
under the command of its README).
"""

from __future__ import annotations

from typing import Final

import pytest
import torch

from spikefront.plugins import Registry, load_registry
from spikefront.runners.judging.network import Network, assemble
from spikefront.searchspace import Space, Value, from_flat, parse_set

GAC_ON_CIFAR10: Final[dict[str, Value]] = {
    "task": "cifar10",
    "steps": 6,
    "seed": 0,
    "coding": "gac",
    "coding.gac.kernel_size": 4,
    "coding.gac.time_ratio": 2,
    "coding.gac.channel_ratio": 1,
    "coding.gac.regulariser": "none",
    "neuron": "lif",
    "neuron.lif.tau": 2.0,  # a decay of 0.5
    "neuron.lif.threshold": 1.0,
    "neuron.lif.reset": "hard",
    "neuron.lif.decay_input": False,
    "neuron.lif.detach_reset": False,
    "backbone": "ms-resnet",
    "backbone.ms-resnet.width": 64,
    "backbone.ms-resnet.layout": "resnet-18",
    "backbone.ms-resnet.readout": "current",
    "training.surrogate": "triangle",
    "training.surrogate.triangle.gamma": 1.0,
    "training.optimizer": "sgd",
    "training.optimizer.sgd.lr": 0.1,
    "training.optimizer.sgd.momentum": 0.9,
    "training.optimizer.sgd.weight_decay": 5e-5,
    "training.optimizer.sgd.decay_all": True,
    "training.loss": "cross-entropy",
    "training.loss.cross-entropy.smoothing": 0.0,
    "training.epochs": 250,
    "training.batch": 64,
    "training.subset": 0,
    "training.decay": "cosine-by-epoch",
    "training.flip": True,
    "training.crop": 4,
    "training.cutout": 0,
    "training.mix": "cutmix",
    "training.mix_probability": 0.5,
    "training.mix_alpha": 1.0,
    "training.mix_by": "epoch",
    "training.drop_last": False,
    "training.truncation": 0,
    "training.precision": "fp32",
}
TCJA_ON_DVS128: Final[dict[str, Value]] = {
    "task": "dvs128-gesture",
    "task.dvs128-gesture.binning": "count",
    "task.dvs128-gesture.pool": 1,
    "steps": 20,
    "seed": 0,
    "coding": "tcja",
    "coding.tcja.fusion": "product",
    "coding.tcja.k_time": 4,
    "coding.tcja.k_channel": 4,
    "coding.tcja.positions": "last-two",
    "coding.tcja.regulariser": "none",
    "neuron": "lif",
    "neuron.lif.tau": 2.0,
    "neuron.lif.threshold": 1.0,
    "neuron.lif.reset": "hard",
    "neuron.lif.decay_input": True,
    "neuron.lif.detach_reset": True,
    "backbone": "vgg",
    "backbone.vgg.width": 128,
    "backbone.vgg.stages": 5,
    "backbone.vgg.convs": 1,
    "backbone.vgg.growth": 1,
    "backbone.vgg.hidden": 512,
    "backbone.vgg.dropout": 0.5,
    "backbone.vgg.vote": 10,
    "backbone.vgg.pool": "max",
    "backbone.vgg.readout": "spikes",
    "training.surrogate": "atan",
    "training.surrogate.atan.alpha": 2.0,
    "training.optimizer": "adam",
    "training.optimizer.adam.lr": 1e-3,
    "training.optimizer.adam.weight_decay": 0.0,
    "training.loss": "rate-mse",
    "training.epochs": 1024,
    "training.batch": 16,
    "training.subset": 0,
    "training.decay": "cosine-by-epoch",
    "training.flip": False,
    "training.crop": 0,
    "training.cutout": 0,
    "training.mix": "none",
    "training.drop_last": True,
    "training.truncation": 0,
    "training.precision": "fp32",
}


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load_registry(third_parties=False)


@pytest.mark.parametrize("released", [GAC_ON_CIFAR10, TCJA_ON_DVS128], ids=lambda flat: str(flat["coding"]))
@pytest.mark.parametrize("narrowed", [False, True])
def test_priors_hold_the_release_in_every_field(registry: Registry, released: dict[str, Value], narrowed: bool) -> None:
    texts = [f"coding={released['coding']}"] if narrowed else []
    space = Space(registry, str(released["task"]), [parse_set(text) for text in texts])
    assert released in [prior.candidate.flat() for prior in space.priors()]
    assert space.priors_left_out() == []


def test_cifar100_is_trained_as_cifar10_is(registry: Registry) -> None:
    flats = [prior.candidate.flat() for prior in Space(registry, "cifar100").priors()]
    assert GAC_ON_CIFAR10 | {"task": "cifar100"} in flats


def test_a_search_that_trains_for_less_says_what_it_leaves_out(registry: Registry) -> None:
    space = Space(registry, "cifar10", [parse_set("coding=gac,css"), parse_set("training.epochs=15")])
    assert all(prior.candidate.training.schedule.epochs == 15 for prior in space.priors())
    assert space.priors_left_out() == ["published settings of gac (training.epochs=250)"]


def test_what_no_publication_has_is_not_called_published(registry: Registry) -> None:
    codings = {name: entry.plugin for name, entry in registry.entries["coding"].items()}
    assert {name for name, coding in codings.items() if coding.published} == {"gac", "tcja"}
    assert {name for name, coding in codings.items() if coding.starting_points} >= {"css", "sac"}
    for name, entry in registry.entries["coding"].items():
        assert ("published settings" in entry.summary) == bool(entry.plugin.published)
        assert ("starting points" in entry.summary) == bool(entry.plugin.starting_points), name
        assert not (entry.plugin.published or entry.plugin.starting_points) or entry.plugin.source in entry.summary


def built(registry: Registry, flat: dict[str, Value], shape: tuple[int, ...], outputs: int) -> Network:
    with torch.device("meta"):
        return assemble(from_flat(flat, registry), registry, shape, outputs)


@pytest.mark.parametrize(
    ("steps", "outputs", "parameters"),
    [(6, 10, 12_633_198), (4, 10, 12_633_178), (2, 10, 12_633_166), (6, 100, 12_679_368)],
)
def test_the_network_for_cifar_has_the_released_parameters(
    registry: Registry, steps: int, outputs: int, parameters: int
) -> None:
    assert built(registry, GAC_ON_CIFAR10 | {"steps": steps}, (3, 32, 32), outputs).parameter_count == parameters


@pytest.mark.parametrize(("pixels", "parameters"), [(128, 1_832_576), (64, 1_046_144)])
def test_the_network_for_dvs128_has_the_released_parameters(registry: Registry, pixels: int, parameters: int) -> None:
    assert built(registry, TCJA_ON_DVS128, (2, pixels, pixels), 11).parameter_count == parameters


@pytest.mark.parametrize("steps", [14, 16, 20])
def test_the_steps_of_the_event_networks_can_be_searched(registry: Registry, steps: int) -> None:
    space = Space(registry, "dvs128-gesture", [parse_set("coding=tcja"), parse_set(f"steps={steps}")])
    assert space.default().steps == steps
    unopened = Space(registry, "dvs128-gesture", [parse_set("coding=tcja")])
    assert {row.name: row.domain for row in unopened.rows()}["steps"] == "3..16 (log)"
