"""The twins of a candidate: the ANN of the same backbone, and the same ANN with activations of few bits.

Both twins have rectifiers for neurons, run in one step, are trained with the candidate's schedule and seed, and are
counted and priced as it is.

The second has the numbers that T steps of a rate code can tell apart, 0 to T, hence ``ceil(log2(T + 1))`` bits, or 0 to
T D where neurons fire up to D times in a step: the
fair comparison of Yan, Bai & Wong, "Reconsidering the energy efficiency of spiking neural networks", arXiv 2409.08290
(2024). Weights, biases and the input are those that the spiking network has too, and stay as they are, so that the
code is all that differs. The ANN is trained for its schedule once more, with rounding, straight through (Bengio et
al., arXiv 1308.3432, 2013); see ``quantise``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Unpack

import torch

from spikefront.plugins import Data, EnergyModel, Neuron, Registry, SearchData, Task
from spikefront.runners.judging.confirm import Conditions
from spikefront.runners.judging.conversion import ann_file, train_once
from spikefront.runners.judging.counting import count_operations
from spikefront.runners.judging.judge import refuse_infinite
from spikefront.runners.judging.measuring import measuring_batch
from spikefront.runners.judging.network import Network, assemble_ann
from spikefront.runners.judging.quantise import bit_energy_nj, bits_of, calibrated_scales, rounding
from spikefront.runners.judging.seeding import seed_everything
from spikefront.runners.judging.training import evaluate
from spikefront.searchspace import Candidate
from spikefront.searchspace.records import LayerEnergy, TwinPair, TwinResult


def why_no_twin(candidate: Candidate, registry: Registry) -> str:
    """Return why a candidate has no twin; empty when it has one."""
    task, backbone = registry.get("task", candidate.task.name), registry.get("backbone", candidate.backbone.name)
    if task.inputs != "static":
        return f"task {task.name!r} gives {task.inputs}, which an ANN of one step does not take"
    if not backbone.convertible:
        return f"backbone {backbone.name!r} with rectifiers for neurons is no ANN of the same form"
    return ""


def judge_twins(
    candidate: Candidate,
    *,
    registry: Registry,
    data: SearchData,
    energy_model: EnergyModel,
    device: torch.device | str = "cpu",
    ann_cache: Path | None = None,
) -> TwinPair:
    """Train and measure the twins of a candidate that has some.

    Args:
        candidate: the candidate.
        registry: where its plugins are looked up.
        data: the task's training and validation splits, or those of confirming.
        energy_model: what prices the operations.
        device: where to train.
        ann_cache: folder in which trained ANNs are kept; those of conversion codings are found there. None for none.

    Raises:
        FloatingPointError: when a training diverges.
    """
    task, traffic = registry.task(candidate), energy_model.reads_traffic
    batch = measuring_batch(task, data.validation, device)
    seed_everything(candidate.seed)  # as conversion does, so that the ANN is the same one
    network = assemble_ann(candidate, registry, tuple(batch.shape[1:]), data.outputs).to(device)
    path = ann_file(ann_cache, candidate, data.train, registry)
    loss, _ = train_once(candidate, network, task, data.train, path)
    refuse_infinite({"loss": loss}, candidate.training.schedule.epochs)
    counts = count_operations(network, batch, traffic=traffic)
    ann = TwinResult(_quality(network, task, data.validation), energy_model.energy_nj(counts), counts.macs)

    bits = _bits(candidate, registry)
    scales = calibrated_scales(network, task, data.train, bits)
    path = path and path.with_name(f"{path.stem}-{bits}bit.pt")
    with rounding(network, scales, bits):
        seed_everything(candidate.seed)  # whether or not the ANN was trained here
        loss, _ = train_once(candidate, network, task, data.train, path)
        refuse_infinite({"loss": loss}, candidate.training.schedule.epochs)
        counts = count_operations(network, batch, traffic=traffic)
        energy = sum(bit_energy_nj(counts, energy_model, bits, scales.keys()).values())
        few = TwinResult(_quality(network, task, data.validation), energy, counts.macs)
    for twin in (ann, few):
        refuse_infinite({"quality": twin.quality, "energy_nj": twin.energy_nj}, candidate.training.schedule.epochs)
    return TwinPair(ann, few, bits)


def judge_twins_under(
    candidate: Candidate,
    seed: int,
    *,
    cuts: Sequence[int] = (0,),
    **conditions: Unpack[Conditions],
) -> dict[int, Mapping[str, float]]:
    """Train and measure the twins of a candidate under a seed in place of its own; see ``judge_twins``.

    A network that is stopped after fewer steps has the ANN of the whole one, and a quantised twin of the bits of its
    own number of steps.

    Args:
        candidate: the candidate.
        seed: seed of every random source.
        cuts: the steps after which the network is stopped that the twins are compared with.
        conditions: see ``Conditions``.

    Returns:
        By cut ``ann.quality``, ``ann.energy_nj`` and ``ann.macs``, those of ``quantised``, and
        ``quantised.bits``.
    """
    found: dict[int, Mapping[str, float]] = {}
    bits = {cut: _bits(replace(candidate, cut=cut), conditions["registry"]) for cut in cuts}
    for cut in cuts:
        if bits[cut] not in found:
            found[bits[cut]] = _metrics(judge_twins(replace(candidate, seed=seed, cut=cut), **conditions))
    return {cut: found[bits[cut]] for cut in cuts}


def _bits(candidate: Candidate, registry: Registry) -> int:
    """Return the bits of a number that the spikes of one of its neurons can tell apart."""
    neuron: Neuron = registry.get("neuron", candidate.neuron.name)(
        candidate.neuron.config, surrogate=candidate.training.surrogate.config
    )
    return bits_of((candidate.cut or candidate.steps) * neuron.slots)


def _metrics(twins: TwinPair) -> dict[str, float]:
    each = {"ann": twins.ann, "quantised": twins.quantised}
    metrics = {
        f"{name}.{metric}": float(getattr(twin, metric))
        for name, twin in each.items()
        for metric in ("quality", "energy_nj", "macs")
    }
    return metrics | {"quantised.bits": float(twins.bits)}


def _quality(network: Network, task: Task, data: Data) -> float:
    return evaluate(network, task, data)["quality"]


def break_even_rate(layers: Sequence[LayerEnergy], energy_nj: float) -> float:
    """Return the firing rate at which a spiking network would cost as much as its twin.

    With E its energy and S that of the same network with its neurons muted, it costs as much as a twin of energy A at
    the share ``(A - S) / (E - S)`` of its spikes: of first order, with the spikes of all layers thinned evenly. Behind
    max pooling, and average pooling of gated spikes, a window with few spikes costs as much as one with many, so energy
    falls more slowly, and the true rate is lower.

    Args:
        layers: of the spiking network.
        energy_nj: of the twin.

    Returns:
        Spikes per neuron and step; 0 where no rate is low enough, NaN where the energy does not depend on the rate.
    """
    neurons = [layer for layer in layers if layer.role == "neuron"]
    sites = sum(layer.sites for layer in neurons)
    rate = float(sum(layer.events for layer in neurons) / sites) if sites else 0.0
    silent = float(sum(layer.silent_nj for layer in layers))
    spiking = float(sum(layer.energy_nj for layer in layers)) - silent
    return max(0.0, rate * (energy_nj - silent) / spiking) if spiking else math.nan
