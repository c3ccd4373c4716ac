"""Adaptive neurons against hand loops of the released codes' equations, with a constant current of 2."""

from __future__ import annotations

import math

import pytest
import torch

from spikefront.plugins.bases.stepwise import Stepwise
from spikefront.plugins.neurons.adlif import AdLIF, AdLIFConfig
from spikefront.plugins.neurons.se_adlif import SEAdLIF, SEAdLIFConfig
from spikefront.plugins.neurons.silif import SiLIF, SiLIFConfig
from spikefront.plugins.surrogates.atan import ATan

ALPHA, BETA, A, B = 0.9, 0.95, 0.5, 1.0
ADLIF = [0.2, 0.37, 0.505, 0.60265, 0.662995, 0.688125, 0.681765, 0.648829]
EULER = [0.2, 0.38, 0.5415, 0.685925, 0.814625, 0.928876, 0.0, 0.191874]  # a spike at the seventh step
SYMPLECTIC = [0.2, 0.3795, 0.540126, 0.683411, 0.810793, 0.923625, 0.0, 0.187311]


def potentials(neuron: Stepwise, monkeypatch: pytest.MonkeyPatch) -> tuple[list[float], list[float]]:
    monkeypatch.setattr(type(neuron), "decays", (ALPHA, BETA))
    state, found, spikes = None, [], []
    for _ in range(8):
        s, state = neuron.step(torch.tensor([2.0], dtype=torch.float64), state)
        found.append(float(state[0]))
        spikes.append(float(s))
    return found, spikes


def test_adlif_is_that_of_the_released_code(monkeypatch: pytest.MonkeyPatch) -> None:
    found, spikes = potentials(AdLIF(AdLIFConfig(a=A, b=B), surrogate=ATan()), monkeypatch)
    assert found == pytest.approx(ADLIF, abs=5e-7)
    assert not any(spikes)


@pytest.mark.parametrize(("form", "expected"), [("euler", EULER), ("symplectic", SYMPLECTIC)])
def test_se_adlif_is_that_of_the_released_code(
    form: str, expected: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = SEAdLIFConfig(a=A, b=B, scale=1.0, discretisation=form)
    found, spikes = potentials(SEAdLIF(config, surrogate=ATan()), monkeypatch)
    assert found == pytest.approx(expected, abs=5e-7)
    assert spikes == [0, 0, 0, 0, 0, 0, 1, 0]


def adlif_by_numbers(currents: list[float]) -> tuple[list[float], list[float]]:
    u = w = s = 0.0
    potentials, spikes = [], []
    for current in currents:
        w = BETA * w + A * u + B * s
        u = ALPHA * (u - s) + (1 - ALPHA) * (current - w)
        s = float(u > 1)
        potentials.append(u)
        spikes.append(s)
    return potentials, spikes


def se_adlif_by_numbers(currents: list[float], symplectic: bool) -> tuple[list[float], list[float]]:
    u = w = s = 0.0
    potentials, spikes = [], []
    for current in currents:
        before = (u, s)
        u = ALPHA * u + (1 - ALPHA) * (current - w)
        s = float(u > 1)
        u *= 1 - s
        potential, spike = (u, s) if symplectic else before
        w = BETA * w + (1 - BETA) * 3.0 * (A * potential + B * spike)
        potentials.append(u)
        spikes.append(s)
    return potentials, spikes


@pytest.mark.parametrize("form", ["adlif", "euler", "symplectic"])
def test_trains_of_spikes_are_those_of_a_loop_over_numbers(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    currents = [6 + 4 * math.sin(t) for t in range(80)]
    if form == "adlif":
        neuron: Stepwise = AdLIF(AdLIFConfig(a=A, b=B), surrogate=ATan())
        expected = adlif_by_numbers(currents)
    else:
        neuron = SEAdLIF(SEAdLIFConfig(a=A, b=B, scale=3.0, discretisation=form), surrogate=ATan())
        expected = se_adlif_by_numbers(currents, form == "symplectic")
    monkeypatch.setattr(type(neuron), "decays", (ALPHA, BETA))
    state, found = None, []
    for current in currents:
        s, state = neuron.step(torch.tensor([current], dtype=torch.float64), state)
        found.append((float(state[0]), float(s)))
    assert [spike for _, spike in found] == expected[1]
    assert [potential for potential, _ in found] == pytest.approx(expected[0], abs=1e-12)
    assert 3 <= sum(expected[1]) <= 70


def test_decays_are_those_of_time_constants_and_of_rates() -> None:
    silif = SiLIF(SiLIFConfig(rate=100.0, rate_adaptation=5.0, step_s=0.004), surrogate=ATan())
    assert silif.decays == pytest.approx((0.670320, 0.980199), abs=5e-7)
    assert AdLIF(AdLIFConfig(tau=5.0, tau_adaptation=30.0), surrogate=ATan()).decays == pytest.approx(
        (0.818731, 0.967216), abs=5e-7
    )


def test_silif_fires_as_adlif_of_the_same_decays() -> None:
    torch.manual_seed(0)
    current = 8 * torch.randn(30, 4, 9)
    adlif = AdLIF(AdLIFConfig(tau=1 / (0.004 * 25), tau_adaptation=1 / (0.004 * 5)), surrogate=ATan())
    silif = SiLIF(SiLIFConfig(rate=25.0, rate_adaptation=5.0), surrogate=ATan())
    spikes = adlif(current, 30)
    assert spikes.any()
    assert torch.equal(silif(current, 30), spikes)


def test_an_update_is_four_products_and_six_additions() -> None:
    for neuron in (AdLIF(surrogate=ATan()), SEAdLIF(surrogate=ATan())):
        update = neuron.update_operations()
        assert update.multiplies + update.shifts == 4
        assert update.adds == 6
