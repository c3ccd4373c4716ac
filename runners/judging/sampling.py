"""Standard error of the energy of a network, over the samples on which its operations are counted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import stdev
from typing import Final

from torch import Tensor

from spikefront.plugins import Counts, EnergyModel
from spikefront.runners.judging.counting import count_ends
from spikefront.runners.judging.network import Network
from spikefront.searchspace.objectives import ENERGY_ERROR

BLOCKS: Final = 8
"""Parts of the measuring batch: the error is known within 27 %, 1 / sqrt(2 * 7).

Counting them takes 1 % of the trial of a convnet on digits."""

_SEED: Final = 20_236


def energy_error(network: Network, batch: Tensor, energy_model: EnergyModel) -> dict[str, float]:
    """Return the standard error of the mean energy per sample, in nanojoules, as a metric.

    The batch is taken apart into 8 blocks, or as many as it has samples, that are counted and priced one by one. The
    error of the mean of all is the standard deviation of their means, over the square root of their number. Each block
    takes every 8th sample, so that all have a like share of each class where a split is sorted by class.

    Args:
        network: the network.
        batch: prepared inputs on which operations are counted, ``(B, ...)``.
        energy_model: what prices them.

    Returns:
        ``energy_se_nj``; nothing of a single sample, or where an energy is not finite. It is 0 where all samples cost
        the same.
    """
    return energy_errors(network, batch, energy_model, (0,))[0]


def energy_errors(
    network: Network, batch: Tensor, energy_model: EnergyModel, cuts: Sequence[int]
) -> dict[int, dict[str, float]]:
    """Return what ``energy_error`` returns of a network that is cut at each of several steps, by these steps.

    Args:
        network: the network.
        batch: prepared inputs on which operations are counted, ``(B, ...)``.
        energy_model: what prices them. Blocks are counted once for all steps, but for a chip's traffic.
        cuts: the steps, which are ``network.cuts`` or some of them, and 0 for the network as it is.
    """
    counts = count_ends(network, _blocks(batch), cuts, traffic=energy_model.reads_traffic, seed=_SEED)
    return {cut: _error(of_cut, energy_model) for cut, of_cut in counts.items()}


def _blocks(batch: Tensor) -> list[Tensor]:
    """Return the blocks of a batch; none where there are less than two."""
    blocks = min(BLOCKS, len(batch))
    return [batch[first::blocks] for first in range(blocks)] if blocks > 1 else []


def _error(counts: Sequence[Counts], energy_model: EnergyModel) -> dict[str, float]:
    energies = [energy_model.energy_nj(part) for part in counts]
    if len(energies) < 2 or not all(map(math.isfinite, energies)):
        return {}
    return {ENERGY_ERROR: stdev(energies) / math.sqrt(len(energies))}
