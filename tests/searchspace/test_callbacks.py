from __future__ import annotations

import logging
from collections.abc import Mapping

import pytest

from spikefront.searchspace import CallbackList, Callbacks


class Seen(Callbacks):
    def __init__(self) -> None:
        self.epochs: list[int] = []
        self.reason = ""

    def epoch_ended(self, number: int, epoch: int, metrics: Mapping[str, float]) -> None:
        self.epochs.append(epoch)

    def points_measured(self, number: int, points: Mapping[int, Mapping[str, float]]) -> None:
        self.points = (number, points)

    def search_ended(self, reason: str) -> None:
        self.reason = reason


class Broken(Callbacks):
    """Display whose terminal is gone."""

    def epoch_ended(self, number: int, epoch: int, metrics: Mapping[str, float]) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    def search_ended(self, reason: str) -> None:
        raise OSError(5, "Input/output error")


def test_a_callback_that_raises_costs_one_warning_and_the_others_hear_all(caplog: pytest.LogCaptureFixture) -> None:
    first, last = Seen(), Seen()
    callbacks = CallbackList(first, Broken(), last)
    with caplog.at_level(logging.WARNING):
        for epoch in (1, 2):
            callbacks.epoch_ended(0, epoch, {})
        callbacks.points_measured(0, {2: {"quality": 0.5}})
        callbacks.search_ended("all trials done")
    assert first.epochs == last.epochs == [1, 2]
    assert first.points == last.points == (0, {2: {"quality": 0.5}})
    assert first.reason == last.reason == "all trials done"
    assert [record.getMessage() for record in caplog.records] == [
        "Broken raised BrokenPipeError: [Errno 32] Broken pipe; the search goes on"
    ]


def test_ctrl_c_in_a_callback_is_not_held_back() -> None:
    class Interrupts(Callbacks):
        def search_ended(self, reason: str) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        CallbackList(Interrupts()).search_ended("")
