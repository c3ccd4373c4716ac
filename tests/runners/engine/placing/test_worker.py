"""Workers: a trial that loses its worker goes on from its checkpoint with the same numbers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import pytest
import torch

from spikefront.plugins import Counts, Registry, SearchData, load_registry
from spikefront.runners.engine.placing.data import SharedData, share
from spikefront.runners.engine.placing.files import FAILURE, UNKEPT, UNSEEN, beside, weights_file
from spikefront.runners.engine.placing.session import RaySession
from spikefront.runners.engine.placing.worker import CandidateTrainable, WorkerSettings
from spikefront.runners.engine.plan import SearchPlan
from spikefront.runners.engine.search import SearchRun
from spikefront.runners.engine.settings import SearchSettings
from spikefront.runners.judging.judge import Judging, judge
from spikefront.searchspace import Callbacks, Candidate, from_flat
from spikefront.searchspace.activity import Activity
from spikefront.searchspace.objectives import OF_THE_MACHINE
from spikefront.searchspace.trial import ACTIVITY, LAYERS

Config = dict[str, Any]
Metrics = dict[str, float]


class Worker(Protocol):
    """What Tune calls on a worker."""

    _judging: Judging | None

    def train(self) -> dict[str, Any]: ...

    def reset(self, new_config: Config) -> bool: ...

    def stop(self) -> None: ...


Start = Callable[..., Worker]


@pytest.fixture
def start(tmp_path: Path, registry: Registry, data: SearchData, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Start a worker as Tune does: every epoch is worth a checkpoint unless told otherwise."""
    monkeypatch.setattr("ray.tune.trainable.trainable.DEFAULT_STORAGE_PATH", str(tmp_path / "ray"))
    threads = torch.get_num_threads()

    def start(config: Config, every_s: float = 0.0, timeout_s: float | None = None, cuts: bool = True) -> Worker:
        folder = tmp_path / "search"
        settings = WorkerSettings(
            (), "horowitz-45nm", folder / "weights", folder / "anns", threads, every_s, timeout_s, cuts
        )

        class WithParameters(CandidateTrainable):  # as Tune's own with_parameters makes it
            def setup(self, config: Config) -> None:  # type: ignore[override]
                super().setup(config, SharedData.of(data, registry.get("task", "digits")), settings)

        worker: Worker = WithParameters(config)
        return worker

    yield start
    torch.set_num_threads(threads)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "search" / "checkpoints"


def trial(registry: Registry, number: int, **more: object) -> Config:
    flat = {"task": "digits", "coding": "rate", "backbone": "mlp", "steps": 3}
    flat |= {"training.epochs": 4, "training.subset": 200, "training.batch": 50, **more}
    return {"number": number, "candidate": from_flat(flat, registry).flat()}


def epochs(worker: Worker, count: int) -> list[tuple[int, Metrics]]:
    results = [worker.train() for _ in range(count)]
    return [(result["epoch"], without_time(result["metrics"])) for result in results]


def without_time(metrics: Mapping[str, float]) -> Metrics:
    return {name: value for name, value in metrics.items() if name not in OF_THE_MACHINE}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*"))


def test_a_new_worker_goes_on_where_the_lost_one_was(registry: Registry, start: Start, folder: Path) -> None:
    config = trial(registry, 12)
    whole = epochs(start({**config, "number": 1}), 4)
    assert [epoch for epoch, _ in whole] == [1, 2, 3, 4]
    assert epochs(start(config), 2) == whole[:2]  # and is never heard of again
    assert "trial-00012.pt" in names(folder)
    again = start(config)
    third = again.train()
    assert [(int(epoch), without_time(metrics)) for epoch, metrics in third["before"].items()] == whole[:2]
    assert [(third["epoch"], without_time(third["metrics"])), *epochs(again, 1)] == whole[2:]


