"""Learning rates over the steps of a training."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch

from spikefront.searchspace import Schedule


class Decay:
    """The learning rates of an optimiser over the training steps.

    ``torch.optim.lr_scheduler.LambdaLR`` with less work for each step; the rates are the same, and so is the name of
    what is stored.

    Args:
        optimizer: the optimiser, with the rates at the start.
        share: learning rate, as a share of that at the start, by the number of steps made.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, share: Callable[[int], float]) -> None:
        self._optimizer = optimizer
        self._start = [float(group["lr"]) for group in optimizer.param_groups]
        self._share = share
        self._steps = 0

    def step(self) -> None:
        """Set the rates for the next training step."""
        self._steps += 1
        share = self._share(self._steps)
        for group, start in zip(self._optimizer.param_groups, self._start, strict=True):
            group["lr"] = start * share

    def state_dict(self) -> dict[str, int]:
        """Return what ``load_state_dict`` takes."""
        return {"last_epoch": self._steps}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on after the steps of a state; the rates themselves are the optimiser's."""
        self._steps = int(state["last_epoch"])


def steps_of(schedule: Schedule, samples: int) -> int:
    """Return the training steps of an epoch: batches, but for a last one that is left out.

    Batch norm has no variance to learn from a last batch of one sample.
    """
    full, left = divmod(samples, schedule.batch)
    dropped = full > 0 and (schedule.drop_last or (left == 1 < schedule.batch))
    return full + (left > 0 and not dropped)


def learning_rate(schedule: Schedule, samples: int) -> Callable[[int], float]:
    """Return the learning rate, as a share of that at the start, by the number of training steps made.

    Args:
        schedule: the schedule.
        samples: number of training samples.
    """
    made = steps_of(schedule, samples)
    steps = made if schedule.drop_last else math.ceil(samples / schedule.batch)

    def share(step: int) -> float:
        if schedule.decay == "constant":
            return 1.0
        done, whole = step, schedule.epochs * steps
        if schedule.decay == "cosine-by-epoch":
            done, whole = step // made, schedule.epochs
        return 0.5 * (1 + math.cos(math.pi * done / whole))

    return share
