from __future__ import annotations

import numpy as np
import pytest
import torch

from spikefront.plugins import ContractError, InputKind, Kind, Operations, Signal, load_registry
from spikefront.plugins.checks.probe import fit_norms
from spikefront.plugins.codings.delta import Delta, DeltaConfig
from spikefront.plugins.codings.direct import Direct
from spikefront.plugins.codings.rate import Rate, RateConfig, accumulated, deterministic
from spikefront.plugins.contracts.network import Network
from spikefront.plugins.data.arrays import ArrayTask, array_task
from spikefront.plugins.testing.base import built_in
from spikefront.plugins.testing.properties import network_of
from spikefront.searchspace import Int, UsageError, from_flat
from spikefront.searchspace.space import Space


def waves(count: int = 60, points: int = 12, features: int = 2) -> tuple[np.ndarray, np.ndarray]:
    draws = np.random.default_rng(0)
    return draws.normal(size=(count, points, features)), np.arange(count) % 3


def network(steps: int, coding: type = Direct, inputs: InputKind = "sequences") -> Network:
    return network_of(coding(steps=steps), (2,), neuron=built_in().get("neuron", "lif"), inputs=inputs)


def test_a_point_lasts_as_many_steps_as_there_are_for_each() -> None:
    points = torch.rand(4, 3, 2)
    code = Direct(steps=12).encode_sequences(points)
    assert torch.equal(code.values[::3], points)
    assert torch.equal(code.values[2::3], points)
    assert code.kind is Kind.ANALOG


def test_rates_of_a_sequence_follow_the_sum_of_its_points() -> None:
    torch.manual_seed(0)
    drive = torch.rand(50, 20)
    spikes = accumulated(drive)
    assert set(spikes.unique().tolist()) == {0.0, 1.0}
    assert ((spikes.cumsum(0) - drive.cumsum(0)).abs() <= 0.5 + 1e-5).all()
    still = torch.rand(20)
    assert torch.equal(accumulated(still.expand(16, 20)), deterministic(still, steps=16))
    code = Rate(RateConfig(spikes="deterministic"), steps=6).encode_sequences(torch.full((3, 1, 1), 0.5))
    assert code.values.flatten().tolist() == [1, 0, 1, 0, 1, 0]


def test_thresholds_of_delta_are_sixteenths_of_the_range_of_sequences() -> None:
    rises = torch.tensor([0.0, 1 / 16, 1.99 / 16, 3 / 16]).view(4, 1, 1)
    code = Delta(DeltaConfig(threshold=1.0), steps=4).encode_sequences(rises)
    assert code.values.flatten().tolist() == [0, 1, 0, 1]


def test_steps_that_are_no_multiple_of_the_length_are_refused() -> None:
    with pytest.raises(ContractError, match="T is 10, which is no multiple of the 4 points of a sequence"):
        network(10)(torch.rand(3, 4, 2))


def test_a_network_sees_no_later_point_and_may_stop_at_eighths() -> None:
    net = fit_norms(network(16), torch.rand(6, 8, 2))
    assert net.cuts == (2, 4, 6, 8, 10, 12, 14)
    x = torch.rand(3, 8, 2)
    later = x.clone()
    later[:, 4:] = torch.rand(3, 4, 2)
    with net.cut_at(8), torch.no_grad():
        assert torch.equal(net(x), net(later))
    with torch.no_grad():
        assert not torch.equal(net(x), net(later))


class Charged(Direct):
    """Direct coding that charges an addition for each number of its points."""

    def encode_operations(self, x: torch.Tensor, code: Signal) -> Operations:
        return Operations(adds=x.numel())


@pytest.mark.parametrize(("cut", "points"), [(2, 1), (6, 3), (0, 8)])
def test_a_network_that_stops_is_charged_for_the_points_that_it_has_begun(cut: int, points: int) -> None:
    net, x = network(16, Charged).eval(), torch.rand(3, 8, 2)
    with net.cut_at(cut or 16):
        assert net.encode_operations(x, net.encode(x)).adds == 3 * points * 2


def test_spikes_arrive_at_the_first_step_of_their_time_each_as_an_event() -> None:
    spikes = torch.randint(0, 4, (5, 3, 2)).float()
    for steps, expected in ((3, [0, 1, 2]), (9, [0, 3, 6])):
        net = network(steps, inputs="spikes").eval()
        code = net.encode(spikes)
        assert code.kind is Kind.COUNT
        assert torch.equal(code.values[expected], spikes.transpose(0, 1))
        assert code.values.sum() == spikes.sum()
    with pytest.raises(ContractError, match="T is 10, which is no multiple of the 3 points of a sequence"):
        network(10, inputs="spikes")(spikes)


