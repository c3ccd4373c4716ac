"""Signals that end a search: remembered or raised, a second one passed on, handlers as before in the end."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from spikefront.runners.engine import interruption as under_test
from spikefront.runners.engine.interruption import Interrupted, exit_code, interruption, kept_handler

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)


@pytest.fixture(autouse=True)
def handlers() -> Iterator[dict[int, Any]]:
    """Check that each test leaves the handlers that it found, which are those of a new process."""
    found: dict[int, Any] = {number: signal.getsignal(number) for number in SIGNALS}
    before: dict[int, Any] = {number: signal.SIG_DFL for number in SIGNALS} | {
        signal.SIGINT: signal.default_int_handler
    }
    for number, handler in before.items():
        signal.signal(number, handler)
    yield before
    after = {number: signal.getsignal(number) for number in SIGNALS}
    for number, handler in found.items():
        signal.signal(number, handler)
    assert after == before


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_is_remembered_where_there_is_something_to_wind_up(number: signal.Signals) -> None:
    with interruption() as signals:
        signals.hold()
        assert (signals.number, signals.reason) == (0, "")
        os.kill(os.getpid(), number)
        assert signals.number == number
        assert signals.reason == ("interrupted" if number == signal.SIGINT else f"interrupted by {number.name}")


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_is_raised_where_nothing_has_begun(number: signal.Signals) -> None:
    with pytest.raises(KeyboardInterrupt) as raised, interruption() as signals:
        os.kill(os.getpid(), number)
    assert isinstance(raised.value, Interrupted)
    assert signals.raised is raised.value
    assert (raised.value.number, exit_code(number)) == (number, 128 + number)


def test_what_is_held_raises_when_it_is_done() -> None:
    done: list[str] = []

    def work() -> None:
        with interruption() as signals, signals.held():
            os.kill(os.getpid(), signal.SIGTERM)
            done.append("written")

    with pytest.raises(Interrupted):
        work()
    assert done == ["written"]


def test_a_second_signal_does_what_it_would_have_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(under_test, "_SAME_S", 0.05)
    came: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: came.append(number))
    try:
        with interruption() as signals:
            signals.hold()
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGTERM)  # a launcher passed on the same one
            assert came == []
            time.sleep(0.1)
            os.kill(os.getpid(), signal.SIGTERM)
            assert came == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def test_what_nohup_ignores_stays_ignored(handlers: dict[int, Any]) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with interruption() as signals:
        os.kill(os.getpid(), signal.SIGHUP)
        assert signals.number == 0
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    signal.signal(signal.SIGHUP, handlers[signal.SIGHUP])


def test_a_search_inside_a_command_shares_what_handles_its_signals() -> None:
    with interruption() as outer:
        with interruption() as inner:
            assert inner is outer
            inner.hold()
        os.kill(os.getpid(), signal.SIGTERM)
        assert outer.number == signal.SIGTERM


def test_another_thread_handles_no_signals() -> None:
    seen: list[int] = []

    def search() -> None:
        with interruption() as signals:
            signals.hold()
            seen.append(signals.number)

    with interruption():
        thread = threading.Thread(target=search)
        thread.start()
        thread.join()
    assert seen == [0]


def test_a_handler_that_c_code_replaced_is_restored() -> None:
    came: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: came.append(number))
    try:
        with kept_handler():
            ctypes.CDLL(None).signal(signal.SIGTERM, ctypes.c_void_p(1))  # SIG_IGN, which Python does not notice
            os.kill(os.getpid(), signal.SIGTERM)
            assert came == []
        os.kill(os.getpid(), signal.SIGTERM)
        assert came == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


WAITS = """
import sys, time
from spikefront.commands import app

@app.app.command()
def wait() -> None:
    print("waits", flush=True)
    time.sleep(60)

from spikefront.search import main
sys.argv = ["spikefront", "wait"]
main()
"""


@pytest.mark.parametrize(
    ("number", "code", "line"),
    [
        (signal.SIGTERM, 143, "spikefront: interrupted by SIGTERM\n"),
        (signal.SIGHUP, 129, "spikefront: interrupted by SIGHUP\n"),
        (signal.SIGINT, 130, "spikefront: interrupted\n"),
    ],
)
def test_a_command_that_a_signal_ends_says_so_in_one_line(number: signal.Signals, code: int, line: str) -> None:
    process = subprocess.Popen([sys.executable, "-c", WAITS], stdout=-1, stderr=-1, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "waits\n"
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (code, line)


IMPORTS = """
import sys, time

class Slow:
    def find_spec(self, name, path, target=None):
        if name == "spikefront.commands.app":
            print("imports", flush=True)
            time.sleep(60)

sys.meta_path.insert(0, Slow())
from spikefront.search import main
main()
"""


def test_ctrl_c_before_anything_is_imported_prints_no_traceback() -> None:
    process = subprocess.Popen([sys.executable, "-c", IMPORTS], stdout=-1, stderr=-1, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "imports\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (-signal.SIGINT, "")


RESUMES = IMPORTS.replace("spikefront.commands.app", "spikefront.runners.engine.memory.resume")


@pytest.mark.parametrize(
    ("arguments", "out"),
    [
        (["--resume", "s", "--workers", "2"], "go on: spikefront run --resume s --workers 2\n"),
        (["--resume=s"], "go on: spikefront run --resume=s\n"),
        (["--task", "digits"], ""),
    ],
)
def test_a_resume_that_is_ended_before_it_has_begun_says_its_command_again(arguments: list[str], out: str) -> None:
    process = subprocess.Popen([sys.executable, "-c", RESUMES, "run", *arguments], stdout=-1, stderr=-1, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "imports\n"
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=30) == (out, "spikefront: interrupted by SIGTERM\n")
    assert process.returncode == 143
