"""Background thread that runs queued writes in order with retries; ``put`` never blocks."""

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
_PROGRESS_AFTER_S: Final = 15.0
_PROGRESS_EVERY_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Job:
    """A write.

    Attributes:
        label: what is written, for the report of failed writes.
        do: writes it. It may be called again after an error, so it must be idempotent.
    """

    label: str
    do: Callable[[], None]


class Writer:
    """A queue of jobs, run one after the other in a thread of its own.

    Args:
        worth_retrying: called with the error and how often the job has been tried; returns whether to try again.
        spare: called when the queue is empty; returns a less urgent job, or None.
        patience_s: after ``close``, how long to continue without any success.

    Attributes:
        lost: labels of the jobs that were given up after their last try.
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
        self._put = 0
        self._done = 0
        self._last_success = 0.0
        self._gave_up = False
        self.lost: list[str] = []
        self.error = ""
        self._thread = threading.Thread(target=self._run, name="spikefront-mlflow", daemon=True)

    def wake(self) -> None:
        """Start the thread unless it runs; until then jobs wait."""
        if self._thread.ident is None:
            self._thread.start()

    def put(self, label: str, do: Callable[[], None]) -> None:
        """Queue a job and return at once."""
        self._put += 1
        self._jobs.put(Job(label, do))

    def close(self, progress: Callable[[int, int], None] = lambda left, of: None) -> None:
        """Wait until all jobs are done: as long as they succeed, and no longer than ``patience_s`` once they fail.

        Args:
            progress: called every few seconds if this takes long, with the number of jobs left and of those that were
                left at the beginning or have been added since.
        """
        self.wake()
        self._last_success = time.monotonic()
        before = self._done
        self._closing.set()
        self._jobs.put(None)  # wakes the thread
        wait = _PROGRESS_AFTER_S
        while self._thread.is_alive():
            self._thread.join(wait)
            wait = _PROGRESS_EVERY_S
            if self._thread.is_alive():
                progress(max(1, self._put - self._done), max(1, self._put - before))

    def _run(self) -> None:
        while (job := self._next()) is not None:
            if self._gave_up or not self._succeed(job):
                self.lost.append(job.label)
            self._done += 1

    def _next(self) -> Job | None:
        """Wait for the next job; None when there won't be another."""
        while True:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                job = self._spare()
                self._put += job is not None
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
            except Exception as error:  # whatever a store raises, the thread continues, and the report names it
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
