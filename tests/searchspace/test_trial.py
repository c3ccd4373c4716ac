from __future__ import annotations

from pathlib import Path

import pytest

from spikefront.searchspace.trial import Trial, read_name


@pytest.mark.parametrize(
    ("number", "cut", "name", "label"), [(0, 0, "0", 0), (12, 0, "12", 12), (12, 4, "12@4", "12@4")]
)
def test_a_name_is_read_back(number: int, cut: int, name: str, label: int | str) -> None:
    trial = Trial(number, cut=cut)
    assert (trial.name, trial.label) == (name, label)
    assert read_name(name) == (number, cut)


@pytest.mark.parametrize("name", ["", "@4", "12@", "12@0", "12@-4", "12@4@2", "a", "-1", "1.5", "٤", "1" * 10, "12 @4"])
def test_other_text_names_no_trial(name: str) -> None:
    with pytest.raises(ValueError, match="names no trial; a trial has a number, such as 12, and its point"):
        read_name(name)


def test_points_have_candidate_end_and_weights_of_their_trial() -> None:
    trial = Trial(3, candidate={"coding": "direct", "steps": 8}, epoch=5, ended_s=7.0, run_id="r", weights=Path("w.pt"))
    whole = trial.with_points({4: {"quality": 0.5}, 2: {"quality": 0.25}})
    assert [point.name for point in whole.points] == ["3@2", "3@4"]
    point = whole.points[1]
    assert point.candidate == {"coding": "direct", "steps": 8, "cut": 4}
    assert point.metrics == {"quality": 0.5}
    assert (point.epoch, point.ended_s, point.weights, point.points) == (5, 7.0, Path("w.pt"), ())
    assert point.run_id == ""  # it is the trial's
    assert trial.with_points({}) == trial


def test_trials_whose_end_is_not_known_are_equal_on_every_python() -> None:
    assert Trial(1) == Trial(1)
    assert Trial(1) != Trial(2)
    assert Trial(1) != 1
