"""Messages: rules, names and options, in Python's words and the command line's."""

from __future__ import annotations

import pickle

import pytest

from spikefront.searchspace import UnknownName, UsageError
from spikefront.searchspace.errors import OptionError


def test_a_few_names_are_all_listed() -> None:
    assert str(UnknownName("coding", "latncy", ["rate", "latency"])) == (
        "unknown coding 'latncy'. Did you mean 'latency'? Known: latency, rate."
    )


def test_of_many_names_the_near_ones_are_listed() -> None:
    names = [f"name-{number:02d}" for number in range(50)] + ["steps"]

    assert str(UnknownName("x", "stpes", names)) == "unknown x 'stpes'. Did you mean 'steps'? Known: steps (51 in all)."


def test_of_many_names_with_none_near_some_are_listed() -> None:
    text = str(UnknownName("x", "?", [f"name-{number:02d}" for number in range(50)]))

    assert "Did you mean" not in text
    assert text.endswith("name-19 (50 in all).")


def test_nothing_known_says_so() -> None:
    assert str(UnknownName("coding", "a", [])) == "unknown coding 'a'. Known: none."


@pytest.mark.parametrize(
    ("flags", "python"),
    [
        (
            "a search needs an end: give --trials, --time, or both",
            "a search needs an end: give trials=, time=, or both",
        ),
        ("choose another --name, or go on with it: --resume s", "choose another name=, or go on with it: resume='s'"),
        ("--max-energy is not given", "max_energy= is not given"),
        ("leave out --set and --from", "leave out space= and from_="),
        (
            "results may not compare; --force goes on all the same",
            "results may not compare; force= goes on all the same",
        ),
        ("choose it: --stopping plateau", "choose it: stopping='plateau'"),
        (
            "--task is missing; see: spikefront plugins --kind task",
            "task= is missing; see: spikefront plugins --kind task",
        ),
        ("see: spikefront run --task x; or give --task", "see: spikefront run --task x; or give task="),
        ("a range 1..3, not 4--5", "a range 1..3, not 4--5"),
    ],
)
def test_options_are_named_in_words_of_python_and_commands_stay(flags: str, python: str) -> None:
    error = UsageError(flags)
    assert str(error) == python
    assert error.on_command_line() == flags


@pytest.mark.parametrize(
    ("error", "python", "flag", "study"),
    [
        (
            OptionError("trials", 0, "must be above 0"),
            "trials=0 must be above 0",
            "--trials 0 must be above 0",
            "study.yaml, line 3: trials: 0 must be above 0",
        ),
        (
            OptionError("from_", "t", ": no such search; leave it out, or see --folder"),
            "from_='t': no such search; leave it out, or see folder=",
            "--from t: no such search; leave it out, or see --folder",
            "study.yaml, line 3: from: t: no such search; leave it out, or see --folder",
        ),
        (
            OptionError("space", "steps", "must read NAME=VALUE", flag="--set"),
            "space='steps' must read NAME=VALUE",
            "--set steps must read NAME=VALUE",
            "study.yaml, line 3: space: steps must read NAME=VALUE",
        ),
        (
            OptionError("name", "a/b", "must be a name"),
            "name='a/b' must be a name",
            "--name 'a/b' must be a name",
            "study.yaml, line 3: name: 'a/b' must be a name",
        ),
        (
            OptionError("reduction", 0.5, "must be 2 or more"),
            "reduction=0.5 must be 2 or more",
            "--reduction 0.5 must be 2 or more",
            "study.yaml, line 3: reduction: 0.5 must be 2 or more",
        ),
    ],
)
def test_an_option_is_named_as_where_it_was_given(error: OptionError, python: str, flag: str, study: str) -> None:
    assert str(error) == python
    assert error.on_command_line() == flag
    assert error.at("study.yaml, line 3").on_command_line() == study


def test_an_error_in_a_study_file_reads_the_same_in_python() -> None:
    error = OptionError("max_energy", "5", "is not an energy", source="study.yaml, line 1")
    assert str(error) == error.on_command_line() == "study.yaml, line 1: max_energy: 5 is not an energy"


@pytest.mark.parametrize(
    "error",
    [
        UsageError("give --trials"),
        OptionError("space", "x", "must read NAME=VALUE", flag="--set", source="study.yaml, line 2"),
        OptionError("trials", 0, "must be above 0"),
        UnknownName("coding", "sca", ["sac", "rate"]),
    ],
)
def test_errors_pass_from_process_to_process(error: UsageError) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert copy.on_command_line() == error.on_command_line()
    assert vars(copy) == vars(error)
