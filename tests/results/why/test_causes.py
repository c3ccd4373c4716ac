"""Causes: candidates that fail for a known reason, trained and watched, and rules on numbers made by hand."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from spikefront.plugins import Registry, SearchData, load_registry
from spikefront.plugins.tasks.digits import Digits
from spikefront.results.why.causes import RULES, Case, Cause, cause_of
from spikefront.results.why.nearest import Neighbour
from spikefront.runners.failures import LOST_WORKER
from spikefront.runners.judging.watching import retrain
from spikefront.searchspace import Trial, from_flat
from spikefront.searchspace.retraining import INPUT, READOUT, ConvertedLayer, LayerEpoch, Retraining

PLUGINS = """
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import nn

from spikefront.plugins import PINNED, Backbone, Float, Flatten, Optimizer, Synapse, hookimpl


class Flood(Backbone):
    '''One layer of equal positive weights, whose neurons all get the sum of the input.'''

    name = "flood"

    def __init__(self, config=None, *, input_shape, outputs, sites):
        super().__init__(config, input_shape=input_shape, outputs=outputs, sites=sites)
        size = torch.Size(input_shape).numel()
        first = Synapse(nn.Linear(size, 8, bias=False))
        nn.init.constant_(first.weight.weight, 1.0)
        self.layers = nn.Sequential(Flatten(), first, sites(8), Synapse(nn.Linear(8, outputs)))


@dataclass(frozen=True, slots=True)
class Wild(Optimizer):
    '''Gradient descent at any rate.'''

    name = "wild"
    lr: Annotated[float, Float(1.0, 1e38, log=True), PINNED] = 1e30

    def __call__(self, parameters):
        return torch.optim.SGD(parameters, lr=self.lr)


@hookimpl
def register_backbones(register):
    register(Flood)


@hookimpl
def register_optimizers(register):
    register(Wild)
