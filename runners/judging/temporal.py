"""Temporal probe: a candidate trained with time, order, state or the gradient through time taken away.

Points are those of a sequence or frames of events; an input that stands still is a single point. Each variant is
trained from the start, under the seed that gives the whole network its weights and its order of samples, and is
measured on the validation split, with the same surgery. ``Variant`` names them.

Reference: variants of the neurons as the segregated temporal probe has them (arXiv 2502.09449): STBP (``full``), SDBP
and NoTD. Reconstructed: the potential of a neuron without state is its current, ``V[t] = x[t]``, whatever share of the
current the neuron would take in; the feedback of a recurrent layer is state, and is gone, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final, Unpack

import torch
from torch import Tensor

from spikefront.plugins import Coding, Neuron, Registry, Signal
from spikefront.plugins.contracts.network import Network
from spikefront.plugins.contracts.plugin import COUNTED, SEQUENTIAL, InputKind
from spikefront.plugins.contracts.recurrent import Recurrent
from spikefront.runners.judging.confirm import Conditions
from spikefront.runners.judging.judge import refuse_infinite
from spikefront.runners.judging.measuring import measuring_batch
from spikefront.runners.judging.network import assemble
from spikefront.runners.judging.seeding import seed_everything
from spikefront.runners.judging.soundness import refuse_unsound
from spikefront.runners.judging.training import Trainer, evaluate
from spikefront.searchspace import Candidate, UsageError, Value
from spikefront.searchspace.temporal import OF_INPUTS, OF_NEURONS, Variant

CHANCE: Final = "chance"
"""Metric beside quality: that of the best output that is the same for every sample."""

SEQUENCE_EPOCHS: Final = 40
"""Epochs of a training on sequences: to make use of state takes longer than to make use of points."""

_EVENT_STEPS: Final = 8
_RATE: Final = 0.01
_SMALL: Final = 1e-3  # a current that no threshold is as low as
_BACKBONES: Final = {"images": "convnet", "features": "mlp", "sequences": "mlp"}


class ProbedNetwork(Network):
    """A network whose inputs or read-out are those of a variant.

    Args:
        network: the network, whose coding and backbone it shares.
        inputs: kind of the inputs.
        variant: the variant; those of neurons leave inputs and read-out as they are.
        seed: seed of the one order of ``shuffle``.
    """

    def __init__(self, network: Network, inputs: InputKind, variant: Variant, seed: int) -> None:
        super().__init__(network.coding, network.backbone, inputs)
        self._variant, self._seed = variant, seed

    def encode(self, x: Tensor) -> Signal:
        if self._inputs != "static" and self._variant in OF_INPUTS:
            x = self._changed(x)
        return super().encode(x)

    def _changed(self, x: Tensor) -> Tensor:
        """Return prepared inputs, time second, without their order, or without their time."""
        points = x.shape[1]
        if self._variant is Variant.SHUFFLE:
            return x[:, other_order(points, self._seed).to(x.device)]
        if self._variant is Variant.SHUFFLE_EACH:
            order = torch.rand(len(x), points, device=x.device).argsort(1)
            return x[torch.arange(len(x), device=x.device).unsqueeze(1), order]
        # numbers of events stay whole, and points stay in the range that codings take
        all_of_them = x.sum(1, keepdim=True) if self._inputs in COUNTED else x.mean(1, keepdim=True)
        return all_of_them.expand_as(x)

    def propagate(self, signal: Signal) -> Signal:
        output = super().propagate(signal)
        if self._variant is not Variant.LAST:
            return output
        last = output.decoded()[-1:]
        return Signal(last.expand(output.steps, *last.shape[1:]), output.steps, output.kind, delay=output.delay)


def other_order(points: int, seed: int) -> Tensor:
    """Return an order of points that is not their own, by a seed; their own of one point, which has no other."""
    draws, own = torch.Generator().manual_seed(seed), torch.arange(points)
    order = torch.randperm(points, generator=draws)
    while points > 1 and torch.equal(order, own):
        order = torch.randperm(points, generator=draws)
    return order


class Altered(Neuron):
    """A neuron of which a variant takes something away.

    Args:
        neuron: a neuron that states a step, or a layer of them that feeds back.
    """

    def __init__(self, neuron: Neuron) -> None:
        super().__init__(None, surrogate=neuron.surrogate)
        self.neuron = neuron
        self.kind = neuron.kind  # type: ignore[misc]


class Stateless(Altered):
    """A neuron each of whose steps is its first, from rest, with a potential that equals the current."""

    name = "stateless"

    def forward(self, current: Tensor, steps: int) -> Tensor:
        neuron = self.neuron.neuron if isinstance(self.neuron, Recurrent) else self.neuron
        potential = neuron.step(current.new_full((1, 1), _SMALL), None)[1][0]
        fired, _ = neuron.step(current * (_SMALL / potential), None)
        return fired.expand(steps, *fired.shape[1:]).contiguous() if len(fired) == 1 else fired


class Spatial(Altered):
    """A neuron with all of its state, through which no gradient goes from step to step."""

    name = "spatial"

    def forward(self, current: Tensor, steps: int) -> Tensor:
        layer = self.neuron if isinstance(self.neuron, Recurrent) else None
        neuron = layer.neuron if layer else self.neuron
        spikes: list[Tensor] = []
        state: tuple[Tensor, ...] | None = None
        each = current.unbind(0)
        for t in range(steps):
            total = each[t if len(each) > 1 else 0]
            if layer and spikes:
                total = total + layer.fed(spikes[-1].detach())
            fired, state = neuron.step(total, state)
            state = tuple(part.detach() for part in state)
            spikes.append(fired)
        return torch.stack(spikes)


_WRAPPERS: Final = {Variant.NO_STATE: Stateless, Variant.SPATIAL: Spatial}


def probed(network: Network, inputs: InputKind, variant: Variant, seed: int) -> ProbedNetwork:
    """Return a network, which is changed, as a variant of it.

    Args:
        network: the network; its weights stay.
        inputs: kind of its task's inputs.
        variant: the variant.
        seed: seed of the one order of ``shuffle``.
    """
    if variant in _WRAPPERS:
        for site in network.sites:
            site.neuron = _WRAPPERS[variant](site.neuron)
    return ProbedNetwork(network, inputs, variant, seed)


def default_settings(task: str, registry: Registry) -> dict[str, Value]:
    """Return the flat candidate that a task is probed with by default: ``direct`` coding, LIF neurons.

    The backbone is a convnet for images and ``mlp`` otherwise, with two layers for sequences, which are trained for
    longer and at a higher rate.

    Raises:
        UnknownName: for a task that does not exist.
    """
    plugin = registry.get("task", task)
    found: dict[str, Value] = {"task": task, "coding": "direct", "backbone": _BACKBONES[plugin.layout]}
    if plugin.inputs in SEQUENTIAL:
        found |= {"backbone.mlp.depth": 2, "training.epochs": SEQUENCE_EPOCHS}
        found |= {"training.optimizer": "adam", "training.optimizer.adam.lr": _RATE}
    return found | ({"steps": _EVENT_STEPS} if plugin.inputs == "events" else {})


def refuse_unprobed(candidate: Candidate, registry: Registry) -> None:
    """Raise ``UsageError`` for a candidate that the probe says nothing about."""
    task, coding = registry.get("task", candidate.task.name), registry.get("coding", candidate.coding.name)
    if task.output == "images":
        raise UsageError(f"task {task.name!r} generates images; a probe takes tasks that answer to an input")
    if coding.trained_by != "bptt":
        raise UsageError(f"coding {coding.name!r} converts an ANN, which has no time; a probe trains through time")
    if candidate.cut:
        raise UsageError(f"cut: {candidate.cut}: a probe reads all {candidate.steps} steps; leave it out")


def left_out(candidate: Candidate, registry: Registry) -> str:
    """Return why a candidate has no variants of its neurons; empty where it has."""
    neuron = registry.get("neuron", candidate.neuron.name)
    if neuron.states_a_step():
        return ""
    return f"neuron {neuron.name!r} states no single step"


def is_blind_without_state(candidate: Candidate, registry: Registry) -> bool:
    """Return whether order makes no difference to a candidate's network without state.

    It does where the coding reads several points at once or adds modules behind the neurons, where the backbone has
    delays, and where the read-out is not a mean over time.
    """
    if registry.get("backbone", candidate.backbone.name).delays:
        return False
    plugin = registry.get("coding", candidate.coding.name)
    coding: Coding = plugin(candidate.coding.config, steps=candidate.steps)
    own = (plugin.encode_sequences, plugin.encode_events, plugin.between)
    return own == (Coding.encode_sequences, Coding.encode_events, Coding.between) and coding.averages


def trained_variants(candidate: Candidate, registry: Registry) -> list[Variant]:
    """Return the variants that have to be trained: without those that are the same as ``full``, or not possible."""
    is_static = registry.get("task", candidate.task.name).inputs == "static"
    same = OF_INPUTS if is_static else ()
    impossible = OF_NEURONS if left_out(candidate, registry) else ()
    return [variant for variant in Variant if variant not in (*same, *impossible)]


def judge_variant(
    candidate: Candidate, seed: int, *, variant: Variant, **conditions: Unpack[Conditions]
) -> dict[int, Mapping[str, float]]:
    """Train a variant of a candidate under a seed, and measure it on the validation split.

    Args:
        candidate: the candidate.
        seed: seed of every random source, in place of the candidate's own.
        variant: the variant.
        conditions: see ``Conditions``; no energy is measured.

    Returns:
        Under 0 the metrics of the task, among them ``quality``, and ``CHANCE``.

    Raises:
        FloatingPointError: when its training diverges.
    """
    registry, data = conditions["registry"], conditions["data"]
    device = conditions.get("device", "cpu")
    task = registry.task(candidate)
    seed_everything(seed)
    batch = measuring_batch(task, data.validation, device)
    shape = task.shape_at_one_step(tuple(batch.shape[1:]))
    refuse_unsound(replace(candidate, seed=seed), registry, batch, shape, data.outputs)
    network = probed(assemble(candidate, registry, shape, data.outputs).to(device), task.inputs, variant, seed)
    train = data.train
    if not task.mapped:
        train = replace(train, inputs=train.inputs.to(device), targets=train.targets.to(device))
    trainer = Trainer(network, task, train, candidate.training, seed)
    for epoch in range(candidate.training.schedule.epochs):
        refuse_infinite({"loss": trainer.epoch()}, epoch + 1)
    metrics = evaluate(network, task, data.validation)
    refuse_infinite(metrics, candidate.training.schedule.epochs)
    return {0: {**metrics, CHANCE: task.chance_quality(data)}}
