from __future__ import annotations

import dataclasses
import io
import math
import re
from collections.abc import Callable

import pytest

from spikefront.results.live import LiveView
from spikefront.searchspace import ENERGY, OBJECTIVES, Candidate, SearchInfo, Trial
from spikefront.searchspace.front import spread
from spikefront.searchspace.objectives import quality_objective

Search = Callable[..., SearchInfo]
Make = Callable[..., Candidate]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def judge(view: LiveView, number: int, candidate: Candidate, quality: float, energy: float) -> None:
    view.trial_started(number, candidate)
    view.trial_ended(number, "COMPLETE", "", {"quality": quality, "energy_nj": energy}, None)


def test_one_plain_line_for_each_trial_where_there_is_no_terminal(search: Search, candidate: Make) -> None:
    stream = io.StringIO()
    view = LiveView(stream)
    view.search_started(search())
    judge(view, 0, candidate("sac"), 0.5, 10.0)
    view.trial_started(1, candidate("rate"))
    view.epoch_ended(1, 1, {"quality": 0.1})
    view.trial_ended(1, "FAIL", "NaN loss", {}, None)
    view.trial_ended(2, "PRUNED", "silent", {"quality": 0.1, "energy_nj": 2e3}, None)
    view.search_ended("all trials done")
    # 1/2 * 6/10 = 0.3: see the hypervolume of one point in test_front.py
    assert stream.getvalue().splitlines() == [
        "search digits-1 on digits started",
        "trial 0  done  accuracy 0.5000  energy 10.0 nJ  coding sac  hv 0.3000",
        "trial 1  failed (NaN loss)  coding rate  hv 0.3000",
        "trial 2  pruned (silent)  accuracy 0.1000  energy 2.00 µJ  hv 0.3000",
        "search digits-1 ended: all trials done; 1 of 10 trials done, 1 pruned, 1 failed; "
        "best accuracy 0.5000, 1 on the front, hypervolume 0.3000",
    ]


def test_lines_are_in_the_order_of_numbers_where_the_search_repeats(search: Search, candidate: Make) -> None:
    for time_s, numbers in ((None, ["0", "1", "2"]), (60.0, ["2", "0", "1"])):
        stream = io.StringIO()
        view = LiveView(stream)
        view.search_started(dataclasses.replace(search(), time_s=time_s))
        for number in range(4):
            view.trial_started(number, candidate("sac"))
        for number in (2, 0, 1):
            view.trial_ended(number, "FAIL", "NaN loss", {}, None)
        lines = stream.getvalue().splitlines()[1:]
        assert [line.split()[1] for line in lines] == numbers  # the last one runs, and keeps none waiting


def test_points_are_on_the_front_that_is_shown_and_are_no_trials(search: Search, candidate: Make) -> None:
    stream = Terminal()
    view = LiveView(stream)
    view.search_started(search())
    view.trial_started(0, candidate(steps=8))
    view.points_measured(0, {2: {"quality": 0.5, "energy_nj": 10.0}, 4: {"quality": 0.2, "energy_nj": 20.0}})
    view.trial_ended(0, "COMPLETE", "", {"quality": 0.8, "energy_nj": 1e3}, None)
    view.search_ended("all trials done")
    shown = stream.getvalue()
    assert "1 of 10 trials done" in shown
    assert "2 on the front" in shown
    assert re.search(r"0@2 +0\.5000 +10\.0 nJ +2 of 8 ", shown)
    assert "0@4" not in shown


@pytest.mark.parametrize("verbose", [False, True])
def test_traceback_of_a_failed_trial_is_shown_cut_where_it_is_asked_for(
    search: Search, candidate: Make, verbose: bool
) -> None:
    stream = io.StringIO()
    view = LiveView(stream, verbose=verbose)
    view.search_started(search())
    view.trial_started(0, candidate("sac"))
    view.trial_raised(0, "\n".join(f"line {number}" for number in range(15)) + "\n")
    view.trial_ended(0, "FAIL", "ValueError: x (mine.py:3)", {}, None)
    _, *shown, last = stream.getvalue().splitlines()
    assert last == "trial 0  failed (ValueError: x (mine.py:3))  coding sac  hv 0.0000"
    cut = ["trial 0 failed:", "  ... 3 lines more in error.txt", *(f"  line {number}" for number in range(3, 15))]
    assert shown == (cut if verbose else [])


