"""Train the candidates of CodingBench, and pack what was measured as Parquet.

Run: python benchmarks/codingbench/make.py --work FOLDER [--workers 2] [--data-dir FOLDER]
     python benchmarks/codingbench/make.py --work FOLDER --pack [--out benchmarks/codingbench/data]

Each training is one line of FOLDER/journal.jsonl, written when it ends: a process that is killed loses what it is
training at that moment, and the same command goes on from there. Each worker computes on one thread. ``--first 20``
trains only so many candidates of each task, drawn at random, for a first look.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import random
import shlex
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import torch
from grid import HERE, grid_candidates, read_grids
from journal import Journal, starts, trainings
from packing import pack
from training import ENERGY_MODEL, Job, chance, one_thread, trained

import spikefront
from spikefront.searchspace import UsageError

SEEDS: Final = (0, 1)
ORDER_SEED: Final = 0
FOLDERS: Final = ("--work", "--data-dir", "--out")
"""Options that name a folder of this machine."""
PRINT_EVERY_S: Final = 60.0
CONVERSIONS: Final = ("rate-conversion", "phase-conversion", "css", "ttfs-conversion", "differential-conversion")
"""Codings that are made of a trained ANN, which many candidates share: they come first."""


def all_jobs(candidates: dict[str, list[dict[str, Any]]], seeds: Sequence[int], first: int = 0) -> list[Job]:
    """Return all trainings in their order: seed by seed and task by task, each task's candidates in a random order.

    Args:
        candidates: the flat candidates of each task.
        seeds: seeds to train under.
        first: how many candidates of each task, from the start of that order; 0 for all.
    """
    found: list[Job] = []
    for seed in seeds:
        for task, flats in candidates.items():
            numbers = list(range(len(flats)))
            random.Random(ORDER_SEED).shuffle(numbers)
            chosen = numbers[: first or None]
            chosen.sort(key=lambda number: flats[number]["coding"] not in CONVERSIONS)  # which keeps their order
            found += [Job(task, number, flats[number], seed) for number in chosen]
    return found


def without_folders(arguments: Sequence[str]) -> list[str]:
    """Return the arguments of a command with FOLDER in place of each folder, which is of no use on another machine."""
    found: list[str] = []
    for argument in arguments:
        option, _, value = argument.partition("=")
        if found and found[-1] in FOLDERS:
            found.append("FOLDER")
        else:
            found.append(f"{option}=FOLDER" if value and option in FOLDERS else argument)
    return found


def start_record(grids: Path) -> dict[str, Any]:
    """Return what the Parquet files say about how they were made."""
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=HERE, capture_output=True, text=True)
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "spikefront": spikefront.__version__,
        "commit": commit.stdout.strip() or "unknown",
        "torch": torch.__version__,
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {_processor()}, {os.cpu_count()} processors, {platform.system()}",
        "command": shlex.join(
            ["python", f"benchmarks/codingbench/{Path(__file__).name}", *without_folders(sys.argv[1:])]
        ),
        "grids": grids.read_text(),
        "energy_model": ENERGY_MODEL,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def stored_candidates(work: Path, grids: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the flat candidates by task, and write them into the folder; it must not have others already.

    Raises:
        UsageError: when the folder has trainings of other candidates.
    """
    found = {
        task: [{name: value for name, value in candidate.flat().items() if name != "seed"} for candidate in some]
        for task, some in ((task, grid_candidates(task, grid)) for task, grid in read_grids(grids).items())
    }
    path = work / "candidates.json"
    if path.exists():
        if json.loads(path.read_text()) != found:
            raise UsageError(f"{path}: other candidates than {grids} gives now; take another folder")
        return found
    work.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(found))
    part.replace(path)
    return found


