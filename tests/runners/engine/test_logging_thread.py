"""Loggers in threads of their own: events in order, no waiting, and no failure that reaches the search."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from spikefront.plugins import Logger, load_registry
from spikefront.plugins.loggers.jsonl import JsonLines, read
from spikefront.plugins.testing import LoggerContract
from spikefront.plugins.testing.loggers import measured, tell
from spikefront.runners.engine.logging_thread import LoggerThread
from spikefront.runners.engine.parts import make_loggers, refuse_unused
from spikefront.runners.engine.settings import SearchSettings
from spikefront.searchspace import CallbackList, Candidate, SearchInfo, UnknownName, UsageError

CONTRACT = LoggerContract()


class Faulty(Logger):
    """Raises at every second epoch."""

    name = "faulty"

    def __init__(self, config: Any = None) -> None:
        super().__init__(config)
        self.heard: list[tuple[int, int]] = []
        self.threads: set[int] = set()

    def epoch_ended(self, number: int, epoch: int, metrics: Mapping[str, float]) -> None:
        self.threads.add(threading.get_ident())
        self.heard.append((number, epoch))
        if epoch % 2 == 0:
            raise RuntimeError("disk full")


class Slow(Logger):
    """Takes its time for each trial."""

    name = "slow"

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds, self.started = seconds, 0

    def trial_started(self, number: int, candidate: Candidate, retry_of: int | None = None) -> None:
        time.sleep(self.seconds)
        self.started += 1


class Unwilling(Logger):
    """Raises what would end a thread silently."""

    name = "unwilling"

    def search_started(self, search: SearchInfo) -> None:
        raise SystemExit(3)


def test_a_logger_that_raises_costs_one_warning_and_hears_the_rest(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    faulty, healthy = Faulty(), JsonLines()
    callbacks = CallbackList(LoggerThread(faulty), LoggerThread(healthy))
    callbacks.search_started(CONTRACT.search(tmp_path))
    callbacks.trial_started(0, CONTRACT.candidate())
    for epoch in range(1, 7):
        callbacks.epoch_ended(0, epoch, measured(0.5))
    callbacks.trial_ended(0, "COMPLETE", "", measured(0.5), None)
    callbacks.search_ended("all trials done")

    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert warnings[0].startswith("logger faulty: epoch_ended raised RuntimeError: disk full")
    assert faulty.heard == [(0, epoch) for epoch in range(1, 7)]
    assert len(faulty.threads) == 1
    assert threading.get_ident() not in faulty.threads
    events = [line["event"] for line in read(tmp_path / "events.jsonl")]
    assert events == ["search_started", "trial_started", *["epoch"] * 6, "trial_ended", "search_ended"]


def test_even_a_system_exit_is_one_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tell(LoggerThread(Unwilling()), CONTRACT.search(tmp_path), CONTRACT.candidate())  # type: ignore[arg-type]
    assert [record.getMessage() for record in caplog.records if "raised SystemExit" in record.getMessage()] != []


def test_a_search_does_not_wait_for_a_logger_but_at_its_end(tmp_path: Path) -> None:
    slow = Slow(0.1)
    thread = LoggerThread(slow)
    began = time.monotonic()
    thread.search_started(CONTRACT.search(tmp_path))
    for number in range(5):
        thread.trial_started(number, CONTRACT.candidate())
    assert time.monotonic() - began < 0.3
    thread.search_ended("all trials done")
    assert slow.started == 5


def test_a_logger_that_hangs_is_left_behind_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    thread = LoggerThread(Slow(3.0), patience_s=0.2)
    thread.search_started(CONTRACT.search(tmp_path))
    thread.trial_started(0, CONTRACT.candidate())
    thread.search_ended("all trials done")
    (warning,) = [record.getMessage() for record in caplog.records]
    assert warning.startswith("logger slow takes more than 0.2 s for one event; the search ends without it")


def test_an_epoch_costs_the_search_less_than_50_microseconds(tmp_path: Path) -> None:
    thread, metrics = LoggerThread(Slow(0.0)), {f"metric_{number}": 0.5 for number in range(30)}
    thread.search_started(CONTRACT.search(tmp_path))
    began = time.thread_time()
    for epoch in range(2000):
        thread.epoch_ended(0, epoch, metrics)
    spent = time.thread_time() - began
    thread.search_ended("all trials done")
    assert spent / 2000 < 50e-6


def test_loggers_are_chosen_by_name_once_each_with_their_settings() -> None:
    registry = load_registry(third_parties=False)
    settings = SearchSettings("digits", logger=["jsonl", "tensorboard", "jsonl"], space="logger.jsonl.epochs=false")
    refuse_unused(settings, registry)
    loggers = make_loggers(settings, registry)
    assert [logger.name for logger in loggers] == ["jsonl", "tensorboard"]
    assert loggers[0].config.epochs is False
    assert make_loggers(SearchSettings("digits"), registry) == []
    with pytest.raises(UnknownName, match=r"unknown logger 'jsnl'\. Did you mean 'jsonl'\?"):
        make_loggers(SearchSettings("digits", logger="jsnl"), registry)
    with pytest.raises(UsageError, match="this search has no logger 'jsonl'; choose it: logger='jsonl'"):
        refuse_unused(SearchSettings("digits", space="logger.jsonl.epochs=false"), registry)
