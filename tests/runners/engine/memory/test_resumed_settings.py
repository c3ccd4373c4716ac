"""Settings of a search that is resumed: what it began with, what may change, and what is refused or warned of."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from spikefront.plugins import Registry, load_registry
from spikefront.runners.engine.memory.opening import create_study
from spikefront.runners.engine.memory.resume import about, charged_otherwise, refuse_changed, resumed_settings
from spikefront.runners.engine.parts import make_sampler
from spikefront.runners.engine.plan import SearchPlan
from spikefront.runners.engine.settings import SearchSettings
from spikefront.searchspace import ENERGY, Objective, Space, UsageError, parse_set

REGISTRY = load_registry(third_parties=False)
OBJECTIVES = (Objective("quality", maximize=True, worst=0.0, best=1.0), ENERGY)
GOOD = {"quality": 0.9, "energy_nj": 1000.0}


def begun(folder: Path, registry: Registry, **options: Any) -> SearchSettings:
    """Begin the search ``s`` with these options."""
    settings = SearchSettings("digits", name="s", folder=folder, **options)
    space = Space(registry, "digits", settings.narrowings)
    create_study(settings, OBJECTIVES, make_sampler(settings, registry), about(settings, registry, space))
    return settings


def test_options_come_back_as_they_were_and_budgets_may_change(tmp_path: Path, registry: Registry) -> None:
    options = {"plugins_dir": tmp_path, "trials": 7, "seed": 3, "space": "coding=latency,rate", "max_energy": "2uJ"}
    before = begun(tmp_path, registry, **options)
    now = resumed_settings({"resume": "s", "folder": tmp_path, "trials": 9, "time": None})
    assert now == replace(before, trials=9, resume="s")
    assert [str(narrowing) for narrowing in now.narrowings] == ["coding=latency,rate"]
    with pytest.raises(
        UsageError, match=r"^seed= can't be changed when a search is resumed; what can: trials=, "
    ) as error:
        resumed_settings({"resume": "s", "folder": tmp_path, "seed": 4})
    assert error.value.on_command_line().startswith(
        "--seed can't be changed when a search is resumed; what can: --trials,"
    )
    resumed_settings({"resume": "s", "folder": tmp_path, "seed": 3, "max_energy": 2000})  # the same is no change
    resumed_settings({"resume": "s", "folder": tmp_path, "sampler": "evolution"})  # nor is the default it began with


def test_a_resumed_search_has_the_epochs_and_the_space_that_it_began_with(tmp_path: Path, registry: Registry) -> None:
    before = begun(tmp_path, registry, epochs=5, space=["training.batch=64", "coding=rate"])
    now = resumed_settings({"resume": "s", "folder": tmp_path})
    assert replace(now, space=None, epochs=None) == replace(before, space=None, epochs=None, resume="s")
    assert now.epochs == 5
    assert [str(narrowing) for narrowing in now.narrowings] == ["training.batch=64", "coding=rate", "training.epochs=5"]
    with pytest.raises(UsageError, match=r"^epochs= can't be changed"):
        resumed_settings({"resume": "s", "folder": tmp_path, "epochs": 6})
    for option in ("space", "config"):
        with pytest.raises(UsageError, match=r"has the space that it began with; leave out space= and config=$"):
            resumed_settings({"resume": "s", "folder": tmp_path, option: "coding=rate"})


def test_data_that_have_moved_are_found_where_a_resumed_search_says(tmp_path: Path, registry: Registry) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    begun(tmp_path, registry, data_dir=here)
    here.rename(there)
    assert resumed_settings({"resume": "s", "folder": tmp_path, "data_dir": there}).data_folder == there


def test_folders_of_plugins_may_move_and_are_asked_for_when_they_are_gone(
    tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    plug = tmp_path / "plug"
    plug.mkdir()
    monkeypatch.chdir(tmp_path)
    begun(tmp_path, registry, plugins_dir="plug", data_dir="plug")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    now = resumed_settings({"resume": "s", "folder": tmp_path})
    assert (now.plugin_folders, now.data_folder) == ((plug,), plug)
    plug.rename(tmp_path / "moved")
    with pytest.raises(
        UsageError, match=r"plug'?: no such folder, and the search began with it; name all such folders anew"
    ):
        resumed_settings({"resume": "s", "folder": tmp_path, "data_dir": tmp_path})
    now = resumed_settings({"resume": "s", "folder": tmp_path, "data_dir": tmp_path, "plugins_dir": "../moved"})
    assert now.plugin_folders == (tmp_path / "moved",)


def test_a_search_goes_on_where_its_folder_is_now(tmp_path: Path, registry: Registry) -> None:
    begun(tmp_path / "here", registry)
    (tmp_path / "there").mkdir()
    (tmp_path / "here" / "s").rename(tmp_path / "there" / "t")
    now = resumed_settings({"resume": "t", "folder": tmp_path / "there"})
    assert now.directory == tmp_path / "there" / "t"
    with pytest.raises(UsageError, match=r"search 't' keeps its name; to change it, rename .*there/t$"):
        resumed_settings({"resume": "t", "folder": tmp_path / "there", "name": "s"})


def test_a_journal_of_an_earlier_version_is_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Options were stored as they were typed: text with units."""
    monkeypatch.chdir(tmp_path)
    stored = {"task": "digits", "trials": 7, "time": "30m", "objective": ["latency"], "max_energy": "2uJ", "from": "t"}
    stored |= {"name": "s", "rungs": "0.2,0.5", "plugins_dir": ["mine"], "epochs": 5, "folder": str(tmp_path)}
    settings = SearchSettings(name="s", folder=tmp_path)
    Path("mine").mkdir()
    kept = {"options": stored, "narrowings": ["coding=rate", "training.epochs=5"]}
    create_study(settings, OBJECTIVES, make_sampler(settings, REGISTRY), kept)
    now = resumed_settings({"resume": "s", "folder": tmp_path})
    assert (now.task, now.trials, now.time_s, now.objective, now.from_) == ("digits", 7, 1800.0, ("latency",), "t")
    assert (now.limits.max_energy_nj, now.rung_shares, now.epochs) == (2000.0, (0.2, 0.5), 5)
    assert now.plugin_folders == (Path("mine").resolve(),)
    assert [str(narrowing) for narrowing in now.narrowings] == ["coding=rate", "training.epochs=5"]


