"""Responses are what the definitions of the codings say."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
import torch

from spikefront.plugins import Coding, ContractError, Kind, Signal, load_registry
from spikefront.plugins.entry import Entry
from spikefront.plugins.response import Response, respond
from spikefront.searchspace import Value, from_flat

T = 8


REGISTRY = load_registry(third_parties=False)
NEURONS: Mapping[str, Mapping[str, Value]] = {
    "css": {"neuron": "tsa"},
    "rate-conversion": {"neuron": "if", "neuron.if.reset": "soft", "neuron.if.start": 0.5},
}


def response(coding: str, task: str = "digits", **settings: Value) -> Response:
    torch.manual_seed(0)
    fields = {f"coding.{coding}.{name}": value for name, value in settings.items()}
    flat = {"task": task, "coding": coding, "steps": T, **fields, **NEURONS.get(coding, {})}
    return respond(from_flat(flat, REGISTRY), REGISTRY)


def test_latency_fires_once_the_earlier_the_brighter() -> None:
    found = response("latency")

    ramp = found.stages[-1].ramp[:, :, 0]
    assert ramp.sum(0).tolist() == [0] + [1] * 31  # 0 is at the threshold
    times = ramp[:, 1:].argmax(0)
    assert (times[0], times[-1]) == (T - 1, 0)
    assert (np.diff(times) <= 0).all()
    assert found.stages[-1].image.sum() == (found.stages[0].image[0] > 0).sum()


def test_spikes_of_rates_are_in_proportion_to_the_value() -> None:
    counts = {}
    for spikes in ("deterministic", "bernoulli"):
        found = response("rate", spikes=spikes)
        counts[spikes] = found.stages[-1].ramp[:, :, 0].sum(0)
    assert np.abs(counts["deterministic"] - T * found.levels).max() <= 0.5
    assert (counts["bernoulli"][0], counts["bernoulli"][-1]) == (0, T)


def test_phase_has_the_bits_of_the_value() -> None:
    found = response("phase")

    bits = [format(min(int(value * 256), 255), "08b") for value in np.linspace(0, 1, 32, dtype=np.float32)]
    code = found.stages[-1]
    assert [[int(bit) for bit in value] for value in bits] == code.ramp[:, :, 0].T.tolist()
    assert code.worth is not None
    assert code.worth.tolist() == [2.0**-k for k in range(1, 9)]


@pytest.mark.parametrize(
    ("reference", "on", "off"),
    [
        ("delta", [1, 0, 0, 0, -1, 0, 0, 0], [0, 0, 0, 0, 1, 0, 0, 0]),
        ("send-on-delta", [1, 1, 1, 0, -1, -1, -1, 0], [0, 0, 0, 0, 1, 1, 1, 0]),
    ],
)
def test_delta_fires_where_three_events_per_step_begin_and_end(reference: str, on: list[int], off: list[int]) -> None:
    found = response("delta", "n-mnist", reference=reference, threshold=1.0)

    assert found.levels.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8]
    assert found.stages[-1].ramp[:, 3].T.tolist() == [off, on]
    assert not found.stages[-1].ramp[:, 0].any()


def test_a_dot_that_moves_has_events_where_it_comes_and_where_it_leaves() -> None:
    events = response("direct", "n-mnist").stages[0].image

    assert events[0, 1].sum() == 9 * 4  # it appears
    assert events[1:].sum((2, 3)).tolist() == [[5 * 4, 5 * 4]] * (T - 1)
    there = np.cumsum(events[:, 1] - events[:, 0], axis=0)
    assert {tuple(np.unique(place)) for place in there} == {(0.0, 4.0)}


def test_population_has_as_many_channels_as_fields_of_which_the_nearest_fires_most() -> None:
    ramp = response("population", fields=3).stages[-1].ramp.sum(0)

    assert [int(ramp[at].argmax()) for at in (0, 16, 31)] == [0, 1, 2]


def test_conversions_show_what_neurons_make_of_a_constant_current() -> None:
    rates = response("rate-conversion")
    assert rates.stages[-1].ramp[:, :, 0].sum(0).tolist() == np.round(T * rates.levels).tolist()
    digits = response("css").stages[-1]
    assert digits.kind is Kind.TERNARY
    worth = 2.0 ** -np.arange(1, T + 1)
    assert digits.ramp[:, :, 0].T @ worth == pytest.approx(rates.levels, abs=2.0**-T)


def test_direct_repeats_the_image_and_a_layer_of_leaky_neurons_fires() -> None:
    given, code, layer = response("direct").stages

    assert (code.kind, layer.kind) == (Kind.ANALOG, Kind.BINARY)
    assert (code.image == given.image[0]).all()
    # a current of 2 x drives a membrane with tau = 2: x at the first step, 1.5 x at the second, and never above 2 x
    assert layer.ramp[0, :, 0].tolist() == [0] * 31 + [1]
    assert layer.ramp[1, :-1, 0].tolist() == [float(1.5 * at / 31 >= 1) for at in range(31)]
    assert not layer.ramp[:, :16].any()


def test_attention_gates_the_spikes_of_that_layer_by_real_values() -> None:
    spikes = response("direct").stages[-1]
    for coding in ("gac", "tcja"):
        found = response(coding)
        gated = found.stages[-1]
        assert (gated.kind, found.untrained) == (Kind.ANALOG, True)
        assert ((gated.image != 0) == (spikes.image != 0)).all()
        assert 0 < gated.image[gated.image != 0].min() <= gated.image.max() < 1


def test_sac_shows_what_a_spike_of_each_step_is_worth() -> None:
    worth = response("sac", init="geometric").stages[-1].worth

    assert worth is not None
    assert worth[1:] / worth[:-1] == pytest.approx([0.5] * (T - 1))
    assert worth.mean() == pytest.approx(1)


def test_the_rate_is_spikes_per_neuron_and_step() -> None:
    found = response("latency")

    assert found.rate == pytest.approx((found.stages[0].image[0] > 0).sum() / 64 / T)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (torch.zeros(T, 33, 64), r"shape \(8, 33, 64\)"),
        (torch.full((T, 33, 1, 8, 8), torch.nan), "not finite"),
        (torch.zeros(3, 33, 1, 8, 8), "3 steps"),
    ],
)
def test_a_code_that_is_no_maps_over_time_is_refused(values: torch.Tensor, said: str) -> None:
    class Odd(Coding):
        """Odd."""

        name = "odd"

        def encode(self, x: torch.Tensor) -> Signal:
            return Signal(values, self.steps, Kind.BINARY)

    registry = load_registry(third_parties=False)
    registry.entries["coding"]["odd"] = Entry(Odd, "odd", "1")
    with pytest.raises(ContractError, match=said):
        respond(from_flat({"task": "digits", "coding": "odd", "steps": T}, registry), registry)
