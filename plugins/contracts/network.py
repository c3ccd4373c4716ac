"""Networks: a coding around a backbone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Self

import torch
from torch import Tensor, nn

from spikefront.plugins.contracts.backbone import Backbone
from spikefront.plugins.contracts.coding import Coding
from spikefront.plugins.contracts.plugin import SEQUENTIAL, InputKind
from spikefront.plugins.contracts.site import Between, Site
from spikefront.plugins.network.operations import Operations
from spikefront.plugins.network.signal import ContractError, Signal, refuse_time_axis
from spikefront.searchspace import UsageError

_MOST_CUTS: Final = 8
"""Steps at which a network on sequences may be stopped, T included."""


class Network(nn.Module):
    """A coding around a backbone, from inputs to outputs ``(B, K)``.

    Inputs are ``(B, ...)``, event frames ``(B, T, ...)``, or sequences or spikes ``(B, L, F)``, where L divides T.

    Args:
        coding: the coding.
        backbone: the backbone.
        inputs: kind of the inputs.
        cut: the step T' after which it is stopped in eval mode; in training it always runs all T. 0 for no cut.

    Attributes:
        cut: that step; see ``cut_at``.

    Raises:
        UsageError: for a step at which it can't be cut.
    """

    def __init__(self, coding: Coding, backbone: Backbone, inputs: InputKind = "static", cut: int = 0) -> None:
        super().__init__()
        self.coding = coding
        self.backbone = backbone
        self._inputs = inputs
        for site in self.sites:
            site.backbone = backbone.name
        self._penalised = [
            module
            for module in self.modules()
            if isinstance(module, Between) and type(module).penalty is not Between.penalty
        ]
        if cut and cut not in (known := self.cuts):
            steps = f"it can be at {', '.join(map(str, known))}" if known else "it can't be cut at all"
            raise UsageError(
                f"cut: coding {coding.name!r} with backbone {backbone.name!r} can't be cut at {cut} of its "
                f"{coding.steps} steps; as it is set up, {steps}"
            )
        self.cut = cut

    @property
    def cuts(self) -> tuple[int, ...]:
        """Steps T' < T after which it may be stopped; see ``Coding.cuts``. None of one that generates images.

        Of a network on sequences, whose T may be hundreds, those that are multiples of an eighth of T, rounded up.
        """
        cuts = () if self.backbone.output == "images" else self.coding.cuts()
        every = -(-self.coding.steps // _MOST_CUTS) if self._inputs in SEQUENTIAL else 1
        return tuple(cut for cut in cuts if cut % every == 0)

    @contextmanager
    def cut_at(self, steps: int) -> Iterator[None]:
        """Context in which the network is cut at a step T', one of ``cuts``; 0 for no cut."""
        before, self.cut = self.cut, steps
        try:
            yield
        finally:
            self.cut = before

    @property
    def steps(self) -> int:
        """Steps of the code that it runs for: T; in eval mode, if cut at T', T' and what its neurons lag by.

        A neuron that lags by d steps needs d more of its input to emit its first T' spikes as it would in the whole
        run.
        """
        if self.training or not self.cut:
            return self.coding.steps
        return min(self.coding.steps, self.cut + self.neuron_delay)

    @property
    def neuron_delay(self) -> int:
        """Steps by which the spikes of its neurons lag, all of them one behind the other."""
        return sum(site.neuron.delay_over(self.coding.steps) for site in self.sites)

    def modules(self, remove_duplicate: bool = True) -> Iterator[nn.Module]:
        """Yield all modules in the order of ``nn.Module``, which has a generator for each level."""
        if not remove_duplicate:
            return super().modules(remove_duplicate=False)
        found: dict[nn.Module, None] = {}
        waiting: list[nn.Module] = [self]
        while waiting:
            if (module := waiting.pop()) not in found:
                found[module] = None
                waiting += [child for child in reversed(module._modules.values()) if child is not None]
        return iter(found)

    def train(self, mode: bool = True) -> Self:
        """Set the mode of all modules; one that sets its own way is asked, and nothing is set where all are in it."""
        others = [module for module in self.modules() if module.training is not mode]
        if any(type(module).train is not nn.Module.train for module in others if module is not self):
            return super().train(mode)
        for module in others:
            module.__dict__["training"] = mode  # what nn.Module's setattr does in the end
        return self

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(self.propagate(self.encode(x)))

    def encode(self, x: Tensor) -> Signal:
        """Return the coded inputs, of the steps that the network runs for.

        Raises:
            ContractError: when the coding's time axis is neither 1 nor T long, or T is no multiple of a sequence's
                length.
        """
        coding = self.coding
        if self._inputs in SEQUENTIAL and coding.steps % x.shape[1]:
            raise ContractError(f"T is {coding.steps}, which is no multiple of the {x.shape[1]} points of a sequence")
        if self._inputs == "static":
            signal = coding.encode(x)
        elif self._inputs == "sequences":
            signal = coding.encode_sequences(_time_first(x))
        else:
            signal = coding.encode_events(self._frames(x))
        return refuse_time_axis(f"coding {coding.name!r}", signal, coding.steps).first(self.steps)

    def encode_operations(self, x: Tensor, code: Signal) -> Operations:
        """Return the operations by which inputs became ``code``, which may be the first steps of their code."""
        if self._inputs == "static":
            return self.coding.encode_operations(x, code)
        given = _time_first(x) if self._inputs == "sequences" else self._frames(x)
        begun = -(-code.steps * len(given) // self.coding.steps)  # frames or points that the code has begun
        return self.coding.encode_operations(given[:begun], code)

    def _frames(self, x: Tensor) -> Tensor:
        """Return event frames, or spikes, as the network sees them in time, ``(T, B, ...)``.

        Spikes of a time arrive at the first of its steps.
        """
        given = _time_first(x)
        if self._inputs == "events" or len(given) == self.coding.steps:
            return given
        frames = given.new_zeros(self.coding.steps, *given.shape[1:])
        frames[:: self.coding.steps // len(given)] = given
        return frames

    def propagate(self, signal: Signal) -> Signal:
        """Return the output signal of the backbone, ``(T, B, K)``, of a coded input.

        Raises:
            ContractError: when a time axis on the way is neither 1 nor T long; when a network that is cut waits for
                steps that it does not run.
        """
        output = refuse_time_axis(f"backbone {self.backbone.name!r}", self.backbone(signal), signal.steps)
        if signal.steps < self.coding.steps and output.delay > self.neuron_delay:
            raise ContractError(
                f"the output lags by {output.delay} steps, of which the neurons cause {self.neuron_delay}: a network "
                f"with coding {self.coding.name!r} can't be cut"
            )
        return output

    def decode(self, output: Signal) -> Tensor:
        """Return one value per output, ``(B, K)``, of the first T' steps where it is cut."""
        return self.coding.decode(output if self.training or not self.cut else output.first(self.cut))

    def latency_steps(self, delay: int) -> int:
        """Return the steps from the first input to the decoded output, which lags by ``delay`` time steps.

        Where neurons fire several times in a time step, it is as many steps as it has slots.
        """
        return self.slots * (self.cut + delay if self.cut else self.coding.latency_steps(delay))

    @property
    def slots(self) -> int:
        """Steps of a chip that one time step takes: the most of its neurons."""
        return max((site.neuron.slots for site in self.sites), default=1)

    def sample(self, count: int) -> Tensor:
        """Return decoded outputs of random latents, ``(count, K)``, of a network that generates."""
        steps = self.coding.steps
        made = self.backbone.sample(count, steps, self.device)
        return self.decode(refuse_time_axis(f"backbone {self.backbone.name!r}", made, steps))

    def penalty(self) -> Tensor | float:
        """Return the terms that coding, backbone, and the coding's modules behind the sites add to the loss."""
        return sum(
            (module.penalty() for module in self._penalised), start=self.coding.penalty() + self.backbone.penalty()
        )

    @property
    def device(self) -> torch.device:
        """Where the network computes."""
        return next(self.parameters()).device

    @property
    def sites(self) -> list[Site]:
        """The spiking layers, from the input on."""
        return [module for module in self.modules() if isinstance(module, Site)]

    @property
    def parameter_count(self) -> int:
        """Learnt parameters."""
        return sum(parameter.numel() for parameter in self.parameters())


def _time_first(x: Tensor) -> Tensor:
    """Return event frames or sequences with time first."""
    return x.transpose(0, 1).contiguous()
