"""A stopping rule: stop a trial when its quality has not improved for some epochs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from spikefront.plugins import PINNED, Int, Objective, StoppingRule, Trial, hookimpl


@dataclass(frozen=True, slots=True)
class PlateauConfig:
    """Hyperparameters of the rule."""

    patience: Annotated[int, Int(1, 1000), PINNED] = 5
    """Epochs without a better quality after which a trial is stopped."""


class Plateau(StoppingRule):
    """Stopping of trials whose quality has not improved for some epochs."""

    name = "plateau"
    Config = PlateauConfig
    config: PlateauConfig

    def begin(self, objectives: Sequence[Objective], *, chance: float, best: float) -> None:
        self._sign = 1.0 if best > chance else -1.0
        self._best: dict[int, tuple[int, float]] = {}  # by trial: the epoch and the quality of its best

    def decide(self, trial: Trial, history: Mapping[int, Mapping[str, float]]) -> str | None:
        quality = self._sign * trial.metrics.get("quality", float("nan"))
        since, best = self._best.get(trial.number, (0, float("-inf")))
        if quality > best:
            self._best[trial.number] = (trial.epoch, quality)
            return None
        waited = trial.epoch - since
        if quality != quality or waited < self.config.patience:  # what is not a number fails by itself
            return None
        return f"stopped at epoch {trial.epoch} of {trial.budget}: quality at its best {waited} epochs ago"

    def state(self, number: int) -> Any:
        return self._best.get(number)

    def restore(self, number: int, state: Any) -> None:
        self._best[number] = tuple(state)


@hookimpl
def register_stopping_rules(register: Callable[[type[StoppingRule]], None]) -> None:
    register(Plateau)
