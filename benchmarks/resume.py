"""What resuming a search of 1,000 trials adds to a start.

Run: python benchmarks/resume.py [--trials 1000]

The journal and the MLflow database are made by telling real candidates of the whole space of digits, with metrics
computed from their hyperparameters. Then the real commands run: a new search, and ``spikefront run --resume``, each
until the first new trial is in the journal; what a listener would see later is not timed. The parts that only a resumed
search has are timed in this process.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from synthetic import TASK, SyntheticSearch, metrics_of  # a file beside this one

BOUND_S = 5.0
GIVE_UP_S = 300.0
LISTENED_EPOCHS = 3  # of each trial, as MLflow hears of them


def make(folder: Path, trials: int) -> SyntheticSearch:
    """Write a search of so many trials, as its driver would have left it."""
    from optuna.samplers import RandomSampler

    from spikefront.results.store.connection import Store
    from spikefront.results.store.recorder import MlflowRecorder
    from spikefront.runners.engine.memory.resume import about
    from spikefront.searchspace import SearchInfo, State

    search = SyntheticSearch(folder / "searches", "big", trials)
    study, settings = search.record.study, search.settings
    study.sampler = RandomSampler(seed=0)  # quicker, and the journal is the same
    study.set_user_attr("search", about(settings, search.registry, search.space, search.objectives))
    recorder = MlflowRecorder(Store(f"sqlite:///{folder}/mlflow.db"))
    options, versions = settings.stored(), search.registry.versions()
    recorder.search_started(
        SearchInfo("big", TASK, "accuracy", search.objectives, settings.directory, trials, None, options, versions)
    )
    for number in range(trials):
        trial = search.record.ask()
        candidate = search.space.suggest(trial)
        search.record.chosen(trial, candidate)
        recorder.trial_started(number, candidate)
        metrics = metrics_of(candidate)
        for epoch in range(1, LISTENED_EPOCHS + 1):
            recorder.epoch_ended(number, epoch, metrics)
        state: State = "PRUNED" if number % 3 else "COMPLETE"
        search.record.tell(number, state, "", metrics, LISTENED_EPOCHS)
        recorder.trial_ended(number, state, "", metrics, None)
    recorder.search_ended("all trials done")
    return search


def seconds_to_first_ask(folder: Path, arguments: list[str], journal: Path) -> float:
    """Return the seconds from the command until a candidate is added to the journal."""
    command = [sys.executable, "-m", "spikefront.search", "run", "--workers", "2", *arguments]
    size = journal.stat().st_size if journal.exists() else 0
    started = time.time()
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while time.time() < started + GIVE_UP_S and process.poll() is None:
            if journal.exists() and has_candidate(journal, size):
                return time.time() - started
            time.sleep(0.02)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)
    raise SystemExit(f"{' '.join(command)} chose no candidate within {GIVE_UP_S:.0f} s")


def has_candidate(journal: Path, start: int) -> bool:
    """Return whether a candidate was written behind a place in the journal."""
    with journal.open("rb") as file:
        file.seek(start)
        return any(b'"user_attr":{"candidate"' in line for line in file)


def timed(name: str, do: Callable[[], object]) -> float:
    """Print and return the seconds that a part takes."""
    started, cpu = time.perf_counter(), time.process_time()
    do()
    seconds = time.perf_counter() - started
    print(f"    {name:40s} {seconds:5.2f} s (processor {time.process_time() - cpu:5.2f} s)", flush=True)
    return seconds


def parts(search: SyntheticSearch, folder: Path) -> None:
    """Time what only a resumed search does; MLflow's part runs beside the trials."""
    from dataclasses import replace

    from spikefront.results.store.connection import Store
    from spikefront.results.store.runs import Runs
    from spikefront.runners.engine.memory.journal import read_attributes
    from spikefront.runners.engine.memory.opening import reopen_study, spent_s
    from spikefront.runners.engine.memory.study import StudyRecord
    from spikefront.runners.engine.parts import make_sampler
    from spikefront.searchspace import SearchInfo

    settings = replace(search.settings, resume="big")
    timed("what was asked, from the journal", lambda: read_attributes(settings.directory))
    studies = []
    timed("journal read", lambda: studies.append(reopen_study(settings, make_sampler(settings, search.registry))))
    record = StudyRecord(studies[0], search.objectives)
    timed("what the last driver left", record.take_up)
    timed("trials, rungs and time so far", lambda: (record.earlier, record.states("halving"), spent_s(studies[0])))
    timed("first ask", lambda: search.space.suggest(record.ask()))
    runs = Runs(Store(f"sqlite:///{folder}/mlflow.db"))
    runs.open()
    options, versions = settings.stored(), search.registry.versions()
    about_search = SearchInfo(
        "big", TASK, "accuracy", search.objectives, settings.directory, None, None, options, versions, record.earlier
    )
    timed("MLflow's runs, beside the first trials", lambda: runs.adopt(about_search))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="also print the medians as JSON")
    arguments = parser.parse_args()
    print(f"resume: writing a search of {arguments.trials} trials", flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        search = make(folder, arguments.trials)
        size = search.settings.journal.stat().st_size / 1e6
        print(f"  journal {size:.1f} MB; parts of resuming, in one process:", flush=True)
        parts(search, folder)
        new, resumed = [], []
        for number in range(arguments.rounds):
            fresh = ["--task", TASK, "--trials", "4", "--name", f"new{number}"]
            new.append(seconds_to_first_ask(folder, fresh, folder / "searches" / f"new{number}" / "journal.log"))
            again = ["--resume", "big", "--trials", str(2 * arguments.trials)]
            resumed.append(seconds_to_first_ask(folder, again, search.settings.journal))
            print(f"  round {number + 1}: new search {new[-1]:.1f} s, resumed {resumed[-1]:.1f} s", flush=True)
    found = {"new": statistics.median(new), "resumed": statistics.median(resumed)}
    if arguments.json:
        print(json.dumps(found))
    print(
        f"  command to first ask: {found['resumed']:.1f} s resumed, {found['new']:.1f} s new: resuming adds "
        f"{found['resumed'] - found['new']:.1f} s (median of {arguments.rounds}; bound {BOUND_S:.0f} s); "
        f"load {os.getloadavg()[0]:.1f}"
    )


if __name__ == "__main__":
    main()
