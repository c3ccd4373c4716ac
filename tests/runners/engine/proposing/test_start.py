"""What is judged first."""

from __future__ import annotations

from pathlib import Path

import pytest

from spikefront.plugins import load_registry
from spikefront.runners.engine.memory.opening import create_study, reopen_study
from spikefront.runners.engine.memory.study import StudyRecord
from spikefront.runners.engine.parts import make_sampler
from spikefront.runners.engine.proposing.cost import CostModel
from spikefront.runners.engine.proposing.start import first_candidates, front_of
from spikefront.runners.engine.settings import SearchSettings
from spikefront.searchspace import ENERGY, Candidate, Objective, Space, UnknownName, UsageError, from_flat, parse_set

ACCURACY = Objective("quality", maximize=True, worst=0.0, best=1.0)
REGISTRY = load_registry(third_parties=False)


def other_search(tmp_path: Path, *results: tuple[str, int, float, float]) -> None:
    """Leave a search in which candidates of a coding, with steps, had a quality and an energy."""
    settings = SearchSettings(name="other", folder=tmp_path)
    sampler = make_sampler(settings, REGISTRY)
    record = StudyRecord(create_study(settings, (ACCURACY, ENERGY), sampler, {"options": {}}), (ACCURACY, ENERGY))
    for coding, steps, quality, energy in results:
        trial = record.ask()
        record.chosen(trial, from_flat({"task": "digits", "coding": coding, "steps": steps}, REGISTRY))
        record.tell(trial.number, "COMPLETE", "", {"quality": quality, "energy_nj": energy})


def settings(tmp_path: Path, **more: object) -> SearchSettings:
    return SearchSettings(name="new", folder=tmp_path, **more)  # type: ignore[arg-type]


def candidates(space: Space, settings: SearchSettings, cost: CostModel | None = None) -> list[Candidate]:
    return [prior.candidate for prior in first_candidates(settings, space, cost)]


def test_the_front_of_another_search_comes_first(tmp_path: Path) -> None:
    other_search(tmp_path, ("rate", 9, 0.9, 100.0), ("direct", 3, 0.8, 50.0), ("direct", 7, 0.7, 60.0))
    assert [flat["steps"] for flat in front_of(tmp_path / "other")] == [9, 3]
    space = Space(REGISTRY, "digits")
    found = candidates(space, settings(tmp_path, from_="other"))
    assert [(candidate.coding.name, candidate.steps) for candidate in found] == [("rate", 9), ("direct", 3)]
    narrowed = Space(REGISTRY, "digits", [parse_set("coding=rate"), parse_set("steps=2..6")])
    found = candidates(narrowed, settings(tmp_path, from_="other"))
    assert [(candidate.coding.name, candidate.steps) for candidate in found] == [("rate", 4)]  # the default, for 9


def test_a_search_that_is_not_there_or_has_nothing_is_refused(tmp_path: Path) -> None:
    other_search(tmp_path, ("rate", 9, 0.9, 100.0))
    with pytest.raises(UnknownName, match=r"unknown search in .*: 'othr'. Did you mean 'other'"):
        first_candidates(settings(tmp_path, from_="othr"), Space(REGISTRY, "digits"), None)
    elsewhere = Space(REGISTRY, "digits", [parse_set("coding=direct")])
    with pytest.raises(UsageError, match="from_='other': no coding on its front is in this space"):
        first_candidates(settings(tmp_path, from_="other"), elsewhere, None)


def test_a_search_in_which_nothing_was_judged_is_refused(tmp_path: Path) -> None:
    other_search(tmp_path)
    with pytest.raises(UsageError, match="from_='other': none of its trials has been judged yet"):
        front_of(tmp_path / "other")


def test_priors_come_cheapest_first_and_leave_room_for_the_sampler(tmp_path: Path) -> None:
    space = Space(REGISTRY, "digits")
    expensive = CostModel(lambda candidate: float(-len(candidate.coding.name)))
    names = [candidate.coding.name for candidate in candidates(space, settings(tmp_path, priors=True), expensive)]
    assert [len(name) for name in names] == sorted(map(len, names), reverse=True)
    assert len(first_candidates(settings(tmp_path, priors=True, trials=6), space, None)) == 4
    assert first_candidates(settings(tmp_path), space, None) == []


def test_a_prior_that_would_outlast_the_search_is_left_out_with_a_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    space = Space(REGISTRY, "digits", [parse_set("coding=rate,direct")])
    slow = CostModel(lambda candidate: 1e4 if candidate.coding.name == "rate" else 1.0)
    found = candidates(space, settings(tmp_path, priors=True, time="30m"), slow)
    assert [candidate.coding.name for candidate in found] == ["direct"]
    (said,) = caplog.messages
    assert said.startswith("a prior is left out, predicted to take ")
    assert said.endswith(" s: digits rate lif convnet T=4")


def test_pinned_settings_of_a_prior_go_through_the_journal_and_a_resume(tmp_path: Path) -> None:
    space = Space(REGISTRY, "cifar10", [parse_set("coding=gac")])
    wanted = [prior for prior in space.priors() if prior.candidate.training.schedule.epochs == 250]
    new = settings(tmp_path)
    sampler = make_sampler(new, REGISTRY)
    record = StudyRecord(create_study(new, (ACCURACY, ENERGY), sampler, {"options": {}}), (ACCURACY, ENERGY))
    record.begin_with(wanted)
    trial = record.ask()
    assert record.suggested(trial, space) == wanted[0].candidate
    record.chosen(trial, wanted[0].candidate)

    again = StudyRecord(reopen_study(new, sampler), (ACCURACY, ENERGY))
    again.take_up()
    trial = again.ask()
    assert trial.user_attrs["retry_of"] == 0
    assert again.suggested(trial, space) == wanted[0].candidate
    following = again.ask()  # the sampler's own
    assert again.suggested(following, space).training.schedule.epochs == 15
