"""Training of one trial on several GPUs: one process each, in the trial's placement group, with torch.distributed.

Ray's own way, a ``TorchTrainer`` inside the trial, was tried with Ray 2.60: it reserves a placement group of its own,
which stays behind when a trial is stopped early; it can't be stopped from a reused worker; and it starts new processes,
for seconds, for every trial. docs/scaling.md has the numbers.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, cast

import ray
import torch
import torch.distributed as dist
from ray.tune.execution.placement_groups import PlacementGroupFactory
from ray.util import get_current_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy
from torch.distributed import TCPStore  # type: ignore[attr-defined]

from spikefront.plugins import EnergyModel, Registry, load_registry
from spikefront.plugins.places import keep_place
from spikefront.runners.engine.placing.data import SharedData
from spikefront.runners.judging.distributed import Processes
from spikefront.runners.judging.judge import Judging
from spikefront.runners.judging.training import device
from spikefront.searchspace import Candidate, from_flat

TIMEOUT: Final = timedelta(minutes=5)
"""Longest wait of a process for the others within a training step."""

GRACE_S: Final = 2.0
"""Longest wait for the cause of a failure, which may be the loss of another process."""


def trial_resources(gpus_per_trial: float) -> PlacementGroupFactory:
    """Return the resources of one trial, reserved together, so that no two trials wait for each other's half."""
    processes = max(1, int(gpus_per_trial))
    return PlacementGroupFactory([{"CPU": 1, "GPU": gpus_per_trial / processes}] * processes, strategy="PACK")


@dataclass(frozen=True, slots=True)
class GroupConfig:
    """Settings of the processes that train a trial together.

    Attributes:
        processes: number of processes, the trial's own worker included.
        data: the search's ``SharedData`` in Ray's object store, where the processes of a node read the same memory.
        plugins_dir: folders with loose plugin files.
        energy_model: name of the energy model, with its settings.
    """

    processes: int
    data: ray.ObjectRef[Any]
    plugins_dir: tuple[Path, ...]
    energy_model: str


@contextmanager
def _placed() -> Iterator[None]:
    """Keep the places of exceptions, which go to another process without their tracebacks."""
    try:
        yield
    except Exception as error:
        keep_place(error)
        raise


