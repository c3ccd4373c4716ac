"""Several processes for one trial, on real Ray: its GPUs are declared, and what trains is CPUs joined by gloo."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import ray
from ray import tune
from ray.tune.search import Searcher
from ray.util import placement_group_table

from spikefront.plugins import Registry, SearchData, load_registry
from spikefront.runners.engine.placing.bridge import HalvingScheduler
from spikefront.runners.engine.placing.data import SharedData
from spikefront.runners.engine.placing.files import FAILURE, weights_file
from spikefront.runners.engine.placing.process_group import GroupConfig, trial_resources
from spikefront.runners.engine.placing.session import DRIVER_ENVIRONMENT, environment
from spikefront.runners.engine.placing.worker import CandidateTrainable, WorkerSettings
from spikefront.searchspace import from_flat

GPUS = 4
Result = dict[str, Any]
Search = Callable[..., dict[int, list[Result]]]

TROUBLES = """
import os
import time
from pathlib import Path
import torch.distributed as dist
from spikefront.plugins import Coding, hookimpl
from spikefront.plugins.codings.rate import Rate

DIED = Path(__file__).parent / "died"

def is_peer():
    return dist.is_initialized() and dist.get_rank() > 0

class PeerRaises(Rate):
    name = "peer-raises"

    def encode(self, x):
        if is_peer():
            raise KeyError("only here")
        return super().encode(x)

class FirstRaises(Rate):
    name = "first-raises"

    def encode(self, x):
        if self.training and not is_peer():
            raise KeyError("only there")
        return super().encode(x)

class PeerDies(Rate):
    name = "peer-dies"
    batches = 0

    def encode(self, x):
        self.batches += self.training
        if is_peer() and self.batches == 6 and not DIED.exists():  # in epoch 2 of 4 batches each
            DIED.touch()
            os._exit(1)
        return super().encode(x)

@hookimpl
def register_codings(register):
    for coding in (PeerRaises, FirstRaises, PeerDies):
        register(coding)
"""


@pytest.fixture(scope="module")
def folder(plugin_folder: Callable[[str], Path]) -> Path:
    return plugin_folder(TROUBLES)


@pytest.fixture(scope="module")
def registry(folder: Path) -> Registry:
    return load_registry((folder,), third_parties=False)


@pytest.fixture(scope="module")
def started() -> Iterator[None]:
    with environment(DRIVER_ENVIRONMENT):
        ray.init(address="local", num_cpus=GPUS, num_gpus=GPUS, include_dashboard=False, log_to_driver=False)
        yield
        ray.shutdown()


class InTurn(Searcher):
    """Proposes given candidates, and keeps what is reported of them."""

    def __init__(self, flats: list[dict[str, Any]]) -> None:
        super().__init__()
        self._flats = flats
        self.numbers: dict[str, int] = {}
        self.reports: dict[int, list[Result]] = {}

    def suggest(self, trial_id: str) -> Any:
        number = self.numbers[trial_id] = len(self.numbers)
        if number >= len(self._flats):
            return Searcher.FINISHED
        return {"number": number, "candidate": self._flats[number]}

    def on_trial_result(self, trial_id: str, result: Result) -> None:
        self.reports.setdefault(self.numbers[trial_id], []).append(result)

    def on_trial_complete(self, trial_id: str, result: Result | None = None, error: bool = False) -> None:
        self.reports.setdefault(self.numbers[trial_id], []).append({FAILURE: "error"} if error else result or {})

    def save(self, checkpoint_path: str) -> None: ...

    def restore(self, checkpoint_path: str) -> None: ...

    def __getstate__(self) -> dict[str, Any]:
        return {}


class EndAtFirst(tune.Stopper):
    """Ends all at the first report, as Ctrl-C does."""

    def __init__(self) -> None:
        self._heard = False

    def __call__(self, trial_id: str, result: Result) -> bool:
        self._heard = True
        return False

    def stop_all(self) -> bool:
        return self._heard


def judge_all(
    registry: Registry,
    data: SearchData,
    plugins: Path,
    into: Path,
    codings: list[str],
    *,
    stop_first: bool = False,
    end: tune.Stopper | None = None,
    epochs: int = 3,
    subset: int = 256,
) -> dict[int, list[Result]]:
    """Judge candidates by two processes each, and return what was reported of each."""
    flat = {"task": "digits", "backbone": "mlp", "steps": 3, "training.epochs": epochs, "training.subset": subset}
    searcher = InTurn([dict(from_flat({**flat, "coding": coding}, registry).flat()) for coding in codings])
    shared = ray.put(SharedData.of(data, registry.get("task", "digits")))
    settings = WorkerSettings(
        (plugins,),
        "horowitz-45nm",
        into / "weights",
        into / "anns",
        checkpoint_every_s=0,
        group=GroupConfig(2, shared, (plugins,), "horowitz-45nm"),
    )

    def decide(trial_id: str, result: Result) -> str | None:
        return "behind" if stop_first and searcher.numbers[trial_id] == 0 else None

    trainable = tune.with_parameters(CandidateTrainable, data=shared, settings=settings)
    tune.Tuner(
        tune.with_resources(trainable, trial_resources(2)),
        tune_config=tune.TuneConfig(
            search_alg=searcher, scheduler=HalvingScheduler(decide), num_samples=-1, reuse_actors=True
        ),
        run_config=tune.RunConfig(
            storage_path=str(into / "tune"),
            failure_config=tune.FailureConfig(max_failures=1),
            stop=end,
            verbose=0,
        ),
    ).fit()
    return searcher.reports


@pytest.fixture
def search(started: None, registry: Registry, data: SearchData, folder: Path) -> Search:
    """Return ``judge_all`` for the plugins of ``TROUBLES`` on the digits, with Ray running."""
    return partial(judge_all, registry, data, folder)


def rank_workers() -> int:
    actors = ray._private.state.actors().values()
    return sum(actor["ActorClassName"] == "RankWorker" and actor["State"] != "DEAD" for actor in actors)


def assert_all_is_free() -> None:
    """No rank worker is alive, no placement group is left, and every GPU is free."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        groups = [group for group in placement_group_table().values() if group["state"] != "REMOVED"]
        if not rank_workers() and not groups and ray.available_resources().get("GPU") == GPUS:
            return
        time.sleep(0.2)
    pytest.fail(f"{rank_workers()} rank workers, {len(groups)} groups, {ray.available_resources()}")


