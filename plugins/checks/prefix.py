"""Check that a network which is stopped early gives what the whole one gives in these steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor

from spikefront.plugins.contracts.network import Network
from spikefront.plugins.network.signal import ContractError, Signal

ROUNDING: Final = 1e-4
"""Largest difference, relative to the largest value, that is taken for rounding."""

_SEED: Final = 20_237


@torch.no_grad()
def whole_run(network: Network, x: Tensor, seed: Callable[[int], object] = torch.manual_seed) -> Signal:
    """Return what a network emits that is not cut, for ``refuse_other_prefix``."""
    seed(_SEED)
    return network.propagate(network.encode(x))


@torch.no_grad()
def refuse_other_prefix(
    network: Network,
    x: Tensor,
    cut: int,
    seed: Callable[[int], object] = torch.manual_seed,
    whole_output: Signal | None = None,
) -> None:
    """Check that a network that is cut at a step emits until there what it emits when it is not cut.

    A neuron whose spikes depend on T, or a module that looks at later steps, makes a difference.

    Args:
        network: a network in eval mode, not cut.
        x: prepared inputs.
        cut: one of ``network.cuts``.
        seed: seeds all generators from which plugins may draw.
        whole_output: what ``whole_run`` returned for these inputs; computed when None.

    Raises:
        ContractError: when it emits something else, or decodes to other than one finite value per output.
    """
    whole = (whole_run(network, x, seed) if whole_output is None else whole_output).first(cut).decoded()
    with network.cut_at(cut):
        seed(_SEED)
        output = network.propagate(network.encode(x))
        alone = output.first(cut).decoded()
        decoded = network.decode(output)
    one, other = torch.broadcast_tensors(whole, alone)
    if not torch.allclose(one, other, rtol=0.0, atol=ROUNDING * (float(whole.abs().max()) or 1.0), equal_nan=True):
        raise ContractError(f"its first {cut} steps depend on how many follow")
    if decoded.shape != alone.shape[1:] or (alone.isfinite().all() and not decoded.isfinite().all()):
        raise ContractError(f"coding {network.coding.name!r} does not decode the first {cut} steps to finite values")


__all__ = ["refuse_other_prefix", "whole_run"]