class Progress:
    """Prints how far a generation is, and how long it will take.

    Args:
        jobs: all trainings of the generation that are not done yet.
        known: trainings that are done, from which durations are learnt.
    """

    def __init__(
        self, jobs: Sequence[Job], known: Iterable[dict[str, Any]], coding_of: dict[tuple[str, int], str]
    ) -> None:
        self._left = {job.key: job for job in jobs}
        self._coding_of = coding_of
        self._cpu: dict[tuple[str, str], list[float]] = defaultdict(list)
        self._started = self._printed = time.monotonic()
        self._spent = 0.0
        self._failed = 0
        self._of = len(jobs)
        for line in known:
            self._learn(line)

    def add(self, line: dict[str, Any]) -> None:
        """Take in a training that has ended, and print from time to time."""
        self._spent += self._learn(line)
        self._failed += line["state"] == "failed"
        del self._left[line["task"], line["candidate"], line["seed"]]
        if time.monotonic() - self._printed > PRINT_EVERY_S or not self._left:
            self._printed = time.monotonic()
            print(self._text(), flush=True)

    def _learn(self, line: dict[str, Any]) -> float:
        seconds: float = sum(epoch["cpu_seconds"] for epoch in line["epochs"])
        self._cpu[line["task"], self._coding_of[line["task"], line["candidate"]]].append(seconds)
        return seconds

    def _text(self) -> str:
        every = [seconds for some in self._cpu.values() for seconds in some]
        usual = sum(every) / len(every)
        ahead = 0.0
        for job in self._left.values():
            some = self._cpu.get((job.task, job.flat["coding"]), [usual])
            ahead += sum(some) / len(some)
        rate = self._spent / (time.monotonic() - self._started)
        left = f"{ahead / rate / 3600:.1f} h left" if rate else "?"
        done = self._of - len(self._left)
        now = datetime.now(UTC).strftime("%H:%M")
        return f"{now}  {done} of {self._of} trainings, {self._failed} failed, {ahead / 3600:.1f} core-hours and {left}"


def _begin(parent: int) -> None:
    """Prepare a worker: one thread, and an end with the process that started it."""
    one_thread()
    if os.getppid() != parent:
        os._exit(1)
    started_by = multiprocessing.parent_process()
    assert started_by is not None

    def follow() -> None:
        started_by.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def run_all(jobs: Sequence[Job], workers: int, work: Path, data_dir: Path | None) -> Iterator[dict[str, Any]]:
    """Yield what each training gave, as they end."""
    train = partial(trained, ann_cache=work / "anns", data_dir=data_dir)
    ahead = iter(jobs)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_begin, initargs=(os.getpid(),)) as pool:
        running: set[Future[dict[str, Any]]] = set()
        while True:
            for job in ahead:
                running.add(pool.submit(train, job))
                if len(running) > workers:  # one is ready when a worker is free
                    break
            if not running:
                return
            ended, running = wait(running, return_when=FIRST_COMPLETED)
            for future in ended:
                yield future.result()


def generate(arguments: argparse.Namespace) -> None:
    """Train what is not in the journal yet."""
    work: Path = arguments.work
    candidates = stored_candidates(work, arguments.grids)
    journal = Journal(work)
    known = list(trainings(work))
    done = {(line["task"], line["candidate"], line["seed"]) for line in known}
    jobs = [job for job in all_jobs(candidates, range(arguments.seeds), arguments.first) if job.key not in done]
    coding_of = {
        (task, number): str(flat["coding"]) for task, flats in candidates.items() for number, flat in enumerate(flats)
    }
    print(
        f"{sum(map(len, candidates.values()))} candidates; {len(done)} trainings are done, {len(jobs)} to do",
        flush=True,
    )
    journal.append(
        {
            "start": start_record(arguments.grids)
            | {"chance": {task: chance(task, arguments.data_dir) for task in candidates}}
        }
    )
    progress = Progress(jobs, known, coding_of)
    for line in run_all(jobs, arguments.workers, work, arguments.data_dir):
        journal.append(line)
        progress.add(line)


def main() -> None:
    """Train, or pack."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder of the journal and of trained ANNs")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument(
        "--seeds", type=int, default=len(SEEDS), help="seeds 0, 1, ... that each candidate is trained under"
    )
    parser.add_argument("--first", type=int, default=0, help="candidates of each task; 0 for all")
    parser.add_argument("--grids", type=Path, default=HERE / "grids.yaml", help="the candidates")
    parser.add_argument("--data-dir", type=Path, help="folder of the four files of Fashion-MNIST")
    parser.add_argument("--pack", action="store_true", help="write the Parquet files of what is in the journal")
    parser.add_argument("--out", type=Path, default=HERE / "data", help="folder of the Parquet files")
    arguments = parser.parse_args()
    one_thread()
    if arguments.pack:
        for path in pack(
            json.loads((arguments.work / "candidates.json").read_text()),
            trainings(arguments.work),
            starts(arguments.work),
            arguments.out,
        ):
            print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")
        return
    try:
        generate(arguments)
    except UsageError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