def epochs(reports: list[Result]) -> list[int]:
    seen = [int(report["epoch"]) for report in reports if "epoch" in report]
    return sorted(set(seen))


def failure(reports: list[Result]) -> str:
    return str(reports[-1].get(FAILURE, ""))


@pytest.mark.slow
def test_a_search_with_two_processes_a_trial_runs_through(search: Search, tmp_path: Path) -> None:
    codings = ["rate", "latency", "rate-conversion", "direct"]
    reports = search(tmp_path, codings, stop_first=True, subset=1024)
    assert epochs(reports[0]) == [1], "stopped early"
    assert epochs(reports[1]) == epochs(reports[3]) == [1, 2, 3]
    assert epochs(reports[2]) == [3], "an ANN is trained in one go"
    for number in (1, 2, 3):
        assert failure(reports[number]) == ""
        assert 0.2 < reports[number][-1]["metrics/quality"] <= 1, "chance is 0.1"
        assert weights_file(tmp_path / "weights", number).exists()
    assert_all_is_free()


@pytest.mark.slow
def test_a_search_that_is_ended_frees_everything(search: Search, tmp_path: Path) -> None:
    search(tmp_path, ["rate"] * 4, end=EndAtFirst(), epochs=1000)
    assert_all_is_free()


@pytest.mark.slow
def test_what_one_process_raises_is_the_reason_and_the_next_trial_goes_well(search: Search, tmp_path: Path) -> None:
    codings = ["peer-raises", "first-raises", "rate"]
    reports = search(tmp_path, codings)
    assert re.fullmatch(r"KeyError: 'only here' \(\w+\.py:\d+\)", failure(reports[0]))
    assert "process_group.py" not in failure(reports[0])
    assert failure(reports[1]).startswith("KeyError: 'only there' (")
    assert epochs(reports[2]) == [1, 2, 3]
    assert_all_is_free()


@pytest.mark.slow
def test_a_lost_peer_costs_its_trial_the_epoch_that_it_was_in(search: Search, tmp_path: Path, folder: Path) -> None:
    (folder / "died").unlink(missing_ok=True)
    reports = search(tmp_path, ["peer-dies"])
    assert (folder / "died").exists()
    assert [int(report["epoch"]) for report in reports[0]][:3] == [1, 2, 3], "epoch 1 is not repeated"
    assert failure(reports[0]) == ""
    undisturbed = search(tmp_path / "again", ["peer-dies"])
    for lost, whole in zip(reports[0], undisturbed[0], strict=True):
        for name in ("loss", "quality", "energy_nj"):
            assert lost[f"metrics/{name}"] == whole[f"metrics/{name}"], (name, whole["epoch"])


@pytest.mark.parametrize(
    ("gpus", "bundles"),
    [
        (0, [{"CPU": 1}]),
        (0.25, [{"CPU": 1, "GPU": 0.25}]),
        (1, [{"CPU": 1, "GPU": 1}]),
        (3, [{"CPU": 1, "GPU": 1}] * 3),
    ],
)
def test_one_placement_group_holds_all_of_a_trial(gpus: float, bundles: list[dict[str, float]]) -> None:
    assert trial_resources(gpus).bundles == bundles
