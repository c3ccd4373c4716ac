"""The same command gives the same trainings again: whichever ends first, and after a kill at any moment."""

from __future__ import annotations

import heapq
import itertools
import math
import random
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from ray.tune.search import Searcher

from spikefront.plugins import StoppingRule, load_registry
from spikefront.runners.engine.memory.opening import create_study, reopen_study
from spikefront.runners.engine.memory.order import Order
from spikefront.runners.engine.memory.study import StudyRecord
from spikefront.runners.engine.parts import make_rules, make_sampler
from spikefront.runners.engine.placing.bridge import StudySearcher
from spikefront.runners.engine.placing.files import BEFORE, FAILURE
from spikefront.runners.engine.proposing.affordable import AffordableSampler
from spikefront.runners.engine.proposing.cost import CostModel
from spikefront.runners.engine.proposing.shown import Shown
from spikefront.runners.engine.proposing.untried import Untried
from spikefront.runners.engine.settings import SearchSettings
from spikefront.searchspace import ENERGY, Callbacks, Candidate, Objective, Space, from_flat, parse_set

REGISTRY = load_registry(third_parties=False)
OBJECTIVES = (Objective("quality", maximize=True, worst=0.0, best=1.0), ENERGY)
EPOCHS = 6
SPACE = ("coding=direct,rate,latency", "neuron=lif,if", "backbone=mlp", f"training.epochs={EPOCHS}")
TRIALS = 26

Known = tuple[dict[str, Any], str, str, int, dict[str, float]]


def chance_of(candidate: Candidate) -> float:
    """Return a number in [0, 1) that is the candidate's own."""
    return zlib.crc32(repr(sorted(candidate.flat().items())).encode()) / 2**32


def metrics_of(candidate: Candidate, epoch: int) -> dict[str, float]:
    learnt = 1 - math.exp(-(epoch + 2 * chance_of(candidate)) / 4)
    energy = candidate.steps * (1 + 50 * chance_of(candidate))
    return {"quality": learnt * (1 - 1 / (1 + candidate.steps)), "energy_nj": energy, "seconds": 1.0}


def seconds_of(candidate: Candidate) -> float:
    """Return the cost, of which the largest is a hundred times the least."""
    return float(100 ** (candidate.steps / 16))


@dataclass
class Worker:
    trial: str
    number: int
    candidate: Candidate
    epoch: int = 0
    before: dict[str, dict[str, float]] = field(default_factory=dict)


