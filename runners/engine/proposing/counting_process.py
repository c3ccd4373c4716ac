"""Process that counts candidates' operations: code of plugins, which must not end or block the driver."""

from __future__ import annotations

import logging
import math
import os
import pickle
import select
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import IO, Any, Final

from spikefront.plugins import Data, SearchData, load_registry
from spikefront.runners.engine.import_path import import_path
from spikefront.runners.engine.settings import SearchSettings
from spikefront.runners.judging.workload import ONE_CORE, ONE_GPU, Speed, Workloads
from spikefront.searchspace import Candidate, from_flat

_log = logging.getLogger(__name__)

_LIMIT_S: Final = 10.0
_START_LIMIT_S: Final = 60.0
_LONGEST_LINE: Final = 300
_TRIES: Final = 3  # a plugin may be broken, but not every one


class CountingProcess:
    """``Workloads`` in a process of its own, which starts at once, in the background.

    A candidate whose count fails, ends the process or takes more than ten seconds gets infinite cost. After three lost
    processes every candidate does. The first and the last loss are logged, with the last line of the process's stderr.

    Args:
        folders: folders with loose plugin files.
        speed: of what a trial runs on.
    """

    def __init__(self, folders: tuple[Path, ...], speed: Speed) -> None:
        self._first = (folders, speed)
        self._data: tuple[Any, ...] | None = None
        self._lost = 0
        self._process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(import_path()), "OMP_NUM_THREADS": "1"},
        )
        self._limit_s = _START_LIMIT_S
        self._said: deque[bytes] = deque(maxlen=1)
        assert process.stderr is not None
        self._listener = threading.Thread(target=_keep_last, args=(process.stderr, self._said), daemon=True)
        self._listener.start()
        self._write(process, self._first)
        if self._data is not None:
            self._write(process, self._data)
        return process

    @staticmethod
    def _write(process: subprocess.Popen[bytes], message: object) -> None:
        assert process.stdin is not None
        with suppress(BrokenPipeError):  # reading then finds that it has ended
            pickle.dump(message, process.stdin)
            process.stdin.flush()

    def tell(self, data: SearchData) -> None:
        """Send shapes and sizes of the data; needed once, before the first count."""
        # shapes and sizes are what counts
        sample = data.train.inputs[:2].numpy()
        self._data = (sample, len(data.train), len(data.validation), data.outputs)
        self._write(self._process, self._data)

    def __call__(self, candidate: Candidate) -> float:
        """Return the seconds that the evaluation of a candidate should take by its operations."""
        if self._lost >= _TRIES:
            return math.inf
        self._write(self._process, candidate.flat())
        output = self._process.stdout
        assert output is not None
        ready, _, _ = select.select([output], [], [], self._limit_s)
        line = output.readline() if ready else b""
        if line.endswith(b"\n"):
            self._limit_s = _LIMIT_S
            return float(line)
        self._replace(hung=not ready)
        return math.inf

    def _replace(self, hung: bool) -> None:
        """Start a new process after the loss of one, unless there were too many."""
        waited_s = self._limit_s
        if not hung:
            with suppress(subprocess.TimeoutExpired):  # its answers may end before it does
                self._process.wait(1.0)
        code = self._process.poll()
        self.close()
        self._lost += 1
        how = f"did not answer within {waited_s:g} s" if code is None else f"ended with {_status(code)}"
        how += "".join(f": {line.decode(errors='replace')}" for line in self._said)
        if self._lost == 1:
            _log.warning("the process that counts operations, to predict costs, %s; it is started again", how)
        elif self._lost == _TRIES:
            text = "the process that counts operations was lost %d times, and %s; costs are not predicted any more"
            _log.warning(text, _TRIES, how)
        if self._lost < _TRIES:
            self._process = self._start()

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        self._listener.join(1.0)  # not longer: a process that it started may still hold the other end
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with suppress(BrokenPipeError):
                pipe.close()


def _keep_last(stream: IO[bytes], said: deque[bytes]) -> None:
    """Read a stream to its end, and keep its last line that is not blank."""
    with stream:
        for line in iter(partial(stream.readline, _LONGEST_LINE), b""):
            if line.strip():
                said.append(line.strip())


def _status(code: int) -> str:
    """Return how a process ended: its exit code, or the signal that killed it."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:  # a real-time one has no name
        return f"signal {-code}"


@contextmanager
def counting_process(settings: SearchSettings) -> Iterator[CountingProcess | None]:
    """Run the counting process of a search, if the search is to be aware of costs."""
    if not settings.cost_aware:
        yield None
        return
    counting = CountingProcess(settings.plugin_folders, ONE_GPU if settings.gpus_per_trial else ONE_CORE)
    try:
        yield counting
    finally:
        counting.close()


def _serve(questions: IO[bytes], answers: IO[bytes]) -> None:
    folders, speed = pickle.load(questions)
    registry = load_registry(folders)
    import torch

    torch.zeros(1, device="meta").relu()  # the first one takes a second; do it before anybody waits
    sample, train, validation, outputs = pickle.load(questions)
    rows = torch.from_numpy(sample)
    targets = torch.zeros(1)
    workloads = Workloads(
        registry,
        SearchData(
            Data(rows[:1].expand(train, *rows.shape[1:]), targets.expand(train)),
            Data(rows[:1].expand(validation, *rows.shape[1:]), targets.expand(validation)),
            outputs,
        ),
        speed,
    )
    while True:
        flat = pickle.load(questions)
        try:
            seconds = workloads.seconds(from_flat(flat, registry))
        except Exception:  # a plugin may raise anything; the trial will say what
            seconds = math.inf
        answers.write(f"{seconds!r}\n".encode())
        answers.flush()


def main() -> None:
    """Serve the driver until it ends or closes its end."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what plugins print is no answer
    with suppress(EOFError):
        _serve(sys.stdin.buffer, answers)


if __name__ == "__main__":
    main()
