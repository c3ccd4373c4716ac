"""Several processes train one network as one process would: real processes, joined by gloo."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.multiprocessing import get_context

from spikefront.plugins import Registry, SearchData, load_registry
from spikefront.runners.judging.distributed import ALONE, Processes
from spikefront.runners.judging.judge import Judging
from spikefront.searchspace import from_flat

Flat = dict[str, object]
PLAIN: Flat = {
    "task": "digits",
    "coding": "latency",
    "backbone": "mlp",
    "steps": 3,
    "training.epochs": 3,
    "training.subset": 230,  # batches of 64, 64, 64 and 38
}


class WithoutNorm(nn.Module):
    """A network whose loss on a batch is the mean of what it is on the batch's samples."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3))
        self.unused = nn.Linear(2, 2)

    def loss(self, index: torch.Tensor) -> torch.Tensor:
        generator = torch.Generator().manual_seed(1)
        inputs = torch.randn(40, 5, generator=generator)
        targets = torch.randint(3, (40,), generator=generator)
        return nn.functional.cross_entropy(self.layers(inputs[index]), targets[index])


def _gradients(processes: Processes, samples: int) -> list[Any]:
    network = WithoutNorm()
    index, weight = processes.share(torch.arange(samples))
    loss = network.loss(index)
    loss.backward()
    whole = processes.combine(network, loss.detach(), weight)
    return [whole, len(index), *(None if p.grad is None else p.grad for p in network.parameters())]


def _training(processes: Processes, flat: Flat, epochs: int = 2) -> list[Any]:
    torch.set_num_threads(1)
    registry, data = _setting()
    judging = Judging(
        from_flat(flat, registry),
        registry=registry,
        data=data,
        energy_model=registry.get("energy", "horowitz-45nm")(),
        processes=processes,
    )
    losses = [judging.train() for _ in range(epochs)]
    return [judging.network.state_dict(), losses, judging.state()["random"]["torch"]]


def _setting() -> tuple[Registry, SearchData]:
    registry = load_registry(third_parties=False)
    return registry, registry.get("task", "digits")().search_data(None, 1)


def _process(
    rank: int, size: int, store: str, queue: Any, work: Callable[..., Any], arguments: tuple[Any, ...]
) -> None:
    try:
        dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=size)
        path = Path(f"{store}.{rank}")
        torch.save(work(Processes(rank, size), *arguments), path)
        queue.put((rank, None))
        dist.destroy_process_group()
    except Exception:
        queue.put((rank, traceback.format_exc()))


def together(tmp_path: Path, size: int, work: Callable[..., Any], *arguments: Any) -> list[Any]:
    """Run ``work`` in ``size`` processes of one group and return what each returned."""
    root = str(Path(__file__).parents[3])
    if root not in sys.path:
        sys.path.append(root)  # new processes import this module by the name that pytest gave it
    context = get_context("spawn")
    queue, store = context.Queue(), str(tmp_path / "store")
    processes = [
        context.Process(target=_process, args=(rank, size, store, queue, work, arguments)) for rank in range(size)
    ]
    for process in processes:
        process.start()
    failures = dict(queue.get(timeout=120) for _ in processes)
    for process in processes:
        process.join(30)
        assert process.exitcode == 0
    assert failures == dict.fromkeys(range(size))
    return [torch.load(f"{store}.{rank}") for rank in range(size)]


@pytest.mark.parametrize(
    ("size", "samples"),
    [
        pytest.param(2, 17, marks=pytest.mark.slow),
        pytest.param(2, 16, marks=pytest.mark.slow),
        pytest.param(3, 40, marks=pytest.mark.slow),
        pytest.param(2, 3, marks=pytest.mark.slow),
    ],
)
def test_gradient_is_that_of_the_whole_batch(tmp_path: Path, size: int, samples: int) -> None:
    network = WithoutNorm()
    loss = network.loss(torch.arange(samples))
    loss.backward()
    found = together(tmp_path, size, _gradients, samples)
    shares = [rank[1] for rank in found]
    assert sum(shares) == samples or shares == [samples] * size  # too few to share: all take all
    for whole, _, *gradients in found:
        torch.testing.assert_close(whole, loss.detach())
        for ours, parameter in zip(gradients, network.parameters(), strict=True):
            assert (ours is None) == (parameter.grad is None), "what no sample reaches stays without a gradient"
            if ours is not None:
                torch.testing.assert_close(ours, parameter.grad)


@pytest.mark.slow
@pytest.mark.parametrize(
    "more",
    [{"backbone": "convnet", "coding": "rate"}, {}],
    ids=["convnet-random-code", "mlp"],
)
def test_weights_and_buffers_stay_the_same_in_all_processes(tmp_path: Path, more: Flat) -> None:
    (first, losses, drawn), (second, same_losses, drawn_too) = together(tmp_path, 2, _training, {**PLAIN, **more})
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert torch.equal(value, second[name]), name
    assert losses == same_losses
    assert losses[1] < losses[0], "it learns"
    assert not torch.equal(drawn, drawn_too), "a random code must not be the same in all of them"


@pytest.mark.slow
def test_two_processes_learn_about_what_one_learns(tmp_path: Path) -> None:
    """Not the same: batch norm normalises over half a batch, and spikes are all or nothing."""
    _, alone, _ = _training(ALONE, PLAIN)
    (_, shared, _), _ = together(tmp_path, 2, _training, PLAIN)
    assert shared == pytest.approx(alone, rel=0.1)


def test_one_process_changes_nothing() -> None:
    network, loss, index = WithoutNorm(), torch.tensor(2.0), torch.arange(9)
    taken, weight = ALONE.share(index)
    assert taken is index
    assert weight == 1
    assert ALONE.combine(network, loss, weight) is loss


def test_only_the_first_process_trains_an_ann(tmp_path: Path) -> None:
    registry, data = _setting()
    judging = Judging(
        from_flat({**PLAIN, "coding": "rate-conversion"}, registry),
        registry=registry,
        data=data,
        energy_model=registry.get("energy", "horowitz-45nm")(),
        processes=Processes(1, 2),
    )
    assert judging.train() == 0  # and needs no other process for it
    assert judging.finished
