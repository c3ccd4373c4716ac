"""From the read-out's currents over time to one value per output: by rate, membrane potential or step.

With ``I[t]`` the current of an output at step t = 1..T, in which the spikes of the last layer arrive weighted::

    rate      y = (1/T) sum I[t]
    membrane  V[t] = decay V[t-1] + I[t],  V[0] = 0;   y = V[T] / sum decay^(T-t)

that is, the last potential of a leaky integrator that never fires, which weighs late steps more. The division makes a
constant current its own value, as the rate does, and folds into the read-out's weights. With ``decay = 1``, a plain
integrator, both are the same. SAC learns the weights of the steps instead: ``coding.sac.scope = readout``.

For sequences there are three more, of which the last is of classes::

    last       y = I[T]
    maximum    y = max I[t]
    softmax    u[t] = decay u[t-1] + (1 - decay) I[t],  u[0] = 0;   y = sum_t softmax(u[t])

Reference: Kamata, Mukuta & Harada, "Fully spiking variational autoencoder", AAAI (2022), for a read-out potential with
decay 0.8; the division is ours. Bittar & Garner, "A surrogate gradient spiking baseline for speech command
recognition", Frontiers in Neuroscience 16 (2022), for the sum of softmaxes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

import torch
from torch import Tensor

from spikefront.plugins.contracts import Coding
from spikefront.plugins.network.operations import Operations, product_by
from spikefront.plugins.network.signal import Signal
from spikefront.searchspace import PINNED, Choice, Float, When

READOUTS: Final = ("rate", "membrane", "last", "maximum", "softmax")


@dataclass(frozen=True, slots=True)
class DecodingConfig:
    """Hyperparameters of the read-out, for a coding's config to inherit."""

    decoding: Annotated[str, Choice(READOUTS), PINNED] = "rate"
    """What an output is: mean, last or largest current, last membrane potential, or softmax of potentials, summed."""
    decay: Annotated[float, Float(0.5, 1.0), PINNED, When("decoding", ("membrane", "softmax"))] = 0.8
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


def summed_softmax(currents: Tensor, *, decay: float) -> Tensor:
    """Return the sum over time of the softmax of leaky potentials, ``(T, B, K)`` to ``(B, K)``.

    Args:
        currents: of K classes, ``(T, B, K)``.
        decay: share of a potential that a step leaves, in (0, 1]; 1 for a plain sum.

    Example:
        >>> summed_softmax(torch.tensor([[[4.0, 0.0]], [[0.0, 0.0]]]), decay=0.5)  # potentials 2 and 0, then 1 and 0
        tensor([[1.6119, 0.3881]])
    """
    gain = 1 - decay or 1.0  # of a plain sum
    potential = torch.zeros_like(currents[0])
    summed = torch.zeros_like(currents[0])
    for current in currents.unbind(0):
        potential = decay * potential + gain * current
        summed = summed + potential.softmax(1)
    return summed


class Decoding(Coding):
    """A coding that leaves the choice of the read-out; its config inherits ``DecodingConfig``."""

    config: DecodingConfig

    @property
    def averages(self) -> bool:
        return type(self).decode is Decoding.decode and self.config.decoding == "rate"

    def decode(self, output: Signal) -> Tensor:
        how, currents = self.config.decoding, output.decoded()
        if how == "rate":
            return super().decode(output)
        if how == "membrane":
            return membrane_potential(currents, decay=self.config.decay)
        if how == "softmax":
            at_each_step = currents.expand(output.steps, *currents.shape[1:])
            # over fewer steps the sum is as large as over all
            return summed_softmax(at_each_step, decay=self.config.decay) * (self.steps / output.steps)
        return currents[-1] if how == "last" else currents.amax(0)

    def cuts(self) -> tuple[int, ...]:
        return self.earlier_steps

    def decode_operations(self, output: Signal) -> Operations:
        """Sum over time, or compare; a leak is a product at each step but the first.

        The last current is there already, but for its coefficient. A softmax takes an exponential and a division for
        each value, which count as multiplications, a sum over classes and one over time.
        """
        summed, how = super().decode_operations(output), self.config.decoding
        if how == "last":
            outputs = output.values[0, 0].numel()
            return output.weighting(outputs) + output.accumulation(outputs)
        leaks = product_by(self.config.decay) * output.values[1:].numel()
        if how == "softmax":
            values = output.steps * output.values[0].numel()
            return summed + leaks + Operations(adds=2 * values, multiplies=2 * values)
        return summed if how in ("rate", "maximum") or self.config.decay == 1 else summed + leaks
