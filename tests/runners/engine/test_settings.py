"""Options of a search: each is declared once, and read alike from a flag, a study file and Python."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from spikefront.runners.engine.settings import (
    DEFAULT_TRIALS,
    OPTIONS,
    Limits,
    SearchSettings,
    cores,
    named_option,
)
from spikefront.runners.engine.study_file import read_settings
from spikefront.searchspace import UnknownName, UsageError
from spikefront.searchspace.errors import OptionError

ROOT = Path(__file__).parents[3]

READ: list[tuple[str, Any, Any, Any]] = [
    ("task", "digits", "digits", "digits"),
    ("config", "study.yaml", Path("study.yaml"), Path("study.yaml")),
    ("epochs", "5", 5, 5),
    ("objective", "latency", ["latency"], ("latency",)),
    ("energy_model", "mine", "mine", "mine"),
    ("charge_encoder", None, False, False),
    ("trials", "12", 12, 12),
    ("time", "30m", 1800, 1800.0),
    ("target_hypervolume", "0.9", 0.9, 0.9),
    ("patience", "0.01", 0.01, 0.01),
    ("max_energy", "2uJ", 2000, 2000.0),
    ("max_latency", "8", 8, 8.0),
    ("max_params", "20k", 20_000, 20_000.0),
    ("min_quality", "0.8", 0.8, 0.8),
    ("sampler", "nsga2", "nsga2", "nsga2"),
    ("seed", "7", 7, 7),
    ("priors", None, True, True),
    ("from_", "other", "other", "other"),
    ("cost_aware", None, False, False),
    ("fair", None, True, True),
    ("early_stopping", None, False, False),
    ("stopping", "halving", ["halving"], ("halving",)),
    ("rungs", "0.2,0.5", [0.2, 0.5], (0.2, 0.5)),
    ("reduction", "4", 4, 4),
    ("cuts", None, False, False),
    ("tell_stopped", "partial", "partial", "partial"),
    ("epoch_timeout", "90s", 90, 90.0),
    ("workers", "3", 3, 3),
    ("nice", "10", 10, 10),
    ("gpus_per_trial", "0.25", 0.25, 0.25),
    ("address", "auto", "auto", "auto"),
    ("data_dir", str(ROOT), ROOT, ROOT),
    ("plugins_dir", str(ROOT), [ROOT], (ROOT,)),
    ("name", "s", "s", "s"),
    ("folder", "elsewhere", Path("elsewhere"), Path("elsewhere")),
    ("resume", "s", "s", "s"),
    ("force", None, True, True),
    ("verbose", None, True, True),
    ("logger", "jsonl", ["jsonl"], ("jsonl",)),
    ("tracking_uri", "sqlite:///a.db", "sqlite:///a.db", "sqlite:///a.db"),
    ("experiment", "wine", "wine", "wine"),
]

REFUSED: list[tuple[str, Any, str, str]] = [
    ("trials", 0, "trials=0 must be above 0", "--trials 0 must be above 0"),
    ("trials", "many", "trials='many' is not a whole number", "--trials many is not a whole number"),
    ("workers", -1, "workers=-1 must be above 0", "--workers -1 must be above 0"),
    ("nice", -1, "nice=-1 must be 0 or more", "--nice -1 must be 0 or more"),
    ("nice", 20, "nice=20 must be 19 at most", "--nice 20 must be 19 at most"),
    ("max_latency", 0, "max_latency=0.0 must be above 0", "--max-latency 0 must be above 0"),
    (
        "time",
        0.0,
        "time=0.0 must be above 0: seconds, or text with a unit like 90s",
        "--time 0 must be above 0: seconds, or text with a unit like 90s",
    ),
    (
        "time",
        "5",
        "time='5' is not a duration: give a number above 0 and a unit of s, m, h, d, like 90s or 1h30m",
        "--time 5 is not a duration: give a number above 0 and a unit of s, m, h, d, like 90s or 1h30m",
    ),
    (
        "max_energy",
        "5 kJ",
        "max_energy='5 kJ' is not an energy: give a number above 0 and a unit of pJ, nJ, uJ, mJ, J, like 500nJ",
        "--max-energy '5 kJ' is not an energy: give a number above 0 and a unit of pJ, nJ, uJ, mJ, J, like 500nJ",
    ),
    ("gpus_per_trial", -0.5, "gpus_per_trial=-0.5 must be 0 or more", "--gpus-per-trial -0.5 must be 0 or more"),
    (
        "gpus_per_trial",
        float("nan"),
        "gpus_per_trial=nan must be a finite number",
        "--gpus-per-trial nan must be a finite number",
    ),
    (
        "gpus_per_trial",
        1.5,
        "gpus_per_trial=1.5: a fraction shares one GPU, several must be whole; take 1 or 2",
        "--gpus-per-trial 1.5: a fraction shares one GPU, several must be whole; take 1 or 2",
    ),
    ("seed", -1, "seed=-1 must be 0 or more, and below 2**32", "--seed -1 must be 0 or more, and below 2**32"),
    (
        "seed",
        2**32,
        "seed=4294967296 must be 0 or more, and below 2**32",
        "--seed 4294967296 must be 0 or more, and below 2**32",
    ),
    (
        "target_hypervolume",
        1.5,
        "target_hypervolume=1.5 must be above 0, and 1 at most",
        "--target-hypervolume 1.5 must be above 0, and 1 at most",
    ),
    (
        "patience",
        1.0,
        "patience=1.0 must be 0 (for no such end) or more, below 1",
        "--patience 1 must be 0 (for no such end) or more, below 1",
    ),
    (
        "tell_stopped",
        "nothing",
        "tell_stopped='nothing' is unknown; known: partial, pruned",
        "--tell-stopped nothing is unknown; known: partial, pruned",
    ),
    (
        "name",
        "a/b",
        "name='a/b' must be a name without slashes or quotes: it names a folder",
        "--name 'a/b' must be a name without slashes or quotes: it names a folder",
    ),
    (
        "name",
        "..",
        "name='..' must be a name without slashes or quotes: it names a folder",
        "--name .. must be a name without slashes or quotes: it names a folder",
    ),
    ("priors", "yes", "priors='yes' is not true or false", "--priors yes is not true or false"),
    (
        "rungs",
        [0.5, 2],
        "rungs=[0.5, 2] is not a list of shares: give numbers between 0 and 1, like 0.15,0.45",
        "--rungs [0.5, 2] is not a list of shares: give numbers between 0 and 1, like 0.15,0.45",
    ),
]


@pytest.mark.parametrize(("name", "typed", "plain", "expected"), READ, ids=[row[0] for row in READ])
def test_an_option_is_read_from_text_and_from_a_plain_value(name: str, typed: Any, plain: Any, expected: Any) -> None:
    for value in (plain,) if typed is None else (typed, plain):
        settings = SearchSettings(**{name: value})
        assert getattr(settings, name) == expected
        assert type(getattr(settings, name)) is type(expected)
        assert settings.given == (name,)


def test_every_option_is_tried() -> None:
    assert [row[0] for row in READ] == [name for name in OPTIONS if name != "space"]


@pytest.mark.parametrize(
    "space",
    [
        {"coding": ["sac", "rate"], "steps": "2..4"},
        ["coding=sac,rate", "steps=2..4"],
        ["steps=9", "coding=sac,rate", "steps=2..4"],  # of two for one name the later holds
    ],
)
def test_a_space_is_a_mapping_or_text(space: Any) -> None:
    found = SearchSettings(space=space).narrowings
    assert sorted(map(str, found)) == ["coding=sac,rate", "steps=2..4"]
    assert replace(SearchSettings(space=space), trials=3).narrowings == found


def test_epochs_are_a_narrowing_that_replaces_any_before_it() -> None:
    settings = SearchSettings(space=["training.epochs=2..9", "steps=4"], epochs=5)
    assert [str(narrowing) for narrowing in settings.narrowings] == ["steps=4", "training.epochs=5"]
    assert settings.narrowings[1].source == "--epochs 5"


@pytest.mark.parametrize(("name", "value", "python", "flag"), REFUSED)
def test_a_value_that_makes_no_sense_is_named(name: str, value: Any, python: str, flag: str) -> None:
    with pytest.raises(OptionError) as error:
        SearchSettings(**{name: value})
    assert str(error.value) == python
    assert error.value.on_command_line() == flag
    assert error.value.option == name


def test_data_that_are_not_there_are_refused(tmp_path: Path) -> None:
    missing = tmp_path / "none"
    with pytest.raises(OptionError, match=r"^data_dir=.*none'\): no such folder or file$"):
        SearchSettings(data_dir=missing)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("trials: 0", "trials: 0 must be above 0"),
        ("max_energy: 500", None),
        ("max_energy: 5 kJ", "max_energy: '5 kJ' is not an energy: give"),
        ("priors: 1", "priors: 1 is not true or false"),
        ("from: true", "from: True is not text"),
        ("gpus_per_trial: 1.5", "gpus_per_trial: 1.5: a fraction shares one GPU, several must be whole; take 1 or 2"),
        ("seed: -3", "seed: -3 must be 0 or more"),
    ],
)
def test_a_value_in_a_study_file_is_named_by_its_line(tmp_path: Path, line: str, problem: str | None) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(f"task: digits\n\n{line}\n")
    if problem is None:
        read_settings({"config": path})
        return
    with pytest.raises(OptionError) as error:
        read_settings({"config": path})
    assert str(error.value).startswith(f"{path}, line 3: {problem}")
    assert error.value.on_command_line() == str(error.value)


def test_defaults() -> None:
    settings = SearchSettings("digits")
    assert settings.given == ("task",)
    assert (settings.trials, settings.time_s, settings.worker_count) == (DEFAULT_TRIALS, None, cores())
    assert (settings.folder, settings.plugin_folders, settings.data_folder) == (Path("searches"), (), None)
    assert (settings.sampler, settings.seed, settings.stopping) == ("evolution", 0, ("silent", "halving"))
    assert (settings.limits, settings.narrowings, settings.rung_shares) == (Limits(), (), None)
    assert settings.epoch_timeout_s == 3600
    assert str(settings.name).startswith("digits-20")
    assert SearchSettings("digits", time="5m").trials is None  # the time ends it


def test_files_of_a_search_are_in_its_own_folder() -> None:
    settings = SearchSettings(name="s", folder="all")
    assert settings.directory == Path("all/s")
    assert settings.journal == Path("all/s/journal.log")
    assert settings.weights == Path("all/s/weights")
    assert settings.anns == Path("all/s/anns")
    assert SearchSettings(resume="s").directory == Path("searches/s")


def test_limits_are_in_base_units() -> None:
    settings = SearchSettings(max_energy="2uJ", max_latency=8, max_params="20k", min_quality=0.8)
    assert settings.limits == Limits(2000.0, 8.0, 20_000.0, 0.8)


def test_settings_are_read_again_when_they_are_replaced() -> None:
    settings = SearchSettings("digits", name="s", max_energy="2uJ", epochs=5, space="steps=4", objective="latency")
    assert replace(settings) == settings
    assert replace(settings, epochs=6).narrowings[-1].values == ("6",)


def test_what_is_stored_is_text_that_can_be_read_back() -> None:
    settings = SearchSettings(
        "digits", name="s", workers=2, max_energy="2uJ", time="30m", objective="latency", from_="t",
        stopping="halving", rungs="0.2,0.5", epochs=5, space="steps=4", plugins_dir="/a", resume="s", force=True,
    )  # fmt: skip
    assert settings.stored() == {
        "task": "digits",
        "epochs": "5",
        "objective": "latency",
        "energy_model": "horowitz-45nm",
        "charge_encoder": "True",
        "time": "30m00s",
        "max_energy": "2000nJ",
        "sampler": "evolution",
        "seed": "0",
        "priors": "False",
        "from": "t",
        "cost_aware": "True",
        "fair": "False",
        "early_stopping": "True",
        "stopping": "halving",
        "rungs": "0.2,0.5",
        "reduction": "3",
        "cuts": "True",
        "tell_stopped": "pruned",
        "epoch_timeout": "1h00m",
        "workers": "2",
        "nice": "0",
        "gpus_per_trial": "0.0",
        "plugins_dir": "/a",
        "name": "s",
        "folder": "searches",
    }


def test_a_resumed_search_may_be_given_another_budget_and_another_place() -> None:
    """What was searched, and how, stays."""
    assert {name for name, declared in OPTIONS.items() if declared.option.changeable} == {
        "trials",
        "time",
        "target_hypervolume",
        "patience",
        "workers",
        "nice",
        "address",
        "gpus_per_trial",
        "epoch_timeout",
        "tracking_uri",
        "logger",
        "experiment",
        "folder",
        "data_dir",
        "plugins_dir",
    }


def test_every_option_is_documented_and_has_a_flag_of_its_own() -> None:
    assert len({declared.flag for declared in OPTIONS.values()}) == len(OPTIONS)
    for name, declared in OPTIONS.items():
        assert declared.doc[0].isupper(), name
        assert declared.doc.endswith("."), name


def test_options_are_found_by_every_name_they_have() -> None:
    assert named_option("from") is named_option("from_") is OPTIONS["from_"]
    assert named_option("narrow") is named_option("set") is named_option("space") is OPTIONS["space"]
    with pytest.raises(UnknownName, match=r"^unknown option in study\.yaml: 'trails'\. Did you mean 'trials'\?"):
        named_option("trails", "study.yaml")
    with pytest.raises(UsageError, match=r"^unknown option 'trails'\."):
        named_option("trails")


MOST_NAMES = 2
"""Names of options that may stand side by side elsewhere: pairs have uses of their own."""
BESIDE = {"task", "name", "epochs", "space", "trials", "time", "seed"}
"""Words that results have, too, as columns and parameters."""


def test_options_are_stated_once() -> None:
    """Nowhere but in the settings do literals list several options: a new option has one place."""
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno} lists {', '.join(sorted(names))}"
        for room in ("commands", "runners", "results", "searchspace")
        for path in sorted((ROOT / room).rglob("*.py"))
        if path != ROOT / "runners/engine/settings.py"
        for node, names in _listed(ast.parse(path.read_text()))
        if len(names) > MOST_NAMES
    ]
    assert found == []


def _listed(tree: ast.AST) -> Iterator[tuple[ast.expr, set[str]]]:
    """Return literals and the options that they list by name."""
    names = {spelt for name, option in OPTIONS.items() for spelt in (name, option.key, option.flag)} - BESIDE
    for node in ast.walk(tree):
        elements: list[ast.expr | None] = []
        if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
            elements = [*node.elts]
        elif isinstance(node, ast.Dict):
            elements = [*node.keys]
        constants = {element.value for element in elements if isinstance(element, ast.Constant)}
        yield from [(node, {str(value) for value in constants} & names)] if isinstance(node, ast.expr) else []


def test_a_second_list_of_options_would_be_found() -> None:
    """The check itself: a list, a dict, a set and a Literal of three options are seen, other words are not."""
    for literal in (
        "['max_energy', 'sampler', 'rungs']",
        "{'max_energy': 1, 'from': 2, 'rungs': 3}",
        "{'--max-energy', '--set', '--rungs'}",
        "Literal['workers', 'sampler', 'rungs']",
    ):
        assert max(len(names) for _, names in _listed(ast.parse(literal))) == 3, literal
    assert all(not names for _, names in _listed(ast.parse("['quality', 'energy_nj', 'trials']")))
