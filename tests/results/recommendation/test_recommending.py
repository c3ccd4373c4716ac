"""Recommending from a search in a store: what is trained, what is kept and not measured twice, and what is answered."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from contextlib import redirect_stderr

import pytest

from spikefront.results.findings import read_findings
from spikefront.results.pictures.recommendation import recommendation_picture
from spikefront.results.recommendation.document import arms_in, segments_in
from spikefront.results.recommendation.recommending import Recommending
from spikefront.results.searches import StoredSearch
from spikefront.results.store.connection import Store
from spikefront.results.store.recorder import MlflowRecorder
from spikefront.searchspace import Candidate, SearchInfo, UsageError
from spikefront.searchspace.errors import OptionError
from spikefront.searchspace.objectives import Limits
from spikefront.searchspace.records import Repeat

Write = Callable[..., None]
MEANS = {0: 0.90, 1: 0.95, 2: 0.93, 3: 0.80, 4: 0.85}
RUNS = [
    ("sac", 0.91, 10.0, "COMPLETE", ""),
    ("sac", 0.97, 50.0, "COMPLETE", ""),
    ("sac", 0.94, 40.0, "COMPLETE", ""),
    ("css", 0.82, 5.0, "COMPLETE", ""),
    ("css", 0.86, 30.0, "COMPLETE", ""),
    ("gac", 0.99, 500.0, "COMPLETE", ""),
    ("gac", 0.10, 4.0, "PRUNED", "behind"),
]
NOISE = (0.0, 0.002, -0.001, 0.001, -0.002, 0.0015, -0.0005)
LIMITS = Limits(max_energy_nj=60.0)


def opened(limits: Limits = LIMITS, **options: object) -> Recommending:
    return Recommending(Store(), "digits-1", limits, **options)  # type: ignore[arg-type]


def measured(known: Recommending, name: str, seed: int, **more: float) -> Repeat:
    """Return what a training would have measured: the means above, and a little noise by trial and seed."""
    trial = next(one for one in known.candidates if one.name == name)
    quality = MEANS[trial.number] + NOISE[(seed + trial.number) % 7]
    metrics = {"quality": quality, "energy_nj": trial.metrics["energy_nj"], "latency_steps": 4.0, "parameters": 9.0}
    return Repeat(name, seed, metrics | more)


def train(known: Recommending, pairs: list[tuple[str, int]], split: str = "validation", **more: float) -> list[str]:
    stream = io.StringIO()
    take = known.record(split)  # type: ignore[arg-type]
    with redirect_stderr(stream):
        for name, seed in pairs:
            take(measured(known, name, seed, **more))
    return stream.getvalue().splitlines()


def numbers(pairs: list[tuple[str, int]]) -> list[tuple[int, int]]:
    return [(int(name), seed) for name, seed in pairs]


def test_each_candidate_begins_with_the_same_three_seeds_and_nothing_is_measured_twice(write: Write) -> None:
    write(RUNS)
    known = opened()
    # the best two of each coding within 60 nJ; the search itself used seed 3
    assert sorted(numbers(known.start())) == [(n, seed) for n in (1, 2, 3, 4) for seed in (4, 5, 6)]
    assert known.trainings == 5 * 4 + 3 * 2
    first = known.start()[:5]
    lines = train(known, first)
    assert lines[0] == "[1/26] css, trial 4, seed 4: quality 0.8520, energy 30.0 nJ"
    assert known.start() == opened().start()  # another process goes on where this one was killed
    assert not set(first) & set(known.start())
    assert known.spent == opened().spent == 5


def test_seeds_go_to_the_codings_that_are_hard_to_tell_apart_until_it_is_decided(write: Write) -> None:
    write([*RUNS[:3], ("css", 0.95, 45.0, "COMPLETE", "")])
    known = opened(test_seeds=0, trainings=40)
    means = {1: 0.9504, 2: 0.93, 3: 0.95}
    before = dict(MEANS)
    try:
        MEANS.update(means)
        train(known, known.start())
        drawn = numbers(known.next(12))
        assert {number for number, _ in drawn} == {1, 3}
        assert drawn == numbers(opened(test_seeds=0, trainings=40).next(12))
        assert min(seed for _, seed in drawn) == 7  # fresh ones, in the order that all have
        while pairs := known.next(4):
            train(known, pairs)
        assert known.spent <= 40
    finally:
        MEANS.clear()
        MEANS.update(before)


def test_a_candidate_that_costs_more_under_fresh_seeds_makes_place_for_the_next(write: Write) -> None:
    write(RUNS)
    known = opened(per_coding=1)
    assert {number for number, _ in numbers(known.start())} == {1, 4}
    train(known, [pair for pair in known.start() if pair[0] == "1"], energy_nj=61.0)
    assert {number for number, _ in numbers(known.start())} == {2, 4}
    train(known, known.start())
    found = known.conclude()
    assert found.trial == "2"
    assert "costs 61.0 nJ, over 3 seeds" not in set(found.table["verdict"])  # its coding has another candidate


def test_the_answer_is_three_sentences_a_table_and_a_document_that_is_read_again(write: Write) -> None:
    write(RUNS)
    known = opened()
    train(known, known.start())
    assert known.next(2) == []  # far apart: nothing more is needed
    tests = known.to_test()
    assert numbers(tests) == [(n, seed) for seed in (4, 5, 6) for n in (1, 4)]
    train(known, tests, "test")
    assert opened().to_test() == []
    found = known.conclude(" --experiment mine")
    assert (found.verdict, found.coding, found.trial, found.tied, found.more) == ("best", "sac", "1", ("sac",), None)
    assert found.low < found.lead < found.high
    assert found.lead == pytest.approx(0.10, abs=0.003)
    assert found.probability > 0.99
    head, lead, test = found.answer
    assert head.startswith(
        "best within 60.0 nJ: sac (trial 1, T = 4, lif, convnet, 50.0 nJ); export it: spikefront exp"
    )
    assert head.endswith("export digits-1/1 --to net.pt --experiment mine")
    assert "css (trial 4) being the next; the best of 2 codings with probability 1.00" in lead
    assert test.startswith("test split, read once, of 3 seeds, with 95 % intervals: sac 0.95")
    assert list(found.table["coding"]) == ["sac", "css"]
    assert list(found.table["verdict"]) == ["best", "behind"]
    assert list(found.table["seeds"]) == [3, 3]
    stored = StoredSearch.open(Store(), "digits-1").artifact("recommended.json")
    assert stored["answer"] == list(found.answer)
    assert segments_in(stored) == found.segments
    assert {arm.name: arm.qualities for arm in arms_in(stored)} == {
        arm.name: pytest.approx(arm.qualities) for arm in known.arms
    }
    picture = recommendation_picture(read_findings(StoredSearch.open(Store(), "digits-1")))
    assert "over seeds" in picture.alt
    assert {row["coding"] for row in picture.rows if "low" in row} == {"sac", "css"}


def test_repeats_of_other_calls_count_and_stay_in_the_document(write: Write) -> None:
    write(RUNS)
    cheap = opened(Limits(max_energy_nj=10.0), test_seeds=0)
    train(cheap, cheap.start())
    assert cheap.conclude().trial == "0"
    known = opened(Limits(max_energy_nj=45.0), per_coding=1, test_seeds=0)
    assert {number for number, _ in numbers(known.start())} == {2, 4}
    train(known, known.start())
    found = known.conclude()
    assert {arm.name for arm in known.arms} == {"0", "2", "3", "4"}
    assert found.trial == "2"
    assert [one.coding for one in found.segments] == ["css", "sac"]


def test_what_was_measured_on_the_test_split_counts_when_the_front_is_confirmed_and_does_not_confirm_it(
    write: Write,
) -> None:
    from spikefront.results.confirmations import Confirmations
    from spikefront.results.twins import Twins

    write(RUNS)
    seeds = (4, 5, 6)
    before = Confirmations(Store(), "digits-1").missing(seeds)
    known = opened()
    train(known, known.start())
    train(known, known.to_test(), "test")
    assert ("1", 4) in before
    assert Confirmations(Store(), "digits-1").missing(seeds) == [pair for pair in before if pair[0] not in ("1", "4")]
    assert Twins(Store(), "digits-1").split == "validation"  # of others nothing is known on the test split


def test_a_network_that_is_stopped_early_is_a_candidate_of_its_own(
    database: None, search: Callable[..., SearchInfo], candidate: Callable[..., Candidate]
) -> None:
    recorder = MlflowRecorder(Store())
    recorder.search_started(search("digits-1"))
    for number, (quality, points) in enumerate([(0.9, {2: 0.85}), (0.88, {})]):
        recorder.trial_started(number, candidate("sac"))
        measured_ = {cut: {"quality": reached, "energy_nj": 5.0} for cut, reached in points.items()}
        recorder.points_measured(number, measured_)
        recorder.trial_ended(number, "COMPLETE", "", {"quality": quality, "energy_nj": 10.0 + number}, None)
    recorder.search_ended("all trials done")
    known = opened(Limits(max_energy_nj=8.0), test_seeds=0)
    assert known.start() == [("0@2", 4), ("0@2", 5), ("0@2", 6)]
    assert next(one for one in known.candidates if one.name == "0@2").candidate["cut"] == 2
    train(known, known.start(), energy_nj=5.0)
    found = known.conclude()
    assert (found.trial, found.candidate["cut"]) == ("0@2", 2)
    assert "trial 0@2, T = 2 of 4" in found.answer[0]
    assert "spikefront export digits-1/0@2 --to net.pt" in found.answer[0]
    assert opened(Limits(max_energy_nj=8.0), test_seeds=0).start() == []
    whole = opened(Limits(max_energy_nj=20.0), test_seeds=0)
    assert {name for name, _ in whole.start()} == {"0", "1"}  # of one training the best alone
    assert arms_in(StoredSearch.open(Store(), "digits-1").artifact("recommended.json"))[0].name == "0@2"


def test_equal_repeats_on_the_test_split_are_as_uncertain_as_those_of_the_others(write: Write) -> None:
    write(RUNS)
    known = opened()
    train(known, known.start())
    known.next(2)
    for name, seed in known.to_test():
        train(known, [(name, seed)], "test", **({"quality": 0.95} if name == "1" else {}))
    _, _, test = known.conclude().answer
    low, high = map(float, re.search(r"sac 0\.9500 \((.*?) to (.*?)\)", test).groups())  # type: ignore[union-attr]
    assert low < 0.95 < high
    assert high - low < 0.02


def test_a_point_that_never_was_on_the_front_gets_a_run_when_it_is_trained_again(
    database: None, search: Callable[..., SearchInfo], candidate: Callable[..., Candidate]
) -> None:
    recorder = MlflowRecorder(Store())
    recorder.search_started(search("digits-1"))
    for number, (coding, energy, points) in enumerate([("css", 4.0, {}), ("sac", 10.0, {2: 5.0})]):
        recorder.trial_started(number, candidate(coding))
        recorder.points_measured(number, {cut: {"quality": 0.85, "energy_nj": of} for cut, of in points.items()})
        recorder.trial_ended(number, "COMPLETE", "", {"quality": 0.9 - 0.01 * number, "energy_nj": energy}, None)
    recorder.search_ended("all trials done")
    limits = Limits(max_energy_nj=8.0)
    before = StoredSearch.open(Store(), "digits-1").find("1@2")
    assert before.run_id == ""
    known = opened(limits, test_seeds=0)
    train(known, [pair for pair in known.start() if pair[0] == "1@2"][:2], energy_nj=5.0)
    again = opened(limits, test_seeds=0)  # another process goes on where this one was killed
    assert [pair for pair in again.start() if pair[0] == "1@2"] == [("1@2", 6)]
    after = StoredSearch.open(Store(), "digits-1").find("1@2")
    assert after.run_id
    assert (after.metrics, after.candidate["cut"], after.steps) == (before.metrics, 2, before.steps)
    assert [one.name for one in StoredSearch.open(Store(), "digits-1").front.members] == ["0"]


def test_a_candidate_that_fails_has_other_seeds_and_then_makes_place(write: Write) -> None:
    write(RUNS)
    known = opened(per_coding=1)
    take = known.record("validation")
    with redirect_stderr(io.StringIO()) as said:
        take(Repeat("1", 4, {}, "no spikes"))
        take(Repeat("1", 5, {"quality": float("nan"), "energy_nj": 1.0}))
    assert said.getvalue().splitlines()[0] == "[1/16] sac, trial 1, seed 4: failed (no spikes)"
    assert "its training diverged" in said.getvalue()
    assert ("1", 6) in known.start()
    with redirect_stderr(io.StringIO()):
        take(Repeat("1", 6, {}, "no spikes"))
    assert {number for number, _ in numbers(known.start())} == {2, 4}


@pytest.mark.parametrize(
    ("limits", "options", "message"),
    [
        (LIMITS, {"trainings": 17}, r"^trainings=17 is fewer than the 18 that a start takes: 3 of each of 4 "
         r"candidates, 6 for the test split; fewer do with candidates='1'$"),
        (Limits(max_energy_nj=1.0), {}, r"^max_energy='1nJ': no candidate .* the cheapest takes 5\.00 nJ \(trial 3\)$"),
        (Limits(min_quality=0.995), {}, r"^min_quality=0\.995: no candidate .* the best reaches 0\.9900 for 500 nJ"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_before_any_training(
    write: Write, limits: Limits, options: dict[str, int], message: str
) -> None:
    write(RUNS)
    with pytest.raises(OptionError, match=message):
        opened(limits, **options)


def test_a_search_without_results_is_refused(write: Write) -> None:
    write([("sac", 0.5, 1.0, "FAIL", "no spikes")])
    with pytest.raises(UsageError, match="has an empty front"):
        opened()


def test_without_a_budget_the_answer_is_for_each(write: Write) -> None:
    write(RUNS)
    MEANS[5] = 0.98
    try:
        known = opened(Limits(), test_seeds=0)
        train(known, known.start())
        found = known.conclude()
    finally:
        del MEANS[5]
    assert found.verdict == "by budget"
    assert [(one.coding, one.decided) for one in found.segments] == [("css", True), ("sac", True), ("gac", True)]
    assert found.answer[0] == "from 5.00 nJ to 10.0 nJ: css (trial 3), the only coding"
    assert found.answer[1].startswith("from 10.0 nJ to 500 nJ: sac (trials 0, 2, 1), the best with probability ")
    assert found.answer[2].startswith("from 500 nJ on: gac (trial 5), the best with probability ")


def test_before_it_the_picture_says_that_one_seed_decides_nothing(write: Write) -> None:
    write(RUNS)
    picture = recommendation_picture(read_findings(StoredSearch.open(Store(), "digits-1")))
    assert "on one seed, so that nothing is decided" in picture.alt
    assert not [row for row in picture.rows if "low" in row]
    strip = [row for row in picture.rows if "x2" in row]
    assert [(row["x"], row["coding"], row["sure"]) for row in strip] == [
        (5.0, "css", False), (10.0, "sac", False), (500.0, "gac", False)
    ]  # fmt: skip
    assert picture.svg().startswith("<svg")
