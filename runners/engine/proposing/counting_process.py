"""Process that counts candidates' operations: code of plugins, which must not end or block the driver."""

from __future__ import annotations

import math
import os
import pickle
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Final

from spikefront.plugins import Data, SearchData, load_registry
from spikefront.runners.engine.settings import SearchSettings
from spikefront.runners.judging.workload import ONE_CORE, ONE_GPU, Speed, Workloads
from spikefront.searchspace import Candidate, from_flat

_LIMIT_S: Final = 10.0
_START_LIMIT_S: Final = 60.0
_TRIES: Final = 3  # a plugin may be broken, but not every one


class CountingProcess:
    """``Workloads`` in a process of its own, which starts at once, in the background.

    A candidate whose count fails, ends the process or takes more than ten seconds gets infinite cost. After three lost
    processes every candidate does.

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
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"},
        )
        self._limit_s = _START_LIMIT_S
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
        self.close()
        self._lost += 1
        if self._lost < _TRIES:
            self._process = self._start()
        return math.inf

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()


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
