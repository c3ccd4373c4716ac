from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from spikefront.plugins import Task
from spikefront.runners.judging.augmentation import (
    Batch,
    augmented,
    cropped,
    cut_mixed,
    cut_out,
    flipped,
    mixed_epoch,
    refuse_misfit,
)
from spikefront.searchspace import Schedule, UsageError

SHAPES = [(64, 3, 7, 9), (64, 4, 2, 7, 9)]
"""Images, and frames of events, neither square."""


@pytest.fixture(params=SHAPES, ids=["images", "events"])
def images(request: pytest.FixtureRequest) -> Tensor:
    torch.manual_seed(0)
    shape = request.param
    return torch.arange(1.0, 1 + torch.tensor(shape).prod().item()).reshape(shape)  # no two pixels alike, none zero


def test_each_image_is_mirrored_or_left_alone(images: Tensor) -> None:
    out = flipped(images)
    mirrored = [bool((one == other.flip(-1)).all()) for one, other in zip(out, images, strict=True)]
    same = [bool((one == other).all()) for one, other in zip(out, images, strict=True)]
    assert [a != b for a, b in zip(mirrored, same, strict=True)] == [True] * len(images)
    assert 16 < sum(mirrored) < 48  # of 64 tosses: 4 standard deviations


def test_a_crop_is_a_slice_of_the_padded_image(images: Tensor) -> None:
    out = cropped(images, 2)
    padded = torch.nn.functional.pad(images, (2, 2, 2, 2))
    places = []
    for one, whole in zip(out, padded, strict=True):
        fits = [(y, x) for y in range(5) for x in range(5) if torch.equal(one, whole[..., y : y + 7, x : x + 9])]
        assert len(fits) == 1
        places += fits
    assert len(set(places)) > 15  # of 25 places, drawn 64 times
    assert {y for y, _ in places} == {x for _, x in places} == set(range(5))


def test_cutout_zeroes_exactly_one_square_in_all_channels_and_steps(images: Tensor) -> None:
    out = cut_out(images, 3)
    corners = set()
    for one, other in zip(out, images, strict=True):
        assert torch.equal(one[one != 0], other[one != 0])
        zero = (one == 0).reshape(-1, 7, 9)
        assert (zero == zero[0]).all()
        rows, columns = zero[0].any(1).nonzero().flatten().tolist(), zero[0].any(0).nonzero().flatten().tolist()
        assert zero[0].sum() == 9
        assert (rows[-1] - rows[0], columns[-1] - columns[0]) == (2, 2)
        corners.add((rows[0], columns[0]))
    assert {y for y, _ in corners} == set(range(5))
    assert {x for _, x in corners} == set(range(7))


def test_a_square_as_large_as_the_image_leaves_nothing() -> None:
    assert not cut_out(torch.ones(4, 1, 5, 5), 5).any()


@pytest.mark.parametrize("asked", [0.0, 0.2, 0.5, 0.9, 1.0])
def test_cutmix_keeps_the_share_of_area_that_it_tells(images: Tensor, asked: float) -> None:
    partner = torch.randperm(len(images))
    for _ in range(20):
        out, kept = cut_mixed(images, partner, asked)
        assert ((out == images) | (out == images[partner])).all()
        moved = partner != torch.arange(len(images))
        assert (out == images)[moved].double().mean().item() == pytest.approx(kept)
        assert kept >= asked - 1e-9  # cut off at the edges
    assert asked < 1 or kept == 1


def test_cutmix_takes_the_asked_share_where_nothing_is_cut_off() -> None:
    images = torch.arange(200.0).reshape(2, 1, 10, 10)
    kept = {cut_mixed(images, torch.tensor([1, 0]), 0.75)[1] for _ in range(200)}
    assert min(kept) == 0.75  # a square of 5 x 5
    assert max(kept) <= 1 - 2 * 2 / 100  # at a corner, of which at least 2 x 2 pixels are inside


def schedule(**values: Any) -> Schedule:
    return Schedule(**values)


def test_nothing_is_drawn_where_nothing_is_asked_for() -> None:
    inputs, targets = torch.rand(4, 1, 5, 5), torch.arange(4)
    state = torch.get_rng_state()
    batch = augmented(schedule(), inputs, targets)
    assert batch.inputs is inputs
    assert batch.partners is None
    assert torch.equal(torch.get_rng_state(), state)


def test_by_epoch_all_batches_are_mixed_or_none() -> None:
    by_epoch = schedule(mix="cutmix", mix_probability=0.5, mix_by="epoch")
    inputs, targets = torch.rand(4, 1, 5, 5), torch.arange(4)
    torch.manual_seed(0)
    epochs = []
    for _ in range(200):
        mixed = mixed_epoch(by_epoch)
        partners = [augmented(by_epoch, inputs, targets, mixed).partners for _ in range(3)]
        assert [partner is not None for partner in partners] == [mixed] * 3
        epochs.append(mixed)
    assert 75 < sum(map(bool, epochs)) < 125  # 100 with a deviation of 7
    assert mixed_epoch(schedule(mix="cutmix")) is None
    state = torch.get_rng_state()
    assert mixed_epoch(schedule()) is None
    assert torch.equal(torch.get_rng_state(), state)


