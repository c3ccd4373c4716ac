"""Tasks on arrays: your own data in five lines, and the tabular data that come with spikefront.

Two arrays, or a torch ``Dataset``, make a task. Integer targets are classes: cross-entropy, accuracy. Float targets are
values: mean squared error, R2. All else is read off the data: image size, channels, outputs.

    split       64 % training, 16 % validation, 20 % test, by a fixed seed; each class by itself
    inputs      bytes are divided by 255; other numbers are scaled to [0, 1] by the training samples' least and largest,
                features one by one, images as a whole, and what lies outside in other splits is clipped
    values      in standard deviations from the training samples' mean, each output by itself; R2 stays the same
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from spikefront.plugins.contracts import Layout
from spikefront.plugins.contracts.task import Data, SearchData, Task, commonest_share
from spikefront.plugins.data.samples import Array, Samples, checked
from spikefront.searchspace import UsageError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class About:
    """Facts about a task, from its training samples.

    Attributes:
        counts: samples in training, validation and test split.
        shape: of one input, ``(F,)`` or ``(C, H, W)``.
        bytes: whether inputs are bytes, which need no range.
        classes: whether targets are classes.
        outputs: number of classes, or of values.
        low: least input, ``(F,)`` or, of images, ``()``.
        high: largest input, likewise.
        mean: mean target, ``(K,)``; empty for classes.
        sd: standard deviation of the targets, likewise.
    """

    counts: tuple[int, int, int]
    shape: tuple[int, ...]
    bytes: bool
    classes: bool
    outputs: int
    low: Tensor
    high: Tensor
    mean: Tensor
    sd: Tensor

    @classmethod
    def of(cls, samples: Samples) -> About:
        """Read it off the samples."""
        train, validation, test = samples.split()
        inputs, targets = samples.inputs, samples.targets[train]
        whole = inputs.dtype == np.uint8
        known = np.zeros((1, 1)) if whole else inputs[train]
        axis = None if inputs.ndim == 4 else 0
        mean, sd = (np.empty(0),) * 2 if samples.classes else (targets.mean(0), targets.std(0))
        numbers = (known.min(axis), known.max(axis), mean, np.where(sd > 0, sd, 1))
        return cls(
            (len(train), len(validation), len(test)),
            inputs.shape[1:],
            whole,
            samples.classes,
            int(samples.targets.max()) + 1 if samples.classes else samples.targets.shape[1],
            *(torch.tensor(number, dtype=torch.float32) for number in numbers),
        )


class _FromData(Generic[T]):
    """A class attribute that is computed from the data at its first use: plugins are loaded where no data are read."""

    def __init__(self, tell: Callable[[About], T]) -> None:
        self._tell = tell

    def __get__(self, task: ArrayTask | None, owner: type[ArrayTask]) -> T:
        return self._tell(owner.about())


class ArrayTask(Task):
    """A task on two arrays that ``read`` returns.

    The arrays are read when they are first asked for, and again in each worker that has to know the range of inputs
    that are not bytes; they must be the same each time.
    """

    quality: ClassVar[str] = _FromData(lambda about: "accuracy" if about.classes else "r2")  # type: ignore[assignment]
    layout: ClassVar[Layout] = _FromData(  # type: ignore[assignment]
        lambda about: "images" if len(about.shape) == 3 else "features"
    )
    _about: ClassVar[About]

    @classmethod
    def read(cls) -> object:
        """Return ``(inputs, targets)``, two arrays with one entry per sample, or a data set of such pairs.

        Inputs are ``(N, F)`` features, ``(N, H, W)`` grey images or ``(N, C, H, W)`` images of any real dtype; targets
        are ``(N,)`` integers, the classes from 0, or ``(N,)`` or ``(N, K)`` floats, values to predict.
        """
        raise TypeError(f"{cls.__name__} must define read()")

    @classmethod
    def _samples(cls) -> Samples:
        try:
            return checked(cls.read(), cls.name)
        except OSError as error:  # what else goes wrong in there is a mistake in code, whose place has to be seen
            reason = f"{error.filename}: {error.strerror}" if error.filename else str(error)
            raise UsageError(
                f"task {cls.name!r} can't read its arrays ({reason}); mend the path in its file"
            ) from error

    @classmethod
    def about(cls) -> About:
        """Return what the data say of the task, reading them the first time.

        Raises:
            UsageError: when the arrays can't be used.
        """
        if "_about" not in vars(cls):
            cls._about = About.of(cls._samples())
        return cls._about

    @classmethod
    def describe(cls) -> str:
        """Return one line on what was read and what is made of it.

        Raises:
            UsageError: when the arrays can't be used.
        """
        about = cls.about()
        shape = f"{about.shape[0]} features" if len(about.shape) == 1 else f"images {about.shape}"
        scaled = "bytes / 255" if about.bytes else "their range in training to 0..1"
        targets = f"{about.outputs} classes" if about.classes else f"values {about.outputs}, in standard deviations"
        train, validation, test = about.counts
        splits = f"{train:,} training, {validation:,} validation, {test:,} test samples"
        return f"{cls.name}: {splits}; inputs: {shape}, {scaled}; targets: {targets}; quality: {cls.quality}"

    def search_data(self, data_dir: Path | None, steps: int) -> SearchData:
        samples = self._samples()
        train, validation, _ = samples.split()
        return SearchData(self._data(samples, train), self._data(samples, validation), self.about().outputs)

    def test_data(self, data_dir: Path | None, steps: int) -> Data:
        samples = self._samples()
        return self._data(samples, samples.split()[2])

    def _data(self, samples: Samples, index: Array) -> Data:
        inputs, targets = samples.inputs[index], torch.from_numpy(samples.targets[index])
        if inputs.dtype != np.uint8:
            inputs = inputs.astype(np.float32, copy=False)
        if not samples.classes:
            targets = (targets - self.about().mean) / self.about().sd
        return Data(torch.from_numpy(inputs), targets)

    def prepare(self, batch: Tensor) -> Tensor:
        if batch.dtype == torch.uint8:
            return batch.float() / 255
        low, high = self.about().low.to(batch.device), self.about().high.to(batch.device)
        # a feature that never changes has no range
        return ((batch - low) / torch.where(high > low, high - low, 1)).clamp(0, 1)

    def loss(self, output: Tensor, targets: Tensor) -> Tensor:
        return nn.functional.mse_loss(output, targets) if targets.is_floating_point() else super().loss(output, targets)

    def score(self, output: Tensor, targets: Tensor) -> float:
        return r2(output, targets) if targets.is_floating_point() else super().score(output, targets)

    def in_units(self, output: Tensor) -> Tensor:
        about = self.about()
        return output if about.classes else output * about.sd.to(output) + about.mean.to(output)

    def chance_quality(self, data: SearchData) -> float:
        if not data.train.targets.is_floating_point():
            return commonest_share(data.validation.targets)
        targets = data.validation.targets
        return self.score(data.train.targets.mean(0).expand(targets.shape), targets)


def r2(output: Tensor, targets: Tensor) -> float:
    """Return the coefficient of determination: 1 for exact outputs, 0 for the mean target, below that if worse.

    Args:
        output: ``(N, K)``.
        targets: ``(N, K)``.

    Returns:
        The mean over the K outputs. One whose targets are all the same counts 1 if it is exact, else 0.
    """
    output, targets = output.double(), targets.double()
    missed = (targets - output).square().sum(0)
    spread = (targets - targets.mean(0)).square().sum(0)
    constant = (missed == 0).double()
    return float(torch.where(spread > 0, 1 - missed / spread, constant).mean())


def array_task(name: str, read: Callable[[], object]) -> type[ArrayTask]:
    """Make a task of arrays of your own, to be registered from a file in ``--plugins-dir``.

    Args:
        name: what it is called; lower case, words joined by ``-``.
        read: returns ``(inputs, targets)`` or a data set, as ``ArrayTask.read`` does. Paths in it must be absolute:
            workers call it too.

    Example:
        >>> blank = array_task("blank", lambda: (np.zeros((10, 28, 28), np.uint8), np.arange(10) % 2))
        >>> blank.quality, blank.layout
        ('accuracy', 'images')
    """
    words = "".join(word.capitalize() for word in name.split("-"))
    text = (read.__doc__ or f"Arrays read by {read.__module__}.").strip()
    body: dict[str, Any] = {"name": name, "read": staticmethod(read), "__doc__": text, "__module__": read.__module__}
    return type(words, (ArrayTask,), body)