def test_the_last_result_has_the_points_of_the_network(registry: Registry, start: Start) -> None:
    config = trial(registry, 12, **{"training.epochs": 2})
    worker = start(config)
    first, last = worker.train(), worker.train()
    assert "points" not in first
    assert worker._judging is not None
    assert last["points"] == {str(cut): point for cut, point in worker._judging.points.items()}
    assert list(last["points"]) == ["1", "2"]
    assert set(last["points"]["1"]) == set(last["metrics"])


def test_points_leave_operations_and_energies_by_layer(registry: Registry, start: Start, folder: Path) -> None:
    last = start(trial(registry, 12, **{"training.epochs": 1})).train()
    model = registry.energy_model("horowitz-45nm")
    for cut, point in last["points"].items():
        counted = json.loads((folder.parent / "counts" / f"trial-00012@{cut}.json").read_text(encoding="utf-8"))
        assert model.energy_nj(Counts.from_dict(counted)) == point["energy_nj"]
        path = beside(weights_file(folder.parent / "weights", 12), LAYERS, int(cut))
        layers = json.loads(path.read_text(encoding="utf-8"))["layers"]
        assert sum(layer["energy_nj"] for layer in layers) == pytest.approx(point["energy_nj"])
        assert 0 < sum(layer["silent_nj"] for layer in layers) <= point["energy_nj"]


def test_a_search_without_points_measures_none(registry: Registry, start: Start, folder: Path) -> None:
    last = start(trial(registry, 12, **{"training.epochs": 1}), cuts=False).train()
    assert last["points"] == {}
    assert [path.name for path in (folder.parent / "counts").iterdir()] == ["trial-00012.json"]


def test_a_reused_worker_goes_on_with_a_lost_trial_too(registry: Registry, start: Start, folder: Path) -> None:
    config = trial(registry, 12)
    epochs(start(config), 3)
    other = start(trial(registry, 13))
    epochs(other, 1)
    assert names(folder) == ["trial-00012.pt", "trial-00013.pt"]
    assert other.reset(config)
    assert names(folder) == ["trial-00012.pt"]  # Tune had stopped the other
    assert [epoch for epoch, _ in epochs(other, 1)] == [4]


def test_a_trial_leaves_its_checkpoint_until_the_driver_knows_of_its_end(
    registry: Registry, start: Start, folder: Path
) -> None:
    worker = start(trial(registry, 0))
    last = [worker.train() for _ in range(4)][-1]
    assert last["done"]
    assert names(folder) == ["trial-00000.pt"]
    kept = weights_file(folder.parent / "weights", 0)
    assert torch.load(kept, weights_only=True).keys()
    layers = json.loads(beside(kept, "layers.json").read_text())["layers"]
    assert sum(layer["energy_nj"] for layer in layers) == pytest.approx(last["metrics"]["energy_nj"])
    kept = json.loads((folder.parent / "counts" / "trial-00000.json").read_text(encoding="utf-8"))
    assert registry.energy_model("horowitz-45nm").energy_nj(Counts.from_dict(kept)) == last["metrics"]["energy_nj"]
    made = Activity.from_dict(json.loads(beside(weights_file(folder.parent / "weights", 0), ACTIVITY).read_text()))
    assert made is not None
    hits = sum(made.confusion[number][number] for number in range(10))
    assert hits / sum(map(sum, made.confusion)) == pytest.approx(last["metrics"]["quality"])
    assert UNSEEN not in last
    stored = torch.load(folder / "trial-00000.pt", weights_only=True)
    assert stored["state"]["epochs_done"] == 3  # none at the last epoch
    worker.stop()
    assert names(folder) == []


