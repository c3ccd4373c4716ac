"""Several GPUs for one trial: one process each, in the trial's own placement group, joined by torch.distributed.

Ray's way, a ``TorchTrainer`` inside the trial, was tried at Ray 2.60 and left: it reserves a placement group of its
own, which a trial that was stopped early left behind; it can't be stopped from a reused worker; and it starts new
processes, for seconds, for every trial. docs/scaling.md has the numbers.
"""

from __future__ import annotations

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
from torch.distributed import ProcessGroup, TCPStore  # type: ignore[attr-defined]

from spikefront.plugins import EnergyModel, Registry, load_registry
from spikefront.runners.engine.placing.data import SharedData
from spikefront.runners.judging.distributed import Processes
from spikefront.runners.judging.judge import Judging
from spikefront.searchspace import Candidate, from_flat

_PATIENCE: Final = timedelta(minutes=5)
"""How long a process waits for the others within a step, in which all do the same."""

_AFTERMATH_S: Final = 2.0


def trial_resources(gpus_per_trial: float) -> PlacementGroupFactory:
    """Return what one trial takes: all or nothing, so that no two trials wait for each other's half."""
    processes = max(1, int(gpus_per_trial))
    return PlacementGroupFactory([{"CPU": 1, "GPU": gpus_per_trial / processes}] * processes, strategy="PACK")


@dataclass(frozen=True, slots=True)
class Team:
    """What the processes of a trial need besides its candidate.

    Attributes:
        processes: how many there are, the trial's own worker included.
        data: the search's ``SharedData`` in Ray's object store, where the processes of a node read the same memory.
        plugin_dirs: folders with loose plugin files.
        energy_model: name of the energy model.
    """

    processes: int
    data: ray.ObjectRef[Any]
    plugin_dirs: tuple[Path, ...]
    energy_model: str


class Peer:
    """An actor beside the trial's worker: it trains along, and measures nothing."""

    def __init__(self, processes: Processes, team: Team, data: SharedData) -> None:
        torch.set_num_threads(1)
        self._processes = processes
        self._data = data
        self._registry: Registry = load_registry(team.plugin_dirs)
        self._energy_model: EnergyModel = self._registry.get("energy", team.energy_model)()
        self._judging: Judging | None = None

    def join(self, host: str, port: int) -> None:
        """Join the process group whose first process listens there."""
        _join(TCPStore(host, port, self._processes.size, is_master=False), self._processes)

    def start(self, flat: Mapping[str, Any]) -> None:
        """Leave the candidate before, if any, and build this one's network."""
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

    def train(self) -> None:
        """Take part in an epoch."""
        assert self._judging is not None
        self._judging.train()

    def random_state(self) -> Any:
        """Return where this process's random generators are, which is all that it does not share with the first."""
        assert self._judging is not None
        return self._judging.state().get("random")

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from the state of the first process, with the random generators of this one."""
        assert self._judging is not None
        self._judging.restore({**state, "random": state["peers"][self._processes.rank - 1]})


def device() -> str:
    """Return where a worker trains: on the GPU that Ray gave it, if it did."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def _join(store: TCPStore, processes: Processes) -> None:
    backend = "nccl" if device() == "cuda" else "gloo"
    dist.init_process_group(backend, store=store, rank=processes.rank, world_size=processes.size, timeout=_PATIENCE)


