"""Neurons of snnTorch and SpikingJelly as neuron plugins: their code computes the steps, our surrogate the gradient.

A plugin says which class of the library it is by ``build``, what its hyperparameters are and what an update costs; all
else follows from the library's own conventions. State goes from step to step as values, so that nothing is kept.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from spikefront.plugins.bases.stepwise import State, Stepwise
from spikefront.plugins.contracts import Surrogate
from spikefront.plugins.network.stepping import fires
from spikefront.searchspace import UsageError

Spikes = Callable[[Tensor], Tensor]
"""From the distance of a potential to its threshold to spikes, with the gradient of a surrogate."""


@dataclass(frozen=True, slots=True)
class Firing:
    """The step function that a library's neuron calls, with the derivative that was searched.

    Attributes:
        surrogate: stands in for the derivative.
        above: whether a potential at the threshold is silent, as in snnTorch.
    """

    surrogate: Surrogate
    above: bool = False

    def __call__(self, distance: Tensor) -> Tensor:
        return fires(distance, 0.0, self.surrogate, above=self.above)


class ForeignNeuron(Stepwise):
    """A neuron whose steps another library computes.

    Attributes:
        cell: the library's neuron.
    """

    named_only: ClassVar[bool] = True
    above: ClassVar[bool] = False

    def __init__(self, config: Any = None, *, surrogate: Surrogate) -> None:
        super().__init__(config, surrogate=surrogate)
        with torch.device("cpu"):  # their constructors look at values, which a network that is only counted lacks
            self.cell = self.build(Firing(surrogate, self.above))

    @abstractmethod
    def build(self, spikes: Spikes) -> nn.Module:
        """Return the library's neuron with the hyperparameters of ``self.config``; import the library here.

        Args:
            spikes: what it has to be given for its surrogate gradient.
        """


class SnnTorchNeuron(ForeignNeuron):
    """A neuron of snnTorch, which takes its states as arguments and returns them behind its spikes.

    ``states`` says how many it has; ``build`` leaves ``init_hidden`` alone. snnTorch fires above the threshold, not at
    it.
    """

    library: ClassVar[str] = "snntorch"
    above: ClassVar[bool] = True

    def __init__(self, config: Any = None, *, surrogate: Surrogate) -> None:
        super().__init__(config, surrogate=surrogate)
        listed = getattr(self.cell, "instances", None)
        if listed and listed[-1] is self.cell:
            listed.pop()  # snnTorch keeps every neuron of a process, to reset them all

    def step(self, current: Tensor, state: State | None) -> tuple[Tensor, State]:
        before = state if state is not None else tuple(torch.zeros_like(current) for _ in range(self.states))
        fired, *after = self.cell(current, *self.ordered(before))
        for name in [name for name, held in self.cell.named_buffers() if held.shape == current.shape and held.dim()]:
            setattr(self.cell, name, current.new_zeros(0))  # a neuron keeps its last states as buffers
        return fired.to(current.dtype), self.ordered(tuple(after))

    def ordered(self, states: State) -> State:
        """Return states in the opposite order: snnTorch's last one is the membrane potential, ours the first."""
        return states[::-1]


class SpikingJellyNeuron(ForeignNeuron):
    """A neuron of SpikingJelly 2, which steps by a function of explicit states.

    ``build`` returns a ``BaseNode`` in single-step mode; ``states`` says how many it has. SpikingJelly fires at the
    threshold.
    """

    library: ClassVar[str] = "spikingjelly"

    def __init__(self, config: Any = None, *, surrogate: Surrogate) -> None:
        super().__init__(config, surrogate=surrogate)
        if not hasattr(self.cell, "single_step_functional_forward"):
            raise UsageError(f"neuron {self.name!r} needs SpikingJelly 2.0 or later: pip install -U spikingjelly")

    def step(self, current: Tensor, state: State | None) -> tuple[Tensor, State]:
        cell: Any = self.cell
        before = state
        if before is None:
            before = cell.materialize_states((current,), tuple(cell._memories.values()), "s")
        (fired, *_), after = cell.single_step_functional_forward((current,), before)
        return fired, after
