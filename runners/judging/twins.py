"""The twins of a candidate: the ANN of the same backbone, and the same ANN with activations of few bits.

A spiking network is worth its trouble where it beats what needs no spikes. Both twins have rectifiers for neurons, run
in one step, are trained with the candidate's schedule and seed, and are counted and priced as it is.

The second has the numbers that T steps of a rate code can tell apart, 0 to T, hence ``ceil(log2(T + 1))`` bits: the
fair comparison of Yan, Bai & Wong, "Reconsidering the energy efficiency of spiking neural networks", arXiv 2409.08290
(2024). Each synapse but the first reads ``scale * clamp(round(x / scale), 0, 2^bits - 1)``. Weights, biases and the
input are those that the spiking network has too, and stay as they are, so that the code is all that differs. Scales
minimise the squared error on the calibration set; then the ANN is trained for its schedule once more, with rounding,
straight through (Bengio et al., arXiv 1308.3432, 2013). A synapse that reads negative values, as shortcuts of currents
do, is left alone: the spiking network carries real numbers there too.

Nobody gives prices for a multiplier of b bits in each technology, so a multiply-accumulate of a b-bit number costs what
the energy model asks for the cheaper of two ways that it does price: one multiply-accumulate of full width, or b
accumulates, one for each binary digit (bit-serial: Judd et al., "Stripes", MICRO 2016; digits that are 0 count too).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from spikefront.plugins import (
    Counts,
    Data,
    EnergyModel,
    Kind,
    LayerCount,
    Registry,
    SearchData,
    Signal,
    Synapse,
    Task,
    load_registry,
)
from spikefront.runners.judging.conversion import ann_key, run_calibration, train_ann, train_once
from spikefront.runners.judging.counting import count_operations
from spikefront.runners.judging.judge import MEASURING_SAMPLES
from spikefront.runners.judging.network import Network, assemble_ann
from spikefront.runners.judging.seeding import seed_everything
from spikefront.runners.judging.training import evaluate, evenly
from spikefront.searchspace import Candidate, Value, from_flat

Verdict = Literal["wins", "loses", "trades"]

_CLIPPINGS = 40
_CALIBRATION_VALUES = 100_000


@dataclass(frozen=True, slots=True)
class Twin:
    """What a twin reaches.

    Attributes:
        quality: on the validation split.
        energy_nj: per sample.
        macs: multiply-accumulates of non-zero inputs, per sample.
    """

    quality: float
    energy_nj: float
    macs: float


@dataclass(frozen=True, slots=True)
class Twins:
    """Both twins of a candidate.

    Attributes:
        ann: at full precision.
        quantised: with activations of ``bits`` bits.
        bits: see above.
    """

    ann: Twin
    quantised: Twin
    bits: int


def bits_of(steps: int) -> int:
    """Return the bits of a number that T steps of a rate code can tell apart: ``ceil(log2(T + 1))``.

    Example:
        >>> [bits_of(steps) for steps in (1, 3, 4, 8)]
        [1, 2, 3, 4]
    """
    return steps.bit_length()


def why_no_twin(candidate: Candidate, registry: Registry) -> str:
    """Say why a candidate has no twin; empty when it has one."""
    task, backbone = registry.get("task", candidate.task.name), registry.get("backbone", candidate.backbone.name)
    if task.inputs == "events":
        return f"task {task.name!r} gives events, which an ANN of one step does not take"
    if not backbone.convertible:
        return f"backbone {backbone.name!r} with rectifiers for neurons is no ANN of the same form"
    return ""


def judge_twins(
    candidate: Candidate,
    *,
    registry: Registry,
    data: SearchData,
    energy_model: EnergyModel,
    ann_cache: Path | None = None,
) -> Twins:
    """Train and measure the twins of a candidate that has some, on a GPU where there is one.

    Args:
        candidate: whose twins.
        registry: where its plugins are looked up.
        data: the task's training and validation splits.
        energy_model: what prices the operations.
        ann_cache: folder in which trained ANNs are kept; those of conversion codings are found there. None for none.
    """
    task: Task = registry.get("task", candidate.task.name)(candidate.task.config)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    batch = task.prepare(evenly(data.validation.inputs, MEASURING_SAMPLES).to(device))
    seed_everything(candidate.seed)  # as conversion does, so that the ANN is the same one
    network = assemble_ann(candidate, registry, tuple(batch.shape[1:]), data.outputs).to(device)
    train_ann(candidate, network, task, data.train, ann_cache)
    counts = count_operations(network, batch)
    ann = Twin(_quality(network, task, data.validation), energy_model.energy_nj(counts), counts.macs)

    bits = bits_of(candidate.steps)
    scales = calibrated_scales(network, task, data.train, bits)
    path = ann_cache and ann_cache / f"{ann_key(candidate, data.train)}-{bits}bit.pt"
    with rounding(network, scales, bits):
        seed_everything(candidate.seed)  # whether or not the ANN was trained here
        train_once(candidate, network, task, data.train, path)
        counts = count_operations(network, batch)
        energy = sum(bit_energy_nj(counts, energy_model, bits, scales.keys()).values())
        return Twins(ann, Twin(_quality(network, task, data.validation), energy, counts.macs), bits)


def _quality(network: Network, task: Task, data: Data) -> float:
    return evaluate(network, task, data)["quality"]


@torch.no_grad()
def calibrated_scales(network: Network, task: Task, train: Data, bits: int) -> dict[str, float]:
    """Return the scale of what each synapse reads, by its name; none of the first, and of those that read below 0."""
    read: dict[str, Tensor] = {}

    def listen(name: str) -> Any:
        def hook(module: nn.Module, args: tuple[Signal]) -> None:
            read[name] = args[0].values.flatten()

        return hook

    hooks = [module.register_forward_pre_hook(listen(name)) for name, module in _synapses(network)]
    network.eval()
    run_calibration(network, task, train)
    for handle in hooks:
        handle.remove()
    behind = list(read.items())[1:]  # in the order of the calls
    return {name: best_scale(values, bits) for name, values in behind if values.min() >= 0}


def _synapses(network: Network) -> Iterator[tuple[str, Synapse]]:
    return ((name, module) for name, module in network.named_modules() if isinstance(module, Synapse))


def best_scale(values: Tensor, bits: int) -> float:
    """Return the scale, of 40 between clipping nearly all and nothing, whose rounding has the least squared error.

    Args:
        values: at least 0, ``(N,)``; of very many, 100,000 evenly spaced ones are looked at.
        bits: width of the rounded numbers.
    """
    values = values[:: max(1, len(values) // _CALIBRATION_VALUES)]
    largest, top = float(values.max()), 2**bits - 1
    if largest == 0:
        return 1.0
    scales: list[float] = [largest * part / _CLIPPINGS / top for part in range(1, _CLIPPINGS + 1)]
    return min(scales, key=lambda scale: float((rounded(values, scale, bits) - values).square().mean()))


def rounded(x: Tensor, scale: float, bits: int) -> Tensor:
    """Return ``scale * clamp(round(x / scale), 0, 2^bits - 1)``; its derivative is 1 where nothing is clamped, else 0.

    Args:
        x: any shape.
        scale: distance of neighbouring values.
        bits: width of the numbers.

    Example:
        >>> rounded(torch.tensor([-1.0, 0.4, 0.6, 9.0]), scale=1.0, bits=2)
        tensor([0., 0., 1., 3.])
    """
    top = 2**bits - 1
    values = (x / scale).round().clamp(0, top) * scale
    if not torch.is_grad_enabled():
        return values
    clamped = x.clamp(0, top * scale)
    return clamped + (values - clamped).detach()


@contextmanager
def rounding(network: Network, scales: Mapping[str, float], bits: int) -> Iterator[None]:
    """Have synapses read rounded values inside.

    Args:
        network: whose.
        scales: by the names of the synapses.
        bits: width of the rounded numbers.
    """

    def reading(scale: float) -> Any:
        def hook(module: nn.Module, args: tuple[Signal]) -> tuple[Signal]:
            assert args[0].kind is Kind.ANALOG and args[0].coefficient is None
            return (args[0].with_values(rounded(args[0].values, scale, bits)),)

        return hook

    chosen = [(module, scales[name]) for name, module in _synapses(network) if name in scales]
    hooks = [module.register_forward_pre_hook(reading(scale)) for module, scale in chosen]
    try:
        yield
    finally:
        for handle in hooks:
            handle.remove()


def bit_energy_nj(counts: Counts, model: EnergyModel, bits: int, layers: Collection[str]) -> dict[str, float]:
    """Return the energy of each layer in nanojoules per sample, where some multiply numbers of few bits.

    Args:
        counts: of the network.
        model: what prices them.
        bits: width of the numbers that ``layers`` multiply.
        layers: names of these layers.
    """
    names = set(layers)
    serial = [_bit_serial(one, bits) if one.layer.partition("#")[0] in names else one for one in counts.layers]
    full, by_bit = model.layer_energy_nj(counts), model.layer_energy_nj(replace(counts, layers=tuple(serial)))
    return {name: min(energy, by_bit[name]) for name, energy in full.items()}


def _bit_serial(layer: LayerCount, bits: int) -> LayerCount:
    """Return the counts of a layer that takes in numbers digit by digit, as it would spikes."""
    return replace(layer, sops=bits * layer.macs, macs=0, macs_every_step=0, events=bits * layer.events)


def verdict(quality: float, energy_nj: float, twins: Twins, *, maximize: bool = True) -> Verdict:
    """Say how a spiking network stands against its twins.

    Args:
        quality: its own.
        energy_nj: its own.
        twins: its twins.
        maximize: whether more quality is better.

    Returns:
        ``loses`` where a twin is at least as good and costs no more, ``wins`` where it is itself at least as good as
        both and costs no more, ``trades`` where it is a matter of what one wants.
    """
    sign = 1 if maximize else -1
    both = (twins.ann, twins.quantised)
    if any(sign * twin.quality >= sign * quality and twin.energy_nj <= energy_nj for twin in both):
        return "loses"
    if all(sign * quality >= sign * twin.quality and energy_nj <= twin.energy_nj for twin in both):
        return "wins"
    return "trades"


def break_even_rate(layers: Sequence[Mapping[str, Any]], energy_nj: float) -> float:
    """Return the firing rate at which a spiking network would cost as much as its twin.

    Accumulates behind the first synapse, and what a model asks for a spike, grow in proportion to the rate; all else,
    such as the first synapse, updates of neurons and attention, stays as it was counted.

    Args:
        layers: of the spiking network, as ``LayerEnergy`` has them.
        energy_nj: of the twin.

    Returns:
        Spikes per neuron and step; 0 where no rate is low enough, NaN where nothing grows with the rate.
    """
    neurons = [layer for layer in layers if layer["role"] == "neuron"]
    sites = sum(layer["sites"] for layer in neurons)
    rate = float(sum(layer["events"] for layer in neurons) / sites) if sites else 0.0
    silent = float(sum(layer["silent_nj"] for layer in layers))
    spiking = float(sum(layer["energy_nj"] for layer in layers)) - silent
    if rate == 0 or spiking <= 0:
        return math.nan
    return max(0.0, rate * (energy_nj - silent) / spiking)


@dataclass(frozen=True, slots=True)
class Comparison:
    """A spiking network beside its twins.

    Attributes:
        twins: its twins.
        verdict: how it stands against them.
        ann_break_even_rate: spikes per neuron and step at which it would cost as much as the ANN.
        quantised_break_even_rate: the same of the network of few bits.
    """

    twins: Twins
    verdict: Verdict
    ann_break_even_rate: float
    quantised_break_even_rate: float


Member = tuple[Mapping[str, Value], Mapping[str, float], Sequence[Mapping[str, Any]]]
"""Flat candidate, metrics on the validation split, and layers as ``LayerEnergy`` has them, none where not known."""


def compare_all(
    members: Mapping[int, Member],
    *,
    plugin_dirs: tuple[Path, ...],
    energy_model: str,
    data_dir: Path | None,
    ann_cache: Path,
    on_comparison: Callable[[int, Comparison | str, bool], None],
) -> None:
    """Judge the twins of members of a front, one after the other, and hold the members against them.

    Args:
        members: by the numbers of their trials.
        plugin_dirs: folders with loose plugin files.
        energy_model: name of the energy model.
        data_dir: where the user keeps data.
        ann_cache: folder in which trained ANNs are kept.
        on_comparison: called with each trial, its comparison, or the reason why there is none, and whether there can't
            be one; else it failed.

    Raises:
        UsageError: before any training starts, for plugins or data that are not there.
    """
    registry = load_registry(plugin_dirs)
    model: EnergyModel = registry.get("energy", energy_model)()
    candidates = {trial: from_flat(flat, registry) for trial, (flat, _, _) in members.items()}
    reasons = {trial: why_no_twin(candidate, registry) for trial, candidate in candidates.items()}
    data: SearchData | None = None
    for trial, (_, metrics, layers) in members.items():
        candidate = candidates[trial]
        if reasons[trial]:
            on_comparison(trial, reasons[trial], True)
            continue
        task: Task = registry.get("task", candidate.task.name)(candidate.task.config)
        data = data or task.search_data(data_dir, 1)  # all are of one task
        try:
            twins = judge_twins(candidate, registry=registry, data=data, energy_model=model, ann_cache=ann_cache)
        except Exception as error:  # a plugin may raise anything, and the device be full; the others go on
            on_comparison(trial, f"{type(error).__name__}: {' '.join(str(error).split())}"[:300], False)
        else:
            on_comparison(trial, compare(metrics, layers, twins, maximize=task.maximize), True)


def compare(
    metrics: Mapping[str, float], layers: Sequence[Mapping[str, Any]], twins: Twins, *, maximize: bool = True
) -> Comparison:
    """Hold a spiking network, by its metrics and layers, against its twins."""
    stands = verdict(metrics["quality"], metrics["energy_nj"], twins, maximize=maximize)
    rates = [break_even_rate(layers, twin.energy_nj) for twin in (twins.ann, twins.quantised)]
    return Comparison(twins, stands, *rates)
