"""Candidates whose numbers would be wrong are refused before they are trained, with the plugin that is at fault."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tests.runners.judging.unsound import (
    Accumulates,
    AroundTheSynapse,
    Backwards,
    BareNorm,
    BareScale,
    BareWeights,
    Behind,
    CountsCalls,
    DecodesDensely,
    DividesByTheMaximum,
    Draws,
    DropsAStep,
    Early,
    EventsBackwards,
    Free,
    Hidden,
    HiddenLinear,
    ListensToTheEnd,
    Mixes,
    MixesTheBatch,
    Multiplies,
    PoolsTheBatch,
    Projects,
    RandomByBatch,
    Remembers,
    ScalesByBatch,
    SeesTheFuture,
    SubtractsTheMean,
    TakesTheNeighbour,
    Tires,
    TurnsTime,
    Wraps,
    gated,
)
from torch import Tensor, nn

from spikefront.plugins import (
    ContractError,
    Data,
    Kind,
    Registry,
    SearchData,
    Signal,
    load_registry,
)
from spikefront.plugins.codings.direct import Direct
from spikefront.plugins.codings.rate import Rate
from spikefront.plugins.contracts.task import Task
from spikefront.plugins.energy.horowitz_45nm import Horowitz45nm
from spikefront.plugins.registry import Entry
from spikefront.runners.judging.judge import Judging
from spikefront.runners.judging.network import Network
from spikefront.runners.judging.seeding import random_state
from spikefront.runners.judging.soundness import refuse_unsound
from spikefront.searchspace import Space, from_flat

# Codings


class Events(Task):
    """Random events."""

    name = "random-events"
    inputs = "events"

    def search_data(self, data_dir: object, steps: int) -> SearchData:
        frames = (torch.rand(32, steps, 2, 8, 8, generator=torch.Generator().manual_seed(0)) < 0.3).to(torch.uint8)
        half = Data(frames[:16], torch.arange(16) % 10), Data(frames[16:], torch.arange(16) % 10)
        return SearchData(*half, 10)


def begin(task: str = "digits", steps: int = 4, **plugins: type) -> Judging:
    """Build the judging of a candidate with these plugins."""
    registry = load_registry(third_parties=False)
    registry.entries["task"][Events.name] = Entry(Events, "test", "test")
    named = {"coding": "direct", "neuron": "lif", "backbone": "mlp"}
    for kind, plugin in plugins.items():
        registry.entries[kind][plugin.name] = Entry(plugin, "test", "test")  # type: ignore[attr-defined]
        named[kind] = plugin.name  # type: ignore[attr-defined]
    candidate = from_flat({"task": task, "steps": steps, "training.epochs": 1, **named}, registry)
    data = registry.task(candidate).search_data(None, steps)
    return Judging(candidate, registry=registry, data=data, energy_model=Horowitz45nm())


STATE = "keeps state between calls"
MIXES = "mixes the samples of a batch at inference"
FUTURE = "sees the future"
FREE = "nobody counts"


@pytest.mark.parametrize(
    ("plugins", "plugin", "problem"),
    [
        ({"coding": CountsCalls}, "coding 'counts-calls'", STATE),
        ({"coding": ScalesByBatch}, "coding 'scales-by-batch'", MIXES),
        ({"coding": RandomByBatch}, "coding 'random-by-batch'", MIXES),
        ({"coding": Projects}, "coding 'projects', linear (", FREE),
        ({"coding": DecodesDensely}, "coding 'decodes-densely'", FREE),
        ({"coding": EventsBackwards, "task": "random-events"}, "coding 'events-backwards'", FUTURE),
        ({"coding": gated(Remembers)}, "coding 'gated', behind spiking layer 0,", STATE),
        ({"coding": gated(Draws)}, "coding 'gated', behind spiking layer 0,", STATE),
        ({"coding": gated(Mixes)}, "coding 'gated', behind spiking layer 0,", MIXES),
        ({"coding": gated(SeesTheFuture)}, "coding 'gated', behind spiking layer 0,", FUTURE),
        (
            {"coding": gated(DropsAStep)},
            "coding 'gated', behind spiking layer 0,",
            "returned values of 3 steps; T is 4",
        ),
        ({"coding": gated(Free)}, "coding 'gated', behind spiking layer 0 (Free)", "says that it costs nothing"),
        ({"neuron": Backwards, "task": "random-events"}, "neuron 'backwards' of spiking layer 0", FUTURE),
        ({"neuron": Backwards}, "neuron 'backwards' of spiking layer 0", FUTURE),
        ({"neuron": SubtractsTheMean}, "neuron 'subtracts-the-mean' of spiking layer 0", MIXES),
        ({"neuron": DividesByTheMaximum}, "neuron 'divides-by-the-maximum' of spiking layer 0", MIXES),
        ({"neuron": Early}, "neuron 'early' of spiking layer 0", "has a delay of -1 steps"),
        ({"neuron": Tires}, "neuron 'tires' of spiking layer 0 (buffer 'tired')", STATE),
        ({"neuron": Multiplies}, "neuron 'multiplies' of spiking layer 0 (Multiplies)", FREE),
        ({"backbone": HiddenLinear}, "backbone 'hidden-linear', layers.3.linear (", FREE),
        ({"backbone": BareWeights}, "backbone 'bare-weights'", FREE),
        ({"backbone": BareScale}, "backbone 'bare-scale', layers.3 (Hidden.scale)", FREE),
        ({"backbone": BareNorm}, "backbone 'bare-norm', layers.3.norm (BatchNorm1d.weight)", FREE),
        ({"backbone": AroundTheSynapse}, "backbone 'around-the-synapse', layers.3.weight (", FREE),
        ({"backbone": MixesTheBatch}, "backbone 'mixes-the-batch'", MIXES),
        ({"backbone": TakesTheNeighbour}, "backbone 'takes-the-neighbour'", MIXES),
        ({"backbone": PoolsTheBatch}, "backbone 'pools-the-batch'", MIXES),
        ({"backbone": Accumulates}, "backbone 'accumulates'", STATE),
        ({"backbone": TurnsTime}, "backbone 'turns-time'", FUTURE),
        ({"backbone": ListensToTheEnd}, "backbone 'listens-to-the-end'", FUTURE),
    ],
)
def test_a_fault_is_refused_before_training_with_the_plugin_that_has_it(
    plugins: dict[str, Any], plugin: str, problem: str
) -> None:
    judging = begin(**plugins)
    before = [parameter.clone() for parameter in judging.network.parameters()]
    with pytest.raises(ContractError) as refused:
        judging.epoch()
    assert judging.epochs_done == 0
    assert all(map(torch.equal, before, judging.network.parameters()))
    assert str(refused.value).startswith(plugin)
    assert problem in str(refused.value)


def test_a_conversion_coding_is_checked_before_its_ann_is_trained() -> None:
    class Mixing(Wraps):
        name = "mixing"

        def change(self, values: Tensor, hidden: Hidden) -> Tensor:
            return values - values.mean(1, keepdim=True)

    registry = load_registry(third_parties=False)
    with pytest.raises(ContractError, match="backbone 'mixing' mixes the samples"):
        begin(coding=registry.get("coding", "rate-conversion"), backbone=Mixing, steps=8).epoch()


class Waits(Behind):
    """Sees the whole sequence, and says that it waits for it."""

    def forward(self, spikes: Signal, current: Signal) -> Signal:
        gate = spikes.values.mean(0, keepdim=True)
        return Signal(spikes.values * gate, spikes.steps, Kind.ANALOG, delay=spikes.delay + spikes.steps - 1)


class LearntGain(Direct):
    name = "learnt-gain"

    def __init__(self, config: Any = None, *, steps: int) -> None:
        super().__init__(config, steps=steps)
        self.gain = nn.Parameter(torch.ones(()))

    def encode(self, x: Tensor) -> Signal:
        return super().encode(self.gain * x)


class RandomByNumPy(Rate):
    name = "random-by-numpy"

    def encode(self, x: Tensor) -> Signal:
        draws = torch.from_numpy(np.random.rand(self.steps, *x.shape)).float()
        return Signal((draws < x).float(), self.steps, Kind.BINARY)


class Poisson(Rate):
    """Draws as often as the input is strong, so that what a sample gets depends on those before it, by chance alone."""

    name = "poisson"

    def encode(self, x: Tensor) -> Signal:
        return Signal(torch.poisson(x.expand(self.steps, *x.shape)), self.steps, Kind.COUNT)


@pytest.mark.parametrize("coding", [gated(Waits), LearntGain, RandomByNumPy, Poisson])
def test_delays_learnt_gains_and_random_codes_are_taken(coding: type) -> None:
    judging = begin(coding=coding)
    assert judging.epoch()["energy_nj"] > 0


def test_nothing_is_left_behind(registry: Registry, data: SearchData) -> None:
    """The generators of all libraries are as before, and nothing of the trained network has been used."""
    candidate = from_flat({"task": "digits", "coding": "rate", "backbone": "convnet", "steps": 3}, registry)
    batch = registry.task(candidate).prepare(data.validation.inputs[:128])
    torch.manual_seed(3)
    before = random_state()
    refuse_unsound(candidate, registry, batch, (1, 8, 8), 10)
    after = random_state()
    assert torch.equal(before["torch"], after["torch"])
    assert before["python"] == after["python"]
    assert torch.equal(before["numpy"]["state"]["key"], after["numpy"]["state"]["key"])


def test_the_check_costs_three_passes_of_six_samples(
    registry: Registry, data: SearchData, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    propagate = Network.propagate

    def noted(network: Network, signal: Signal) -> Signal:
        seen.append(signal.values.shape[1])
        return propagate(network, signal)

    monkeypatch.setattr(Network, "propagate", noted)
    flat = {"task": "digits", "coding": "direct", "backbone": "mlp", "steps": 2, "training.epochs": 1}
    judging = Judging(from_flat(flat, registry), registry=registry, data=data, energy_model=Horowitz45nm())
    judging.epoch()
    assert seen[:3] == [6] * 3
    assert sum(seen[3:]) > 50 * 3 * 6  # the check is less than 2 % even of the forward passes of one epoch


@pytest.mark.parametrize("task", ["digits", "digits-generation", "diabetes"])
def test_candidates_of_built_in_plugins_pass(registry: Registry, task: str) -> None:
    import optuna

    space = Space(registry, task)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    data = registry.get("task", task)().search_data(None, 1)
    for _ in range(4):
        candidate = space.suggest(study.ask())
        batch = registry.task(candidate).prepare(data.validation.inputs[:32])
        refuse_unsound(candidate, registry, batch, tuple(batch.shape[1:]), data.outputs)


def test_the_check_is_made_once(registry: Registry, data: SearchData, monkeypatch: pytest.MonkeyPatch) -> None:
    from spikefront.runners.judging import judge

    calls: list[object] = []
    monkeypatch.setattr(judge, "refuse_unsound", lambda *arguments: calls.append(arguments))
    flat = {"task": "digits", "coding": "direct", "backbone": "mlp", "steps": 2, "training.epochs": 3}
    judging = Judging(from_flat(flat, registry), registry=registry, data=data, energy_model=Horowitz45nm())
    judging.train()
    state = judging.state()
    judging.train()
    assert len(calls) == 1
    again = Judging(judging.candidate, registry=registry, data=data, energy_model=Horowitz45nm())
    again.restore(state)
    again.train()
    assert len(calls) == 1, "a trial that goes on from a checkpoint was checked before"


def test_fewer_than_six_samples_are_enough(registry: Registry) -> None:
    candidate = from_flat({"task": "digits", "coding": "direct", "backbone": "mlp", "steps": 2}, registry)
    refuse_unsound(candidate, registry, torch.rand(2, 1, 8, 8), (1, 8, 8), 10)
