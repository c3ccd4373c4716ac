"""What early stopping, cost-awareness, points and the sampler bring: searches of equal wall time, with and without.

Run: python benchmarks/search_quality.py [--minutes 2.5] [--task digits] [--results FILE] [--arms "none;cost"]

Each search is a real one: the command line, one worker, its own folder and database. What is compared is the front of
trials judged at full budget and of their points, on the validation split. Searches take turns, arm by arm, so that
whatever else the machine does falls on all alike. With ``--results`` what was measured is kept in a file, and not
measured again.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from spikefront.searchspace import ENERGY, Objective
from spikefront.searchspace.front import hypervolume

ARMS: Final = {
    "none": ["--no-early-stopping", "--no-cost-aware"],
    "stopping": ["--no-cost-aware"],
    "cost": ["--no-early-stopping"],
    "stopping, cost": [],
    "stopping, cost, partial": ["--tell-stopped", "partial"],
    "stopping, cost, priors": ["--priors"],
    "stopping, cost, no cuts": ["--no-cuts"],
    **{f"stopping, cost, sampler {name}": ["--sampler", name] for name in ("random", "tpe", "nsga2")},
}
SPACE: Final = ["--set", "coding=direct,rate,latency,sac,css", "--set", "backbone=mlp,convnet"]
SMALL: Final = ["--set", "training.subset=2000", "--epochs", "6", "--set", "backbone.convnet.width=4..16"]
TASKS: Final[dict[str, tuple[list[str], tuple[float, ...]]]] = {
    "digits": (SPACE, (0.9, 0.97)),
    "fashion-mnist": ([*SPACE, *SMALL], (0.7, 0.8)),
}
"""Flags of a task, and the accuracies at which energies are compared."""
OBJECTIVES: Final = (Objective("quality", maximize=True, worst=0.1, best=1.0), ENERGY)


def search(task: str, arm: str, seed: int, minutes: float) -> dict[str, Any]:
    """Run a search, and return what its journal says."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "spikefront.search", "run", "--task", task, "--name", "s", "--workers", "1"]
        command += ["--time", f"{minutes * 60:g}s", "--seed", str(seed), *TASKS[task][0], *ARMS[arm]]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)}\n{done.stderr[-2000:]}")
        return _read(Path(folder) / "searches" / "s" / "journal.log", minutes * 60, TASKS[task][1])


def _read(journal: Path, seconds: float, accuracies: tuple[float, ...]) -> dict[str, Any]:
    study = optuna.load_study(study_name="s", storage=JournalStorage(JournalFileBackend(str(journal))))
    start = datetime.fromisoformat(study.user_attrs["sessions"][0])
    points, times, codings, states = [], [], [], Counter[str]()
    for trial in study.get_trials(deepcopy=False):
        outcome = trial.user_attrs.get("outcome")
        if outcome is None or outcome["again"]:
            continue
        states[outcome["state"]] += 1
        if outcome["state"] == "COMPLETE" and trial.datetime_complete is not None:
            ended = (trial.datetime_complete.astimezone(UTC).replace(tzinfo=None) - start).total_seconds()
            for metrics in (outcome["metrics"], *outcome.get("points", {}).values()):
                points.append([metrics["quality"], metrics["energy_nj"]])
                times.append(ended)
            codings.append(trial.user_attrs["candidate"]["coding"])
    done, when = np.array(points).reshape(-1, 2), np.array(times)
    return {
        "hypervolume": {str(share): hypervolume(done[when <= share * seconds], OBJECTIVES) for share in (0.25, 0.5, 1)},
        "energy_nj": {str(a): min((e for q, e in points if q >= a), default=None) for a in accuracies},
        "states": dict(states),
        "codings": dict(Counter(codings)),
    }


def report(found: dict[str, list[dict[str, Any]]], task: str) -> str:
    """Return the table of a task in Markdown."""
    accuracies = [str(a) for a in TASKS[task][1]]
    head = ["search", "hypervolume at 25 %", "50 %", "100 % of the time"]
    head += [f"lowest energy (nJ) at {float(a):.0%}" for a in accuracies]
    head += ["judged", "stopped", "latency codings judged"]
    rows = [head, ["---"] * len(head)]
    for arm in ARMS:
        runs = found.get(f"{task}/{arm}", [])
        if runs:
            row = [arm] + [_spread([run["hypervolume"][share] for run in runs], 3) for share in ("0.25", "0.5", "1")]
            row += [_spread([run["energy_nj"][a] for run in runs], 1) for a in accuracies]
            row += [_spread([run["states"].get(state, 0) for run in runs], 0) for state in ("COMPLETE", "PRUNED")]
            row += [_spread([run["codings"].get("latency", 0) for run in runs], 0)]
            rows.append(row)
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _spread(values: list[float | None], digits: int) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return "none"
    missing = f" ({len(values) - len(known)} never)" if len(known) < len(values) else ""
    deviation = f" ± {statistics.stdev(known):.{digits}f}" if len(known) > 1 else ""
    return f"{statistics.mean(known):.{digits}f}{deviation}{missing}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=2.5, help="length of each search")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--task", choices=TASKS, action="append")
    parser.add_argument("--arms", default=";".join(ARMS), help="names from the table, with semicolons between them")
    parser.add_argument("--results", type=Path, help="JSON file to continue")
    arguments = parser.parse_args()
    found: dict[str, list[dict[str, Any]]] = {}
    if arguments.results and arguments.results.exists():
        found = json.loads(arguments.results.read_text())
    for task in arguments.task or TASKS:
        for seed in range(arguments.seeds):
            for arm in arguments.arms.split(";"):
                runs = found.setdefault(f"{task}/{arm}", [])
                if len(runs) > seed:
                    continue
                runs.append(search(task, arm, seed, arguments.minutes))
                print(f"{task}, {arm}, seed {seed}: {runs[-1]}", file=sys.stderr, flush=True)
                if arguments.results:
                    arguments.results.write_text(json.dumps(found, indent=1))
    print(f"{arguments.minutes:g} minutes a search, 1 worker, {arguments.seeds} seeds, mean ± standard deviation;")
    print(f"{platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}")
    for task in arguments.task or TASKS:
        print(f"\n{task} {' '.join(TASKS[task][0])}\n\n{report(found, task)}")


if __name__ == "__main__":
    main()
