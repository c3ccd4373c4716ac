"""Codings that take events, in whole networks, on real recordings: what passes the input edge and what it costs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from spikefront.plugins import Kind, Signal, load_registry
from spikefront.plugins.codings.delta import Delta, DeltaConfig
from spikefront.plugins.codings.direct import Direct
from spikefront.plugins.codings.sac import SAC, SACConfig
from spikefront.plugins.codings.tcja import TCJA
from spikefront.plugins.data.events import read_40_bit, to_frames
from spikefront.runners.judging.counting import count_operations
from spikefront.runners.judging.network import Network, assemble
from spikefront.searchspace import UsageError, from_flat

REGISTRY = load_registry(third_parties=False)
STEPS = 4
CODINGS = ("delta", "direct", "sac", "tcja")


@pytest.fixture(scope="module")
def batch() -> Tensor:
    """Frames of real recordings, ``(B, T, 2, 34, 34)``."""
    files = sorted((Path(__file__).parents[2] / "data" / "nmnist" / "Train").glob("*/*.bin"))
    recordings = [read_40_bit(path.read_bytes(), path.name) for path in files]
    frames = [to_frames(events, (34, 34), steps=STEPS, binning="count") for events in recordings]
    return torch.from_numpy(np.stack(frames)).float()


def network(coding: str, **settings: Any) -> Network:
    flat = {"task": "n-mnist", "coding": coding, "steps": STEPS, "backbone": "convnet", **settings}
    torch.manual_seed(0)
    return assemble(from_flat(flat, REGISTRY), REGISTRY, (2, 34, 34), 3)


def input_edge(coding: str, batch: Tensor, **settings: Any) -> Signal:
    signal: Signal = network(coding, **settings).coding.encode_events(batch.transpose(0, 1))
    return signal


@pytest.mark.parametrize("coding", CODINGS)
def test_first_synapse_accumulates_each_event_at_every_output_that_it_reaches(coding: str, batch: Tensor) -> None:
    net = network(coding)
    edge = input_edge(coding, batch)
    first, *_ = [layer for layer in count_operations(net, batch).layers if layer.role == "synapse"]
    events = edge.values.abs().sum((0, 1))[None]
    reached = F.conv2d(events.double(), torch.ones(16, 2, 3, 3, dtype=torch.float64), padding=1).sum()
    assert first.sops == int(reached)
    assert first.macs == first.macs_every_step == 0
    assert first.events == int(events.sum()) > 0


@pytest.mark.parametrize("coding", ["direct", "tcja", "sac"])
def test_frames_pass_unchanged(coding: str, batch: Tensor) -> None:
    edge = input_edge(coding, batch)
    assert (edge.kind, edge.steps) == (Kind.COUNT, STEPS)
    assert torch.equal(edge.values, batch.transpose(0, 1))
    assert edge.values.max() > 1  # not spikes


@pytest.mark.parametrize("reference", ["delta", "send-on-delta"])
def test_delta_sends_the_changes_of_the_counts(reference: str, batch: Tensor) -> None:
    settings = {"coding.delta.reference": reference, "coding.delta.threshold": 1.0}
    edge = input_edge("delta", batch, **settings)
    assert edge.kind is Kind.TERNARY
    known = torch.zeros_like(batch[:, 0])
    for step in range(STEPS):
        change = batch[:, step] - known
        assert torch.equal(edge.values[step], change.sign() * (change.abs() >= 1))
        known = batch[:, step] if reference == "delta" else known + edge.values[step]
    assert set(edge.values.unique().tolist()) == {-1.0, 0.0, 1.0}


def test_higher_threshold_of_delta_sends_less(batch: Tensor) -> None:
    frames = batch.transpose(0, 1)
    sent = [
        int(Delta(DeltaConfig(threshold=threshold), steps=STEPS).encode_events(frames).values.abs().sum())
        for threshold in (0.5, 1.0, 2.0, 4.0)
    ]
    assert sent[0] == sent[1] > sent[2] > sent[3] > 0  # counts are whole


def test_sac_weighs_events_by_step_and_its_synapse_stays_accumulate_only(batch: Tensor) -> None:
    settings = {"coding.sac.scope": "input", "coding.sac.preset": "phase"}
    edge = input_edge("sac", batch, **settings)
    assert edge.kind is Kind.COUNT
    weights = torch.tensor([0.5, 0.25, 0.125, 0.0625]).view(-1, 1, 1, 1, 1)
    torch.testing.assert_close(edge.decoded(), weights * batch.transpose(0, 1))
    first, *_ = [
        layer for layer in count_operations(network("sac", **settings), batch).layers if layer.role == "synapse"
    ]
    assert first.macs == 0
    assert first.operations.shifts == len(batch) * STEPS * 16 * 34 * 34  # one per output and step


def test_first_events_alone_are_worth_something_beside_a_latency_preset(batch: Tensor) -> None:
    frames = batch.transpose(0, 1)
    values = SAC(SACConfig(scope="input", preset="ttfs-linear"), steps=STEPS).encode_events(frames).values
    earlier = torch.zeros_like(frames[0], dtype=torch.bool)
    for step in range(STEPS):
        assert torch.equal(values[step], frames[step] * ~earlier)
        earlier |= frames[step] > 0


@pytest.mark.parametrize("coding", CODINGS)
def test_gradients_reach_every_weight(coding: str, batch: Tensor) -> None:
    net = network(coding)
    net.train()
    net(batch).square().sum().backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any() or not name.endswith("weight"), name


def test_order_of_the_frames_matters(batch: Tensor) -> None:
    net = network("direct", **{"neuron": "lif"})
    with torch.no_grad():
        for _ in range(20):  # until the running statistics make neurons fire
            net(batch)
        net.eval()
        assert not torch.allclose(net(batch), net(batch.flip(1)))


def test_codings_say_what_they_take() -> None:
    ours = {name: entry.plugin for name, entry in REGISTRY.entries["coding"].items() if not entry.plugin.library}
    takers = {name for name, coding in ours.items() if "events" in coding.inputs}
    assert takers == set(CODINGS)
    assert SAC.inputs == TCJA.inputs == {"static", "events"}
    assert Direct.inputs == {"static", "events", "sequences", "spikes"}
    assert Delta.inputs == {"events", "sequences", "spikes"}


def test_coding_that_takes_no_events_is_refused_and_those_that_take_events_are_named() -> None:
    takes = r"^coding 'rate' takes sequences or static input, but task 'n-mnist' gives events; "
    with pytest.raises(UsageError, match=takes + r"codings that take it: delta, direct, sac,.* tcja$"):
        REGISTRY.refuse(from_flat({"task": "n-mnist", "coding": "rate"}, REGISTRY))
