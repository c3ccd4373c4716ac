"""Passes in parts give what one pass gives: outputs, counts and the time on a chip, whatever the bound is."""

from __future__ import annotations

import pytest
import torch

from spikefront.plugins import Counts, Registry
from spikefront.runners.judging import passes
from spikefront.runners.judging.counting import count_operations
from spikefront.runners.judging.memory import MB, LiveBytes
from spikefront.runners.judging.network import Network, assemble
from spikefront.runners.judging.passes import affordable, bytes_per_sample
from spikefront.runners.judging.seeding import fixed_randomness
from spikefront.runners.judging.training import laid_out, outputs_at
from spikefront.searchspace import from_flat

SAMPLES = 37
NETWORKS = [
    {"coding": "direct", "backbone": "convnet", "neuron": "plif"},
    {"coding": "rate", "backbone": "convnet", "backbone.convnet.pool": "avg"},  # draws at random
    {"coding": "phase", "backbone": "spiking-transformer"},
    {"coding": "population", "backbone": "sew-resnet"},
    {"coding": "sac", "coding.sac.scope": "channel", "backbone": "mlp"},
]


def network_of(flat: dict[str, object], registry: Registry) -> tuple[Network, torch.Tensor]:
    """Build a network whose norms have statistics with which it fires."""
    torch.manual_seed(0)
    candidate = from_flat({"task": "digits", "steps": 4, **flat}, registry)
    network = assemble(candidate, registry, (1, 8, 8), 10)
    batch = laid_out(torch.rand(SAMPLES, 1, 8, 8))
    with torch.no_grad():
        for _ in range(10):
            network.train()(batch)
    return network.eval(), batch


def measured(network: Network, batch: torch.Tensor) -> tuple[dict[int, torch.Tensor], Counts]:
    outputs = outputs_at(network, laid_out, batch, (0, *network.cuts[:1]))
    with fixed_randomness(7):
        return outputs, count_operations(network, batch)


@pytest.mark.parametrize("flat", NETWORKS, ids=lambda flat: f"{flat['coding']}-{flat['backbone']}")
def test_parts_change_no_number(flat: dict[str, object], registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    network, batch = network_of(flat, registry)
    whole, counts = measured(network, batch)
    assert counts.sops + counts.macs > 0
    monkeypatch.setattr(passes, "_BOUND", {"cpu": 1.0, "cuda": 1.0})  # the least: parts of two or three samples
    calls: list[int] = []
    network.backbone.register_forward_pre_hook(lambda module, args: calls.append(args[0].values.shape[1]))
    in_parts, counts_in_parts = measured(network, batch)
    assert set(calls) <= {1, 2, 3}  # one to find the delay of the output
    assert len(calls) > SAMPLES // 2
    for cut, outputs in whole.items():
        assert torch.equal(in_parts[cut], outputs), cut
    assert counts_in_parts.layers == counts.layers
    assert counts_in_parts.timing is not None
    assert counts.timing is not None
    assert counts_in_parts.timing.busy_ns == pytest.approx(counts.timing.busy_ns, rel=1e-12)


def test_a_pass_holds_no_more_than_its_bound(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    network, batch = network_of({"coding": "direct", "backbone": "convnet"}, registry)
    per_sample = bytes_per_sample(network, network.encode(batch))
    neurons = 16 * 64  # of the first layer, whose potentials and spikes of four steps are there together
    assert 2 * 4 * 4 * neurons <= per_sample <= 4 * 4 * 4 * neurons
    monkeypatch.setattr(passes, "_BOUND", {"cpu": 8 * per_sample, "cuda": 8 * per_sample})
    with LiveBytes([*network.parameters(), *network.buffers()]) as live:
        outputs_at(network, laid_out, batch, (0,))
    assert live.peak < 8.5 * per_sample + batch.nbytes + 4 * 10 * SAMPLES


def test_large_inputs_are_encoded_in_smaller_batches() -> None:
    assert affordable(4) == affordable(4, 1 * 28 * 28) == 1024
    assert affordable(4, 2**16) == 256
    assert 4 * affordable(4, 2**16) * 2**16 * 4 <= 256 * MB
    assert affordable(4, 2**40) == 1
