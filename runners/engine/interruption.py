"""Signals that end a search: Ctrl-C, SIGTERM and SIGUSR1 of a batch system, SIGHUP of a lost terminal."""

from __future__ import annotations

import ctypes
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

_SIGNALS: Final = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1") if hasattr(signal, name)
)
_SAME_S: Final = 0.2
"""Seconds within which another signal is the first one again: launchers pass on what the whole group has had."""
_LARGEST_SIGACTION: Final = 1024


class Interrupted(KeyboardInterrupt):
    """A signal where nothing has begun that could be ended cleanly.

    Attributes:
        number: which one.
        go_on: command that goes on with what was interrupted; empty where there is none.
    """

    def __init__(self, number: int) -> None:
        super().__init__(reason_of(number))
        self.number = number
        self.go_on = ""


class Interruption:
    """The first signal that ends a search. A second one does what it would have done without this class.

    Attributes:
        number: the signal that came; 0 while none has.
        raised: what it raised; None where it was only remembered.
    """

    def __init__(self) -> None:
        self.number = 0
        self.raised: Interrupted | None = None
        self._at = 0.0
        self._held = False
        self._before: dict[int, Any] = {}

    @property
    def reason(self) -> str:
        """Why a search was ended, in a few words; empty while no signal came."""
        return reason_of(self.number) if self.number else ""

    def hold(self) -> None:
        """Only remember a signal from now on, instead of raising ``Interrupted``: there is something to wind up."""
        self._held = True

    @contextmanager
    def held(self) -> Iterator[None]:
        """Remember a signal inside, and raise ``Interrupted`` at the end."""
        before, self._held = self._held, True
        try:
            yield
        finally:
            self._held = before
        if self.number and not before:
            self._raise()

    def take_over(self, then: Any = None) -> None:
        """Handle the signals from now on; call it in the main thread. What is ignored, as by ``nohup``, stays so.

        Args:
            then: what handles a second signal; None for what handled them before.
        """
        for number in _SIGNALS:
            before = signal.getsignal(number)
            if before is None or (before is signal.SIG_IGN and number != signal.SIGINT):
                continue
            self._before[number] = before
            signal.signal(number, self._handler(before if then is None else then))

    def give_back(self) -> None:
        """Restore the handlers that there were."""
        while self._before:
            signal.signal(*self._before.popitem())

    def _raise(self) -> None:
        self.raised = Interrupted(self.number)
        raise self.raised

    def _handler(self, then: Any) -> Any:
        def handle(number: int, frame: FrameType | None) -> None:
            if not self.number:
                self.number, self._at = number, time.monotonic()
                if not self._held:
                    self._raise()
            elif time.monotonic() - self._at > _SAME_S:
                signal.signal(number, then)
                os.kill(os.getpid(), number)

        return handle


_active: Interruption | None = None


@contextmanager
def interruption(then: Any = None) -> Iterator[Interruption]:
    """Yield what handles the signals inside: that of the caller where there is one, or else a new one.

    Outside of the main thread, which alone may handle signals, it handles none.

    Args:
        then: as for ``Interruption.take_over``.
    """
    global _active
    if _active is not None or threading.current_thread() is not threading.main_thread():
        in_main = threading.current_thread() is threading.main_thread()
        yield _active if _active is not None and in_main else Interruption()
        return
    _active = Interruption()
    try:
        _active.take_over(then)
        yield _active
    finally:
        ended, _active = _active, None
        ended.give_back()


def reason_of(number: int) -> str:
    """Return in a few words why a search ended by a signal."""
    return "interrupted" if number == signal.SIGINT else f"interrupted by {signal.Signals(number).name}"


def exit_code(number: int) -> int:
    """Return the exit code of a process that a signal ended, as shells give it."""
    return 128 + number


@contextmanager
def kept_handler(number: int = signal.SIGTERM) -> Iterator[None]:
    """Restore at the end what handles a signal, also where C code replaced it, which Python does not notice.

    Unlike ``signal.signal`` it works in every thread.
    """
    if os.name != "posix":
        yield
        return
    library, before = ctypes.CDLL(None), ctypes.create_string_buffer(_LARGEST_SIGACTION)
    library.sigaction(number, None, before)
    try:
        yield
    finally:
        library.sigaction(number, before, None)
