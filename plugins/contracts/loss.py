"""The contract of a training loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from torch import Tensor

from spikefront.plugins.contracts.plugin import SelfConfigured
from spikefront.plugins.contracts.task import Task


class Loss(SelfConfigured):
    """A training loss. It is its own config, a frozen dataclass, as a ``Surrogate`` is.

    Quality is the task's in any case; a loss decides what gradients follow.

    Attributes:
        per_step: whether it takes the output of each step, ``(T, B, K)``, in place of the decoded one, ``(B, K)``. It
            is for codings whose decoded output is the mean of those (``Coding.averages``).
        classes: whether targets must be numbers of classes (``Task.classifies``).
    """

    per_step: ClassVar[bool] = False
    classes: ClassVar[bool] = True

    def __call__(self, output: Tensor, targets: Tensor) -> Tensor:
        """Return the mean loss of a batch, a scalar.

        Args:
            output: ``(B, K)``, or ``(T, B, K)`` for a loss ``per_step``.
            targets: ``(B, ...)``; of classes, their numbers ``(B,)``.
        """
        raise TypeError(f"{type(self).__name__} must define __call__(output, targets)")

    def of(self, task: Task) -> Callable[[Tensor, Tensor], Tensor]:
        """Return what is called with outputs and targets of a task; the default is the loss itself."""
        return self
