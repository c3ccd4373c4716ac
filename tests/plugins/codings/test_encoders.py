"""Operations of the encoders, against counts by hand for single inputs."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.runners.judging.test_counting import Chain
from torch import Tensor, nn

from spikefront.plugins import Coding, Operations, Synapse, load_registry
from spikefront.plugins.energy.horowitz_45nm import Horowitz45nm
from spikefront.runners.judging.counting import count_operations
from spikefront.runners.judging.network import Network

X = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0)
STEPS = 8
REGISTRY = load_registry()


def coding(name: str, steps: int = STEPS, **fields: Any) -> Coding:
    plugin = REGISTRY.get("coding", name)
    made: Coding = plugin(plugin.Config(**fields), steps=steps)
    return made


def operations(encoder: Coding, x: Tensor) -> Operations:
    torch.manual_seed(0)
    return encoder.encode_operations(x, encoder.encode(x))


@pytest.mark.parametrize(
    ("name", "fields", "adds", "others"),
    [
        ("rate", {"spikes": "deterministic"}, (16, 17, 18, 20, 22, 24), Operations()),
        ("rate", {"spikes": "bernoulli"}, (16,) * 6, Operations()),
        ("burst", {"threshold": 0.25, "max_spikes": 4}, (16, 22, 32, 48, 64, 72), Operations()),
        # a subtraction from each centre, and 4 to 9 spikes of its four neurons
        ("population", {"fields": 4, "width": 0.5}, (77, 77, 77, 76, 77, 77), Operations(multiplies=12)),
        # the ramp is at round(7 (1 - x)) = 7, 6, 5, 4 (3.5 to even), 2 and 0; an input of 0 is never seen
        ("latency", {}, (8, 7, 6, 5, 3, 1), Operations()),
        ("direct", {}, (0,) * 6, Operations()),
        ("sac", {"scope": "input"}, (0,) * 6, Operations()),
        ("css", {}, (0,) * 6, Operations()),
        ("rate-conversion", {}, (0,) * 6, Operations()),
        # eight digits; 0.1 = 00011001 (25/256) has three ones
        ("phase", {"period": 8}, (0, 11, 0, 0, 0, 0), Operations()),
        ("phase", {"period": 8, "rounding": "nearest"}, (0, 8 + 3 + 1, 0, 0, 0, 0), Operations()),  # 0.1 = 00011010
    ],
    ids=str,
)
def test_an_input_costs_what_it_does_by_hand(
    name: str, fields: dict[str, Any], adds: tuple[int, ...], others: Operations
) -> None:
    encoder = coding(name, **fields)
    for value, expected in zip(X, adds, strict=True):
        found = operations(encoder, torch.full((1, 1, 1, 1), value))
        assert found == others + Operations(adds=expected), value


def test_graded_bursts_double_by_shifts() -> None:
    # charge 0.5, 1.0 (0.75 left after 0.25), ...: fires at every step with 0.25 0.5 1.0, then too little for 2.0
    encoder = coding("burst", steps=3, burst="graded", threshold=0.25)
    assert operations(encoder, torch.full((1, 1, 1, 1), 0.75)) == Operations(adds=2 * 3 + 3, shifts=3)


def test_digits_that_are_there_already_cost_nothing() -> None:
    encoder = coding("phase", period=4)
    levels = torch.arange(16.0).view(1, 1, 4, 4) / 16
    assert operations(encoder, levels) == Operations()
    assert operations(encoder, levels + 0.01).adds > 0


@pytest.mark.parametrize("period", [2, 5, 8])
def test_digits_of_pixels_are_their_first_bits(period: int) -> None:
    pixels = torch.arange(256).view(1, 1, 16, 16)
    encoder = coding("phase", period=period)
    code = encoder.encode(pixels / 255).values[:period]
    bits = torch.stack([(pixels >> (7 - bit)) & 1 for bit in range(period)])
    assert torch.equal(code.long(), bits)
    assert operations(encoder, pixels / 255) == Operations()


@pytest.mark.parametrize(
    ("fields", "adds"),
    [
        ({"threshold": 1.0}, 3 * 4),
        ({"threshold": 1.0, "off_spikes": False}, 2 * 4),
        ({"threshold": 1.0, "reference": "send-on-delta"}, 3 * 4 + 3),  # 2 climbs twice, and falls once
    ],
)
def test_frames_cost_a_difference_and_its_comparisons(fields: dict[str, Any], adds: int) -> None:
    frames = torch.tensor([2.0, 2.0, 2.0, 1.0]).view(4, 1, 1, 1, 1)
    encoder = coding("delta", steps=4, **fields)
    assert encoder.encode_operations(frames, encoder.encode_events(frames)) == Operations(adds=adds)


@pytest.mark.parametrize("name", ["direct", "sac", "tcja"])
def test_a_sensor_of_events_encodes_by_itself(name: str) -> None:
    frames = torch.ones(4, 1, 2, 3, 3)
    encoder = coding(name, steps=4)
    assert encoder.encode_operations(frames, encoder.encode_events(frames)) == Operations()


def test_encoder_is_a_layer_of_its_own_and_part_of_the_energy() -> None:
    x = torch.tensor(X).view(1, 1, 1, 6)
    network = Network(coding("rate", spikes="deterministic"), Chain(Synapse(nn.Conv2d(1, 3, 1, bias=False))))
    counts = count_operations(network, x)
    first = counts.layers[0]
    assert (first.layer, first.role, first.operations) == ("coding.encode", "encoder", Operations(adds=117))

    charged, free = Horowitz45nm(), Horowitz45nm(Horowitz45nm.Config(charge_encoder=False))
    assert charged.energy_nj(counts) - free.energy_nj(counts) == pytest.approx(117 * 0.9e-3)
    assert free.layer_energy_nj(counts) == charged.layer_energy_nj(counts)  # what it would be is still known
    assert (str(charged), str(free)) == ("horowitz-45nm", "horowitz-45nm(charge_encoder=False)")
    assert str(REGISTRY.energy_model(str(free))) == str(free)


def test_batches_counted_in_parts_add_up() -> None:
    x = torch.rand(300, 1, 4, 4)
    network = Network(coding("latency", steps=16), Chain(Synapse(nn.Conv2d(1, 3, 1))))
    whole, parts = count_operations(network, x), [count_operations(network, part) for part in x.split(100)]
    assert whole.layers[0].operations.adds == sum(part.layers[0].operations.adds for part in parts)
