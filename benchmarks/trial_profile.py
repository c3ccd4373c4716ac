"""Where the time of one trial goes: forward, backward, optimiser, and everything else that a worker does for it.

Run: python benchmarks/trial_profile.py [--epochs 20] [--rounds 3] [--processor-time] [--picture FILE]

Candidates of ``make search``: codings on digits, with an mlp and a convnet. Each is evaluated by the class that Ray's
workers run, in this process and on one thread, so that reports, files and activity are in it; between two rounds come
all the other candidates. Times are exclusive: encoding in a forward pass is encoding. An encoder that learns is part of
the network, and counts as forward. The medians over the rounds are printed, and the share that training proper
(forward, backward, optimiser) has in the whole; it should be 85 % or more.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from bars import picture_file, shares

from spikefront.plugins import Registry, load_registry
from spikefront.results.pictures.picture import Row
from spikefront.runners.engine.placing import worker
from spikefront.runners.engine.placing.data import SharedData
from spikefront.runners.engine.placing.worker import CandidateTrainable, WorkerSettings
from spikefront.runners.judging import activity, judge, measuring, training
from spikefront.runners.judging.augmentation import Batch
from spikefront.runners.judging.network import Network
from spikefront.searchspace import from_flat

BOUND = 0.85
TRAINING = ("forward", "backward", "optimiser")
DRAWN = (*TRAINING, "counting", "evaluation", "encoding")
"""Sections that a picture shows one by one."""
CODINGS: Mapping[str, Mapping[str, object]] = {
    "direct": {"steps": 4},
    "rate": {"steps": 4},
    "latency": {"steps": 8},
    "phase": {"steps": 4},
    "population": {"steps": 4},
    "sac": {"steps": 8},
    "gac": {"steps": 4},
    "rate-conversion": {"steps": 8, "neuron": "if"},
}
BACKBONES = ("mlp", "convnet")


class Clock:
    """Exclusive seconds by section."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._now = now
        self._open: list[str] = ["other"]
        self._since = now()

    def charge(self) -> None:
        """Charge the time since the last call to the section that is open."""
        now = self._now()
        self.seconds[self._open[-1]] += now - self._since
        self._since = now

    @contextmanager
    def section(self, name: str) -> Iterator[None]:
        """Context whose time is charged to a section, but for that of sections inside."""
        self.charge()
        self._open.append(name)
        try:
            yield
        finally:
            self.charge()
            self._open.pop()

    def timed(self, owner: Any, name: str, section: str | Callable[..., str]) -> Any:
        """Return a patch that charges the calls of an attribute to a section, or to what that returns for a call.

        It is written out, since a context for each of the many calls of a step would itself take several per cent.
        """
        original, now, opened, seconds = getattr(owner, name), self._now, self._open, self.seconds

        def call(*args: Any, **options: Any) -> Any:
            found = section if isinstance(section, str) else section(*args)
            began = now()
            seconds[opened[-1]] += began - self._since
            self._since = began
            opened.append(found)
            try:
                return original(*args, **options)
            finally:
                ended = now()
                seconds[opened.pop()] += ended - self._since
                self._since = ended

        return patch.object(owner, name, call)


def of_training(name: str) -> Callable[..., str]:
    """Return the section of a part of a network's pass: ``name`` in training, else that of what asked for the pass."""
    return lambda network, *_: name if network.training and torch.is_grad_enabled() else "evaluation"


def of_encoder(network: Network, *_: object) -> str:
    """Return the section of an encoding: forward of one that learns."""
    learns = any(True for _ in network.coding.parameters())
    return of_training("forward" if learns else "encoding")(network)


def with_timed_optimizer(clock: Clock) -> Callable[..., None]:
    """Return a constructor of trainers whose optimiser and schedule are charged to the optimiser."""
    original = training.Trainer.__init__

    def init(self: training.Trainer, *args: Any, **options: Any) -> None:
        original(self, *args, **options)
        for owner, name in ((self._decay, "step"), (self._optimizer, "step"), (self._optimizer, "zero_grad")):
            clock.timed(owner, name, "optimiser").start()  # as long as the trainer

    return init


@contextmanager
def sections(clock: Clock) -> Iterator[None]:
    """Context in which the parts of a trial are charged to their sections."""
    patches = [
        clock.timed(training.Trainer, "_output", "forward"),
        clock.timed(training.Trainer, "_load", "data"),
        clock.timed(training, "augmented", "data"),
        clock.timed(Batch, "loss", "forward"),
        clock.timed(Network, "penalty", "forward"),
        clock.timed(torch.Tensor, "backward", "backward"),
        patch.object(training.Trainer, "__init__", with_timed_optimizer(clock)),
        clock.timed(Network, "encode", of_encoder),
        clock.timed(judge, "split_outputs_at", "evaluation"),
        clock.timed(judge, "evaluate", "evaluation"),
        clock.timed(measuring, "evaluate", "evaluation"),
        clock.timed(measuring, "count_operations", "counting"),
        clock.timed(judge, "energy_errors", "counting"),
        clock.timed(judge, "cuts_that_hold", "points"),
        clock.timed(judge, "measure_points", "points"),
        clock.timed(judge, "refuse_unsound", "checks"),
        clock.timed(judge, "needs_recomputing", "checks"),
        clock.timed(judge, "assemble", "building"),
        clock.timed(CandidateTrainable, "_save", "files"),
        clock.timed(CandidateTrainable, "_write_activity", "files"),
        clock.timed(worker.Checkpoint, "write", "files"),
        clock.timed(activity, "split_outputs", "evaluation"),
    ]
    with ExitStack() as stack:
        for each in patches:
            stack.enter_context(each)
        yield