@pytest.mark.parametrize(
    ("stored", "narrowings", "sampler", "rungs"),
    [
        ({}, [], "tpe", (0.15, 0.45)),
        ({"reduction": 2}, [], "tpe", (0.15, 0.3, 0.6)),
        ({}, ["stopping.halving.reduction=2"], "tpe", (0.15, 0.3, 0.6)),
        ({"rungs": "0.2,0.5"}, [], "tpe", (0.2, 0.5)),
        ({"sampler": "random"}, [], "random", None),
        ({"sampler": "evolution"}, [], "evolution", None),
    ],
)
def test_a_search_keeps_the_sampler_and_the_rungs_that_were_the_defaults_when_it_began(
    tmp_path: Path, stored: dict[str, Any], narrowings: list[str], sampler: str, rungs: tuple[float, ...] | None
) -> None:
    settings = SearchSettings("digits", name="s", folder=tmp_path)
    kept = {"options": {"task": "digits", "name": "s", **stored}, "narrowings": narrowings}
    create_study(settings, OBJECTIVES, make_sampler(settings, REGISTRY), kept)
    now = resumed_settings({"resume": "s", "folder": tmp_path})
    assert (now.sampler, now.rung_shares) == (sampler, rungs if rungs is None else pytest.approx(rungs))


def test_energies_by_earlier_rules_are_warned_of(registry: Registry, space: Space) -> None:
    now = about(SearchSettings("digits", name="s"), registry, space)
    assert charged_otherwise(now) == ""
    before = {name: value for name, value in now.items() if name != "accounting"}
    assert "their energies don't compare with those to come" in charged_otherwise(before)
    refuse_changed(before, registry, space)  # it goes on all the same