class Crew:
    """The peers of this process, which serve one candidate after another.

    They hold resources of this trial's placement group only, and are this process's children: Ray kills them when Tune
    removes the group, and when this process ends, in whatever way.
    """

    def __init__(self, team: Team) -> None:
        self.processes = Processes(0, team.processes)
        reserved = get_current_placement_group()
        assert reserved is not None, "Tune reserves one for every trial"
        here = PlacementGroupSchedulingStrategy(reserved)
        gpus = len(ray.get_gpu_ids())
        actor = ray.remote(num_cpus=1, num_gpus=gpus, scheduling_strategy=here)(Peer)
        others = (Processes(rank, team.processes) for rank in range(1, team.processes))
        self._peers: list[Any] = [actor.remote(processes, team, team.data) for processes in others]
        if dist.is_initialized():  # by a crew that was disbanded
            dist.destroy_process_group()
        host = ray.util.get_node_ip_address()
        store = TCPStore(host, 0, team.processes, is_master=True, wait_for_workers=False)
        with self.beside("join", host, store.port):
            _join(store, self.processes)

    @property
    def standing(self) -> bool:
        """Whether the peers can serve another candidate."""
        return bool(self._peers)

    def ask(self, method: str, *arguments: Any) -> list[Any]:
        """Call a method of every peer and return what they return."""
        try:
            return list(ray.get(self._call(method, *arguments)))
        except Exception as error:
            self.disband()
            raise _cause(error) from None

    @contextmanager
    def beside(self, method: str, *arguments: Any) -> Iterator[None]:
        """Do inside what goes with a method of every peer; a failure on either side ends both.

        Raises:
            Exception: what failed first.
        """
        failures: list[Exception] = []
        calls = self._call(method, *arguments)
        watch = threading.Thread(target=self._watch, args=(calls, failures), daemon=True)
        watch.start()
        try:
            yield
        except Exception as error:
            watch.join(_AFTERMATH_S)  # it may only be told here that a peer was lost
            ours = not failures
            self.disband()
            raise error if ours else failures[0] from None
        watch.join()
        if failures:
            raise failures[0]

    def _call(self, method: str, *arguments: Any) -> list[ray.ObjectRef[Any]]:
        return [getattr(peer, method).remote(*arguments) for peer in self._peers]

    def _watch(self, calls: list[ray.ObjectRef[Any]], failures: list[Exception]) -> None:
        """Wait for the peers; when one fails, end the wait of this process for it."""
        try:
            while calls:
                done, calls = ray.wait(calls)
                ray.get(done)
        except Exception as error:
            failures.append(_cause(error))
            self.disband()
            if dist.is_initialized() and dist.get_backend() == "nccl":  # gloo sees that the others are gone
                cast(ProcessGroup, dist.group.WORLD).abort()

    def disband(self) -> None:
        """Kill the peers."""
        peers, self._peers = self._peers, []
        for peer in peers:
            ray.kill(peer)


def _cause(error: Exception) -> Exception:
    """Return what a peer raised, out of what Ray wraps it in."""
    cause = getattr(error, "cause", None)
    return cause if isinstance(cause, Exception) else error


_crew: Crew | None = None  # a process is in one torch process group at a time


def _enlist(team: Team) -> Crew:
    global _crew
    if _crew is None or not _crew.standing:
        _crew = Crew(team)
    return _crew


class ParallelJudging(Judging):
    """A judging whose training is shared between the processes of a trial; this one measures.

    A peer that is lost takes this process with it, so that Tune gives the trial to another worker.

    Args:
        candidate: what to judge.
        team: the processes.
        more: as for ``Judging``.
    """

    def __init__(self, candidate: Candidate, *, team: Team, **more: Any) -> None:
        with _or_end():
            self._crew = _enlist(team)
            with self._crew.beside("start", candidate.flat()):
                super().__init__(candidate, processes=self._crew.processes, **more)

    def train(self) -> float:
        with _or_end(), self._crew.beside("train"):
            return super().train()

    def state(self) -> dict[str, Any]:
        state = super().state()
        if state:
            with _or_end():
                state["peers"] = self._crew.ask("random_state")
        return state

    def restore(self, state: Mapping[str, Any]) -> None:
        if state and len(state["peers"]) != self._crew.processes.size - 1:
            raise ValueError("the state of another number of processes")
        with _or_end(), self._crew.beside("restore", state):
            super().restore(state)


@contextmanager
def _or_end() -> Iterator[None]:
    try:
        yield
    except ray.exceptions.RayActorError:
        ray.actor.exit_actor()
