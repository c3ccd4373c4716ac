"""What a search says of its data and its training before it starts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from spikefront.plugins import Registry, load_registry
from spikefront.runners.engine.plan import SearchPlan
from spikefront.runners.engine.settings import SearchSettings
from spikefront.runners.judging import precision
from spikefront.searchspace import UsageError

TASK = """
import numpy as np
from spikefront.plugins import array_task, hookimpl

def read():
    return np.random.default_rng(0).random((300, 4), dtype=np.float32), np.arange(300) % 3

@hookimpl
def register_tasks(register):
    register(array_task("rows", read))
"""


@pytest.mark.parametrize(
    ("epochs", "narrow", "steps"),
    [(8, (), 24), (2, ("training.subset=64",), 2), (40, (), None), (8, ("training.batch=8",), None)],
)
def test_few_gradient_steps_on_own_arrays_are_said(
    tmp_path: Path, epochs: int, narrow: tuple[str, ...], steps: int | None
) -> None:
    (tmp_path / "rows.py").write_text(TASK)
    space = (f"training.epochs={epochs}", *narrow)
    settings = SearchSettings("rows", name="s", folder=tmp_path / "searches", space=space, plugins_dir=[tmp_path])
    plan = SearchPlan(settings, load_registry([tmp_path], third_parties=False))
    # 300 rows: 180 for training, which is 3 batches of 64
    samples = plan.task.about().counts[0]  # type: ignore[attr-defined]
    assert 128 < samples <= 192
    said = plan.few_steps(plan.read_data())
    assert bool(said) == (steps is not None)
    if steps is not None:
        assert f"a trial makes {steps} gradient steps ({epochs} epochs over " in said


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load_registry(third_parties=False)


@pytest.mark.parametrize(
    ("space", "warned"),
    [
        # digits has 1157 samples to train on
        (
            ["training.epochs=1", "training.batch=1157"],
            "makes 1 gradient steps (1 epochs over 1157 samples in batches of",
        ),
        (["training.epochs=3", "training.batch=386"], "makes 9 gradient steps (3 epochs over 1157 samples"),
        (["training.epochs=1", "training.batch=64", "training.subset=65"], "makes 2 gradient steps (1 epochs over 65"),
        (["training.epochs=10", "training.batch=1157"], ""),
        (["training.epochs=1", "training.batch=64"], ""),
        (["training.epochs=1", "training.batch=64,2000"], ""),
        (["training.epochs=1..20", "training.batch=1157"], ""),
    ],
)
def test_trials_of_too_few_gradient_steps_are_told(
    registry: Registry, tmp_path: Path, space: Sequence[str], warned: str
) -> None:
    plan = SearchPlan(SearchSettings("digits", space=space, name="s", folder=tmp_path), registry)
    said = plan.few_steps(plan.read_data())
    assert warned in said
    assert bool(said) == bool(warned)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"priors": True}, ""),
        ({"epochs": 15}, ""),
        ({"priors": True, "epochs": 15}, "published settings of gac (training.epochs=250)"),
    ],
)
def test_priors_that_the_space_has_no_room_for_are_named(
    registry: Registry, tmp_path: Path, options: dict[str, Any], said: str
) -> None:
    settings = SearchSettings("cifar10", space="coding=gac", name="s", folder=tmp_path, **options)
    found = SearchPlan(settings, registry).priors_left_out
    assert found == (f"--priors leaves out, as this space has not all that they need: {said}" if said else "")


def test_truncation_of_what_is_not_trained_in_parts_is_refused_before_the_search(
    registry: Registry, tmp_path: Path
) -> None:
    space = ["training.truncation=10", "coding=direct", "backbone=mlp"]
    plan = SearchPlan(SearchSettings("mnist1d", space=space, name="s", folder=tmp_path), registry)
    with pytest.raises(
        UsageError,
        match=r"training.truncation: neuron '.*' defines no step\(\).*neurons that hand their state on: .*lif",
    ):
        plan.read_data()
    whole = ["training.truncation=40", *space[1:], "steps=40"]  # a part is all there is
    for fit in ([*space, "neuron=lif,adlif"], whole):
        named = SearchSettings("mnist1d", space=fit, name="s", folder=tmp_path)
        assert len(SearchPlan(named, registry).read_data().train) == 3200
    longer = SearchSettings("mnist1d", space=[*whole[:-1], "steps=40,80"], name="s", folder=tmp_path)
    with pytest.raises(UsageError, match=r"training.truncation: neuron"):
        SearchPlan(longer, registry).read_data()


@pytest.mark.parametrize("address", [None, "10.0.0.1:6379"])
def test_bf16_is_refused_before_the_search_where_this_machine_trains_and_has_none(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str | None
) -> None:
    monkeypatch.setattr(precision, "has_bf16", lambda: False)
    space = ["training.precision=bf16"]
    settings = SearchSettings("digits", space=space, name="s", folder=tmp_path, address=address)
    plan = SearchPlan(settings, registry)
    if address:  # processors of a cluster are others
        plan.read_data()
        return
    with pytest.raises(UsageError, match=r"training\.precision=bf16: this processor has no bf16 arithmetic"):
        plan.read_data()
