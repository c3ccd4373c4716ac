"""How much sooner a search gets as far as one written by hand with Optuna and SpikingJelly (``peer_search.py``).

Run: python benchmarks/search_against_peer.py [--minutes-peer 30] [--minutes-ours 10] [--seeds 3] [--results FILE]

Both have the same images (Fashion-MNIST, 10,000 for training, 5,000 for validation), space, epochs, batch, two cores,
and prices (synapses alone: 0.9 pJ an accumulate, 4.6 pJ a multiply-accumulate; ours are computed from the
counts of its trials and points, without neurons and encoder). Ours has the shipped defaults of ``spikefront run`` in
all else. What counts is the hypervolume over accuracy 0.1 and below 10 uJ, in accuracy times decades of energy;
energies below 10 pJ count as 10 pJ. Times are from the start of each command, imports and Ray included. Arms take
turns, and begin by turns. With ``--results`` what was measured is kept in a file, and not measured again.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC
from pathlib import Path
from typing import Any, Final

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

PEER: Final = Path(__file__).with_name("peer_search.py")
WORST_QUALITY: Final = 0.1
WORST_NJ: Final = 1e4
LEAST_NJ: Final = 0.01
ACCUMULATE_NJ, MULTIPLY_NJ = 0.9e-3, 4.6e-3
BOUND: Final = 0.2
"""Share of the peer's time within which ours must be as far."""
TASK: Final = '''"""10,000 and 5,000 images of Fashion-MNIST, those of peer_search.py."""

from spikefront.plugins import Data, SearchData, hookimpl
from spikefront.plugins.tasks.fashion_mnist import FashionMNIST


class Few(FashionMNIST):
    """28x28 grey images of clothes; classification."""

    name = "few-clothes"
    held_out = "the first 5,000 of the 10,000 images that the task fashion-mnist validates on"

    def search_data(self, data_dir, steps):
        whole = super().search_data(data_dir, steps)
        training = Data(whole.train.inputs[:10_000], whole.train.targets[:10_000])
        validation = Data(whole.validation.inputs[:5_000], whole.validation.targets[:5_000])
        return SearchData(training, validation, whole.outputs, whole.classes)


@hookimpl
def register_tasks(register):
    register(Few)
'''
SPACE: Final = (
    "coding=direct,rate,latency",
    "coding.rate.spikes=bernoulli",
    "coding.latency.curve=linear",
    "coding.latency.threshold=0",
    "neuron=lif",
    "neuron.lif.reset=hard",
    "backbone=mlp,convnet",
    "backbone.mlp.width=16..256",
    "backbone.mlp.depth=1..2",
    "backbone.convnet.width=4..16",
    "backbone.convnet.stages=1..2",
    "backbone.convnet.pool=max",
    "training.surrogate=atan",
    "training.surrogate.atan.alpha=2",
    "steps=3..8",
)
Point = dict[str, Any]


def peer(seed: int, minutes: float, folder: Path) -> list[Point]:
    """Run the peer's search, and return its trials."""
    to = folder / "peer.jsonl"
    command = [sys.executable, str(PEER), "--minutes", f"{minutes:g}", "--seed", str(seed), "--to", str(to)]
    subprocess.run(command, check=True)
    return [json.loads(line) for line in to.read_text().splitlines()]


def command_of(seed: int, minutes: float, plugins: Path) -> list[str]:
    """Return the command of our search."""
    options = ["--task", "few-clothes", "--plugins-dir", str(plugins), "--name", "s", "--workers", "2"]
    options += ["--time", f"{minutes * 60:g}s", "--seed", str(seed), "--epochs", "8"]
    options += [word for narrowing in SPACE for word in ("--set", narrowing)]
    return [sys.executable, "-m", "spikefront.search", "run", *options]


def ours(seed: int, minutes: float, folder: Path) -> list[Point]:
    """Run our search, and return its trials and their points."""
    plugins = folder / "plugins"
    plugins.mkdir()
    (plugins / "few_clothes.py").write_text(TASK)
    began = time.time()
    done = subprocess.run(command_of(seed, minutes, plugins), cwd=folder, capture_output=True, text=True, check=False)
    journal = folder / "searches" / "s" / "journal.log"
    if not journal.exists():  # it exits with 1 as well when no training came to its end
        raise SystemExit(done.stderr[-2000:])
    return sorted(_points(journal, began), key=lambda point: point["seconds"])


