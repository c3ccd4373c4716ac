"""Networks of candidates: a coding around a backbone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from spikefront.plugins import Backbone, Coding, Neuron, Registry, SiteFactory
from spikefront.plugins.bases.conversion import Activations, Conversion, Rectifier
from spikefront.plugins.contracts.network import Network
from spikefront.searchspace import Candidate

__all__ = ["Network", "assemble", "assemble_ann", "muted"]


def assemble(candidate: Candidate, registry: Registry, input_shape: tuple[int, ...], outputs: int) -> Network:
    """Build a candidate's network, with weights drawn from torch's global generator.

    Args:
        candidate: the candidate.
        registry: contains its plugins.
        input_shape: shape of one input at one step.
        outputs: number of outputs.

    Raises:
        UnknownName: when a plugin does not exist.
        UsageError: when the backbone can't take this input, or the coding can't be cut where the candidate is.
    """
    coding: Coding = registry.get("coding", candidate.coding.name)(candidate.coding.config, steps=candidate.steps)
    neuron = registry.get("neuron", candidate.neuron.name)
    surrogate = candidate.training.surrogate.config
    coding.bind(neuron(candidate.neuron.config, surrogate=surrogate))
    sites = SiteFactory(
        lambda: neuron(candidate.neuron.config, surrogate=surrogate),
        coding,
        coding.initial_scale if isinstance(coding, Conversion) else None,
    )
    return _build(candidate, registry, coding.encoded_shape(input_shape), outputs, coding, sites, candidate.cut)


def assemble_ann(
    candidate: Candidate,
    registry: Registry,
    input_shape: tuple[int, ...],
    outputs: int,
    conversion: Conversion | None = None,
) -> Network:
    """Build the ANN twin of a candidate: the same backbone with rectifiers for neurons, in one step.

    Args:
        candidate: the candidate.
        registry: contains its plugins.
        input_shape: shape of one input.
        outputs: number of outputs.
        conversion: the coding that it is trained for, which may round inputs and activations; None for none.

    Raises:
        UsageError: when the backbone can't take this input.
    """
    coding = Activations() if conversion is None else conversion.ann_coding()
    sites = SiteFactory(Rectifier if conversion is None else conversion.ann_neuron)
    return _build(candidate, registry, input_shape, outputs, coding, sites)


def _build(
    candidate: Candidate,
    registry: Registry,
    shape: tuple[int, ...],
    outputs: int,
    coding: Coding,
    sites: SiteFactory,
    cut: int = 0,
) -> Network:
    backbone: Backbone = registry.get("backbone", candidate.backbone.name)(
        candidate.backbone.config, input_shape=shape, outputs=outputs, sites=sites
    )
    sites.finish()
    if isinstance(coding, Conversion):
        coding.prepare(backbone)
    # channels last is the layout in which convolutions and the neuron's elementwise steps are fastest
    network = Network(coding, backbone, registry.get("task", candidate.task.name).inputs, cut)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network


@contextmanager
def muted(network: Network) -> Iterator[None]:
    """Context in which the neurons of a network emit zeros, whatever drives them. The coded input stays as it is.

    Hooks on a neuron that are registered inside, as those of the op counter, see the zeros.
    """
    handles = [
        module.register_forward_hook(lambda neuron, args, spikes: torch.zeros_like(spikes))
        for module in network.backbone.modules()
        if isinstance(module, Neuron)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
