"""From the read-out's currents over time to one value per output: by rate, or by membrane potential.

With ``I[t]`` the current of an output at step t = 1..T, in which the spikes of the last layer arrive weighted::

    rate      y = (1/T) sum I[t]
    membrane  V[t] = decay V[t-1] + I[t],  V[0] = 0;   y = V[T] / sum decay^(T-t)

that is, the last potential of a leaky integrator that never fires, which weighs late steps more. The division makes a
constant current its own value, as the rate does, and folds into the read-out's weights. With ``decay = 1``, a plain
integrator, both are the same. SAC learns the weights of the steps instead: ``coding.sac.scope = readout``.

Reference: Kamata, Mukuta & Harada, "Fully spiking variational autoencoder", AAAI (2022), for a read-out potential with
decay 0.8; the division is ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from spikefront.plugins.contracts import Coding
from spikefront.plugins.network.operations import Operations, product_by
from spikefront.plugins.network.signal import Signal
from spikefront.searchspace import PINNED, Choice, Float, When


@dataclass(frozen=True, slots=True)
class DecodingConfig:
    """Hyperparameters of the read-out, for a coding's config to inherit."""

    decoding: Annotated[str, Choice(("rate", "membrane")), PINNED] = "rate"
    """What an output is: the mean of its current, or its membrane potential at the last step."""
    decay: Annotated[float, Float(0.5, 1.0), PINNED, When("decoding", ("membrane",))] = 0.8
    """Share of that potential that a step leaves; 1 for a plain integrator."""


def membrane_potential(currents: Tensor, *, decay: float) -> Tensor:
    """Return the last potential of a leaky integrator, over that of a constant current of 1.

    Args:
        currents: ``(T, *)``.
        decay: share of the potential that a step leaves, in (0, 1].

    Returns:
        Values ``(*)``, in dtype and on device of ``currents``.

    Example:
        >>> membrane_potential(torch.tensor([4.0, 2.0, 0.0]), decay=0.5)  # (1 + 1 + 0) / (0.25 + 0.5 + 1)
        tensor(1.1429)
    """
    ago = torch.arange(len(currents) - 1, -1, -1, device=currents.device, dtype=currents.dtype)
    weights = decay**ago
    potential: Tensor = torch.tensordot(weights / weights.sum(), currents, dims=1)
    return potential


class Decoding(Coding):
    """A coding that leaves the choice of the read-out; its config inherits ``DecodingConfig``."""

    config: DecodingConfig

    @property
    def averages(self) -> bool:
        return type(self).decode is Decoding.decode and self.config.decoding == "rate"

    def decode(self, output: Signal) -> Tensor:
        if self.config.decoding == "rate":
            return super().decode(output)
        return membrane_potential(output.decoded(), decay=self.config.decay)

    def cuts(self) -> tuple[int, ...]:
        return self.earlier_steps

    def decode_operations(self, output: Signal) -> Operations:
        """Sum over time; a leak is a product at each step but the first."""
        summed = super().decode_operations(output)
        if self.config.decoding == "rate" or self.config.decay == 1:
            return summed
        return summed + product_by(self.config.decay) * output.values[1:].numel()
