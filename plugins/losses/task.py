"""The task's own loss: cross-entropy for classes, mean squared error for values, unless a task says otherwise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from spikefront.plugins import Loss, Task, hookimpl


@dataclass(frozen=True, slots=True)
class TaskLoss(Loss):
    """The task's own loss, such as cross-entropy for classes and mean squared error for values."""

    name = "task"
    classes = False

    def of(self, task: Task) -> Callable[[Tensor, Tensor], Tensor]:
        return task.loss


@hookimpl
def register_losses(register: Callable[[type[Loss]], None]) -> None:
    register(TaskLoss)
