from __future__ import annotations

import doctest
from typing import Any

import pytest
import torch

from spikefront.plugins import Coding, Kind, Operations, Signal, load_registry
from spikefront.plugins.bases import decoding
from spikefront.plugins.bases.decoding import Decoding, membrane_potential
from spikefront.runners.judging.judge import judge
from spikefront.searchspace import Space, build, parse_set

REGISTRY = load_registry(third_parties=False)
CODINGS = [entry.plugin for entry in REGISTRY.entries["coding"].values() if issubclass(entry.plugin, Decoding)]


def coding(plugin: type[Coding], steps: int, **values: Any) -> Coding:
    return plugin(build(plugin.Config, values, plugin.name), steps=steps)


def test_plain_codings_leave_the_choice_of_the_read_out() -> None:
    assert {"direct", "rate", "latency", "delta", "population"} <= {plugin.name for plugin in CODINGS}


def test_docstring_shows_real_output() -> None:
    assert doctest.testmod(decoding) == doctest.TestResults(failed=0, attempted=2)


def test_potential_is_that_of_an_integrator_run_step_by_step() -> None:
    currents = torch.randn(7, 3, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for decay in (0.5, 0.8, 1.0):
        potential, of_one = torch.zeros(3, 2, dtype=torch.float64), 0.0
        for current in currents:
            potential, of_one = decay * potential + current, decay * of_one + 1
        torch.testing.assert_close(membrane_potential(currents, decay=decay), potential / of_one)


@pytest.mark.parametrize("plugin", CODINGS, ids=lambda plugin: plugin.name)
def test_potential_forgets_early_currents_and_the_rate_does_not(plugin: type[Coding]) -> None:
    early = Signal(torch.tensor([6.0, 0.0, 0.0]).view(3, 1, 1), 3, Kind.ANALOG)
    late = Signal(torch.tensor([0.0, 0.0, 6.0]).view(3, 1, 1), 3, Kind.ANALOG)
    rate, leaky = coding(plugin, 3), coding(plugin, 3, decoding="membrane", decay=0.5)

    assert rate.decode(early) == rate.decode(late) == 2
    torch.testing.assert_close(leaky.decode(early), torch.tensor([[6 * 0.25 / 1.75]]))
    torch.testing.assert_close(leaky.decode(late), torch.tensor([[6 / 1.75]]))


@pytest.mark.parametrize("plugin", CODINGS, ids=lambda plugin: plugin.name)
def test_plain_integrator_decodes_the_rate(plugin: type[Coding]) -> None:
    output = Signal(torch.randn(4, 3, 2), 4, Kind.ANALOG)

    plain = coding(plugin, 4, decoding="membrane", decay=1.0)

    torch.testing.assert_close(plain.decode(output), coding(plugin, 4).decode(output))
    assert plain.decode_operations(output) == coding(plugin, 4).decode_operations(output)


def test_constant_current_is_its_own_value() -> None:
    plugin = REGISTRY.get("coding", "direct")
    leaky = coding(plugin, 8, decoding="membrane", decay=0.7)

    for length in (1, 8):
        output = Signal(torch.tensor([[[3.0, -2.0]]]).expand(length, 1, 2), 8, Kind.ANALOG)
        torch.testing.assert_close(leaky.decode(output), torch.tensor([[3.0, -2.0]]))


def test_leak_is_charged_as_a_product_at_each_step_but_the_first() -> None:
    leaky = coding(REGISTRY.get("coding", "direct"), 5, decoding="membrane")
    output = Signal(torch.randn(5, 3, 2), 5, Kind.ANALOG)
    weighted = output.weighted(torch.tensor([1.0, 2.0, 0.0, 3.0, 1.0]))
    halved = coding(REGISTRY.get("coding", "direct"), 5, decoding="membrane", decay=0.5)

    assert leaky.decode_operations(output) == Operations(adds=5 * 6, multiplies=4 * 6)
    assert leaky.decode_operations(weighted) == Operations(adds=5 * 6, multiplies=4 * 6 + 6, shifts=6)
    assert halved.decode_operations(output) == Operations(adds=5 * 6, shifts=4 * 6)


@pytest.mark.usefixtures("one_thread")
def test_counted_energy_rises_by_the_leak_alone() -> None:
    flat = {"task": "diabetes", "coding": "direct", "backbone": "mlp", "steps": 4, "training.epochs": 1}
    found = [
        judge({**flat, "coding.direct.decoding": "membrane", "coding.direct.decay": decay}, registry=REGISTRY)
        for decay in (1.0, 0.8)
    ]
    plain, leaky = (next(layer for layer in one.counts.layers if layer.role == "readout").operations for one in found)

    assert plain.multiplies == 0
    assert leaky.multiplies == 3 * found[1].counts.samples  # one output, T - 1 steps
    assert plain.adds == leaky.adds


def test_a_search_decodes_by_rate_until_it_is_told_otherwise() -> None:
    def searched(*narrowings: str) -> dict[str, bool]:
        rows = Space(REGISTRY, "diabetes", [parse_set(text) for text in narrowings]).rows()
        return {row.name: row.searched for row in rows if row.name.startswith("coding.direct.")}

    assert searched() == {"coding.direct.decoding": False, "coding.direct.decay": False}
    assert searched("coding.*.decoding=rate,membrane")["coding.direct.decoding"]


def test_last_and_maximum_read_one_step() -> None:
    plugin, currents = REGISTRY.get("coding", "direct"), torch.randn(5, 3, 2)
    output = Signal(currents, 5, Kind.ANALOG)
    assert torch.equal(coding(plugin, 5, decoding="last").decode(output), currents[4])
    assert torch.equal(coding(plugin, 5, decoding="maximum").decode(output), currents.max(0).values)
    assert coding(plugin, 5, decoding="last").decode_operations(output) == Operations()
    assert coding(plugin, 5, decoding="maximum").decode_operations(output) == Operations(adds=30)


def test_softmaxes_are_those_of_an_integrator_run_step_by_step() -> None:
    currents = torch.randn(7, 3, 4, dtype=torch.float64)
    made = coding(REGISTRY.get("coding", "direct"), 7, decoding="softmax", decay=0.75)
    u, expected = torch.zeros(3, 4, dtype=torch.float64), torch.zeros(3, 4, dtype=torch.float64)
    for current in currents:
        u = 0.75 * u + 0.25 * current
        expected += u.exp() / u.exp().sum(1, keepdim=True)
    output = Signal(currents, 7, Kind.ANALOG)
    torch.testing.assert_close(made.decode(output), expected)
    torch.testing.assert_close(made.decode(output.first(3)).sum(1), torch.full((3,), 7.0, dtype=torch.float64))
    # a leak by 3/4 is a shift and an addition
    leaks, values = 6 * 12, 7 * 12
    assert made.decode_operations(output) == Operations(adds=3 * values + leaks, multiplies=2 * values, shifts=leaks)
    assert not made.averages