def test_a_terminal_shows_counts_and_front(search: Search, candidate: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    stream, clock = Terminal(), Clock()
    view = LiveView(stream, clock)
    view.search_started(search())
    for number in range(12):  # all on the front: twice the energy for a bit more quality
        judge(view, number, candidate("sac", steps=number + 1), 0.5 + number / 100, 10.0 * 2**number)
    view.trial_started(12, candidate())
    clock.now = 65.0
    view.search_ended("interrupted")
    shown = stream.getvalue()
    assert "12 of 10 trials done, 1 running" in shown
    assert "1m05s elapsed" in shown
    assert "best accuracy 0.6100, 12 on the front" in shown
    assert "20.5 µJ" in shown  # the last trial: 10 nJ * 2^11
    assert "10 of 12 on the front" in shown
    # The first box is 1/2 by 6/10; each further trial adds a slab 1/100 high, log10(2) / 10 narrower than that before.
    volume = 0.5 * 6 / 10 + sum(0.01 * (6 - n * math.log10(2)) / 10 for n in range(1, 12))
    assert shown.endswith(f"12 on the front, hypervolume {volume:.4f}\n")
    assert view.time_left() == 0.0


def test_each_objective_has_its_column_and_its_place_in_the_line(
    search: Search, candidate: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    axes = (quality_objective(maximize=True, worst=0.0, best=1.0), ENERGY, OBJECTIVES["attention"], OBJECTIVES["sops"])
    metrics = {"quality": 0.5, "energy_nj": 10.0, "attention_nj": 0.25, "sops": 20_480.0}
    shown = {}
    for stream in (io.StringIO(), Terminal()):
        view = LiveView(stream)
        view.search_started(search(objectives=axes))
        view.trial_started(0, candidate("sac"))
        view.trial_ended(0, "COMPLETE", "", metrics, None)
        view.search_ended("all trials done")
        shown[type(stream)] = re.sub(r"\x1b\[\d+m", "", stream.getvalue())
    line = "trial 0  done  accuracy 0.5000  energy 10.0 nJ  attention 250 pJ  sops 20,480  coding sac  hv "
    assert line in shown[io.StringIO]
    head, _, row = (row.split() for row in shown[Terminal].splitlines()[4:7])
    assert head == ["trial", "accuracy", "energy", "attention", "sops", "steps", "coding", "neuron", "backbone"]
    assert row == ["0", "0.5000", "10.0", "nJ", "250", "pJ", "20,480", "4", "sac", "lif", "convnet"]


def test_the_time_left_follows_from_trials_and_time(search: Search, candidate: Make) -> None:
    clock = Clock()
    view = LiveView(io.StringIO(), clock)
    assert view.time_left() is None
    view.search_started(search(trials=10))
    clock.now = 30.0
    assert view.time_left() is None  # no trial has ended yet
    judge(view, 0, candidate(), 0.5, 10.0)
    judge(view, 1, candidate(), 0.5, 10.0)
    assert view.time_left() == pytest.approx(15.0 * 8)  # 2 in 30 s, 8 to go
    view.search_started(search(trials=10, time_s=100.0))
    clock.now = 60.0
    assert view.time_left() == pytest.approx(70.0)  # 100 s asked for, 30 s gone; the trials would take 120 s
    clock.now = 300.0
    assert view.time_left() == 0.0


def test_a_long_front_is_shown_evenly_with_both_ends() -> None:
    front = [Trial(number) for number in range(21)]
    assert [trial.number for trial in spread(front, 5)] == [0, 5, 10, 15, 20]
    assert spread(front[:5], 5) == front[:5]


def test_it_knows_how_far_the_front_decides_which_coding_leads(search: Search, candidate: Make) -> None:
    view = LiveView(io.StringIO())
    earlier = (
        Trial(0, "COMPLETE", candidate("sac").flat(), {"quality": 0.4, "energy_nj": 4.0}),
        Trial(1, "COMPLETE", candidate("css").flat(), {"quality": 0.4, "energy_nj": 9.0}, again=True),
    )
    view.search_started(search())
    assert view.trust[0] == ""
    view.search_started(dataclasses.replace(search(), earlier=earlier))
    judge(view, 2, candidate("sac"), 0.5, 14.9)
    view.trial_started(3, candidate("css"))
    view.trial_ended(3, "PRUNED", "silent", {"quality": 0.1, "energy_nj": 2e3}, None)
    view.trial_started(4, candidate("css"))
    view.trial_ended(4, "FAIL", "NaN loss", {}, None)
    view.search_ended("all trials done")
    said, command = view.trust
    assert said == "2 codings, 1 to 2 tries each, one seed: which coding leads is not decided"
    assert command[:3] == ["spikefront", "recommend", "--max-energy"]
    assert command[3] in ("5nJ", "20nJ")  # of one of the two members
