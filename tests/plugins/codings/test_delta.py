from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from spikefront.plugins import Kind
from spikefront.plugins.codings.delta import Delta, DeltaConfig, delta, send_on_delta

sequences = st.lists(st.floats(0, 1, width=32), min_size=1, max_size=20)


@given(sequence=sequences, threshold=st.floats(0.01, 0.5))
def test_delta_follows_the_definition(sequence: list[float], threshold: float) -> None:
    before, expected = 0.0, []
    for value in sequence:
        change = value - before
        expected.append(1 if change >= threshold else -1 if change <= -threshold else 0)
        before = value
    frames = torch.tensor(sequence, dtype=torch.float64)
    assert delta(frames, threshold=threshold).tolist() == expected
    assert delta(frames, threshold=threshold, off_spikes=False).tolist() == [max(0, spike) for spike in expected]


@given(sequence=sequences, threshold=st.floats(0.01, 0.5))
def test_send_on_delta_follows_the_definition(sequence: list[float], threshold: float) -> None:
    reference, expected = 0.0, []
    for value in sequence:
        change = value - reference
        expected.append(1 if change >= threshold else -1 if change <= -threshold else 0)
        reference += threshold * expected[-1]
    assert send_on_delta(torch.tensor(sequence, dtype=torch.float64), threshold=threshold).tolist() == expected


@given(changes=st.lists(st.floats(-1, 1), min_size=1, max_size=60), threshold=st.floats(0.01, 0.5))
def test_reference_stays_within_a_threshold_of_slow_sequences(changes: list[float], threshold: float) -> None:
    frames = threshold * torch.tensor(changes, dtype=torch.float64).cumsum(0)
    reference = threshold * send_on_delta(frames, threshold=threshold).cumsum(0)
    assert (frames - reference).abs().max() <= threshold * (1 + 1e-9)


def test_slow_ramp_is_lost_to_delta_and_not_to_send_on_delta() -> None:
    ramp = torch.arange(1, 11) / 20  # up by 0.05 to 0.5
    assert delta(ramp, threshold=0.1).tolist() == [0] * 10
    assert send_on_delta(ramp, threshold=0.1).sum().item() == pytest.approx(5, abs=1)


@pytest.fixture
def frames() -> Tensor:
    """Numbers of events of three samples, ``(T, B, C, H, W)``."""
    return torch.randint(0, 4, (5, 3, 2, 4, 4)).float()


def test_each_sample_is_coded_along_its_own_time(frames: Tensor) -> None:
    values = Delta(steps=5).encode_events(frames).values
    assert values.shape == (5, 3, 2, 4, 4)
    for sample in range(3):
        assert torch.equal(values[:, sample], delta(frames[:, sample], threshold=1.0))


@pytest.mark.parametrize(
    ("config", "kind", "values"),
    [
        (DeltaConfig(), Kind.TERNARY, {-1.0, 0.0, 1.0}),
        (DeltaConfig(off_spikes=False), Kind.BINARY, {0.0, 1.0}),
        (DeltaConfig(reference="send-on-delta"), Kind.TERNARY, {-1.0, 0.0, 1.0}),
    ],
)
def test_edge_declares_whether_falls_are_spikes(
    frames: Tensor, config: DeltaConfig, kind: Kind, values: set[float]
) -> None:
    signal = Delta(config, steps=5).encode_events(frames)
    assert signal.kind is kind
    assert set(signal.values.unique().tolist()) == values


def test_it_takes_what_changes_over_time() -> None:
    assert Delta.inputs == {"events", "sequences", "spikes"}