class RankWorker:
    """Actor with one of the ranks from 1; it trains and measures nothing. Rank 0 is the trial's own worker."""

    def __init__(self, processes: Processes, config: GroupConfig, data: SharedData) -> None:
        torch.set_num_threads(1)
        self._processes = processes
        self._data = data
        self._registry: Registry = load_registry(config.plugins_dir)
        self._energy_model: EnergyModel = self._registry.energy_model(config.energy_model)
        self._judging: Judging | None = None

    @_placed()
    def join(self, host: str, port: int) -> None:
        """Join the process group whose first process listens there."""
        _join(TCPStore(host, port, self._processes.size, is_master=False), self._processes)

    @_placed()
    def start(self, flat: Mapping[str, Any]) -> None:
        """Build the network of a candidate, in place of the one before."""
        self._judging = None  # frees its memory first
        candidate = from_flat(flat, self._registry)
        self._judging = Judging(
            candidate,
            registry=self._registry,
            data=self._data.data_for(candidate, self._registry),
            energy_model=self._energy_model,
            device=device(),
            processes=self._processes,
        )

    @_placed()
    def train(self) -> None:
        """Take part in an epoch."""
        assert self._judging is not None
        self._judging.train()

    @_placed()
    def random_state(self) -> Any:
        """Return the state of this process's random generators, the only state that it does not share with rank 0."""
        assert self._judging is not None
        return self._judging.state().get("random")

    @_placed()
    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from the state of rank 0, with the random generators of this process."""
        assert self._judging is not None
        self._judging.restore({**state, "random": state["peers"][self._processes.rank - 1]})


def _store(host: str, processes: int) -> TCPStore:
    """Return a store of this process that listens on that address of its node; left to itself it listens on all."""
    server = socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    port = server.getsockname()[1]
    listening = server.detach()  # the store closes it
    return TCPStore(host, port, processes, is_master=True, wait_for_workers=False, master_listen_fd=listening)


def _join(store: TCPStore, processes: Processes) -> None:
    backend = "nccl" if device() == "cuda" else "gloo"
    dist.init_process_group(backend, store=store, rank=processes.rank, world_size=processes.size, timeout=TIMEOUT)


class ProcessGroup:
    """The processes of this worker's trials; they serve one candidate after another. This process has rank 0.

    The others hold resources of this trial's placement group only, and are this process's children: Ray kills them when
    Tune removes the group, and when this process ends in any way. A process is in one torch process group at a time, so
    a worker has one ``ProcessGroup``.
    """

    def __init__(self, config: GroupConfig) -> None:
        self._config = config
        self.processes = Processes(0, config.processes)
        self._workers: list[Any] = []

    @property
    def alive(self) -> bool:
        """Whether the other processes can serve another candidate."""
        return bool(self._workers)

    def join(self) -> None:
        """Start the other processes and join them in a torch process group, unless they are alive."""
        if self.alive:
            return
        config, host = self._config, ray.util.get_node_ip_address()
        if dist.is_initialized():  # from before a shutdown
            dist.destroy_process_group()
        store = _store(host, config.processes)
        reserved = get_current_placement_group()
        assert reserved is not None, "Tune reserves one for every trial"
        here = PlacementGroupSchedulingStrategy(reserved)
        actor = ray.remote(num_cpus=1, num_gpus=len(ray.get_gpu_ids()), scheduling_strategy=here)(RankWorker)
        others = (Processes(rank, config.processes) for rank in range(1, config.processes))
        self._workers = [actor.remote(processes, config, config.data) for processes in others]
        with self.concurrently("join", host, store.port):
            _join(store, self.processes)

    def call(self, method: str, *arguments: Any) -> list[Any]:
        """Call a method of every ``RankWorker`` and return the results."""
        try:
            return list(ray.get(self._start(method, *arguments)))
        except Exception as error:
            self.shutdown()
            cause = _cause(error)
            raise cause from cause.__cause__

    @contextmanager
    def concurrently(self, method: str, *arguments: Any) -> Iterator[None]:
        """Call a method of every ``RankWorker`` while the body runs; a failure on either side ends both.

        Raises:
            Exception: the first failure.
        """
        failures: list[Exception] = []
        calls = self._start(method, *arguments)
        watch = threading.Thread(target=self._watch, args=(calls, failures), daemon=True)
        watch.start()
        try:
            yield
        except Exception:
            watch.join(GRACE_S)  # the loss of another process may be known only now
            own = not failures
            self.shutdown()
            if own:
                raise
            raise failures[0] from failures[0].__cause__
        watch.join()
        if failures:
            raise failures[0]

    def _start(self, method: str, *arguments: Any) -> list[ray.ObjectRef[Any]]:
        return [getattr(worker, method).remote(*arguments) for worker in self._workers]

    def _watch(self, calls: list[ray.ObjectRef[Any]], failures: list[Exception]) -> None:
        """Wait for the other processes; when one fails, end the wait of this process for it."""
        try:
            while calls:
                done, calls = ray.wait(calls)
                ray.get(done)
        except Exception as error:
            failures.append(_cause(error))
            self.shutdown()
            if dist.is_initialized() and dist.get_backend() == "nccl":  # gloo notices that the others are gone
                cast(Any, dist.group.WORLD).abort()

    def shutdown(self) -> None:
        """Kill the other processes."""
        workers, self._workers = self._workers, []
        for worker in workers:
            ray.kill(worker)


def _cause(error: Exception) -> Exception:
    """Return the exception of the other process; its traceback there follows from its cause, Ray's wrapper."""
    cause = getattr(error, "cause", None)
    if not isinstance(cause, Exception):
        return error
    cause.__cause__ = error
    return cause


class ParallelJudging(Judging):
    """A judging whose training is shared between the processes of a trial; this process measures.

    The loss of another process ends this one, so that Tune gives the trial to another worker.

    Args:
        candidate: the candidate.
        group: the processes.
        more: arguments of ``Judging``.
    """

    def __init__(self, candidate: Candidate, *, group: ProcessGroup, **more: Any) -> None:
        self._group = group
        with _exit_if_lost():
            group.join()
            with group.concurrently("start", candidate.flat()):
                super().__init__(candidate, processes=group.processes, **more)

    def train(self) -> float:
        with _exit_if_lost(), self._group.concurrently("train"):
            return super().train()

    def state(self) -> dict[str, Any]:
        state = super().state()
        if state:
            with _exit_if_lost():
                state["peers"] = self._group.call("random_state")
        return state

    def restore(self, state: Mapping[str, Any]) -> None:
        if state and len(state["peers"]) != self._group.processes.size - 1:
            raise ValueError("the state of another number of processes")
        with _exit_if_lost(), self._group.concurrently("restore", state):
            super().restore(state)


@contextmanager
def _exit_if_lost() -> Iterator[None]:
    try:
        yield
    except ray.exceptions.RayActorError:
        ray.actor.exit_actor()
