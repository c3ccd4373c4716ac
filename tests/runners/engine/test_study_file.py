"""Study files: options and narrowings in YAML, overridden by what is given beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from spikefront.runners.engine.settings import OPTIONS, SearchSettings
from spikefront.runners.engine.study_file import read_settings, read_study_file
from spikefront.searchspace import UnknownName, UsageError

STUDY = """\
task: digits
trials: 20
time: 30m      # whichever comes first
from: other
objective: [latency, parameters]
epochs: 6
early_stopping: false
space:
  coding: [sac, rate]
  steps: 2..4
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "study.yaml"
    path.write_text(STUDY, encoding="utf-8")
    return path


def narrowings(settings: SearchSettings) -> dict[str, str]:
    return dict(str(narrowing).split("=") for narrowing in settings.narrowings)


def test_study_file_is_a_mapping_to_values_and_lines(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text("trials: 20\n\nspace:\n  steps: 2..4\n", encoding="utf-8")
    assert read_study_file(path) == {"trials": (20, 1), "space": ({"steps": "2..4"}, 3)}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"study\.yaml: a study file is a mapping of option: value, see examples/study\.yaml$"),
        (b"- 1\n- 2\n", r"study\.yaml: a study file is a mapping"),
        (b"1: one\n", r"study\.yaml: a study file is a mapping"),
        (b"a: [1\n", r"study\.yaml: not readable as YAML: .* line 2"),
        (b"a: \xff\xfe\n", r"study\.yaml: not readable as YAML: 'utf-8' codec"),
    ],
)
def test_a_file_that_is_not_a_study_file_is_refused_in_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "study.yaml"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=message) as caught:
        read_study_file(path)
    assert "\n" not in str(caught.value)


def test_missing_study_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.yaml: No such file or directory$"):
        read_study_file(tmp_path / "none.yaml")


def test_keys_are_the_options_and_space(path: Path) -> None:
    settings = read_settings({"config": path})
    assert (settings.task, settings.trials, settings.time_s, settings.from_) == ("digits", 20, 1800.0, "other")
    assert (settings.objective, settings.early_stopping, settings.epochs) == (("latency", "parameters"), False, 6)
    assert narrowings(settings) == {"coding": "sac,rate", "steps": "2..4", "training.epochs": "6"}


def test_what_is_given_beside_a_study_file_overrides_it(path: Path) -> None:
    beside = {"trials": "5", "from_": "another", "epochs": 9, "space": ["steps=3"], "early_stopping": True}
    settings = read_settings({"config": path, **beside, "time": None})
    assert (settings.trials, settings.time_s, settings.from_, settings.early_stopping) == (5, 1800.0, "another", True)
    assert narrowings(settings) == {"coding": "sac,rate", "steps": "3", "training.epochs": "9"}


def test_an_error_names_the_place_where_the_value_was_given(path: Path) -> None:
    path.write_text("task: digits\ntrials: 0\n")
    with pytest.raises(UsageError, match=rf"^{path}, line 2: trials: 0 must be above 0$"):
        read_settings({"config": path})
    with pytest.raises(UsageError, match=r"^trials=-1 must be above 0$"):
        read_settings({"config": path, "trials": -1})
    assert read_settings({"config": path, "trials": 3}).trials == 3


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("trails: 4", UnknownName, r"^unknown option in {}: 'trails'\. Did you mean 'trials'\?"),
        ("config: other.yaml", UnknownName, r"^unknown option in {}: 'config'\."),
        ("set: steps=4", UnknownName, r"^unknown option in {}: 'set'\."),
        ("resume: s", UnknownName, r"^unknown option in {}: 'resume'\."),
        ("force: true", UnknownName, r"^unknown option in {}: 'force'\."),
        ("epochs: few", UsageError, r"^{}, line 2: epochs: few is not a whole number$"),
        ("max_energy: 5 kJ", UsageError, r"^{}, line 2: max_energy: '5 kJ' is not an energy: give"),
        ("plugins_dir: {{a: b}}", UsageError, r"^{}, line 2: plugins_dir: .* is not a path$"),
        ("space: [4]", UsageError, r"^{}, line 2: space must map hyperparameters to values, not \[4\]$"),
        ("space: {{steps: []}}", UsageError, r"^{}: steps has no value$"),
        ("space: {{steps: [[1]]}}", UsageError, r"^{}: space: steps: .* is not a value, a list of values or LOW"),
    ],
)
def test_keys_and_values_that_make_no_sense_are_refused(
    path: Path, text: str, error: type[UsageError], message: str
) -> None:
    path.write_text(f"task: digits\n{text.format()}\n")
    with pytest.raises(error, match=message.format(path)):
        read_settings({"config": path})


def test_unknown_keys_are_not_offered_what_no_study_file_has(path: Path) -> None:
    path.write_text("forc: true\n")
    with pytest.raises(UnknownName) as error:
        read_settings({"config": path})
    for name, declared in OPTIONS.items():
        assert declared.option.study or f"{name!r}" not in str(error.value)


def test_an_empty_value_is_the_default(path: Path) -> None:
    path.write_text("task: digits\ntrials:\nseed:\n")
    settings = read_settings({"config": path})
    assert (settings.trials, settings.seed) == (24, 0)


def test_a_relative_folder_of_plugins_lies_beside_the_study_file_or_in_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, here = tmp_path / "study" / "s.yaml", tmp_path / "here"
    for folder in (study.parent / "both", study.parent / "beside", here / "both", here / "current"):
        folder.mkdir(parents=True)
    monkeypatch.chdir(here)
    study.write_text("task: digits\nplugins_dir: [both, beside, current, none]\n")
    folders = read_settings({"config": "../study/s.yaml"}).plugin_folders
    assert [str(folder.relative_to(tmp_path)) for folder in folders] == [
        *("study/both", "study/beside", "here/current", "study/none"),
    ]
    assert read_settings({"config": study, "plugins_dir": "both"}).plugin_folders == (here / "both",)


@pytest.mark.parametrize("given", [{}, {"trials": 4}, {"config": "PATH"}])
def test_a_search_needs_a_task(path: Path, given: dict[str, Any]) -> None:
    path.write_text("trials: 20\n")
    given = {name: path if value == "PATH" else value for name, value in given.items()}
    with pytest.raises(UsageError) as error:
        read_settings(given)
    assert error.value.on_command_line() == "--task is missing; see: spikefront plugins --kind task"
    assert read_settings({**given, "task": "digits"}).task == "digits"


def test_the_example_is_a_study_file() -> None:
    example = Path(__file__).parents[3] / "examples" / "study.yaml"
    settings = read_settings({"config": example})
    assert set(settings.given) > {"task"}
