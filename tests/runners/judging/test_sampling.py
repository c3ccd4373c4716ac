"""The standard error of the energy, against the energies of single samples."""

from __future__ import annotations

import math
import statistics
from typing import Any

import pytest
import torch

from spikefront.plugins import Registry, SearchData
from spikefront.plugins.energy.horowitz_45nm import Horowitz45nm
from spikefront.runners.judging.counting import count_operations
from spikefront.runners.judging.judge import judge
from spikefront.runners.judging.network import Network, assemble
from spikefront.runners.judging.sampling import BLOCKS, energy_error
from spikefront.searchspace import from_flat

MODEL = Horowitz45nm()


def latency_network(registry: Registry) -> Network:
    torch.manual_seed(5)
    candidate = from_flat({"task": "digits", "coding": "latency", "backbone": "mlp", "steps": 4}, registry)
    return assemble(candidate, registry, (1, 8, 8), 10).eval()


def test_the_error_of_as_many_samples_as_blocks_is_that_of_their_energies(registry: Registry, data: SearchData) -> None:
    network, batch = latency_network(registry), data.validation.inputs[:BLOCKS].float() / 16
    energies = [MODEL.energy_nj(count_operations(network, sample[None])) for sample in batch]
    assert energy_error(network, batch, MODEL) == {
        "energy_se_nj": pytest.approx(statistics.stdev(energies) / math.sqrt(BLOCKS))
    }
    assert statistics.mean(energies) == pytest.approx(MODEL.energy_nj(count_operations(network, batch)))


def test_the_error_of_many_samples_is_about_that_of_single_ones(registry: Registry, data: SearchData) -> None:
    network, batch = latency_network(registry), data.validation.inputs[:128].float() / 16
    energies = [MODEL.energy_nj(count_operations(network, sample[None])) for sample in batch]
    expected = statistics.stdev(energies) / math.sqrt(len(batch))
    # of 8 blocks, 7 s^2 / sigma^2 lies between 0.598 and 24.3 in 99.8 % of draws: chi square with 7 degrees
    assert math.sqrt(0.598 / 7) < energy_error(network, batch, MODEL)["energy_se_nj"] / expected < math.sqrt(24.3 / 7)


def test_one_sample_has_no_error_and_equal_ones_have_none(registry: Registry, data: SearchData) -> None:
    network, batch = latency_network(registry), data.validation.inputs[:1].float() / 16
    assert energy_error(network, batch, MODEL) == {}
    assert energy_error(network, batch.expand(20, -1, -1, -1), MODEL) == {"energy_se_nj": pytest.approx(0, abs=1e-12)}


@pytest.mark.parametrize("energy", [math.nan, math.inf])
def test_energies_that_are_not_finite_have_no_error(
    registry: Registry, data: SearchData, monkeypatch: pytest.MonkeyPatch, energy: float
) -> None:
    network, batch = latency_network(registry), data.validation.inputs[:20].float() / 16
    monkeypatch.setattr(Horowitz45nm, "energy_nj", lambda self, counts: energy)
    assert energy_error(network, batch, MODEL) == {}


def test_only_the_last_epoch_has_it_and_no_draw_depends_on_it(
    registry: Registry, data: SearchData, monkeypatch: pytest.MonkeyPatch
) -> None:
    flat: dict[str, Any] = {"task": "digits", "coding": "rate", "coding.rate.spikes": "bernoulli", "backbone": "mlp"}
    flat |= {"steps": 3, "training.epochs": 2, "training.subset": 64}
    before = torch.get_rng_state()
    found = judge(flat, registry=registry, data=data)
    first, last = found.history
    assert "energy_se_nj" not in first
    assert 0 < last["energy_se_nj"] < 0.2 * last["energy_nj"]
    monkeypatch.setattr("spikefront.runners.judging.judge.energy_errors", lambda *args: {cut: {} for cut in args[3]})
    torch.set_rng_state(before)
    again = judge(flat, registry=registry, data=data)
    assert again.metrics["energy_nj"] == last["energy_nj"]
    assert again.metrics["quality"] == last["quality"]
