"""Points of one training: quality and counts of a network stopped early, against the network that is cut there."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor

from spikefront.plugins import Data, Registry
from spikefront.plugins.checks.probe import fit_norms
from spikefront.runners.judging.counting import count_ends, count_operations
from spikefront.runners.judging.measuring import cuts_that_hold
from spikefront.runners.judging.network import Network, assemble
from spikefront.runners.judging.seeding import fixed_randomness
from spikefront.runners.judging.training import split_outputs, split_outputs_at
from spikefront.searchspace import from_flat

SAC = [
    {"coding": "sac", "coding.sac.scope": scope, "coding.sac.normaliser": normaliser, "coding.sac.init": "geometric"}
    for scope, normaliser in product(("readout", "input", "layer", "channel"), ("softmax", "mean1", "l2"))
]
STATIC: list[dict[str, Any]] = [
    *({"coding": name, "steps": 5} for name in ("direct", "latency", "gac", "rate-conversion")),
    *({"coding": "rate", "coding.rate.spikes": spikes} for spikes in ("bernoulli", "deterministic")),
    *({"coding": "population", "coding.population.spikes": spikes} for spikes in ("bernoulli", "deterministic")),
    *({"coding": "burst", "coding.burst.burst": burst} for burst in ("multi-spike", "graded")),
    {"coding": "direct", "coding.direct.decoding": "membrane", "coding.direct.decay": 0.7},
    {"coding": "phase", "coding.phase.period": 2, "steps": 6},
    {"coding": "phase-conversion", "neuron.phase.period": 2, "steps": 6},
    *({"coding": "css", "neuron.tsa.silent_period": silent, "steps": 6} for silent in (0, 1, 2)),
    *SAC,
    {"coding": "sac", "coding.sac.scope": "readout", "coding.sac.preset": "ttfs-exp"},
    {"coding": "sac", "coding.sac.scope": "layer", "coding.sac.preset": "phase"},
]
EVENTS: list[dict[str, Any]] = [
    {"coding": "direct"},
    {"coding": "delta", "coding.delta.reference": "send-on-delta"},
    {"coding": "sac", "coding.sac.scope": "input", "coding.sac.preset": "ttfs-linear"},
]
BACKBONES = ("mlp", "convnet", "vgg", "ms-resnet", "sew-resnet", "spiking-transformer")
QUICK = 5  # every fifth of the grid


def grid(registry: Registry) -> Iterator[dict[str, Any]]:
    """Every built-in coding that can be cut, with every neuron and backbone that goes with it."""
    for task, codings in (("digits", STATIC), ("n-mnist", EVENTS)):
        for coding, neuron, backbone in product(codings, sorted(registry.entries["neuron"]), BACKBONES):
            chosen = {"task": task, "coding": coding["coding"], "neuron": neuron, "backbone": backbone}
            if registry.problem(chosen) is None:
                yield {"steps": 4, **chosen, **coding}


def made(flat: dict[str, Any], registry: Registry, cut: int = 0) -> tuple[Network, Tensor]:
    """Return an untrained network whose neurons fire, and inputs of it."""
    torch.manual_seed(3)
    flat = flat | ({"backbone.convnet.pool": "avg"} if flat["backbone"] == "convnet" else {})
    candidate = from_flat(flat | ({"cut": cut} if cut else {}), registry)
    if flat["task"] == "digits":
        x, shape = torch.rand(37, 1, 8, 8), (1, 8, 8)
    else:
        x, shape = (torch.rand(9, candidate.steps, 2, 16, 16) * 1.7).floor(), (2, 16, 16)
    network = assemble(candidate, registry, shape, 10)
    return fit_norms(network, x), x


def cases(registry: Registry, every: int) -> list[dict[str, Any]]:
    return list(grid(registry))[::every]


def assert_points_are_those_of_the_cut_network(flat: dict[str, Any], registry: Registry) -> int:
    network, x = made(flat, registry)
    cuts = network.cuts
    assert cuts_that_hold(network, x) == cuts
    task, data = registry.task(from_flat(flat, registry)), Data(x, torch.zeros(len(x), dtype=torch.long))
    task.prepare = lambda batch: batch  # type: ignore[method-assign]  # the inputs are prepared already
    at_once = split_outputs_at(network, task, data, cuts)
    counts = count_ends(network, [x[::3]], cuts, traffic=False, seed=1)
    assert torch.equal(at_once[0], split_outputs(network, task, data))
    for cut in cuts:
        alone, _ = made(flat, registry, cut)
        alone.load_state_dict(network.state_dict())
        assert torch.equal(split_outputs(alone, task, data), at_once[cut])
        with fixed_randomness(1):
            assert count_operations(alone, x[::3], traffic=False) == counts[cut][0]
    return len(cuts)


@pytest.mark.parametrize("start", range(QUICK))
def test_each_point_is_what_the_network_cut_there_gives_to_the_last_digit(registry: Registry, start: int) -> None:
    some = cases(registry, QUICK * QUICK)[start::QUICK]
    assert sum(assert_points_are_those_of_the_cut_network(flat, registry) for flat in some)