def _points(journal: Path, began: float) -> Iterator[Point]:
    study = optuna.load_study(study_name="s", storage=JournalStorage(JournalFileBackend(str(journal))))
    for trial in study.get_trials(deepcopy=False):
        outcome = trial.user_attrs.get("outcome")
        if outcome is None or outcome["again"] or trial.datetime_complete is None:
            continue
        at = {"seconds": trial.datetime_complete.astimezone(UTC).timestamp() - began}
        at |= {"coding": trial.user_attrs["candidate"]["coding"], "state": outcome["state"]}
        if outcome["state"] != "COMPLETE":
            yield {**at, "quality": math.nan, "energy_nj": math.nan}
            continue
        for metrics in (outcome["metrics"], *outcome.get("points", {}).values()):
            energy = ACCUMULATE_NJ * metrics["sops"] + MULTIPLY_NJ * metrics["macs"]
            yield {**at, "quality": metrics["quality"], "energy_nj": energy}


def hypervolume(points: Sequence[Point]) -> float:
    """Return the area that points dominate, in accuracy times decades of energy."""
    known = [(max(point["energy_nj"], LEAST_NJ), point["quality"]) for point in points]
    area, best = 0.0, WORST_QUALITY
    for energy, quality in sorted((energy, -quality) for energy, quality in known if energy < WORST_NJ):
        if -quality > best:
            area += (-quality - best) * math.log10(WORST_NJ / energy)
            best = -quality
    return area


def reached(points: Sequence[Point], target: float) -> float:
    """Return the seconds after which points, in the order of time, dominate an area; infinite if never."""
    finished = [point for point in points if math.isfinite(point["quality"])]
    ways = ((hypervolume(finished[: at + 1]), point["seconds"]) for at, point in enumerate(finished))
    return next((seconds for area, seconds in ways if area >= target), math.inf)


def report(found: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Yield the table in Markdown, and whether the bound holds."""
    head = ["seed", "peer: trials", "hypervolume", "after, s", "ours: trainings", "stopped", "hypervolume", "after, s"]
    head += ["as far after, s", "ratio"]
    yield f"| {' | '.join(head)} |"
    yield f"| {' | '.join(['---'] * len(head))} |"
    ratios = []
    for seed in sorted({name.partition("/")[2] for name in found}, key=int):
        if not {f"peer/{seed}", f"ours/{seed}"} <= found.keys():
            continue
        peers, mine = found[f"peer/{seed}"], found[f"ours/{seed}"]
        target, seconds = hypervolume(peers["points"]), 60 * peers["minutes"]
        when = reached(mine["points"], target)
        ratios.append(when / seconds)
        trainings = {(point["seconds"], point["coding"]): point.get("state") for point in mine["points"]}
        stopped = sum(state == "PRUNED" for state in trainings.values())
        finished = [point for point in mine["points"] if math.isfinite(point["quality"])]
        row = [seed, len(peers["points"]), f"{target:.3f}", f"{seconds:.0f}", len(trainings), stopped]
        row += [f"{hypervolume(finished):.3f}", f"{60 * mine['minutes']:.0f}"]
        row += ["never" if math.isinf(when) else f"{when:.0f}", f"{ratios[-1]:.3f}" if math.isfinite(when) else "none"]
        yield f"| {' | '.join(map(str, row))} |"
    if ratios:
        held = "holds" if max(ratios) <= BOUND else "does not hold"
        yield f"\nA ratio of {BOUND:g} or less on each seed {held}."


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes-peer", type=float, default=30.0, help="length of each search of the peer")
    parser.add_argument("--minutes-ours", type=float, help="length of each of ours; a third of that by default")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--results", type=Path, help="JSON file to continue")
    arguments = parser.parse_args()
    minutes = {"peer": arguments.minutes_peer, "ours": arguments.minutes_ours or arguments.minutes_peer / 3}
    found: dict[str, dict[str, Any]] = {}
    if arguments.results and arguments.results.exists():
        found = json.loads(arguments.results.read_text())
    for seed in range(arguments.seeds):
        for arm in ("peer", "ours") if seed % 2 == 0 else ("ours", "peer"):
            if f"{arm}/{seed}" in found:
                continue
            load = os.getloadavg()[0]
            with tempfile.TemporaryDirectory() as folder:
                points = (peer if arm == "peer" else ours)(seed, minutes[arm], Path(folder))
            found[f"{arm}/{seed}"] = {"minutes": minutes[arm], "load": load, "points": points}
            print(f"{arm}, seed {seed}: {len(points)} points, load before {load:.1f}", file=sys.stderr, flush=True)
            if arguments.results:
                arguments.results.write_text(json.dumps(found, indent=1))
    versions = f"Optuna {optuna.__version__}, SpikingJelly {_version('spikingjelly')}, PyTorch {_version('torch')}"
    print(f"{platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}, {versions}")
    print(f"ours: {' '.join(['spikefront', *command_of(0, minutes['ours'], Path('PLUGINS'))[3:]])}\n")
    print("\n".join(report(found)))


def _version(package: str) -> str:
    from importlib.metadata import version

    return version(package)


if __name__ == "__main__":
    main()
