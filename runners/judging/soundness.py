"""Refusal of a candidate whose numbers would be wrong, before it is trained.

The check is made on a second network of the candidate, so that the one which is trained has seen nothing. Its norms
take the statistics of six samples in a training pass; fresh ones would leave deep layers silent, and so unchecked. It
costs three forward passes of six samples, whatever the data set. It runs all T steps, also of a candidate that is cut.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from spikefront.plugins import Registry
from spikefront.plugins.checks.probe import SAMPLES, fit_norms, probe
from spikefront.runners.judging.network import assemble
from spikefront.runners.judging.seeding import kept_randomness, reseed
from spikefront.runners.judging.training import laid_out
from spikefront.searchspace import Candidate


def refuse_unsound(
    candidate: Candidate, registry: Registry, batch: Tensor, shape: tuple[int, ...], outputs: int
) -> None:
    """Check that a candidate's network keeps no state, mixes no samples, sees no future, and that all its work counts.

    A conversion coding is checked before its ANN is trained, on the scales that it begins with. The states of all
    random generators are what they were afterwards.

    Args:
        candidate: the candidate.
        registry: contains its plugins.
        batch: prepared inputs, on the device; six of them are used.
        shape: shape of one input at one step.
        outputs: number of outputs.

    Raises:
        ContractError: at the first fault, with the plugin that has it.
    """
    x = laid_out(batch[torch.arange(SAMPLES, device=batch.device) * len(batch) // SAMPLES])
    with kept_randomness():
        reseed(candidate.seed)
        network = assemble(replace(candidate, cut=0), registry, shape, outputs).to(batch.device)
        probe(fit_norms(network, x), x, registry.task(candidate).inputs, reseed)
