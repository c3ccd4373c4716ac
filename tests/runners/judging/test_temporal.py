"""Variants of a network for the temporal probe do to inputs, neurons and gradients what they say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from spikefront.plugins import Neuron, Registry, SearchData, load_registry
from spikefront.plugins.checks.probe import fit_norms
from spikefront.plugins.contracts.network import Network
from spikefront.runners.judging.confirm import judge_for_good
from spikefront.runners.judging.network import assemble
from spikefront.runners.judging.temporal import (
    CHANCE,
    Spatial,
    Stateless,
    default_settings,
    is_blind_without_state,
    judge_variant,
    left_out,
    other_order,
    probed,
    refuse_unprobed,
    trained_variants,
)
from spikefront.searchspace import Candidate, UsageError, from_flat
from spikefront.searchspace.objectives import DEFAULT_ENERGY_MODEL as ENERGY
from spikefront.searchspace.temporal import OF_INPUTS, OF_NEURONS, Variant

POINTS = 40
SINGLE_STEPS = ("lif", "plif", "ternary-lif", "adlif", "se-adlif", "silif")


def candidate_of(registry: Registry, **given: object) -> Candidate:
    return from_flat({"task": "mnist1d", "coding": "direct", "backbone": "mlp", **given}, registry)


def network_of(registry: Registry, **given: object) -> Network:
    """Return a network whose neurons fire, though it is not trained."""
    torch.manual_seed(0)
    network = assemble(candidate_of(registry, **given), registry, (1,), 10)
    for norm in (each for each in network.modules() if isinstance(each, nn.BatchNorm1d)):
        nn.init.constant_(norm.weight, 8.0)  # adaptive neurons take in little of a current
    return fit_norms(network, sequences())


def sequences(samples: int = 16) -> Tensor:
    return torch.rand(samples, POINTS, 1, generator=torch.Generator().manual_seed(1))


def neuron_of(registry: Registry, name: str) -> Neuron:
    neuron: Neuron = registry.get("neuron", name)(surrogate=registry.get("surrogate", "atan")())
    return neuron


@pytest.mark.parametrize("neuron", SINGLE_STEPS)
def test_without_state_and_with_a_mean_read_out_order_makes_no_difference(registry: Registry, neuron: str) -> None:
    network, x = network_of(registry, neuron=neuron).double(), sequences().double()
    whole = network.eval()(x)
    order = torch.rand(len(x), POINTS, generator=torch.Generator().manual_seed(2)).argsort(1)
    shuffled = x.gather(1, order.unsqueeze(2))
    assert not torch.allclose(network(shuffled), whole)
    stateless = probed(network, "sequences", Variant.NO_STATE, 0).eval()
    each_fed, own = probed(stateless, "sequences", Variant.SHUFFLE_EACH, 0).eval(), stateless(x)
    assert own.std(0).min() > 1e-3  # it tells samples apart
    torch.testing.assert_close(stateless(shuffled), own, rtol=0, atol=1e-12)
    torch.testing.assert_close(each_fed(x), own, rtol=0, atol=1e-12)


def test_a_shuffle_is_one_for_all_samples_or_one_for_each(registry: Registry) -> None:
    x = sequences()
    coded = {
        variant: probed(network_of(registry), "sequences", variant, 3).encode(x).values.squeeze(2).T
        for variant in Variant
    }
    points = x.squeeze(2)
    torch.testing.assert_close(coded[Variant.FULL], points, rtol=0, atol=0)
    one = coded[Variant.SHUFFLE]
    order = torch.stack([(points[0] == value).nonzero()[0, 0] for value in one[0]])
    assert not torch.equal(order, torch.arange(POINTS))
    assert torch.equal(one, points[:, order])
    each = coded[Variant.SHUFFLE_EACH]
    assert torch.equal(each.sort(1).values, points.sort(1).values)
    orders = {tuple((points[row] == value).nonzero()[0, 0].item() for value in each[row]) for row in range(len(x))}
    assert len(orders) == len(x)
    torch.testing.assert_close(coded[Variant.SUM], points.mean(1, keepdim=True).expand(-1, POINTS))
    for variant in (Variant.LAST, *OF_NEURONS):
        assert torch.equal(coded[variant], points)


def test_frames_of_events_are_summed_to_whole_numbers(registry: Registry) -> None:
    flat = {"task": "n-mnist", "coding": "direct", "steps": 4}
    network = assemble(from_flat(flat, registry), registry, (2, 34, 34), 10)
    frames = torch.randint(0, 9, (3, 4, 2, 34, 34), generator=torch.Generator().manual_seed(0)).float()
    code = probed(network, "events", Variant.SUM, 0).encode(frames)
    assert torch.equal(code.values, frames.sum(1).expand(4, -1, -1, -1, -1))


def test_an_order_is_another_one_and_the_same_under_its_seed() -> None:
    for points in (2, 3, 40):
        orders = [other_order(points, seed) for seed in range(20)]
        assert all(torch.equal(order.sort().values, torch.arange(points)) for order in orders)
        assert not any(torch.equal(order, torch.arange(points)) for order in orders)
    assert torch.equal(other_order(40, 7), other_order(40, 7))
    assert torch.equal(other_order(1, 0), torch.tensor([0]))


@pytest.mark.parametrize("decoding", ["rate", "membrane", "last", "maximum"])
def test_the_last_step_alone_is_read_out(registry: Registry, decoding: str) -> None:
    network = network_of(registry, **{"coding.direct.decoding": decoding}).eval()
    x = sequences()
    currents = network.propagate(network.encode(x)).decoded()
    last = probed(network, "sequences", Variant.LAST, 0).eval()
    torch.testing.assert_close(last(x), currents[-1])
    assert (decoding == "last") == torch.allclose(network(x), currents[-1])


@pytest.mark.parametrize("name", ["lif", "plif", "ternary-lif", "adlif", "se-adlif", "silif"])
def test_the_potential_of_a_neuron_without_state_is_its_current(registry: Registry, name: str) -> None:
    current = torch.tensor([0.9, 0.99, 1.01, -1.01, 0.99, 5.0]).view(6, 1, 1)
    fired = Stateless(neuron_of(registry, name))(current, 6).flatten().tolist()
    assert fired == [0, 0, 1, -1 if name == "ternary-lif" else 0, 0, 1]
    constant = Stateless(neuron_of(registry, name))(current[2:3], 4)
    assert constant.flatten().tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize("backbone", ["mlp", "recurrent"])
@pytest.mark.parametrize("name", SINGLE_STEPS)
def test_a_cut_gradient_changes_no_spike_and_reaches_no_earlier_step(
    registry: Registry, name: str, backbone: str
) -> None:
    whole = network_of(registry, neuron=name, backbone=backbone).sites[0].neuron
    spatial = Spatial(whole)
    reached = {}
    for neuron in (whole, spatial):
        current = 4 * torch.randn(POINTS, 5, *_width(whole), generator=torch.Generator().manual_seed(1))
        current.requires_grad_()
        spikes = neuron(current, POINTS)
        spikes[20].sum().backward()
        assert current.grad is not None
        reached[neuron] = (spikes.detach(), current.grad.flatten(1).abs().amax(1) > 0)
    assert torch.equal(reached[spatial][0], reached[whole][0])
    assert reached[spatial][0].any()
    assert reached[spatial][1].nonzero().flatten().tolist() == [20]
    assert reached[whole][1][:20].any()


def _width(neuron: Neuron) -> tuple[int, ...]:
    feedback = getattr(neuron, "feedback", None)
    return (3,) if feedback is None else (feedback.weight.weight.shape[0],)


def test_which_variants_there_are(registry: Registry) -> None:
    static = from_flat(default_settings("digits", registry), registry)
    assert set(trained_variants(static, registry)) == set(Variant) - set(OF_INPUTS)
    ordered = from_flat(default_settings("mnist1d", registry), registry)
    assert trained_variants(ordered, registry) == list(Variant)
    other = candidate_of(registry, neuron="if")
    assert set(trained_variants(other, registry)) == set(Variant) - set(OF_NEURONS)
    assert left_out(other, registry) == "neuron 'if' states no single step"


@pytest.mark.parametrize(
    ("given", "is_blind"),
    [({}, True), ({"coding.direct.decoding": "membrane"}, False), ({"coding": "delta"}, False)],
)
def test_when_order_makes_no_difference_without_state(
    registry: Registry, given: dict[str, object], is_blind: bool
) -> None:
    candidate = candidate_of(registry, **given)
    assert is_blind_without_state(candidate, registry) is is_blind
    x = sequences()
    stateless = probed(network_of(registry, **given), "sequences", Variant.NO_STATE, 0).eval()
    torch.manual_seed(0)
    turned = stateless(x.flip(1))
    torch.manual_seed(0)
    assert torch.allclose(stateless(x), turned, atol=1e-5) is is_blind


@pytest.mark.parametrize("task", ["digits", "diabetes", "mnist1d", "mackey-glass", "n-mnist", "fashion-mnist", "shd"])
def test_what_is_trained_by_default_goes_together(registry: Registry, task: str) -> None:
    candidate = from_flat(default_settings(task, registry), registry)
    registry.refuse(candidate)
    refuse_unprobed(candidate, registry)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"task": "digits-generation", "backbone": "fsvae"}, "'digits-generation' generates images"),
        ({"task": "digits", "coding": "rate-conversion"}, "'rate-conversion' converts an ANN"),
        ({"steps": 40, "cut": 5}, "cut: 5: a probe reads all 40 steps"),
    ],
)
def test_what_can_not_be_probed(registry: Registry, given: dict[str, object], problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        refuse_unprobed(candidate_of(registry, **given), registry)


ORDERED = """
import numpy as np
from spikefront.plugins import array_task, hookimpl