def test_codings_of_values_are_not_offered_for_spikes() -> None:
    registry = load_registry(third_parties=False)
    space = Space(registry, "shd")
    assert set(space.codings) == {"delta", "direct"}
    assert registry.steps("direct", "shd") == Int(100, 200, step=100)
    chosen = {"task": "shd", "coding": "direct", "neuron": "silif", "backbone": "recurrent"}
    assert registry.problem(chosen) is None
    refused = "coding 'rate' takes sequences or static input, but task 'shd' gives spikes; codings that take it: "
    assert str(registry.problem(chosen | {"coding": "rate"})).startswith(f"{refused}delta, direct")


def test_the_space_of_a_sequence_task_has_multiples_of_its_length() -> None:
    registry = load_registry(third_parties=False)
    space = Space(registry, "mnist1d")
    assert set(space.codings) == {"delta", "direct", "rate"}
    assert registry.steps("direct", "mnist1d") == Int(40, 80, step=40)
    assert registry.open_steps("direct", "mnist1d") == Int(40, 1000, step=40)
    assert space.default().steps == 40
    assert registry.steps("direct", "digits") == Direct.step_range
    flat = {"task": "mnist1d", "coding": "direct", "backbone": "mlp"}
    registry.refuse(from_flat({**flat, "steps": 400}, registry))
    with pytest.raises(UsageError, match=r"steps \(sequences of 40 points\): 41"):
        registry.refuse(from_flat({**flat, "steps": 41}, registry))


def test_parts_for_something_else_are_refused_with_those_that_fit() -> None:
    registry = load_registry(third_parties=False)
    chosen = {"task": "mnist1d", "coding": "direct", "neuron": "lif", "backbone": "mlp"}
    assert registry.problem(chosen) is None
    assert "codings that take it: delta, direct, rate" in str(registry.problem(chosen | {"coding": "gac"}))
    assert "neuron 'tsa' is for events or static" in str(registry.problem(chosen | {"neuron": "tsa"}))
    assert "backbone 'convnet' takes images" in str(registry.problem(chosen | {"backbone": "convnet"}))


def test_own_sequences_are_scaled_feature_by_feature() -> None:
    x, y = waves()
    x[..., 1] += 100
    task = array_task("waves", lambda: (x, y), sequences=True)
    assert (task.inputs, task.layout, task.length) == ("sequences", "sequences", 12)
    assert "sequences of 12 points, 2 features" in task.describe()
    scaled = task().prepare(task().search_data(None, 12).train.inputs)
    assert scaled.amin((0, 1)).tolist() == [0, 0]
    assert scaled.amax((0, 1)).tolist() == [1, 1]


def test_sequences_of_one_feature_may_leave_it_out() -> None:
    x, y = waves(features=1)
    assert array_task("waves", lambda: (x[..., 0], y), sequences=True).about().shape == (12, 1)


def read_of(inputs: object) -> type[ArrayTask]:
    return array_task("waves", lambda: (inputs, np.arange(60) % 3), sequences=True)


@pytest.mark.parametrize(
    ("inputs", "problem"),
    [
        (np.zeros((60, 4, 4, 1)), r"sequences of shape \(60, 4, 4, 1\); they must be \(samples, points, features\)"),
        (np.zeros((60, 1, 4)), "2 points or more"),
        (np.array([np.zeros(3 + n % 2) for n in range(60)], dtype=object), "sequences of several lengths"),
        ([np.zeros(3 + n % 2) for n in range(60)], "samples of several shapes"),
        (np.full((60, 4, 2), np.nan), "480 of 480 input values are NaN"),
    ],
)
def test_unusable_sequences_are_refused_in_one_line(inputs: object, problem: str) -> None:
    with pytest.raises(UsageError, match=problem) as refused:
        read_of(inputs).about()
    assert "\n" not in str(refused.value)


def test_sequences_longer_than_a_coding_goes_are_refused() -> None:
    registry = load_registry(third_parties=False)
    x, y = np.random.default_rng(0).random((60, 1100)), np.arange(60) % 3
    task = array_task("long", lambda: (x, y), sequences=True)
    registry.entries["task"]["long"] = type(registry.entries["task"]["digits"])(task, "here", "test")
    chosen = {"task": "long", "coding": "direct", "neuron": "lif", "backbone": "mlp"}
    assert "goes up to 1024 time steps" in str(registry.problem(chosen))
