"""Trials without training: real candidates of the whole space, with metrics computed from their hyperparameters."""

from __future__ import annotations

import math
import time
import zlib
from dataclasses import dataclass
from pathlib import Path

from spikefront.plugins import load_registry
from spikefront.runners.engine.memory.opening import create_study
from spikefront.runners.engine.memory.order import Order
from spikefront.runners.engine.memory.study import StudyRecord
from spikefront.runners.engine.parts import make_sampler, objectives_of
from spikefront.runners.engine.proposing.fresh import FreshSampler
from spikefront.runners.engine.proposing.shown import Shown
from spikefront.runners.engine.proposing.untried import Untried
from spikefront.runners.engine.settings import SearchSettings
from spikefront.searchspace import Candidate, Space

TASK = "digits"
PRUNED_OF = 3  # one in so many trials is judged to its end, as with early stopping


def metrics_of(candidate: Candidate) -> dict[str, float]:
    """Return metrics such that accuracy and energy both rise with time steps and width, and codings differ."""
    flat = candidate.flat()
    steps = float(flat.get("steps", 4))
    width = float(next((value for name, value in flat.items() if name.endswith(".width")), 32))
    rate = math.log10(float(next(value for name, value in flat.items() if name.endswith(".lr"))) / 2e-3)
    coding = zlib.crc32(str(flat["coding"]).encode()) / 2**32
    quality = 0.95 - 0.3 * math.exp(-steps / 4) - 0.3 * math.exp(-width / 32) - 0.05 * abs(rate) - 0.1 * coding
    found = {"quality": max(quality, 0.0), "energy_nj": steps * width * (0.5 + coding), "latency_steps": steps}
    return found | {"parameters": 65 * width, "spike_rate": 0.1, "sops": 1e4, "macs": 1e3, "loss": 0.5, "seconds": 1.0}


@dataclass(frozen=True)
class Cost:
    """What one trial cost the study, in milliseconds of wall time and of this process's processor time."""

    ask: float
    ask_cpu: float
    tell: float


class SyntheticSearch:
    """A search of the whole space whose trials are told as soon as they are asked for."""

    def __init__(self, folder: Path, name: str = "synthetic", trials: int = 2000) -> None:
        self.registry = load_registry(third_parties=False)
        self.settings = SearchSettings(TASK, name=name, folder=folder, trials=trials, workers=2)
        self.space = Space(self.registry, TASK)
        self.objectives = objectives_of(self.registry.get("task", TASK), self.settings)
        sampler = make_sampler(self.settings, self.registry)
        study = create_study(self.settings, self.objectives, sampler)
        self.record = StudyRecord(study, self.objectives, order=Order(self.settings.worker_count))
        self._untried = Untried(self.space)
        study.sampler = FreshSampler(sampler.make, self.space, Shown(self.record), untried=self._untried)

    @property
    def hyperparameters(self) -> int:
        """How many are searched."""
        return sum(row.searched for row in self.space.rows())

    def trial(self) -> Cost:
        """Ask for a trial and tell of it."""
        started, cpu = time.perf_counter(), time.process_time()
        assert self.record.order.is_ready(self.record.next)
        self._untried.read(self.record.seen(self.record.next, self._untried.settled))
        assert self._untried.first() is not None
        trial = self.record.ask()
        candidate = self.space.suggest(trial)
        self.record.chosen(trial, candidate, counted_s=1.0)
        asked, asked_cpu = time.perf_counter(), time.process_time()
        judged = trial.number % PRUNED_OF == 0
        epochs = candidate.training.schedule.epochs
        epoch = epochs if judged else max(1, epochs // 2)
        self.record.tell(trial.number, "COMPLETE" if judged else "PRUNED", "", metrics_of(candidate), epoch)
        told = time.perf_counter()
        return Cost(1000 * (asked - started), 1000 * (asked_cpu - cpu), 1000 * (told - asked))
