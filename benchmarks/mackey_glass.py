"""Forecast error and operations of a spiking network on Mackey-Glass, over the series of NeuroBench.

Each series is learnt by a network of its own, from its 750 known points; the 750 after them are forecast by the network
from its own forecasts, and the symmetric mean absolute percentage error (sMAPE) of all is printed, with NeuroBench's
counts of operations for one forecast: of a network that reads its window of 50 points whole, and of the same one that
keeps its state and reads one point, as the LSTM and the echo state network of NeuroBench's table do (Yik et al., Nature
Communications 16, 2025), which stand beside it. How far the outputs of the two are apart is printed too. A report, not
a test.

Run: python benchmarks/mackey_glass.py --repeats 30 --workers 2 [--set backbone.tcn.width=64]
``--validate`` learns 600 points and forecasts the 150 after them: for choosing a network.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import statistics
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Final

import torch

from spikefront.plugins import Data, Registry, Task, load_registry
from spikefront.runners.judging.confirm import confirmation_data
from spikefront.runners.judging.judge import Judging
from spikefront.runners.judging.network import assemble
from spikefront.runners.judging.neurobench import complexity
from spikefront.runners.judging.training import prepared
from spikefront.searchspace import from_flat
from spikefront.searchspace.objectives import DEFAULT_ENERGY_MODEL

CANDIDATE: Final[dict[str, object]] = {
    "coding": "direct",
    "coding.direct.decoding": "last",
    "neuron": "sigma-delta",
    "neuron.sigma-delta.beta": 0.0,
    "neuron.sigma-delta.step": 0.01,
    "steps": 50,
    "backbone": "tcn",
    "backbone.tcn.width": 20,
    "backbone.tcn.depth": 2,
    "backbone.tcn.taps": 5,
    "backbone.tcn.growth": 4,
    "training.optimizer.adam.lr": 0.02,
    "training.batch": 128,
    "training.epochs": 600,
    "task.mackey-glass.change": True,
}
LEADERBOARD: Final = {"LSTM": (13.37, 60_300.0), "echo state network": (14.79, 4_370.0)}
"""sMAPE and effective multiply-accumulates."""


@dataclass(frozen=True)
class Result:
    """What the network of one series achieves on the points after those that it learnt, and NeuroBench's operations."""

    repeat: int
    smape: float
    one_step: float
    macs_of_a_window: float
    acs_of_a_window: float
    macs: float
    acs: float
    outputs_apart: float
    parameters: float
    energy_nj: float


def result(candidate: Mapping[str, object], validate: bool, repeat: int) -> Result:
    """Train on one series, and forecast the points after it."""
    torch.set_num_threads(1)
    registry = load_registry(third_parties=False)
    flat = {"task": "mackey-glass", "seed": repeat, "task.mackey-glass.repeat": repeat, **candidate}
    made = from_flat(flat, registry)
    task = registry.task(made)
    data = task.search_data(None, made.steps) if validate else confirmation_data(task, None, made.steps)
    judging = Judging(
        made, registry=registry, data=data, energy_model=registry.energy_model(DEFAULT_ENERGY_MODEL), cuts=False
    )
    for _ in range(made.training.schedule.epochs - 1):  # a forecast after each epoch would take longer than it
        judging.train()
    metrics = judging.epoch()
    counted = complexity(judging.network, prepared(task, data.validation.inputs[:128]))
    operations = counted.effective_macs, counted.effective_acs, *with_state(judging, registry, task, data.validation)
    known = metrics["quality"], metrics["smape_one_step"]
    return Result(repeat, *known, *operations, metrics["parameters"], metrics["energy_nj"])


@torch.no_grad()
def with_state(judging: Judging, registry: Registry, task: Task, data: Data) -> tuple[float, float, float]:
    """Return operations per point of a network that keeps its state, and how far its outputs are from those of windows.

    It reads all windows as one series, and its outputs are compared from the first whole window on.

    Args:
        judging: the trained network, of a coding that gives the current of the last step.
        registry: its plugins.
        task: its task.
        data: windows ``(N, 50, 1)``, each a point later than the one before.

    Returns:
        Effective MACs, effective ACs, and the largest difference of two outputs.
    """
    windows = data.inputs
    series = torch.cat([windows[0], windows[1:, -1]]).unsqueeze(0)
    network = assemble(replace(judging.candidate, steps=series.shape[1]), registry, (1,), 1).eval()
    network.load_state_dict(judging.network.state_dict())
    read = prepared(task, series)
    counted = complexity(network, read)
    outputs = network.propagate(network.encode(read)).decoded()[windows.shape[1] - 1 :, 0]
    apart = float((outputs - judging.network.eval()(prepared(task, windows))).abs().max())
    return counted.effective_macs / series.shape[1], counted.effective_acs / series.shape[1], apart


def setting(text: str) -> tuple[str, object]:
    """Return name and value of a ``NAME=VALUE``, a number or true or false where the text is one."""
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} must read NAME=VALUE")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=30, choices=range(1, 31), metavar="N", help="series, 1 to 30")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--validate", action="store_true", help="learn less, and forecast known points")
    parser.add_argument("--set", type=setting, action="append", default=[], metavar="NAME=VALUE", help="repeatable")
    arguments = parser.parse_args()
    candidate = CANDIDATE | dict(arguments.set)
    print(f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}; {candidate}", flush=True)
    started = time.perf_counter()
    results: list[Result] = []
    with ProcessPoolExecutor(arguments.workers, multiprocessing.get_context("spawn")) as pool:
        for one in pool.map(partial(result, candidate, arguments.validate), range(arguments.repeats)):
            print(f"series {one.repeat}: sMAPE {one.smape:.2f}, one step {one.one_step:.3f}", flush=True)
            results.append(one)
    errors = [one.smape for one in results]
    error = statistics.stdev(errors) / len(errors) ** 0.5 if len(errors) > 1 else float("nan")
    print(f"\nsMAPE of all points forecast, {len(errors)} series: mean {statistics.mean(errors):.2f}")
    print(f"standard error {error:.2f}, median {statistics.median(errors):.2f}, {min(errors):.2f} to {max(errors):.2f}")
    for name in (field.name for field in fields(Result) if field.name not in ("repeat", "smape")):
        print(f"{name.replace('_', ' ')}: {statistics.mean(getattr(one, name) for one in results):.6g}")
    for name, (peer, macs) in LEADERBOARD.items():
        print(f"{name} of NeuroBench: sMAPE {peer}, {macs:.3g} effective MACs")
    print(f"{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
