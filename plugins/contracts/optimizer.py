"""The contract of an optimiser."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from spikefront.plugins.contracts.plugin import SelfConfigured


class Optimizer(SelfConfigured):
    """The optimiser of one training run. It is its own config, a frozen dataclass, as a ``Surrogate`` is.

    Attributes:
        lr: learning rate at the start, a field of each optimiser, since a good range depends on the optimiser.
    """

    lr: float

    def __call__(self, parameters: Iterable[Any]) -> torch.optim.Optimizer:
        """Return an optimiser.

        Args:
            parameters: parameters, or groups of them as for ``torch.optim.Optimizer``. Groups of training have an
                ``lr`` of their own, and those of biases and normalisation ``weight_decay`` 0.
        """
        raise TypeError(f"{type(self).__name__} must define __call__(parameters)")

    @staticmethod
    def fusable(parameters: Iterable[Any]) -> bool:
        """Return whether torch can do a step of all parameters in one kernel: they are floats on the CPU or a GPU.

        Args:
            parameters: as for ``__call__``, but no iterator, which this would use up.
        """
        groups = (group["params"] if isinstance(group, dict) else [group] for group in parameters)
        every = (parameter for group in groups for parameter in group)
        return all(each.device.type in ("cpu", "cuda") and each.is_floating_point() for each in every)
