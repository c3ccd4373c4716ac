"""``spikefront.run`` as Python sees it: typed options, values as people write them, errors in Python's words."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

import spikefront
from spikefront.runners.engine.settings import OPTIONS, SearchSettings
from spikefront.runners.engine.study_file import read_settings
from spikefront.searchspace.options import count, duration, energy, number, path, shares, switch, text, whole

PARAMETERS = inspect.signature(spikefront.run).parameters


def test_the_signature_lists_every_option() -> None:
    assert list(PARAMETERS) == list(OPTIONS)
    assert [name for name, each in PARAMETERS.items() if each.kind is not inspect.Parameter.KEYWORD_ONLY] == ["task"]


@pytest.mark.parametrize("name", PARAMETERS)
def test_an_option_has_type_default_and_documentation(name: str) -> None:
    parameter = PARAMETERS[name]

    assert parameter.default == OPTIONS[name].default
    assert parameter.annotation not in (Any, object, inspect.Parameter.empty)
    assert not isinstance(parameter.annotation, str)
    assert f"    {name}: " in str(inspect.getdoc(spikefront.run))


@pytest.mark.parametrize(
    ("given", "attribute", "value"),
    [
        ({"max_energy": 100.0}, "max_energy", 100.0),
        ({"max_energy": "2uJ"}, "max_energy", 2000.0),
        ({"time": 600}, "time", 600.0),
        ({"time": "10m"}, "time", 600.0),
        ({"max_params": 1000}, "max_params", 1000.0),
        ({"max_params": "1k"}, "max_params", 1000.0),
        ({"data_dir": "data"}, "data_dir", Path("data")),
        ({"data_dir": Path("data")}, "data_dir", Path("data")),
        ({"folder": "out"}, "folder", Path("out")),
        ({"objective": "latency"}, "objective", ("latency",)),
        ({"objective": ["latency", "parameters"]}, "objective", ("latency", "parameters")),
        ({"rungs": (0.2, 0.5)}, "rungs", (0.2, 0.5)),
        ({"rungs": "0.2,0.5"}, "rungs", (0.2, 0.5)),
        ({"trials": "8"}, "trials", 8),
        ({"from": "digits-1"}, "from_", "digits-1"),
    ],
    ids=str,
)
def test_values_are_plain_or_text(
    given: dict[str, Any], attribute: str, value: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path)

    assert getattr(read_settings({"task": "digits", **given}), attribute) == value


@pytest.mark.parametrize("given", ["my_plugins", Path("my_plugins"), ["my_plugins"]], ids=repr)
def test_folders_of_plugins_become_absolute(given: Any) -> None:
    assert read_settings({"task": "digits", "plugins_dir": given}).plugins_dir == (Path("my_plugins").resolve(),)


@pytest.mark.parametrize(
    "given",
    [
        {"space": "coding=sac"},
        {"space": ["coding=sac"]},
        {"space": {"coding": "sac"}},
        {"space": {"coding": ["sac"]}},
        {"narrow": "coding=sac"},
    ],
    ids=str,
)
def test_the_space_is_narrowed_by_text_or_by_a_mapping(given: dict[str, Any]) -> None:
    assert [str(each) for each in read_settings({"task": "digits", **given}).narrowings] == ["coding=sac"]


def test_quantities_are_read_again_from_the_text_that_is_stored() -> None:
    settings = SearchSettings("digits", time=5430, max_energy=1500.5, max_params="20k", rungs=(0.2, 0.5))
    names = ("time", "max_energy", "max_params", "rungs", "epoch_timeout")

    again = read_settings({"task": "digits", **{name: settings.stored()[name] for name in names}})

    assert [getattr(again, name) for name in names] == [5430.0, 1500.5, 20_000.0, (0.2, 0.5), 3600.0]


def test_what_a_search_is_resumed_from_is_an_option_too(tmp_path: Path) -> None:
    with pytest.raises(spikefront.UsageError, match="digits-1"):
        spikefront.run(resume="digits-1", folder=tmp_path)


def test_export_and_load_have_the_names_of_the_flags(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path}/none.db"
    with pytest.raises(spikefront.UsageError, match=r"none\.db"):
        spikefront.export("s/3", tmp_path / "n.pt", format="torch", tracking_uri=store)
    with pytest.raises(spikefront.UsageError, match=r"n\.pt"):
        spikefront.load(tmp_path / "n.pt", plugins_dir=tmp_path)


WRONG: Final[Mapping[Callable[..., Any], object]] = {
    whole: "many",
    number: "much",
    switch: "yes",
    path: 3,
    text: True,
    energy: "5parsec",
    duration: "soon",
    count: "lots",
    shares: "all",
}
"""A value of the wrong type for each reader; those of several values refuse True."""


@pytest.mark.parametrize("name", OPTIONS)
def test_a_wrong_value_is_refused_in_the_words_of_python(name: str, tmp_path: Path) -> None:
    wrong: Any = WRONG.get(OPTIONS[name].option.read, True)
    given = {"task": "digits", "folder": tmp_path, name: wrong}

    with pytest.raises(spikefront.UsageError) as raised:
        spikefront.run(**given)

    assert str(raised.value).startswith(f"{name}=")
    assert repr(wrong) in str(raised.value)
    assert "--" not in str(raised.value)
    assert list(tmp_path.iterdir()) == []


def test_an_option_that_does_not_exist_is_refused_with_the_nearest() -> None:
    with pytest.raises(spikefront.UsageError, match="max_energy"):
        spikefront.run("digits", max_enrgy=3)  # type: ignore[call-arg]


SEARCHES: Final = """
import json, sys
from pathlib import Path
import spikefront
from spikefront.searchspace.objectives import OF_THE_MACHINE

plain = dict(
    trials=1, time=600, max_energy=1e6, max_params=1000000, objective=["latency"], rungs=(0.2, 0.5), reduction=2,
    folder=Path("plain"), plugins_dir=[Path("mine")], epochs=1, seed=0, workers=1, name="plain",
    space={"coding": ["direct"], "backbone": "mlp", "neuron": ["lif"], "steps": [2]},
)
as_text = dict(
    trials="1", time="10m", max_energy="1mJ", max_params="1M", objective="latency", rungs="0.2,0.5", reduction="2",
    folder="text", plugins_dir="mine", epochs="1", seed="0", workers="1", name="text",
    space=["coding=direct", "backbone=mlp", "neuron=lif", "steps=2"],
)
found = []
for given in (plain, as_text):
    search = spikefront.run("digits", **given)
    trials = search.trials
    metrics = {key: value for key, value in trials[0].metrics.items() if key not in OF_THE_MACHINE}
    found.append([search.task, [str(n) for n in search.settings.narrowings], sorted(trials), metrics])
    assert {str(member).partition("@")[0] for member in search.front()["trial"]} == {"0"}
    assert spikefront.load_search(given["name"]).hypervolume == search.hypervolume
print(json.dumps(found), file=sys.__stdout__)
"""


@pytest.mark.slow
def test_a_search_is_the_same_by_plain_values_and_by_text(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", SEARCHES], cwd=tmp_path, capture_output=True, text=True, timeout=250, check=False
    )

    assert done.returncode == 0, done.stderr
    plain, as_text = json.loads(done.stdout.splitlines()[-1])
    assert plain == as_text
    assert (tmp_path / "plain/plain/journal.log").exists()
    assert (tmp_path / "text/text/journal.log").exists()
