"""A thread that does jobs in order and tries each until it succeeds; whoever hands them in never waits."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

_log = logging.getLogger(__name__)

_FIRST_PAUSE_S: Final = 0.25
_LONGEST_PAUSE_S: Final = 10.0
_CLOSING_PAUSE_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Job:
    """Something to write.

    Attributes:
        label: what it is, for the report of what could not be written.
        do: writes it. It may be called again after an error, so it must bear having half happened.
    """

    label: str
    do: Callable[[], None]


class Writer:
    """Does jobs one after the other in its own thread.

    Args:
        worth_retrying: told the error and how often the job has been tried; says whether to try again.
        spare: called when nothing waits; returns something less urgent to do, or None.
        patience_s: after ``close``, how long to go on without any success.

    Attributes:
        lost: labels of the jobs that were given up.
        error: the last error, in one line.
    """

    def __init__(
        self, worth_retrying: Callable[[Exception, int], bool], spare: Callable[[], Job | None], patience_s: float
    ) -> None:
        self._worth_retrying = worth_retrying
        self._spare = spare
        self._patience_s = patience_s
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._last_success = 0.0
        self._gave_up = False
        self.lost: list[str] = []
        self.error = ""
        self._thread = threading.Thread(target=self._run, name="spikefront-mlflow", daemon=True)

    def wake(self) -> None:
        """Start writing; until then jobs wait. Call it as often as you like."""
        if self._thread.ident is None:
            self._thread.start()

    def put(self, label: str, do: Callable[[], None]) -> None:
        """Queue a job and return at once."""
        self._jobs.put(Job(label, do))

    def close(self) -> None:
        """Wait until all is done: as long as jobs succeed, and no longer than the patience once they don't."""
        self.wake()
        self._last_success = time.monotonic()
        self._closing.set()
        self._jobs.put(None)  # wakes the thread
        self._thread.join()

    def _run(self) -> None:
        while (job := self._next()) is not None:
            if self._gave_up or not self._succeed(job):
                self.lost.append(job.label)

    def _next(self) -> Job | None:
        """Wait for the next job; None when there won't be another."""
        while True:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                job = self._spare()
                if job is None:
                    if self._closing.is_set():
                        return None
                    job = self._jobs.get()
            if job is not None:
                return job

    def _succeed(self, job: Job) -> bool:
        tried, pause = 0, _FIRST_PAUSE_S
        while True:
            try:
                job.do()
            except Exception as error:  # whatever a store raises, the thread lives on, and the report names it
                tried += 1
                self.error = " ".join(f"{type(error).__name__}: {error}".split())
                _log.debug("%s was not written, try %d: %s", job.label, tried, self.error)
                if not self._worth_retrying(error, tried):
                    return False
            else:
                self._last_success = time.monotonic()
                return True
            if self._closing.is_set():
                if time.monotonic() - self._last_success > self._patience_s:
                    self._gave_up = True
                    return False
                time.sleep(min(pause, _CLOSING_PAUSE_S))
            else:
                self._closing.wait(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)
