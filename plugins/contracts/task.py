"""The contract of a task: data, loss and quality; and its splits as tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn

from spikefront.plugins.contracts.plugin import InputKind, Layout, OutputKind, Plugin


@dataclass(frozen=True, slots=True)
class Data:
    """Samples of one split, in one tensor each.

    Attributes:
        inputs: ``(N, ...)``, in any dtype; ``Task.prepare`` makes a batch ready for coding.
        targets: ``(N, ...)``.
    """

    inputs: Tensor
    targets: Tensor

    def __len__(self) -> int:
        return len(self.inputs)


@dataclass(frozen=True, slots=True)
class SearchData:
    """The data of a search: the training and the validation split.

    Attributes:
        outputs: number of network outputs that the targets need, read off the data.
        classes: names of the classes, by number; empty where they have no names, and of other targets.
    """

    train: Data
    validation: Data
    outputs: int
    classes: tuple[str, ...] = ()


class Generator(Protocol):
    """A trained network as a task that generates sees it."""

    def __call__(self, x: Tensor) -> Tensor: ...

    def sample(self, count: int) -> Tensor:
        """Return ``count`` random outputs, ``(count, K)``."""
        ...


class Task(Plugin):
    """A task: data, loss and quality. Data are read once on each node.

    Attributes:
        inputs: ``static``: one array per sample; ``events``: ``(N, T, C, H, W)`` numbers of events, in frames that are
            made for a given T; ``sequences``: ``(N, L, F)``, points that the network sees one after the other, each
            for T / L of its steps; ``spikes``: ``(N, L, F)``, numbers of spikes of F units in each of L equal times,
            which arrive at the first of the T / L steps of their time.
        layout: ``images``: one input at one step is ``(C, H, W)``; ``features``: it is ``(F,)``; ``sequences``: it is
            ``(F,)`` too, one of several in time.
        length: points in time of a sequence, L; 0 for other inputs.
        output: ``values``: one or more per sample; ``images``: ``(C * H * W)`` pixels, which a network generates.
        mapped: whether the data are tensors mapped from the node's cache (``plugins.data.cache``). Then every
            worker reads them itself, which costs nothing but the first time; other data go through Ray's shared memory.
        quality: name of the quality metric, for example ``accuracy``.
        maximize: whether more quality is better.
        worst_quality: the quality from which hypervolume is measured, such as a chance or trivial result.
        best_quality: the best possible quality.
        held_out: what the validation split holds out of the training data, and why, in a few words; empty where that is
            not said. Samples that share more than their class, such as those of one person or of one recording, belong
            in one split, or the quality says little about others.
    """

    inputs: ClassVar[InputKind] = "static"
    layout: ClassVar[Layout] = "images"
    length: ClassVar[int] = 0
    output: ClassVar[OutputKind] = "values"
    mapped: ClassVar[bool] = False
    quality: ClassVar[str] = "accuracy"
    maximize: ClassVar[bool] = True
    worst_quality: ClassVar[float] = 0.0
    best_quality: ClassVar[float] = 1.0
    held_out: ClassVar[str] = ""

    def __init__(self, config: Any = None) -> None:
        self._configure(config)

    def search_data(self, data_dir: Path | None, steps: int) -> SearchData:
        """Read the training and validation splits. Must not touch the test split.

        Args:
            data_dir: where the user keeps data, or None to look in the usual places.
            steps: number of time steps T; only event tasks need it.

        Raises:
            UsageError: when files are missing or damaged.
        """
        raise TypeError(f"{type(self).__name__} must define search_data(data_dir, steps)")

    def test_data(self, data_dir: Path | None, steps: int) -> Data:
        """Read the test split; only the final confirmation does, and the twins of what was confirmed."""
        raise TypeError(f"{type(self).__name__} must define test_data(data_dir, steps)")

    def files(self, data_dir: Path | None) -> Sequence[Path] | None:
        """Return the files and folders that the data are read from; it reads and downloads none.

        One that does not exist is downloaded when the data are read. None, the default, where a class does not say;
        empty where data are made, or come with a package.

        Raises:
            UsageError: when they are not there, and only the user can get them.
        """
        return None

    @classmethod
    def shape_at_one_step(cls, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of one input at one step, of a prepared input of this shape, which may have time first."""
        return shape if cls.inputs == "static" else shape[1:]

    def prepare(self, batch: Tensor) -> Tensor:
        """Make a batch of raw inputs ready for coding: floats in [0, 1], or, of events and spikes, whole numbers."""
        return batch.float()

    def loss(self, output: Tensor, targets: Tensor) -> Tensor:
        """Return the training loss of decoded outputs ``(B, K)``; the default is cross-entropy."""
        return nn.functional.cross_entropy(output, targets)

    @classmethod
    def classifies(cls) -> bool:
        """Return whether targets are numbers of classes: its loss is cross-entropy, or its quality is accuracy."""
        return cls.output == "values" and (cls.loss is Task.loss or cls.quality == "accuracy")

    def score(self, output: Tensor, targets: Tensor) -> float:
        """Return the quality of decoded outputs ``(N, K)`` of a whole split; the default is accuracy in [0, 1]."""
        return float((output.argmax(1) == targets).to(torch.float64).mean())

    def measure(self, network: Generator, output: Tensor, targets: Tensor) -> dict[str, float]:
        """Return what a network, in eval mode, achieves on a split: ``quality``, and what else to log.

        Args:
            network: the network; one that makes images can be asked for samples.
            output: its decoded outputs ``(N, K)`` of the whole split.
            targets: the split's targets ``(N, ...)``.
        """
        return {"quality": self.score(output, targets)}

    def measure_on(self, network: Generator, output: Tensor, data: Data) -> dict[str, float]:
        """Return what ``measure`` does, for a task that also needs the inputs of the split; the default calls it.

        Args:
            network: the network, see ``measure``.
            output: its decoded outputs ``(N, K)`` of the whole split.
            data: the split, on any device.
        """
        return self.measure(network, output, data.targets)

    def in_units(self, output: Tensor) -> Tensor:
        """Return decoded outputs ``(N, K)`` in the unit of the data, for a task that learns values in another."""
        return output

    def constants(self) -> Mapping[str, Sequence[float]]:
        """Return what ``prepare`` and ``in_units`` take from the training data, which an exported network needs.

        Lists of finite numbers by name; none for a task whose ``prepare`` and ``in_units`` are the same for all data.
        """
        return {}

    def restore(self, constants: Mapping[str, Sequence[float]]) -> None:
        """Take the constants of an exported network: ``prepare`` and ``in_units`` then read no data.

        They must also run on torch's meta device, by which the constants' sizes are checked.

        Raises:
            UsageError: for constants that ``constants`` never returns.
        """

    def picture(self, network: Generator, data: Data) -> Tensor | None:
        """Return a picture ``(H, W)`` or ``(3, H, W)`` in [0, 1] of what a trained network does, or None."""
        return None

    def chance_quality(self, data: SearchData) -> float:
        """Return the validation quality of the best output that is the same for every sample, here of one class."""
        targets = data.validation.targets
        if type(self).score is Task.score and targets.dim() == 1 and not targets.is_floating_point():
            return commonest_share(targets)
        outputs = torch.eye(data.outputs)
        scores = [self.score(output.expand(len(targets), -1), targets) for output in outputs]
        return max(scores) if self.maximize else min(scores)


def listed(names: Sequence[str], most: int = 10) -> str:
    """Return names of classes in a sentence: all of a few, else the first and the last ones."""
    shown = [name if name.isprintable() else repr(name) for name in names]
    return ", ".join(shown if len(shown) <= most else [*shown[: most - 2], "...", shown[-1]])


def commonest_share(targets: Tensor) -> float:
    """Return the share of the most frequent class among targets ``(N,)``: the accuracy of always naming it."""
    return int(targets.bincount().max()) / len(targets)