EVERYTHING = schedule(flip=True, crop=2, cutout=3, mix="cutmix", mix_probability=1.0)


def test_the_seed_decides_all_draws() -> None:
    inputs, targets = torch.rand(32, 3, 12, 12), torch.arange(32)

    def drawn(seed: int) -> Tensor:
        torch.manual_seed(seed)
        return augmented(EVERYTHING, inputs, targets).inputs

    assert torch.equal(drawn(1), drawn(1))
    assert not torch.equal(drawn(1), drawn(2))


def test_mixup_blends_inputs_and_losses_by_the_same_share() -> None:
    inputs, targets = torch.rand(16, 3, 4, 4), torch.randn(16, 2)
    batch = augmented(schedule(mix="mixup", mix_probability=1.0, mix_alpha=8.0), inputs, targets)
    assert batch.partners is not None
    assert 0 < batch.share < 1
    partner = [(targets == target).all(1).nonzero().item() for target in batch.partners]
    assert sorted(partner) == list(range(16))
    blended = batch.share * inputs + (1 - batch.share) * inputs[partner]
    assert torch.allclose(batch.inputs, blended)
    # the squared error of a mixture of targets differs from the mixture of errors by a constant only, so for an output
    # of zero: k |a|^2 + (1 - k) |b|^2
    loss = batch.loss(torch.nn.functional.mse_loss, torch.zeros(16, 2))
    expected = batch.share * targets.square().mean() + (1 - batch.share) * batch.partners.square().mean()
    assert loss.item() == pytest.approx(expected.item())


def test_mixed_cross_entropy_is_that_of_soft_targets() -> None:
    output, own, other = torch.randn(8, 5), torch.randint(5, (8,)), torch.randint(5, (8,))
    mixed = Batch(torch.zeros(8), own, other, 0.3).loss(torch.nn.functional.cross_entropy, output)
    eye = torch.eye(5)
    soft = torch.nn.functional.cross_entropy(output, 0.3 * eye[own] + 0.7 * eye[other])
    assert mixed.item() == pytest.approx(soft.item(), rel=1e-5)


@pytest.mark.parametrize("mix", ["mixup", "cutmix"])
def test_share_of_mixed_batches_and_of_what_is_kept(mix: str) -> None:
    torch.manual_seed(0)
    inputs, targets = torch.rand(2, 1, 64, 64), torch.arange(2)
    batches = [augmented(schedule(mix=mix), inputs, targets) for _ in range(1000)]
    mixed = [batch.share for batch in batches if batch.partners is not None]
    assert 437 < len(mixed) < 563  # one half, and 4 standard deviations
    if mix == "mixup":  # Beta(1, 1) is uniform: mean 1/2, deviation 0.289 / sqrt(500)
        assert sum(mixed) / len(mixed) == pytest.approx(0.5, abs=0.052)


class Tabular(Task):
    name = "tabular"


class Frames(Task):
    name = "frames"
    inputs = "events"


class Pictures(Task):
    name = "pictures"
    output = "images"


@pytest.mark.parametrize(
    ("task", "shape", "asked", "message"),
    [
        (Tabular, (10,), {"flip": True}, r"^training\.flip=True: .* task 'tabular' gives \(10,\)$"),
        (Tabular, (10,), {"crop": 2}, r"^training\.crop=2: it varies images \(C, H, W\), but task 'tabular' gives"),
        (Tabular, (10,), {"crop": 2, "mix": "mixup"}, r"^training\.crop=2: it varies images"),
        (Tabular, (10,), {"mix": "cutmix"}, r"^training\.mix=cutmix: it varies images"),
        (Frames, (4, 2, 8, 8), {"mix": "mixup"}, r"^training\.mix=mixup: blended events .*'frames'\); take cutmix$"),
        (Pictures, (1, 8, 8), {"flip": True}, r"^training\.flip=True: task 'pictures' generates images"),
        (Tabular, (3, 8, 6), {"cutout": 7}, r"^training\.cutout=7: more than the 8x6 of an image$"),
    ],
)
def test_what_can_not_be_varied_is_refused(
    task: type[Task], shape: tuple[int, ...], asked: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        refuse_misfit(schedule(**asked), task(), shape)


@pytest.mark.parametrize(
    ("task", "shape", "asked"),
    [
        (Tabular, (10,), {}),
        (Tabular, (10,), {"mix": "mixup"}),
        (Tabular, (3, 8, 6), {"flip": True, "crop": 2, "cutout": 6, "mix": "cutmix"}),
        (Frames, (4, 2, 8, 8), {"flip": True, "crop": 2, "cutout": 8, "mix": "cutmix"}),
        (Pictures, (1, 8, 8), {}),
    ],
)
def test_what_fits_is_taken(task: type[Task], shape: tuple[int, ...], asked: dict[str, Any]) -> None:
    refuse_misfit(schedule(**asked), task(), shape)
    batch = augmented(
        schedule(**asked, **({"mix_probability": 1.0} if "mix" in asked else {})),
        torch.rand(4, *shape),
        torch.arange(4),
    )
    assert batch.inputs.shape == (4, *shape)
