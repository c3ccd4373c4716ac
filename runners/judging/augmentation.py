"""Augmentation of training images on the device, a whole batch at a time.

Every draw comes from torch's global generators, which ``seed_everything`` seeds and a resumed trial restores. Frames of
events are varied like images, in the same way at all steps of a sample.

Sources: DeVries & Taylor, "Improved regularization of convolutional neural networks with cutout", arXiv 1708.04552
(2017), whose squares may also lie partly outside of the image; Zhang et al., "mixup: beyond empirical risk
minimization", ICLR (2018); Yun et al., "CutMix: regularization strategy to train strong classifiers with localizable
features", ICCV (2019).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from spikefront.plugins import Task
from spikefront.plugins.contracts.plugin import COUNTED
from spikefront.searchspace import Schedule, UsageError


@dataclass(frozen=True, slots=True)
class Batch:
    """Training samples, each of which may be a mixture of two.

    Attributes:
        inputs: ``(B, ...)``.
        targets: of the samples, ``(B, ...)``.
        partners: targets of the samples that were mixed in, ``(B, ...)``; None without mixing.
        share: share of the first sample in each mixture, in [0, 1].
    """

    inputs: Tensor
    targets: Tensor
    partners: Tensor | None = None
    share: float = 1.0

    def loss(self, loss: Callable[[Tensor, Tensor], Tensor], output: Tensor) -> Tensor:
        """Return the loss of an output; for mixtures, the mean of both losses, weighted by the shares.

        Args:
            loss: loss of outputs and targets.
            output: the network's output.
        """
        own = loss(output, self.targets)
        if self.partners is None:
            return own
        return self.share * own + (1 - self.share) * loss(output, self.partners)


def refuse_misfit(schedule: Schedule, task: Task, shape: tuple[int, ...]) -> None:
    """Raise ``UsageError`` when a schedule has an augmentation that does not fit a task's samples.

    Args:
        schedule: the schedule.
        task: the task.
        shape: shape of one sample after ``Task.prepare``.
    """
    chosen = {"flip": schedule.flip, "crop": schedule.crop, "cutout": schedule.cutout, "mix": schedule.mix != "none"}
    for name in (name for name, on in chosen.items() if on):
        where = f"training.{name}={getattr(schedule, name)}"
        if task.output == "images":
            raise UsageError(f"{where}: task {task.name!r} generates images, whose targets would not follow")
        if len(shape) != (3 if task.inputs == "static" else 4) and (name != "mix" or schedule.mix == "cutmix"):
            raise UsageError(f"{where}: it varies images (C, H, W), but task {task.name!r} gives {shape}")
    if task.inputs in COUNTED and schedule.mix == "mixup":
        raise UsageError(f"training.mix=mixup: blended events are not whole numbers (task {task.name!r}); take cutmix")
    if schedule.cutout > min(shape[-2:]):
        raise UsageError(f"training.cutout={schedule.cutout}: more than the {shape[-2]}x{shape[-1]} of an image")


def mixed_epoch(schedule: Schedule) -> bool | None:
    """Return whether all batches of the coming epoch are mixed, or none; None where each batch decides by itself."""
    if schedule.mix == "none" or schedule.mix_by == "batch":
        return None
    return float(torch.rand(())) < schedule.mix_probability


def augmented(schedule: Schedule, inputs: Tensor, targets: Tensor, mixed: bool | None = None) -> Batch:
    """Return the augmented batch, or the batch itself where the schedule has no augmentation.

    Args:
        schedule: the augmentation; ``refuse_misfit`` checks that it fits.
        inputs: images ``(B, C, H, W)`` or frames ``(B, T, C, H, W)``; for mixup of any shape.
        targets: ``(B, ...)``.
        mixed: whether the batch is mixed, as ``mixed_epoch`` says; None to draw it.
    """
    if schedule.flip:
        inputs = flipped(inputs)
    if schedule.crop:
        inputs = cropped(inputs, schedule.crop)
    if schedule.cutout:
        inputs = cut_out(inputs, schedule.cutout)
    # draws for a whole batch are made on the CPU: the CPU would have to wait for a GPU's
    if schedule.mix != "none" and mixed is None:
        mixed = float(torch.rand(())) < schedule.mix_probability
    if not mixed:
        return Batch(inputs, targets)
    share = float(torch.distributions.Beta(schedule.mix_alpha, schedule.mix_alpha).sample())
    partner = torch.randperm(len(inputs), device=inputs.device)
    if schedule.mix == "mixup":
        return Batch(torch.lerp(inputs[partner], inputs, share), targets, targets[partner], share)
    inputs, share = cut_mixed(inputs, partner, share)
    return Batch(inputs, targets, targets[partner], share)


def flipped(images: Tensor) -> Tensor:
    """Return images ``(B, ..., H, W)``, each mirrored left to right with a probability of one half."""
    mirrored = torch.rand(len(images), device=images.device) < 0.5
    return torch.where(_spread(mirrored, images), images.flip(-1), images)


def cropped(images: Tensor, padding: int) -> Tensor:
    """Return a window of the size of an image at a random place of each, padded with zeros on all sides.

    Args:
        images: ``(B, ..., H, W)``.
        padding: pixels on each side.
    """
    height, width = images.shape[-2:]
    padded = torch.nn.functional.pad(images, (padding,) * 4).flatten(1, -3)
    top, left = torch.randint(2 * padding + 1, (2, len(images), 1), device=images.device)
    rows = top + torch.arange(height, device=images.device)
    columns = left + torch.arange(width, device=images.device)
    sample = torch.arange(len(images), device=images.device)
    windows = padded[sample[:, None, None], :, rows[:, :, None], columns[:, None, :]]  # (B, H, W, channels)
    return windows.permute(0, 3, 1, 2).reshape(images.shape)


def cut_out(images: Tensor, side: int) -> Tensor:
    """Return images ``(B, ..., H, W)`` with a square of ``side`` pixels set to zero, at a random place inside each."""
    inside = [
        _span(torch.randint(size - side + 1, (len(images),), device=images.device), side, size)
        for size in images.shape[-2:]
    ]
    square = inside[0][:, :, None] & inside[1][:, None, :]
    return images.masked_fill(square.reshape(len(images), *[1] * (images.dim() - 3), *square.shape[1:]), 0)


def cut_mixed(images: Tensor, partner: Tensor, share: float) -> tuple[Tensor, float]:
    """Return images with a rectangle of their partners, at a random place that is the same for all.

    Args:
        images: ``(B, ..., H, W)``.
        partner: index of each image's partner, ``(B,)``.
        share: share of its area that an image keeps, if the whole rectangle is inside; it is cut off at the edges.

    Returns:
        The images, and the actual share.
    """
    height, width = images.shape[-2:]
    (top, bottom), (left, right) = (_range(size, math.sqrt(1 - share)) for size in (height, width))
    mixed = images.clone()
    mixed[..., top:bottom, left:right] = images[partner][..., top:bottom, left:right]
    return mixed, 1 - (bottom - top) * (right - left) / (height * width)


def _range(size: int, share: float) -> tuple[int, int]:
    """Return begin and end of a random range of ``share * size`` pixels, cut off where it leaves the image."""
    length, middle = int(size * share), int(torch.randint(size, ()))
    return max(0, middle - length // 2), min(size, middle - length // 2 + length)


def _span(first: Tensor, length: int, size: int) -> Tensor:
    """Return a mask ``(B, size)`` of ``length`` places from ``first`` ``(B,)`` on."""
    place = torch.arange(size, device=first.device)
    return (place >= first[:, None]) & (place < first[:, None] + length)


def _spread(choice: Tensor, like: Tensor) -> Tensor:
    return choice.reshape(-1, *[1] * (like.dim() - 1))