"""
FEW: dict[str, Any] = {"task": "digits", "coding": "direct", "backbone": "mlp", "backbone.mlp.depth": 2, "steps": 2}
SHORT: dict[str, Any] = {"training.epochs": 2, "training.subset": 300}
FIRST, SECOND = "backbone.layers.2.neuron", "backbone.layers.4.neuron"

Find = Callable[..., Case]


@pytest.fixture(scope="module")
def data() -> SearchData:
    return Digits().search_data(None, 1)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    folder: Path = tmp_path_factory.mktemp("plugins")
    (folder / "failing.py").write_text(PLUGINS)
    return load_registry([folder], third_parties=False)


@pytest.fixture
def trained(registry: Registry, data: SearchData) -> Find:
    """Train a candidate and watch it; return what is known of a trial of it, which ended in the same way."""

    def find(**more: Any) -> Case:
        given = {**FEW, **SHORT, **{name.replace("__", "."): value for name, value in more.items()}}
        given = {
            key: value
            for key, value in given.items()
            if not key.startswith("backbone.mlp") or given["backbone"] == "mlp"
        }
        candidate = from_flat(given, registry)
        seen = retrain(candidate, registry=registry, data=data, energy_model=registry.energy_model("horowitz-45nm"))
        metrics = dict(seen.history[-1]) if seen.history else {}
        state = "FAIL" if seen.reason else "COMPLETE"
        trial = Trial(1, state, candidate.flat(), metrics, seen.reason)
        return Case(trial, candidate.flat(), Digits().chance_quality(data), 1.0, 0.9, seen)

    return find


def test_a_threshold_far_above_what_the_input_drives_is_named_with_the_silent_layer(trained: Find) -> None:
    more = {"training.epochs": 3, "training.subset": 0}
    case = trained(neuron__lif__tau=10.0, neuron__lif__threshold=2.0, **more)
    cause = cause_of(case)
    assert cause.rule == "leak and threshold"
    assert cause.happened.startswith("Layer layers.2 is silent: none of its neurons fires")
    # after two steps of a constant current I, the potential is I (1 - 0.9^2) = 0.19 I
    assert "With tau 10 a constant current reaches it within 2 steps from 10.5 on" in cause.happened
    assert cause.change.startswith("Lower neuron.lif.tau (10 here) or neuron.lif.threshold (2 here)")
    (first,) = [one for one in case.last if one.layer == FIRST]
    assert first.silent == 1
    assert -2 < first.margin < 0


def test_a_tiny_threshold_is_named_with_the_saturated_layer(trained: Find) -> None:
    cause = cause_of(trained(backbone="flood", neuron__lif__threshold=0.3, training__optimizer__adam__lr=3e-4))
    assert cause.rule == "saturated"
    assert cause.happened.startswith("Layer layers.2 is saturated: it fires at 100% of the steps, whatever the input")
    assert cause.change.startswith("Raise neuron.lif.threshold (0.3 here)")


def test_a_huge_learning_rate_is_named_where_numbers_are_no_more(trained: Find) -> None:
    case = trained(**{"training.optimizer": "wild"})
    cause = cause_of(case)
    assert case.trial.state == "FAIL"
    assert cause.rule == "NaN"
    assert cause.happened.startswith("Training diverged: ")
    assert "gradient norm" in cause.happened
    assert cause.change.startswith("Lower the learning rate training.optimizer.wild.lr (1e+30 here)")


def test_a_conversion_of_too_few_steps_is_held_against_its_ann(trained: Find) -> None:
    few = {"neuron": "if", "steps": 1, "backbone.mlp.depth": 3, "training.epochs": 4, "training.subset": 0}
    rough = {"coding.rate-conversion.percentile": 100.0, "coding.rate-conversion.granularity": "layer"}
    case = trained(coding="rate-conversion", **few, **rough)
    cause = cause_of(case)
    assert cause.rule == "conversion"
    ann = case.trial.metrics["ann_quality"]
    assert ann > 0.8
    assert cause.happened.startswith(f"Its ANN reached {ann:.4f}, the converted network ")
    assert "layer layers.2 carries " in cause.happened  # of the errors of one bit the first one counts
    assert cause.change.startswith("1 step tells too few values apart: take more steps (1 here)")


def layers(epoch: int = 1, **fields: Sequence[float]) -> tuple[LayerEpoch, ...]:
    """Return two spiking layers and a read-out with these fields."""
    names = (FIRST, SECOND, READOUT)
    rows = [{name: values[at] for name, values in fields.items() if at < len(values)} for at in range(3)]
    return tuple(LayerEpoch(name, epoch, **row) for name, row in zip(names, rows, strict=True))


HEALTHY: dict[str, Sequence[float]] = {
    "rate": (0.1, 0.2),
    "silent": (0.0, 0.0),
    "saturated": (0.0, 0.0),
    "current": (3.0, 3.0),
    "margin": (1.0, 1.0),
    "passing": (0.9, 0.9),
    "gradient": (0.1, 0.1, 0.2),
    "moved": (0.5, 0.5, 2.0),
}


def made(
    registry: Registry,
    losses: Sequence[float] = (2.3, 2.2),
    *,
    quality: float = 0.1,
    state: str = "COMPLETE",
    reason: str = "",
    more: dict[str, Any] | None = None,
    steps: int = 500,
    **fields: Sequence[float],
) -> Case:
    """Return a case of two healthy layers at chance, with some fields that are not."""
    flat = from_flat({**FEW, "steps": 8, **(more or {})}, registry).flat()
    history = tuple({"loss": loss, "quality": quality} for loss in losses)
    seen = Retraining(layers(len(losses), **{**HEALTHY, **fields}), history, steps)
    return Case(Trial(1, state, flat, {"quality": quality}, reason), flat, 0.1, 1.0, 0.9, seen)


@pytest.mark.parametrize(
    ("given", "rule", "words"),
    [
        ({}, "unknown", "No rule explains it"),
        ({"quality": 0.6}, "learnt", "It learnt well: 0.6000, where chance is 0.1000"),
        (
            {"quality": 0.3, "state": "PRUNED", "reason": "stopped at rung 1 of 2"},
            "learnt",
            "It learnt: 0.3000, where chance is 0.1000. Its search stopped it: stopped at rung 1 of 2",
        ),
        ({"rate": (0.1, 0.0), "margin": (1.0, 0.5)}, "unsettled batch norm", "Layer layers.4 is silent"),
        # at rest the potential of tau 2 is the current; the largest, 0.5, is below the threshold, 1
        ({"rate": (0.0, 0.0), "margin": (-0.6, -1.0), "current": (0.5, 0.0)}, "weak input", "potentials reached 0.4"),
        (
            {"rate": (0.0, 0.0), "margin": (-0.1, -1.0), "current": (5.0, 0.0)},
            "weak input",
            "it does not last: single spikes leak away",
        ),
        (
            {"rate": (0.0, 0.0), "margin": (-0.5, -1.0), "current": (0.1, 0.0), "more": {"neuron": "if"}},
            "leak and threshold",
            "A constant current reaches it within 8 steps from 0.125 on",
        ),
        (
            {
                "rate": (0.0, 0.0),
                "margin": (-1.0, -2.0),
                "current": (5.0, 0.0),
                "more": {"steps": 2, "neuron.lif.tau": 10.0, "neuron.lif.threshold": 2.0},
            },
            "leak and threshold",
            "With tau 10 a constant current reaches it within 2 steps from 10.5 on",  # 2 / (1 - 0.9^2)
        ),
        ({"rate": (0.97, 0.96)}, "saturated", "Layer layers.2 is saturated: it fires at 97% of the steps"),
        ({"rate": (0.4, 1.0), "saturated": (0.0, 1.0)}, "saturated", "Layer layers.4 is saturated"),
        ({"losses": (2.3, 2.0, 5.0)}, "exploding loss", "The training loss exploded: 2 at epoch 2, 5 at epoch 3"),
        (
            {"gradient": (1e-6, 1e-3, 0.2), "passing": (0.4, 0.001)},
            "vanishing gradients",
            "Gradients vanish: 1e-06 at layer layers.2, 0.2 at read-out; the surrogate gradient lets 0.001 of the",
        ),
        ({"gradient": (0.0, 1e-1, 0.2)}, "vanishing gradients", "Gradients vanish: 0 at layer layers.2"),
        (
            {"more": {"coding": "latency", "steps": 3}},
            "few steps of a latency code",
            "A latency code of 3 steps tells 3 values apart",
        ),
        (
            {"moved": (0.01, 0.02, 0.3)},
            "learning rate too low",
            "Weights hardly moved: layer layers.4 moved by 2% of its weights' norm in 1000 steps",
        ),
        ({"moved": (0.01, 0.02, 0.3), "steps": 20}, "few training steps", "Training was short"),
        ({"moved": (9.0, 4.0, 90.0)}, "learning rate too high", "The loss did not fall (2.3, then 2.2)"),
        (
            {"state": "FAIL", "reason": "loss is nan at epoch 2", "gradient": (1e5, 0.1, 0.2)},
            "NaN",
            "loss is nan at epoch 2; layer layers.2 had a gradient norm of 1e+05 at epoch 2",
        ),
        (
            {"state": "FAIL", "reason": "loss is nan at epoch 2", "gradient": (0.1, math.inf, 0.2)},
            "NaN",
            "layer layers.4 had a gradient norm of inf at epoch 2",
        ),
        ({"state": "FAIL", "reason": LOST_WORKER}, "lost worker", f"It {LOST_WORKER}"),
        (
            {"state": "FAIL", "reason": "epoch 2 did not end within 3 s (--epoch-timeout); it was in a.py:7 f"},
            "hung",
            "It hung: epoch 2 did not end",
        ),
        ({"state": "FAIL", "reason": "the search broke off"}, "broken off", "It was broken off: the search broke off"),
        ({"state": "FAIL", "reason": "KeyError: 'a' (b.py:3)"}, "exception", "did not when it was trained again here"),
    ],
    ids=str,
)
def test_a_rule_names_what_it_is_about(registry: Registry, given: dict[str, Any], rule: str, words: str) -> None:
    cause = cause_of(made(registry, **given))
    assert (cause.rule, words in cause.happened) == (rule, True), cause


def test_a_silent_code_is_named_before_the_layers_that_it_does_not_drive(registry: Registry) -> None:
    case = made(registry, more={"coding": "latency", "coding.latency.threshold": 0.2}, rate=(0.0, 0.0))
    assert case.seen is not None
    seen = Retraining((LayerEpoch(INPUT, 2, rate=0.0), *case.seen.layers), case.seen.history, 10)
    cause = cause_of(Case(case.trial, case.flat, 0.1, 1.0, 0.9, seen))
    assert cause.rule == "silent code"
    assert cause.change == "Lower coding.latency.threshold (0.2 here)"


@pytest.mark.parametrize(
    ("clipped", "scale", "change"),
    [
        (0.2, "percentile", "Raise coding.rate-conversion.percentile (99.9 here)"),
        (0.0, "percentile", "8 steps tell too few values apart: take more steps (8 here), or lower coding.rate-conv"),
        (0.2, "least-error", "8 steps tell too few values apart: take more steps (8 here), or change coding.rate-conv"),
    ],
)
def test_a_conversion_names_the_layer_that_loses(registry: Registry, clipped: float, scale: str, change: str) -> None:
    wanted = {"task": "digits", "coding": "rate-conversion", "backbone": "mlp", "steps": 8}
    flat = from_flat({**wanted, "coding.rate-conversion.scale": scale}, registry).flat()
    history = ({"loss": 0.1, "quality": 0.2, "ann_quality": 0.9},)
    kept = (
        ConvertedLayer(FIRST, 0.4, 0.39, 0.1, error=0.1, clipped=0.0),
        ConvertedLayer(SECOND, 0.4, 0.1, 0.05, error=0.75, clipped=clipped),
    )
    seen = Retraining(layers(1, **HEALTHY), history, 500, converted=kept)
    cause = cause_of(Case(Trial(1, "COMPLETE", flat, {"quality": 0.2}), flat, 0.1, 1.0, 0.9, seen))
    assert cause.rule == "conversion"
    assert "layer layers.4 carries 0.1 of a mean activation of 0.4 (error 75%" in cause.happened
    assert cause.change.startswith(change)


def test_a_change_has_the_value_of_the_nearest_that_learnt(registry: Registry) -> None:
    case = made(registry, moved=(0.01, 0.02, 0.3))
    other = dict(case.flat) | {"training.optimizer.adam.lr": 0.015}
    near = Neighbour(Trial(7, "COMPLETE", other, {"quality": 0.9}), 0.5, ())
    cause = cause_of(Case(case.trial, case.flat, 0.1, 1.0, 0.9, case.seen, near))
    assert cause.change.startswith("Raise training.optimizer.adam.lr (0.005 here, 0.015 in trial 7)")


def test_every_rule_says_what_it_looks_for() -> None:
    assert all(rule.__doc__ for rule in RULES)
    assert str(Cause("a", "It did", "Do that")) == "It did. Do that."