class Machine:
    """Workers with a clock of their own, whose trials take longer or shorter as a seed says.

    Args:
        folder: of the search.
        seed: seed of the speeds.
        workers: trainings at a time.
        trials: trainings in all.
        more: further options of the search.
    """

    def __init__(self, folder: Path, seed: int = 0, workers: int = 3, trials: int = TRIALS, **more: Any) -> None:
        self.settings = SearchSettings("digits", name="s", folder=folder, trials=trials, workers=workers, **more)
        self.space = Space(REGISTRY, "digits", [parse_set(text) for text in SPACE])
        self.random = random.Random(seed)
        self.names = itertools.count()
        self.events: list[tuple[float, int, Worker]] = []
        self.checkpoints: dict[int, int] = {}
        self.now = 0.0
        self.reasons: list[str] = []
        self.most_running = 0

    def begin(self) -> Machine:
        sampler = make_sampler(self.settings, REGISTRY)
        self._wire(create_study(self.settings, OBJECTIVES, sampler, {"options": {}}), self.settings.trials)
        return self

    def resume(self) -> Machine:
        """Go on as the next driver after a kill, with what the checkpoints and the journal have."""
        self.events.clear()
        study = reopen_study(self.settings, make_sampler(self.settings, REGISTRY))
        self._wire(study, None)
        return self

    def _wire(self, study: Any, left: int | None) -> None:
        settings, space = self.settings, self.space
        self.record = StudyRecord(study, OBJECTIVES, order=Order(settings.worker_count))
        if left is None:
            self.record.take_up()
            left = (settings.trials or 0) - sum(not trial.again for trial in self.record.earlier)
        elif settings.priors:
            self.record.begin_with(space.priors()[:5])
        cost, untried, plugin = CostModel(seconds_of), Untried(space), make_sampler(settings, REGISTRY)
        self.searcher = StudySearcher(
            self.record, space, Callbacks(), left, settings.worker_count, settings.weights, self.reasons.append,
            rules=self._rules, cost=cost, untried=untried,
        )  # fmt: skip
        shown = Shown(self.record)
        study.sampler = AffordableSampler(
            plugin.make, space, shown, cost, self.searcher.others_s, startup=4, seed=settings.seed, untried=untried
        )

    def _rules(self) -> list[StoppingRule]:
        rules = make_rules(self.settings, REGISTRY)
        for rule in rules:
            rule.begin(OBJECTIVES, chance=0.0, best=1.0)
        return rules

    def run(self, events: int | None = None) -> Machine:
        """Run until all is done, or for so many events."""
        for _ in itertools.count() if events is None else range(events):
            self._fill()
            if not self.events:
                break
            self.now, _, worker = heapq.heappop(self.events)
            self._epoch(worker)
        return self

    def _fill(self) -> None:
        while len(self.events) < self.settings.worker_count:
            name = f"t{next(self.names)}"
            begun = self.searcher.suggest(name)
            if begun is None or begun is Searcher.FINISHED:
                assert begun is Searcher.FINISHED or self.events, "nothing runs, and nothing is begun"
                return
            candidate = from_flat(begun["candidate"], REGISTRY)
            trial = self.record.study.get_trials(deepcopy=False)[begun["number"]]
            worker = Worker(name, begun["number"], candidate)
            worker.epoch = self.checkpoints.get(trial.user_attrs.get("retry_of", -1), 0)
            worker.before = {str(epoch): metrics_of(candidate, epoch) for epoch in range(1, worker.epoch + 1)}
            self._schedule(worker)
            self.most_running = max(self.most_running, len(self.events))

    def _schedule(self, worker: Worker) -> None:
        took = seconds_of(worker.candidate) / EPOCHS * math.exp(self.random.gauss(0, 0.5))
        heapq.heappush(self.events, (self.now + took, next(self.names), worker))

    def _epoch(self, worker: Worker) -> None:
        worker.epoch += 1
        fails = chance_of(worker.candidate) < 0.1 and worker.epoch == 3
        if worker.epoch < EPOCHS and not fails and self.random.random() < 0.7:
            self.checkpoints[worker.number] = worker.epoch  # before the driver hears of it
        result: dict[str, Any] = {"epoch": worker.epoch}
        result |= {f"metrics/{name}": value for name, value in metrics_of(worker.candidate, worker.epoch).items()}
        for epoch, metrics in worker.before.items():
            result |= {f"{BEFORE}/{epoch}/{name}": value for name, value in metrics.items()}
        worker.before = {}
        if fails:
            before = {name: value for name, value in result.items() if name.startswith(BEFORE)}
            self.searcher.on_trial_complete(worker.trial, {FAILURE: "loss is nan", "done": True, **before})
        elif worker.epoch == EPOCHS or self.searcher.decide(worker.trial, result) is not None:
            self.searcher.on_trial_complete(worker.trial, result)
        else:
            self._schedule(worker)

    def lose(self) -> None:
        """Lose what workers had since the last driver heard of it: they write a checkpoint that it never decides on."""
        for _, _, worker in self.events:
            if worker.epoch + 1 < EPOCHS and not (chance_of(worker.candidate) < 0.1 and worker.epoch >= 2):
                self.checkpoints[worker.number] = worker.epoch + 1

    def trainings(self) -> list[Known]:
        """Return what the journal has of each training, by ordinal."""
        trials, order = self.record.study.get_trials(deepcopy=False), self.record.order
        found = []
        for ordinal in range(len(order)):
            attributes = trials[order[ordinal].number].user_attrs
            outcome = attributes["outcome"]
            known = (outcome[name] for name in ("state", "reason", "epoch", "metrics"))
            found.append((attributes["candidate"], *known))
        return found


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> list[Known]:
    machine = Machine(tmp_path_factory.mktemp("first")).begin().run()
    assert machine.most_running == 3
    found = machine.trainings()
    assert len(found) == TRIALS
    assert {"COMPLETE", "PRUNED", "FAIL"} == {state for _, state, *_ in found}  # all kinds of ends are compared
    return found


@pytest.mark.parametrize("speed", [1, 2])
def test_trainings_do_not_depend_on_which_ends_first(first: list[Known], tmp_path: Path, speed: int) -> None:
    again = Machine(tmp_path, speed).begin().run()
    assert again.record._running == {}
    ends = [trial.datetime_complete for trial in again.record.study.trials]
    assert ends != sorted(ends)  # type: ignore[type-var]
    assert again.trainings() == first


@pytest.mark.parametrize("events", [3, 31, 60])
def test_a_killed_search_goes_on_as_if_it_had_never_ended(first: list[Known], tmp_path: Path, events: int) -> None:
    machine = Machine(tmp_path, 5).begin().run(events)
    machine.lose()
    assert machine.resume().run(9).resume().run().trainings() == first


@pytest.mark.slow
def test_it_may_be_killed_after_any_event(first: list[Known], tmp_path: Path) -> None:
    for events in range(0, 90, 4):
        folder = tmp_path / str(events)
        machine = Machine(folder, events).begin().run(events)
        machine.lose()
        assert machine.resume().run().trainings() == first, events


def test_searches_that_are_ended_and_begin_with_priors_go_on_alike(tmp_path: Path) -> None:
    whole = Machine(tmp_path / "whole", 1, trials=14, priors=True).begin().run().trainings()
    machine = Machine(tmp_path / "ended", 2, trials=14, priors=True).begin().run(4)
    machine.searcher.end_all("PRUNED", "interrupted")
    assert machine.resume().run().trainings() == whole
