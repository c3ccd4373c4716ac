"""Tasks on arrays: your own data in five lines, and the tabular data that come with spikefront.

Two arrays, or a torch ``Dataset``, make a task. Integer or text targets are classes: cross-entropy, accuracy. Float
targets are values: mean squared error, R2. All else is read off the data: image size, channels, outputs.

    split       64 % training, 16 % validation, 20 % test, by a fixed seed; each class by itself
    inputs      bytes are divided by 255; other numbers are scaled to [0, 1] by the training samples' least and largest,
                features one by one, over all points of sequences, images as a whole, and what lies outside in other
                splits is clipped
    values      in standard deviations from the training samples' mean, each output by itself; R2 stays the same
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from spikefront.plugins.contracts import Layout
from spikefront.plugins.contracts.task import Data, SearchData, Task, commonest_share, listed
from spikefront.plugins.data.samples import Array, Samples, checked
from spikefront.plugins.data.scaling import Scaling, scaling_of, untelling
from spikefront.searchspace import UsageError, fields_of

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class About(Scaling):
    """Facts about a task, with its scaling, from its training samples.

    Attributes:
        counts: samples in training, validation and test split.
        shape: of one input, ``(F,)``, ``(L, F)`` or ``(C, H, W)``.
        dtype: dtype in which inputs are held.
        classes: whether targets are classes.
        outputs: number of classes, or of values.
        names: names of the classes, by number; empty where they have none.
        remarks: what may be a mistake in the inputs, one sentence each.
    """

    counts: tuple[int, int, int]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    classes: bool
    outputs: int
    names: tuple[str, ...]
    remarks: tuple[str, ...]

    @classmethod
    def of(cls, samples: Samples) -> About:
        """Read it off the samples."""
        train, validation, test = samples.split()
        inputs, targets = samples.inputs, samples.targets
        scaling = scaling_of(inputs[train], None if samples.classes else targets[train])
        return cls(
            scaling.low,
            scaling.high,
            scaling.mean,
            scaling.sd,
            (len(train), len(validation), len(test)),
            inputs.shape[1:],
            scaling.input_dtype(inputs.dtype),
            samples.classes,
            int(targets.max()) + 1 if samples.classes else targets.shape[1],
            samples.names,
            tuple(untelling(scaling, inputs.dtype, samples.feature)),
        )


class _FromData(Generic[T]):
    """A class attribute that is computed from the data at its first use: plugins are loaded where no data are read."""

    def __init__(self, tell: Callable[[About], T]) -> None:
        self._tell = tell

    def __get__(self, task: ArrayTask | None, owner: type[ArrayTask]) -> T:
        return self._tell(owner.about())


_SEQUENCE: Final = 2
_LAYOUTS: Final[Mapping[int, Layout]] = {1: "features", _SEQUENCE: "sequences", 3: "images"}
"""Layouts by the axes of one input."""


class ArrayTask(Task):
    """A task on two arrays that ``read`` returns.

    The arrays are read when they are first asked for, and again in each worker that has to know the range of inputs
    that are not bytes; they must be the same each time. A network that was exported has its scaling with it.
    """

    quality: ClassVar[str] = _FromData(lambda about: "accuracy" if about.classes else "r2")  # type: ignore[assignment]
    layout: ClassVar[Layout] = _FromData(  # type: ignore[assignment]
        lambda about: _LAYOUTS[len(about.shape)]
    )
    length: ClassVar[int] = _FromData(  # type: ignore[assignment]
        lambda about: about.shape[0] if len(about.shape) == _SEQUENCE else 0
    )
    _about: ClassVar[About]
    held_out = "16 % of the samples, of each class by itself, at random"
    _scaling: Scaling | None = None

    @classmethod
    def read(cls) -> object:
        """Return ``(inputs, targets)``, two arrays with one entry per sample, or a data set of such pairs.

        Inputs are ``(N, F)`` features, ``(N, H, W)`` grey images or ``(N, C, H, W)`` images of any real dtype; where
        the class says ``inputs = "sequences"``, ``(N, L, F)`` or ``(N, L)`` sequences of equal length. Targets
        are ``(N,)`` integers, the classes from 0, ``(N,)`` names of classes, or ``(N,)`` or ``(N, K)`` floats, values
        to predict.
        """
        raise TypeError(f"{cls.__name__} must define read()")

    @classmethod
    def _samples(cls) -> Samples:
        try:
            return checked(cls.read(), cls.name, sequences=cls.inputs == "sequences")
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
        shape = f"images {about.shape}" if len(about.shape) == 3 else f"{about.shape[-1]} features"
        if len(about.shape) == _SEQUENCE:
            shape = f"sequences of {about.shape[0]} points, {shape}"
        scaled = "bytes / 255" if about.dtype == np.uint8 else "their range in training to 0..1"
        targets = f"{about.outputs} classes" if about.classes else f"values {about.outputs}, in standard deviations"
        targets += f" ({listed(about.names)})" if about.names else ""
        remarks = "".join(f"; {remark}" for remark in about.remarks)
        train, validation, test = about.counts
        splits = f"{train:,} training, {validation:,} validation, {test:,} test samples"
        return f"{cls.name}: {splits}; inputs: {shape}, {scaled}{remarks}; targets: {targets}; quality: {cls.quality}"

    def search_data(self, data_dir: Path | None, steps: int) -> SearchData:
        samples, about = self._samples(), self.about()
        train, validation, _ = samples.split()
        return SearchData(self._data(samples, train), self._data(samples, validation), about.outputs, about.names)

    def test_data(self, data_dir: Path | None, steps: int) -> Data:
        samples = self._samples()
        return self._data(samples, samples.split()[2])

    def _data(self, samples: Samples, index: Array) -> Data:
        about = self.about()
        inputs = torch.from_numpy(samples.inputs[index].astype(about.dtype, copy=False))
        targets = samples.targets[index]
        if samples.classes:
            return Data(inputs, torch.from_numpy(targets))
        return Data(inputs, about.standardised(torch.from_numpy(targets.astype(np.float64, copy=False))))

    def prepare(self, batch: Tensor) -> Tensor:
        return batch.float() / 255 if batch.dtype == torch.uint8 else self._scales().scaled(batch)

    def _scales(self) -> Scaling:
        return self._scaling or self.about()

    @property
    def is_plain(self) -> bool:
        """Whether inputs and outputs are those of ``ArrayTask``, not of a class that changes them or has settings."""
        own = type(self)
        same = own.prepare is ArrayTask.prepare and own.in_units is ArrayTask.in_units
        return same and not fields_of(own.Config)

    def constants(self) -> Mapping[str, Sequence[float]]:
        return self.about().constants()

    def restore(self, constants: Mapping[str, Sequence[float]]) -> None:
        self._scaling = Scaling.of_constants(constants)

    def loss(self, output: Tensor, targets: Tensor) -> Tensor:
        return nn.functional.mse_loss(output, targets) if targets.is_floating_point() else super().loss(output, targets)

    def score(self, output: Tensor, targets: Tensor) -> float:
        return r2(output, targets) if targets.is_floating_point() else super().score(output, targets)

    def in_units(self, output: Tensor) -> Tensor:
        scaling = self._scales()
        return scaling.in_units(output) if len(scaling.mean) else output

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


def array_task(name: str, read: Callable[[], object], *, sequences: bool = False) -> type[ArrayTask]:
    """Make a task of arrays of your own, to be registered from a file in ``--plugins-dir``.

    Args:
        name: what it is called; lower case, words joined by ``-``.
        read: returns ``(inputs, targets)`` or a data set, as ``ArrayTask.read`` does. Paths in it must be absolute:
            workers call it too.
        sequences: whether inputs ``(N, L, F)`` or ``(N, L)`` are sequences, rather than grey images or features.

    Example:
        >>> blank = array_task("blank", lambda: (np.zeros((10, 28, 28), np.uint8), np.arange(10) % 2))
        >>> blank.quality, blank.layout
        ('accuracy', 'images')
    """
    words = "".join(word.capitalize() for word in name.split("-"))
    text = (read.__doc__ or f"Arrays read by {read.__module__}.").strip()
    body: dict[str, Any] = {"name": name, "read": staticmethod(read), "__doc__": text, "__module__": read.__module__}
    body |= {"inputs": "sequences"} if sequences else {}
    return type(words, (ArrayTask,), body)