def test_a_trial_whose_weights_can_not_be_written_is_evaluated_all_the_same(
    registry: Registry, start: Start, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = start(trial(registry, 0), every_s=1e6)
    for _ in range(3):
        worker.train()

    def full(state: object, path: Path) -> None:
        Path(path).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    last = worker.train()
    assert FAILURE not in last
    assert (last["done"], last["epoch"]) == (True, 4)
    assert last["metrics"]["quality"] > 0
    assert last[UNKEPT].startswith("OSError: [Errno 28] No space left on device")
    assert list((folder.parent / "weights").iterdir()) == []


def test_a_trial_whose_activity_can_not_be_recorded_is_evaluated_and_keeps_its_weights(
    registry: Registry, start: Start, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def odd(judging: Judging) -> Activity:
        raise ValueError("outputs of no shape")

    monkeypatch.setattr(Judging, "activity", odd)
    worker = start(trial(registry, 0), every_s=1e6)
    last = [worker.train() for _ in range(4)][-1]
    assert FAILURE not in last
    assert UNKEPT not in last
    assert last[UNSEEN].startswith("ValueError: outputs of no shape (")
    kept = weights_file(folder.parent / "weights", 0)
    assert [beside(kept, name).exists() for name in ("pt", LAYERS, ACTIVITY)] == [True, True, False]


def test_a_failed_trial_leaves_no_checkpoint(registry: Registry, start: Start, folder: Path) -> None:
    worker = start(trial(registry, 0))
    worker.train()
    assert names(folder) == ["trial-00000.pt"]
    assert worker._judging is not None
    with torch.no_grad():
        list(worker._judging.network.parameters())[-1].fill_(torch.nan)
    assert worker.train()[FAILURE] == "loss is nan at epoch 2"
    worker.stop()
    assert names(folder) == []


def test_a_trial_that_the_end_of_the_search_interrupts_can_go_on(
    registry: Registry, start: Start, folder: Path
) -> None:
    config = trial(registry, 0)
    worker = start(config)
    worker.train()
    worker.stop()
    assert epochs(start(config), 1)[0][0] == 2


def test_a_trial_that_hung_fails_at_once_on_the_next_worker(registry: Registry, start: Start, folder: Path) -> None:
    folder.mkdir(parents=True)
    place = '  File "my_coding.py", line 31 in encode'
    said = f"no epoch ended\nWatched: 0x1\nTimeout (0:00:01)!\nThread 0x1 (most recent call first):\n{place}\n"
    (folder / "trial-00003.hang").write_text(said)
    worker = start(trial(registry, 3), timeout_s=60)
    assert worker.train()[FAILURE] == "no epoch ended; it was in my_coding.py:31 encode"
    assert worker.reset(trial(registry, 4))
    assert names(folder) == []
    assert [epoch for epoch, _ in epochs(worker, 1)] == [1]


def test_what_a_killed_writer_left_goes_with_the_checkpoint(registry: Registry, start: Start, folder: Path) -> None:
    worker = start(trial(registry, 1))
    folder.mkdir(parents=True)
    (folder / "trial-00001.0123abcd.part").write_bytes(b"half of")
    (folder / "trial-00010.pt").write_bytes(b"another's")
    worker.train()
    worker.reset(trial(registry, 2))
    assert names(folder) == ["trial-00010.pt"]


def test_short_epochs_share_a_checkpoint(registry: Registry, start: Start, folder: Path) -> None:
    worker = start(trial(registry, 0), every_s=3600)
    epochs(worker, 3)
    assert names(folder) == []


@pytest.mark.parametrize("damage", ["empty", "text", "cut", "other candidate", "other network", "no state", "code"])
def test_a_checkpoint_that_is_no_use_is_ignored(registry: Registry, start: Start, folder: Path, damage: str) -> None:
    config = trial(registry, 5)
    first = epochs(start(config), 1)
    path = folder / "trial-00005.pt"
    whole = path.read_bytes()
    stored = torch.load(path, weights_only=True)
    if damage in ("empty", "text", "cut"):
        path.write_bytes({"empty": b"", "text": b"no checkpoint", "cut": whole[: len(whole) // 2]}[damage])
    elif damage == "other candidate":
        torch.save({**stored, "candidate": {**stored["candidate"], "seed": 1}}, path)
    elif damage == "other network":  # the optimiser's part alone does not fit: found out half way
        stored["state"]["trainer"]["optimizer"]["param_groups"].pop()
        torch.save(stored, path)
    elif damage == "no state":
        torch.save({"candidate": stored["candidate"]}, path)
    else:
        torch.save({**stored, "extra": Path("/")}, path)  # would have to be unpickled
    assert epochs(start(config), 1) == first


def test_a_trial_goes_on_without_a_checkpoint_that_cannot_be_written(
    registry: Registry, start: Start, folder: Path
) -> None:
    folder.parent.mkdir(parents=True)
    folder.write_text("a file in its place")
    assert [epoch for epoch, _ in epochs(start(trial(registry, 0)), 4)] == [1, 2, 3, 4]


def test_a_conversion_needs_no_checkpoint(registry: Registry, start: Start, folder: Path) -> None:
    worker = start(trial(registry, 0, coding="rate-conversion"))
    assert worker.train()["done"]
    assert names(folder) == []


DIES_ONCE = """
import os
import time
from pathlib import Path
from spikefront.plugins import Coding, hookimpl
from spikefront.plugins.codings.rate import Rate

HERE = Path(__file__).parent

def epochs():
    return (HERE / "epochs").read_text().splitlines() if (HERE / "epochs").exists() else []

class DiesOnce(Rate):
    name = "dies-once"

    def encode(self, x):
        if not (HERE / "died").exists():
            time.sleep(0.3)  # an epoch of 4 batches is worth a checkpoint
            if self.training and len(epochs()) == 2:
                (HERE / "died").touch()
                os._exit(1)
        return super().encode(x)

    def metrics(self):  # asked for at the end of each epoch
        with (HERE / "epochs").open("a") as file:
            print(os.getpid(), file=file)
        return {}

@hookimpl
def register_codings(register):
    register(DiesOnce)
"""


class Ends(Callbacks):
    """Records epochs and ends of trials."""

    def __init__(self) -> None:
        self.candidates: list[Candidate] = []
        self.epochs: list[tuple[int, Metrics]] = []
        self.ends: list[tuple[str, str]] = []

    def trial_started(self, number: int, candidate: Candidate, retry_of: int | None = None) -> None:
        self.candidates.append(candidate)

    def epoch_ended(self, number: int, epoch: int, metrics: Mapping[str, float]) -> None:
        self.epochs.append((epoch, without_time(metrics)))

    def trial_ended(
        self, number: int, state: str, reason: str, metrics: Mapping[str, float], weights: Path | None
    ) -> None:
        self.ends.append((state, reason))


@pytest.mark.slow
def test_a_killed_worker_costs_its_trial_the_epoch_that_it_was_in(tmp_path: Path, data: SearchData) -> None:
    """Real Ray, a real death in epoch 3 of 4: each epoch ends once, with the numbers of an undisturbed run."""
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    (plugins / "dies_once.py").write_text(DIES_ONCE)
    registry = load_registry((plugins,), third_parties=False)
    quick = ("coding=dies-once", "backbone=mlp", "training.epochs=4", "training.subset=128", "training.batch=64")
    settings = SearchSettings(
        "digits", name="s", folder=tmp_path, space=quick, trials=1, plugins_dir=plugins, early_stopping=False
    )
    found = Ends()
    with RaySession(settings) as session:
        run = SearchRun(SearchPlan(settings, registry))
        session.wait()
        run.execute(share(data, registry.get("task", "digits")), found)
    assert (plugins / "died").exists()
    assert found.ends == [("COMPLETE", "")]
    workers = (plugins / "epochs").read_text().split()
    assert len(workers) == 4, "no epoch was run to its end twice"
    assert len(set(workers)) == 2
    assert workers.count(workers[0]) == 2
    assert names(tmp_path / "s" / "checkpoints") == []
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        undisturbed = judge(found.candidates[0], registry=registry, data=data).history
    finally:
        torch.set_num_threads(threads)
    assert found.epochs == [(epoch, without_time(metrics)) for epoch, metrics in enumerate(undisturbed, 1)]