def read():
    x, y = np.sort(np.random.default_rng(0).random((600, 8)), axis=1), np.arange(600) % 2
    return np.where(y[:, None] == 1, x, x[:, ::-1]), y  # which rise, which fall

def read_levels():
    x, y = np.random.default_rng(0).random((600, 8)), np.arange(600) % 2
    return (x + y[:, None]) / 2, y  # which are high, which low

@hookimpl
def register_tasks(register):
    register(array_task("rising", read, sequences=True))
    register(array_task("high", read_levels, sequences=True))
"""


@pytest.mark.parametrize(("name", "shuffled"), [("rising", 0.5), ("high", 1.0)])
def test_trained_variants_know_what_is_left_to_them(
    plugin_folder: Callable[[str], Path], name: str, shuffled: float
) -> None:
    registry = load_registry([plugin_folder(ORDERED)], third_parties=False)
    settings = {**default_settings(name, registry), "training.epochs": 6, "training.batch": 16}
    candidate = from_flat(settings, registry)
    data = registry.task(candidate).search_data(None, candidate.steps)
    found = {
        variant: judge_variant(
            candidate, 0, variant=variant, registry=registry, data=data, energy_model=registry.energy_model(ENERGY)
        )[0]
        for variant in (Variant.FULL, Variant.SHUFFLE_EACH, Variant.SUM)
    }
    assert found[Variant.FULL]["quality"] > 0.95
    assert found[Variant.FULL][CHANCE] == 0.5
    for variant in (Variant.SHUFFLE_EACH, Variant.SUM):
        assert abs(found[variant]["quality"] - shuffled) < 0.2  # 96 samples: four standard errors


def test_a_variant_begins_with_the_weights_and_repeats_under_its_seed(registry: Registry, data: SearchData) -> None:
    flat = {**default_settings("digits", registry), "backbone": "mlp", "training.epochs": 1, "training.subset": 200}
    candidate = from_flat(flat, registry)
    conditions: Any = {"registry": registry, "data": data, "energy_model": registry.energy_model(ENERGY)}
    one, again, other = (
        judge_variant(candidate, seed, variant=Variant.FULL, **conditions)[0]["quality"] for seed in (0, 0, 1)
    )
    assert one == again != other
    whole = judge_for_good(candidate, 0, **conditions)[0]["quality"]
    assert one == whole  # the network of a search, to the last digit
