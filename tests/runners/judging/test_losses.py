"""The loss that a candidate is trained with, and what it does not go with."""

from __future__ import annotations

import optuna
import pytest
import torch

from spikefront.plugins import Data, Registry
from spikefront.runners.judging.network import assemble
from spikefront.runners.judging.training import Trainer
from spikefront.searchspace import Candidate, Space, UsageError, from_flat, parse_set


def candidate(registry: Registry, **flat: object) -> Candidate:
    names = {key.replace("__", "."): value for key, value in flat.items()}
    few = {"task": "digits", "coding": "direct", "backbone": "mlp", "steps": 3, "training.batch": 10}
    return from_flat({**few, **names}, registry)


def trainer(registry: Registry, chosen: Candidate) -> Trainer:
    torch.manual_seed(0)
    data = Data(torch.randint(0, 17, (20, 1, 8, 8), dtype=torch.uint8), torch.arange(20) % 10)
    return Trainer(
        assemble(chosen, registry, (1, 8, 8), 10), registry.task(chosen), data, chosen.training, seed=chosen.seed
    )


def test_the_task_s_own_loss_is_cross_entropy_to_the_last_digit(registry: Registry) -> None:
    own, named = (trainer(registry, candidate(registry, training__loss=loss)) for loss in ("task", "cross-entropy"))
    assert own.epoch() == named.epoch()
    for one, other in zip(own.network.parameters(), named.network.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("coding", ["direct", "rate", "tcja", "gac", "sac", "latency"])
def test_a_loss_of_steps_sees_the_output_of_each_step(registry: Registry, coding: str) -> None:
    one = trainer(registry, candidate(registry, coding=coding, training__loss="tet"))
    seen: list[torch.Size] = []
    loss = one._loss
    one._loss = lambda output, targets: (seen.append(output.shape), loss(output, targets))[1]  # type: ignore[func-returns-value]
    before = [parameter.detach().clone() for parameter in one.network.parameters()]
    assert one.epoch() > 0
    assert seen == [(3, 10, 10)] * 2
    assert any(not torch.equal(old, new) for old, new in zip(before, one.network.parameters(), strict=True))


def test_outputs_of_steps_have_the_decoded_output_as_their_mean(registry: Registry) -> None:
    for coding in ("direct", "tcja", "sac", "burst"):
        network = assemble(candidate(registry, coding=coding), registry, (1, 8, 8), 10)
        signal = network.propagate(network.encode(torch.rand(4, 1, 8, 8)))
        assert network.coding.averages
        torch.testing.assert_close(network.coding.step_outputs(signal).mean(0), network.decode(signal))


def test_a_network_learns_by_each_loss(registry: Registry) -> None:
    for loss in registry.entries["loss"]:
        one = trainer(registry, candidate(registry, training__loss=loss, training__epochs=30))
        losses = [one.epoch() for _ in range(15)]
        assert losses[-1] < losses[0]


@pytest.mark.parametrize(
    ("flat", "problem"),
    [
        ({"coding": "css"}, "loss 'tet' needs a coding that decodes by the mean over time, and 'css' does not"),
        (
            {"coding.direct.decoding": "membrane"},
            "loss 'tet' needs a coding that decodes by the mean over time, and 'direct' does not",
        ),
        (
            {"coding": "sac", "coding.sac.scope": "readout"},
            "loss 'tet' needs a coding that decodes by the mean over time, and 'sac' does not",
        ),
        (
            {"task": "diabetes"},
            "loss 'tet' needs classes, and task 'diabetes' has none; leave training.loss at 'task'",
        ),
        (
            {"task": "n-mnist-motion", "training.loss": "rate-mse"},
            "loss 'rate-mse' needs classes, and task 'n-mnist-motion' has none; leave training.loss at 'task'",
        ),
        (
            {"task": "digits-generation", "backbone": "fsvae", "training.loss": "cross-entropy"},
            "loss 'cross-entropy' needs classes, and task 'digits-generation' has none; leave training.loss at 'task'",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_a_loss_that_does_not_fit_is_refused_in_one_line(
    registry: Registry, flat: dict[str, object], problem: str
) -> None:
    given = {"task": "digits", "coding": "direct", "backbone": "mlp", "training.loss": "tet", **flat}
    with pytest.raises(UsageError) as caught:
        registry.refuse(from_flat(given, registry))
    assert str(caught.value) == problem


def test_a_space_leaves_out_codings_that_a_loss_does_not_fit(registry: Registry) -> None:
    codings = {row.name: row.domain for row in Space(registry, "digits", [parse_set("training.loss=tet")]).rows()}
    assert not {"css", "rate-conversion"} & set(codings["coding"].split(", "))
    assert {"direct", "gac", "rate", "sac", "tcja"} <= set(codings["coding"].split(", "))
    both = Space(registry, "digits", [parse_set("training.loss=task,tet"), parse_set("coding=direct,css")])
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    flats = [both.suggest(study.ask()).flat() for _ in range(40)]
    pairs = {(flat["coding"], flat["training.loss"]) for flat in flats}
    assert pairs == {("direct", "task"), ("direct", "tet"), ("css", "task")}


@pytest.mark.parametrize(
    ("task", "texts", "problem"),
    [
        ("digits", ("training.loss=tet", "coding=css"), "loss 'tet' needs a coding that decodes by the mean"),
        ("diabetes", ("training.loss=rate-mse",), "loss 'rate-mse' needs classes, and task 'diabetes' has none"),
    ],
)
def test_a_space_in_which_no_loss_fits_is_refused(
    registry: Registry, task: str, texts: tuple[str, ...], problem: str
) -> None:
    with pytest.raises(UsageError) as caught:
        Space(registry, task, [parse_set(text) for text in texts])
    assert str(caught.value).startswith(problem)