def profile(
    flat: Mapping[str, object], registry: Registry, data: SharedData, now: Callable[[], float]
) -> dict[str, float]:
    """Evaluate a candidate as a worker does, and return the seconds of each section."""
    with tempfile.TemporaryDirectory() as folder:
        folders = Path(folder) / "weights", Path(folder) / "anns"
        settings = WorkerSettings((), "horowitz-45nm", *folders, at_once=os.cpu_count())

        class Worker(CandidateTrainable):  # as Tune's own with_parameters makes it
            def setup(self, config: dict[str, Any]) -> None:  # type: ignore[override]
                super().setup(config, data, settings)

        trial: Any = Worker({"number": 0, "candidate": from_flat(flat, registry).flat()})
        clock = Clock(now)
        with sections(clock):
            with clock.section("other"):
                while not (result := trial.train())["done"]:
                    json.dumps(result["metrics"])
            clock.charge()
    if "failure" in result:
        raise RuntimeError(result["failure"])
    return dict(clock.seconds)


def main() -> None:
    """Profile and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--codings", nargs="+", choices=CODINGS, default=list(CODINGS))
    parser.add_argument(
        "--picture", type=picture_file, metavar="FILE", help="for a picture: .png, .svg, .html, .csv, .json"
    )
    parser.add_argument("--processor-time", action="store_true", help="of this thread: for a machine with other work")
    arguments = parser.parse_args()
    registry = load_registry(third_parties=False)
    task = registry.get("task", "digits")
    data = SharedData.of(task().search_data(None, 4), task)
    names = [(coding, backbone) for coding in arguments.codings for backbone in BACKBONES]
    rounds: dict[tuple[str, str], list[dict[str, float]]] = defaultdict(list)
    for number in range(arguments.rounds + 1):
        for name in names:
            flat = {"task": "digits", "coding": name[0], "backbone": name[1], **CODINGS[name[0]]}
            flat["training.epochs"] = arguments.epochs
            found = profile(flat, registry, data, time.thread_time if arguments.processor_time else time.perf_counter)
            if number:  # the first compiles and reads
                rounds[name].append(found)
    show(rounds, arguments)


def show(rounds: Mapping[tuple[str, str], list[dict[str, float]]], arguments: argparse.Namespace) -> None:
    """Print the sections of each candidate, as shares of its time."""
    totals: defaultdict[str, float] = defaultdict(float)
    medians = {}
    for name, found in rounds.items():
        medians[name] = {key: statistics.median(one.get(key, 0.0) for one in found) for key in set().union(*found)}
        for key, value in medians[name].items():
            totals[key] += value
    columns = [*TRAINING, *sorted(set(totals) - set(TRAINING), key=lambda key: -totals[key])]
    clock = "processor time" if arguments.processor_time else "wall time"
    print(f"{arguments.epochs} epochs on digits, 1 thread; median {clock} of {arguments.rounds} rounds; shares in %")
    print(
        f"{platform.machine()}, {os.cpu_count()} processors, torch {torch.__version__}, load {os.getloadavg()[0]:.1f}"
    )
    print("candidate".ljust(26) + "seconds  training  " + " ".join(key[:10].rjust(10) for key in columns))
    drawn: list[Row] = []
    rows: list[tuple[str, Mapping[str, float]]] = [(" ".join(name), found) for name, found in medians.items()]
    for label, seconds in [*rows, ("all", totals)]:
        whole = sum(seconds.values())
        share = sum(seconds.get(key, 0.0) for key in TRAINING) / whole
        row = " ".join(f"{100 * seconds.get(key, 0.0) / whole:10.1f}" for key in columns)
        print(f"{label:26}{whole:7.2f}  {100 * share:8.1f}  {row}")
        drawn += [{"name": label, "part": key, "value": 100 * seconds.get(key, 0.0) / whole} for key in DRAWN]
        rest = sum(value for key, value in seconds.items() if key not in DRAWN)
        drawn.append({"name": label, "part": "the rest", "value": 100 * rest / whole})
    print(f"bound of the share of training: {100 * BOUND:.0f} %")
    if arguments.picture:
        told = f"Where the time of a trial of {arguments.epochs} epochs on digits goes, in % of {clock}, by candidate"
        shares(drawn, f"% of the {clock} of a trial", told).save(arguments.picture)


if __name__ == "__main__":
    main()
