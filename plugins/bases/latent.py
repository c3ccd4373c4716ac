"""A latent of spikes: posterior and prior as autoregressive spiking networks, and the distance between the two.

At each step k neurons stand for each latent, and one of them, picked at random, is the latent's spike: a Bernoulli
variable with the mean of the k as its probability. What was picked is fed back one step later.

Feeding back one's own picks takes a pass for each step, since layers see all steps in one call. Those passes are run
without gradient or statistics, as ``uncounted``; the pass that follows them is what hardware does, and is counted.

Reference: Kamata, Mukuta & Harada, "Fully spiking variational autoencoder", AAAI (2022), and its released code.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from typing import TypeVar

import torch
from torch import Tensor, nn

from spikefront.plugins.contracts import Sites
from spikefront.plugins.network.layers import Add, Counted, Synapse, uncounted
from spikefront.plugins.network.operations import Operations
from spikefront.plugins.network.signal import Kind, Signal

Norm = TypeVar("Norm", nn.BatchNorm1d, nn.BatchNorm2d)

_TAU = 2.0  # of the filter through which the distance sees spikes, in steps


class Pick(Counted):
    """Takes, for each latent and step, the spike of one of its k neurons: ``(T, B, L*k) -> (T, B, L)``.

    A coefficient by channel becomes the mean of those of the k.
    """

    role = "residual"

    def __init__(self, choices: int) -> None:
        super().__init__()
        self.choices = choices

    def forward(self, spikes: Signal, picked: Tensor) -> Signal:
        """Pick by index.

        Args:
            spikes: of all neurons, ``(T, B, L*k)``.
            picked: which of the k, ``(T, B, L)``.
        """
        values = spikes.values.unflatten(2, (-1, self.choices)).gather(3, picked.unsqueeze(3)).squeeze(3)
        coefficient = spikes.coefficient
        if coefficient is not None and coefficient.dim() == 2 and coefficient.shape[1] > 1:
            coefficient = coefficient.unflatten(1, (-1, self.choices)).mean(2)
        return replace(spikes, values=values, coefficient=coefficient)

    def operations(self, spikes: Signal, picked: Tensor) -> Operations:
        """A random number for each latent and step: a multiplication and an addition (linear congruence)."""
        return Operations(adds=picked.numel(), multiplies=picked.numel())


class Autoregressive(nn.Module):
    """Three spiking layers from the latent's past, and from features if there are any, to k neurons per latent.

    Args:
        latents: number of latents L.
        choices: neurons per latent k.
        features: features given at each step; 0 for none.
        sites: makes the spiking layers.
        stage: their stage. None is the last of it, so no gate that mixes steps acts where the past must not see the
            future.
    """

    def __init__(self, latents: int, choices: int, features: int, sites: Sites, stage: int) -> None:
        super().__init__()
        self.latents, self.choices = latents, choices
        widths = (2 * latents, 4 * latents, choices * latents)
        self.past = Synapse(nn.Linear(latents, widths[0], bias=False), None if features else _norm(widths[0]))
        self.given = Synapse(nn.Linear(features, widths[0], bias=False), _norm(widths[0])) if features else None
        self.join = Add()
        layers: list[nn.Module] = [sites(widths[0], stage=stage)]
        for before, width in pairwise(widths):
            layers += [Synapse(nn.Linear(before, width, bias=False), _norm(width)), sites(width, stage=stage)]
        self.layers = nn.Sequential(*layers)
        self.pick = Pick(choices)

    def forward(self, past: Signal, given: Signal | None) -> Signal:
        """Return the spikes of all k neurons, ``(T, B, L*k)``, of latents that are already shifted into the past."""
        current = self.past(past)
        if self.given is not None:
            current = self.join(self.given(given), current)
        spikes: Signal = self.layers(current)
        return spikes

    def unroll(self, picked: Tensor, like: Tensor, given: Signal | None = None) -> tuple[Signal, Signal]:
        """Feed back what is picked, step by step.

        Args:
            picked: which of the k neurons is picked, ``(T, B, L)``.
            like: a tensor of the dtype and device to compute in.
            given: features ``(T, B, F)``.

        Returns:
            Spikes of all neurons ``(T, B, L*k)``, and those picked, ``(T, B, L)``.
        """
        steps = len(picked)
        z = past = Signal(like.new_zeros(picked.shape), steps, Kind.BINARY)
        with _no_trace(self):
            for t in range(steps - 1):
                spikes = self(past, given)
                drawn = self.pick(spikes, picked)
                z = drawn.with_values(torch.cat((z.values[:t], drawn.values[t : t + 1], z.values[t + 1 :])))
                past = _shifted(z, 1 + spikes.delay - (given.delay if given is not None else 0))
        spikes = self(past, given)
        return spikes, self.pick(spikes, picked)


class SpikingLatent(nn.Module):
    """Latent spikes given features, from the posterior; samples, from the prior; the distance between the two.

    Args:
        features: features given at each step.
        latents: number of latents L.
        choices: neurons per latent k.
        own_past: probability with which, in training, the prior sees a spike that it picked itself, given the
            posterior's past, rather than the posterior's.
        weight: weight of the distance in the loss.
        sites: makes the spiking layers, those of the posterior first.
        stage: their stage.
    """

    def __init__(
        self, features: int, latents: int, choices: int, *, own_past: float, weight: float, sites: Sites, stage: int
    ) -> None:
        super().__init__()
        self.own_past, self.weight = own_past, weight
        self.posterior = Autoregressive(latents, choices, features, sites, stage)
        self.prior = Autoregressive(latents, choices, 0, sites, stage)
        self._distance: Tensor | None = None

    def forward(self, features: Signal) -> Signal:
        """Return latent spikes ``(T, B, L)`` of the posterior."""
        picked = self._draw(features.steps, features.values.shape[1], features.values.device)
        spikes, z = self.posterior.unroll(picked, features.values, features)
        if self.training:
            self._distance = self._between(spikes, self._expected(z, picked))
        return z

    def sample(self, count: int, steps: int, device: torch.device) -> Signal:
        """Return latent spikes ``(T, count, L)`` of the prior."""
        like = self.prior.past.weight.weight
        return self.prior.unroll(self._draw(steps, count, device), like)[1]

    def penalty(self) -> Tensor | float:
        """Return the weighted distance of the last forward pass in training, once."""
        distance, self._distance = self._distance, None
        return 0.0 if distance is None else self.weight * distance

    def _draw(self, steps: int, count: int, device: torch.device) -> Tensor:
        return torch.randint(self.prior.choices, (steps, count, self.prior.latents), device=device)

    def _expected(self, z: Signal, picked: Tensor) -> Signal:
        """Return the prior's spikes given the posterior's past, some of it replaced by picks of its own."""
        coefficient = None if z.coefficient is None else z.coefficient.detach()
        z = Signal(z.values.detach(), z.steps, z.kind, coefficient)
        with _no_trace(self.prior):
            spikes = self.prior(_shifted(z, 1), None)
            own = self.prior.pick(spikes, picked.roll(1, 2)).values  # a latent's draw is as good as its neighbour's
        replaced = torch.rand_like(z.values) < self.own_past
        past = z.with_values(torch.where(replaced, own, z.values))
        expected: Signal = self.prior(_shifted(past, 1 + spikes.delay), None)
        return expected

    def _between(self, posterior: Signal, prior: Signal) -> Tensor:
        """Return the maximum mean discrepancy: mean squared difference of the filtered means of the k neurons."""
        means = (spikes.decoded().unflatten(2, (-1, self.prior.choices)).mean(3) for spikes in (posterior, prior))
        return filtered(next(means) - next(means), _TAU).square().mean()


def filtered(values: Tensor, tau: float) -> Tensor:
    """Return postsynaptic potentials ``p[t] = p[t-1] + (x[t] - p[t-1]) / tau`` of ``(T, ...)``, from rest at 0."""
    potential, potentials = torch.zeros_like(values[0]), []
    for x in values:
        potential = potential + (x - potential) / tau
        potentials.append(potential)
    return torch.stack(potentials)


def high_gain(norm: Norm) -> Norm:
    """Return a batch norm whose gain starts at 2.

    At 1, a twentieth of the neurons with a threshold of 1 fire in a step, and of a latent picked from those of such
    neurons, many layers deep, nothing is left. (The reference has a gain of 1 and a threshold of 0.2.)
    """
    nn.init.constant_(norm.weight, 2.0)
    return norm


def _norm(features: int) -> nn.BatchNorm1d:
    return high_gain(nn.BatchNorm1d(features))


def _shifted(z: Signal, lag: int) -> Signal:
    """Return latents as they are fed back ``lag`` steps later; nothing comes before the first."""
    lag = min(lag, z.steps)
    values = torch.cat((torch.zeros_like(z.values[:lag]), z.values[: z.steps - lag]))
    coefficient = z.coefficient
    if coefficient is not None and len(coefficient) > 1:
        coefficient = coefficient.roll(lag, 0)  # what rolls to the front weights zeros
    return Signal(values, z.steps, z.kind, coefficient)


@contextmanager
def _no_trace(module: nn.Module) -> Iterator[None]:
    """Run passes without gradient, batch statistics or counted operations."""
    training = module.training
    module.eval()
    try:
        with torch.no_grad(), uncounted():
            yield
    finally:
        module.train(training)
