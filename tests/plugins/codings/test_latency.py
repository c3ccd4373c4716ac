from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spikefront.plugins import Kind
from spikefront.plugins.codings.latency import Latency, LatencyConfig, firing_time, latency

curves = pytest.mark.parametrize("curve", ["linear", "log"])
GRID = torch.linspace(0, 1, 1001)


@curves
@pytest.mark.parametrize("steps", [1, 3, 8, 16])
def test_every_input_above_the_threshold_fires_once(curve: str, steps: int) -> None:
    count = latency(GRID, steps=steps, curve=curve).sum(0)
    assert (count[1:] == 1).all()
    assert count[0] == 0
    assert torch.equal(latency(GRID, steps=steps, curve=curve, threshold=0.2).sum(0), (GRID > 0.2).float())


@curves
@given(pair=st.tuples(st.floats(0, 1, width=32), st.floats(0, 1, width=32)).map(sorted), steps=st.integers(1, 16))
def test_stronger_input_fires_earlier(curve: str, pair: list[float], steps: int) -> None:
    weak, strong = firing_time(torch.tensor(pair), steps=steps, curve=curve).tolist()
    assert 0 <= strong <= weak <= steps - 1


def test_hand_computed_times() -> None:
    assert firing_time(torch.tensor([1.0, 0.75, 0.5, 0.25, 0.0]), steps=5).tolist() == [0, 1, 2, 3, 4]
    # T = 3: a = e^2 - 1, so t = 2 - ln(a x + 1); x = (e - 1)/(e^2 - 1) = 1/(e + 1) gives ln e = 1
    x = torch.tensor([1.0, 1 / (math.e + 1), 0.0])
    assert firing_time(x, steps=3, curve="log").tolist() == [0, 1, 2]


def test_logarithm_gives_weak_inputs_more_of_the_range() -> None:
    weak = torch.tensor([0.05, 0.2])
    linear = firing_time(weak, steps=16, curve="linear")
    logarithmic = firing_time(weak, steps=16, curve="log")
    assert (logarithmic < linear).all()


@curves
@pytest.mark.parametrize("steps", [3, 8, 16])
def test_agrees_with_spikingjelly_where_an_input_fires(curve: str, steps: int) -> None:
    encoding = pytest.importorskip("spikingjelly.activation_based.encoding")
    fires = GRID[1:]  # for x = 0 it fires at the last step, and we are silent
    theirs = encoding.LatencyEncoder(steps, curve).single_step_encode(fires)
    assert torch.equal(latency(fires, steps=steps, curve=curve), theirs)


def test_config_reaches_the_code() -> None:
    x = torch.rand(2, 9)
    signal = Latency(LatencyConfig(curve="log", threshold=0.1), steps=6).encode(x)
    assert (signal.kind, signal.steps) == (Kind.BINARY, 6)
    assert torch.equal(signal.values, latency(x, steps=6, curve="log", threshold=0.1))
