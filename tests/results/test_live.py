from __future__ import annotations

import io
import math
from collections.abc import Callable

import pytest

from spikefront.results.front import Trial, spread
from spikefront.results.listeners import Listeners
from spikefront.results.live import LiveView
from spikefront.searchspace import Candidate, SearchInfo

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
    # 1/2 * 6/7 = 0.4286: see the hypervolume of one point in test_front.py
    assert stream.getvalue().splitlines() == [
        "search digits-1 on digits started",
        "trial 0  done  accuracy 0.5000  energy 10.0 nJ  coding sac  hv 0.4286",
        "trial 1  failed (NaN loss)  coding rate  hv 0.4286",
        "trial 2  pruned (silent)  accuracy 0.1000  energy 2.00 µJ  hv 0.4286",
        "search digits-1 ended: all trials done; 1 of 10 trials done, 1 pruned, 1 failed; "
        "best accuracy 0.5000, 1 on the front, hypervolume 0.4286",
    ]


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
    # The first box is 1/2 by 6/7; each further trial adds a slab 1/100 high, log10(2) / 7 narrower than the one before.
    volume = 0.5 * 6 / 7 + sum(0.01 * (6 - n * math.log10(2)) / 7 for n in range(1, 12))
    assert shown.endswith(f"12 on the front, hypervolume {volume:.4f}\n")
    assert view.time_left() == 0.0


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
    front = [Trial(number, {}, {}) for number in range(21)]
    assert [trial.number for trial in spread(front, 5)] == [0, 5, 10, 15, 20]
    assert spread(front[:5], 5) == front[:5]


class Recorder:
    def __init__(self, name: str, events: list[tuple[object, ...]], broken: bool = False) -> None:
        self.name, self.events, self.broken = name, events, broken

    def search_started(self, search: SearchInfo) -> None:
        self.events.append((self.name, "search_started", search.name))

    def trial_started(self, number: int, candidate: Candidate, retry_of: int | None = None) -> None:
        self.events.append((self.name, "trial_started", number))

    def epoch_ended(self, number: int, epoch: int, metrics: object) -> None:
        self.events.append((self.name, "epoch_ended", number, epoch, metrics))

    def trial_ended(self, number: int, state: str, reason: str, metrics: object, weights: object) -> None:
        self.events.append((self.name, "trial_ended", number, state, reason, metrics, weights))

    def search_ended(self, reason: str) -> None:
        self.events.append((self.name, "search_ended", reason))
        if self.broken:
            raise RuntimeError("broken listener")


def test_each_event_reaches_each_listener_in_order(search: Search, candidate: Make) -> None:
    events: list[tuple[object, ...]] = []
    both = Listeners(Recorder("a", events), Recorder("b", events))
    both.search_started(search())
    both.trial_started(0, candidate())
    both.epoch_ended(0, 1, {"quality": 0.5})
    both.trial_ended(0, "PRUNED", "slow", {"quality": 0.5}, None)
    both.search_ended("done")
    expected = [
        ("search_started", "digits-1"),
        ("trial_started", 0),
        ("epoch_ended", 0, 1, {"quality": 0.5}),
        ("trial_ended", 0, "PRUNED", "slow", {"quality": 0.5}, None),
        ("search_ended", "done"),
    ]
    assert events == [(name, *event) for event in expected for name in ("a", "b")]


def test_all_hear_of_the_end_even_when_one_raises() -> None:
    events: list[tuple[object, ...]] = []
    both = Listeners(Recorder("a", events, broken=True), Recorder("b", events))
    with pytest.raises(RuntimeError, match="broken listener"):
        both.search_ended("done")
    assert [event[0] for event in events] == ["a", "b"]