def test_changed_plugins_and_spaces_are_named(registry: Registry, space: Space) -> None:
    kept = about(SearchSettings("digits"), registry, space)
    refuse_changed(kept, registry, space)
    other = {**kept, "plugins": {**kept["plugins"], "coding.rate": "0.0.1"}}
    with pytest.raises(
        UsageError, match=r"^since the search began, coding\.rate was 0\.0\.1 and is .*; force= goes on"
    ):
        refuse_changed(other, registry, space)
    refuse_changed(
        {**kept, "plugins": {**kept["plugins"], "task.cifar10": "0.0.1"}}, registry, space
    )  # of another task
    priced = {**kept, "plugins": {**kept["plugins"], "energy.loihi-1": "0.0.1"}}
    refuse_changed(priced, registry, space)  # an energy model that it does not use
    logged = {**kept, "plugins": {**kept["plugins"], "logger.jsonl": "0.0.1", "logger.mine": "sha256:1"}}
    refuse_changed(logged, registry, space)  # loggers change no result
    by_chip = about(SearchSettings("digits", energy_model="loihi-1"), registry, space)["options"]
    with pytest.raises(UsageError, match=r"energy\.loihi-1 was 0\.0\.1 and is"):
        refuse_changed({**priced, "options": by_chip}, registry, space)
    own = {**kept, "plugins": {**kept["plugins"], "task.digits": "0.0.1"}}
    with pytest.raises(UsageError, match=r"task\.digits was 0\.0\.1 and is"):
        refuse_changed(own, registry, space)
    with pytest.raises(UsageError, match="the ranges of its hyperparameters are others"):
        refuse_changed(kept, registry, Space(registry, "digits", [parse_set("coding=latency")]))


def test_a_search_from_before_a_hyperparameter_was_added_goes_on_while_that_stays_at_its_default() -> None:
    """The digest is that of the rows that there were."""
    before = Space(REGISTRY, "digits", [parse_set("training.optimizer=sgd")])
    added = (
        "training.loss",
        "training.optimizer.sgd.decay_all",
        "training.mix_by",
        "training.drop_last",
        "training.precision",
        "training.truncation",
    )
    rows = [
        (row.name, row.domain, row.active.replace("decoding=membrane|softmax", "decoding=membrane"))  # as it was then
        for row in before.rows()
        if not row.name.startswith(added)
    ]
    assert len(rows) < len(before.rows())
    digest = hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:16]
    stored = {"plugins": {k: v for k, v in REGISTRY.versions().items() if not k.startswith("loss.")}, "space": digest}
    refuse_changed(stored, REGISTRY, before)
    opened = Space(REGISTRY, "digits", [parse_set("training.optimizer=sgd"), parse_set("training.loss=task,tet")])
    with pytest.raises(UsageError, match="the ranges of its hyperparameters are others"):
        refuse_changed(stored, REGISTRY, opened)


def test_a_resumed_search_has_the_scales_that_it_began_with(tmp_path: Path, registry: Registry) -> None:
    settings = SearchSettings("digits", name="s", folder=tmp_path, objective="latency")
    quality, energy, latency = SearchPlan(settings, registry).objectives
    began = (quality, replace(energy, best=0.5), replace(latency, worst=100.0))
    stored = about(settings, registry, Space(registry, "digits"), began)
    create_study(settings, began, make_sampler(settings, registry), stored)
    resumed = SearchPlan(resumed_settings({"resume": "s", "folder": tmp_path}), registry)
    assert resumed.objectives == began


def test_energy_of_a_search_of_an_earlier_version_counts_from_a_nanojoule_on(
    tmp_path: Path, registry: Registry
) -> None:
    settings = SearchSettings("digits", name="s", folder=tmp_path)
    plan = SearchPlan(settings, registry)
    assert plan.objectives[1].best == 1e-3
    stored = {name: value for name, value in plan.about.items() if name != "objectives"}
    create_study(settings, plan.objectives, plan.sampler, stored)
    resumed = SearchPlan(resumed_settings({"resume": "s", "folder": tmp_path}), registry)
    assert [axis.best for axis in resumed.objectives] == [1.0, 1.0]
    assert resumed.objectives[0] == plan.objectives[0]
