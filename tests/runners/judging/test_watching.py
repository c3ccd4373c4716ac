"""Watched training: the numbers of an unwatched one, and gradients and membranes as torch has them by hand."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.runners.judging.breaking import BREAKS

from spikefront.plugins import Registry, SearchData, Synapse, load_registry
from spikefront.runners.judging.judge import judge
from spikefront.runners.judging.measuring import measuring_batch
from spikefront.runners.judging.network import assemble
from spikefront.runners.judging.seeding import seed_everything
from spikefront.runners.judging.watching import retrain
from spikefront.searchspace import from_flat
from spikefront.searchspace.objectives import OF_THE_MACHINE
from spikefront.searchspace.retraining import READOUT, LayerEpoch, Retraining

FEW: dict[str, Any] = {"task": "digits", "backbone": "mlp", "backbone.mlp.depth": 2, "steps": 2, "seed": 3}
ONE_STEP: dict[str, Any] = {"training.epochs": 1, "training.subset": 64, "training.batch": 64}
FIRST, SECOND = "backbone.layers.2.neuron", "backbone.layers.4.neuron"

Watched = Callable[[dict[str, Any]], Retraining]


@pytest.fixture
def watched(registry: Registry, data: SearchData) -> Watched:
    def run(flat: dict[str, Any]) -> Retraining:
        model = registry.energy_model("horowitz-45nm")
        return retrain(from_flat({**FEW, **flat}, registry), registry=registry, data=data, energy_model=model)

    return run


def repeated(metrics: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if name not in OF_THE_MACHINE}


def layer(seen: Retraining, name: str, epoch: int = 1) -> LayerEpoch:
    return next(one for one in seen.at(epoch) if one.layer == name)


@pytest.mark.parametrize(
    "flat",
    [
        {"coding": "rate", "neuron": "ternary-lif", "training.surrogate": "rectangle"},
        {"coding": "rate-conversion", "neuron": "if", "steps": 8},
        {"coding": "direct", "training.loss": "tet", "backbone": "sew-resnet", "training.subset": 64},
    ],
    ids=["a random code", "a conversion", "a loss of single steps"],
)
def test_watching_changes_no_number(
    flat: dict[str, Any], watched: Watched, registry: Registry, data: SearchData
) -> None:
    rest = {name: value for name, value in FEW.items() if "backbone" not in flat or "backbone" not in name}
    flat = {**rest, "training.epochs": 2, "training.subset": 200, **flat}
    candidate = from_flat(flat, registry)
    seen = retrain(candidate, registry=registry, data=data, energy_model=registry.energy_model("horowitz-45nm"))
    plain = judge(candidate, registry=registry, data=data).history
    assert [repeated(one) for one in seen.history] == [repeated(one) for one in plain]
    assert seen.epochs == 2
    assert not seen.reason


def test_gradients_moves_and_membranes_are_those_of_torch(
    watched: Watched, registry: Registry, data: SearchData
) -> None:
    settings = {"neuron": "if", "neuron.if.threshold": 0.4, "training.surrogate": "rectangle", "coding": "direct"}
    flat = {**FEW, **ONE_STEP, **settings, "steps": 1, "training.surrogate.rectangle.alpha": 2.0}
    candidate = from_flat(flat, registry)
    seen = watched({**ONE_STEP, **settings, "steps": 1, "training.surrogate.rectangle.alpha": 2.0})

    seed_everything(candidate.seed)
    task = registry.task(candidate)
    inputs = torch.randperm(len(data.train), generator=torch.Generator().manual_seed(20_232))[:64]
    shape = tuple(measuring_batch(task, data.validation).shape[1:])
    network = assemble(candidate, registry, shape, data.outputs)
    currents: list[torch.Tensor] = []
    synapses = [one for one in network.modules() if isinstance(one, Synapse)]
    for synapse in synapses:
        synapse.register_forward_hook(lambda module, args, out: currents.append(out.values.detach()))
    loss = task.loss(network.train()(task.prepare(data.train.inputs[inputs])), data.train.targets[inputs])
    loss.backward()
    after = judge(candidate, registry=registry, data=data).network
    trained = [one for one in after.modules() if isinstance(one, Synapse)]
    for name, synapse, moved, current in zip((FIRST, SECOND, READOUT), synapses, trained, currents, strict=True):
        found = layer(seen, name)
        by_hand = torch.cat(
            [parameter.grad.flatten() for parameter in synapse.parameters() if parameter.grad is not None]
        )
        assert found.gradient == pytest.approx(float(by_hand.norm()), rel=1e-4)
        before = torch.cat([parameter.detach().flatten() for parameter in synapse.parameters()])
        now = torch.cat([parameter.detach().flatten() for parameter in moved.parameters()])
        assert found.moved == pytest.approx(float((now - before).norm() / before.norm()), rel=1e-3)
        if name != READOUT:
            assert found.margin == pytest.approx(float(current.max()) - 0.4, rel=1e-4)
            assert found.passing == pytest.approx(float(((current - 0.4).abs() < 0.25).double().mean()), abs=1e-3)


def test_firing_is_that_of_the_counted_samples(watched: Watched, registry: Registry, data: SearchData) -> None:
    seen = watched({"coding": "latency", "training.epochs": 1, "training.subset": 300, "neuron.lif.threshold": 0.3})
    metrics = seen.history[-1]
    rates = [one.rate for one in seen.at(1) if one.layer in (FIRST, SECOND)]
    assert (min(rates), max(rates)) == (metrics["min_layer_rate"], metrics["max_layer_rate"])
    code = next(one for one in seen.at(1) if one.layer == "input")
    pixels = data.validation.inputs[torch.arange(128) * len(data.validation) // 128]
    assert code.rate == pytest.approx(
        float((pixels > 0).double().mean()) / 2
    )  # each pixel but 0 fires in one of two steps
    assert code.silent == pytest.approx(float((pixels == 0).all(0).double().mean()))


def test_a_conversion_is_compared_with_its_ann_layer_by_layer(watched: Watched) -> None:
    few, many = (
        watched(
            {"coding": "rate-conversion", "neuron": "if", "steps": steps, "training.epochs": 3, "training.subset": 500}
        )
        for steps in (4, 128)
    )
    assert [one.layer for one in few.converted] == [FIRST, SECOND]
    for rough, fine in zip(few.converted, many.converted, strict=True):
        assert fine.activation == rough.activation  # of the same ANN
        assert fine.error < 0.1 < rough.error
        assert fine.carried == pytest.approx(fine.activation, rel=0.05)
        assert 0 <= fine.clipped < 0.05
    assert math.isnan(layer(few, FIRST, 1).rate)
    assert layer(few, FIRST, 3).rate == few.converted[0].rate
    assert all(layer(few, READOUT, epoch).gradient > 0 for epoch in (1, 2, 3))


def test_an_exception_ends_it_with_its_place(plugin_folder: Callable[[str], Path], data: SearchData) -> None:
    registry = load_registry([plugin_folder(BREAKS)], third_parties=False)
    flat = {**FEW, "coding": "breaks", "training.epochs": 3, "training.subset": 128, "training.batch": 64}
    told: list[int] = []
    seen = retrain(
        from_flat(flat, registry),
        registry=registry,
        data=data,
        energy_model=registry.energy_model("horowitz-45nm"),
        on_epoch=lambda epoch, metrics: told.append(epoch),
    )
    assert seen.reason == "ArithmeticError: no fourth batch (loose.py:11)"
    assert seen.place == "loose.py:11"
    assert seen.traceback.endswith("ArithmeticError: no fourth batch\n")
    assert (told, len(seen.history), seen.epochs) == ([1], 1, 2)
    assert layer(seen, FIRST, 2).gradient > 0  # of the one step that was made
