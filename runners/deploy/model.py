"""Inference with trained networks: from raw inputs to classes, values or images, without the training data."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from torch import Tensor

from spikefront.plugins import Registry, Task, load_registry
from spikefront.runners.deploy.description import Description
from spikefront.runners.deploy.rebuilding import compare_plugins, restore, with_arrays
from spikefront.runners.deploy.torch_file import read_archive
from spikefront.runners.failures import one_line
from spikefront.runners.judging.exits import outputs_with_exit, refuse_exits
from spikefront.runners.judging.network import Network, assemble
from spikefront.runners.judging.passes import affordable
from spikefront.runners.judging.seeding import fixed_randomness
from spikefront.runners.judging.training import decoded_outputs, prepared
from spikefront.searchspace import Candidate, UsageError, from_flat
from spikefront.searchspace.exits import Exit

if TYPE_CHECKING:
    from numpy.typing import NDArray

_EXACT: Final = 1 << 53
_TRIED: Final = 1000
_VISIBLE_STEP: Final = 1 / 256


class Model:
    """A trained network with its task's preparation of inputs.

    Args:
        description: its metadata.
        state: its weights, as the network's ``state_dict``.
        registry: contains its plugins.
        device: where it computes.

    Attributes:
        description: its metadata.
        candidate: its candidate.
        metrics: measurements on the validation split after its training.
        network: the network, in eval mode.
        exit: rule by which it stops early, sample by sample; None for none.

    Raises:
        UsageError: when a plugin is missing, or weights, constants or the exit don't fit what the plugins build here.

    Warns:
        UserWarning: when a plugin has another version than at its training.
    """

    def __init__(
        self,
        description: Description,
        state: Mapping[str, Tensor],
        registry: Registry,
        device: torch.device | str = "cpu",
    ) -> None:
        registry = with_arrays(description, registry)
        changed = compare_plugins(description, registry)
        self.description = description
        self.candidate: Candidate = from_flat(description.candidate, registry)
        self.metrics: dict[str, float] = dict(description.metrics)
        self._task = registry.task(self.candidate)
        restore(self._task, description)
        self._device = torch.device(device)
        try:
            network = self._built(registry, state)
        except RuntimeError as error:
            reason = " ".join(str(error).split()).partition(": ")[2] or one_line(error)
            versions = f"; of other versions: {', '.join(changed)}" if changed else ""
            raise UsageError(f"weights don't fit the network that plugins build here ({reason}){versions}") from error
        except UsageError:
            raise
        except Exception as error:  # a plugin may raise anything for a description that it does not fit
            raise UsageError(f"its plugins can't build it here ({one_line(error)[:200]})") from error
        self.network: Network = network.to(self._device).eval()
        self.exit = Exit.parse(description.exit) if description.exit else None
        if self.exit is not None:
            refuse_exits(self.network, self._task)

    def _built(self, registry: Registry, state: Mapping[str, Tensor]) -> Network:
        """Return the network with its weights; ``RuntimeError`` says which don't fit, before memory is taken."""
        shape, outputs = self.description.network_shape, self.description.outputs
        with fixed_randomness(0):  # initial weights are overwritten, but would move the caller's generator
            with warnings.catch_warnings(), torch.device("meta"):
                warnings.simplefilter("ignore")  # nothing is copied there
                whole = replace(self.candidate, cut=0)  # where it may be cut can depend on values
                assemble(whole, registry, shape, outputs).load_state_dict(dict(state))
            network = assemble(self.candidate, registry, shape, outputs)
        network.load_state_dict(dict(state))
        return network

    @property
    def task(self) -> Task:
        """Its task, with its settings."""
        return self._task

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes, by number; of classes without names their numbers; empty for other outputs."""
        numbers = range(self.description.outputs) if self.description.classes else ()
        return self.description.class_names or tuple(map(str, numbers))

    @property
    def generates(self) -> bool:
        """Whether the network generates images."""
        return self._task.output == "images"

    @property
    def takes_events(self) -> bool:
        """Whether its inputs are frames of events."""
        return self._task.inputs == "events"

    def logits(self, inputs: Tensor | NDArray[Any]) -> Tensor:
        """Return the decoded outputs.

        A random code is drawn from a fixed seed: the same inputs, in the same order, give the same outputs.

        Args:
            inputs: raw inputs like the task's data, ``(N, ...)``: for digits, ``(N, 1, 8, 8)`` of whole numbers from 0
                to 16; for recordings, frames ``(N, T, C, H, W)`` of numbers of events. A NumPy array is taken too.

        Returns:
            ``(N, K)`` floats, on the model's device: scores of classes, values in the unit that was learnt, or the
            logits of pixels. Of a network with an exit, those at the step after which each sample exits.

        Raises:
            UsageError: for inputs of another shape, dtype or range.
        """
        if self.exit is not None:
            return self._exited(inputs)[0]
        return decoded_outputs(self.network, self._prepared, self._checked(inputs))

    def predict_with_steps(self, inputs: Tensor | NDArray[Any]) -> tuple[Tensor, Tensor]:
        """Return what ``predict`` does, and the step after which it was known.

        A batch is computed over all steps, so it takes no less time here. A chip that is given one sample after the
        other stops at these steps.

        Args:
            inputs: raw inputs, as for ``logits``.

        Returns:
            The predictions, and the steps ``(N,)``, whole numbers: those of the exit; where there is none, T or the
            step at which the network is cut.

        Raises:
            UsageError: for inputs of another shape, dtype or range.
        """
        if self.exit is None:
            predicted = self.predict(inputs)
            steps = self.network.cut or self.network.coding.steps
            return predicted, torch.full((len(predicted),), steps, device=predicted.device)
        outputs, taken = self._exited(inputs)
        return outputs.argmax(1) if self.description.classes else self.in_units(outputs), taken

    def _exited(self, inputs: Tensor | NDArray[Any]) -> tuple[Tensor, Tensor]:
        assert self.exit is not None
        return outputs_with_exit(self.network, self._prepared, self._checked(inputs), self.exit)

    def predict(self, inputs: Tensor | NDArray[Any]) -> Tensor:
        """Return classes, values or reconstructions, whichever the task is about.

        Args:
            inputs: raw inputs, as for ``logits``.

        Returns:
            The class of each input, ``(N,)`` integers; or values ``(N, K)`` in the unit of the task's data; or, of a
            generating network, the inputs' reconstructions ``(N, C, H, W)`` in [0, 1].

        Raises:
            UsageError: for inputs of another shape, dtype or range.
        """
        outputs = self.logits(inputs)
        return outputs.argmax(1) if self.description.classes else self.in_units(outputs)

    def predict_names(self, inputs: Tensor | NDArray[Any]) -> list[str]:
        """Return the name of the class of each input, as ``class_names`` has them.

        Args:
            inputs: raw inputs, as for ``logits``.

        Raises:
            UsageError: for inputs of another shape, dtype or range, and where there are no classes.
        """
        names = self.class_names
        if not names:
            raise UsageError(f"task {self._task.name!r} has no classes; use predict(inputs)")
        return [names[number] for number in self.predict(inputs).tolist()]

    def sample(self, count: int, *, seed: int = 0) -> Tensor:
        """Return random images of a generating network.

        Args:
            count: number of images, at least 1.
            seed: seed of the draws; it determines the images on a given kind of device.

        Returns:
            ``(count, C, H, W)`` floats in [0, 1], on the model's device.

        Raises:
            UsageError: when the network does not generate images, or for a count below 1.
        """
        if not self.generates:
            raise UsageError(f"task {self._task.name!r} does not generate images; use predict(inputs)")
        if count < 1:
            raise UsageError(f"sample({count}): the number of images must be at least 1")
        most = affordable(self.candidate.steps)
        with torch.no_grad(), fixed_randomness(seed):
            drawn = [self.network.sample(min(most, count - done)) for done in range(0, count, most)]
        return self.in_units(torch.cat(drawn))

    def in_units(self, outputs: Tensor) -> Tensor:
        """Return decoded outputs ``(N, K)`` as values in the unit of the data, or as images ``(N, C, H, W)``."""
        return _in_units(self._task, self.description.network_shape, outputs)

    def _checked(self, inputs: object) -> Tensor:
        """Return the inputs in shape and dtype of the task's data, on the device."""
        given = _tensor(inputs)
        shape, name = self.description.input_shape, self.description.candidate["task"]
        if given.dim() != len(shape) + 1 or given.shape[1:] != shape or len(given) == 0:
            expected, hint = ", ".join(["N", *map(str, shape)]), self._hint(tuple(given.shape))
            raise UsageError(
                f"inputs of shape {tuple(given.shape)}: task {name!r} has ({expected}), N at least 1{hint}"
            )
        dtype: torch.dtype = getattr(torch, self.description.input_dtype)
        kind = str(given.dtype).removeprefix("torch.")
        if given.dtype != dtype and not _is_taken(given, dtype, is_image=len(shape) > 1):
            raise UsageError(f"inputs of dtype {kind}: task {name!r} has {self.description.input_dtype}")
        cast = given.to(dtype)
        if dtype == torch.float64 and given.dtype in (torch.float32, torch.float16, torch.bfloat16):
            self._refuse_rounded(given[:_TRIED])
        if dtype.is_floating_point and not bool((finite := cast.isfinite().flatten(1).all(1)).all()):
            first = int(finite.int().argmin())
            raise UsageError(f"inputs hold numbers that are NaN or infinite, the first in sample {first}")
        return cast.to(self._device)

    def _refuse_rounded(self, given: Tensor) -> None:
        """Refuse inputs whose dtype has steps so large that the network sees them."""
        above, below = (torch.nextafter(given, torch.full_like(given, end)) for end in (math.inf, -math.inf))
        step = (self._task.prepare(above.double()) - self._task.prepare(below.double())).abs().max() / 2
        if step > _VISIBLE_STEP:
            kind = str(given.dtype).removeprefix("torch.")
            raise UsageError(
                f"inputs of dtype {kind}: at their size it has steps of {float(step):.2g} of the range of task "
                f"{self._task.name!r}; give float64"
            )

    def _hint(self, given: tuple[int, ...]) -> str:
        """Return a hint at the mistake in a shape; empty if none is known."""
        shape = self.description.input_shape
        if given == shape:
            return "; one input needs a leading axis of 1"
        if self.takes_events and len(given) == len(shape) + 1 and given[2:] == shape[1:]:
            return f"; this network takes T = {shape[0]} frames"
        if len(shape) == 3 and given[1:] == (*shape[1:], shape[0]):
            return "; channels come first: numpy.moveaxis(inputs, -1, 1)"
        return ""

    def _prepared(self, batch: Tensor) -> Tensor:
        x = prepared(self._task, batch)
        name, (low, high) = self.description.candidate["task"], (float(x.min()), float(x.max()))
        if self.takes_events:
            if not (low >= 0 and torch.equal(x, x.round())):
                raise UsageError(f"inputs out of range: task {name!r} has numbers of events, whole and at least 0")
        elif not 0 <= low <= high <= 1:  # NaN too
            scaled = f"scaled as task {name!r} does, they reach from {low:g} to {high:g}"
            raise UsageError(f"inputs out of range: {scaled}, and must be within 0 and 1")
        return x

    def raw_to_outputs(self) -> torch.nn.Module:
        """Return a module from raw inputs to the outputs of ``predict``, or scores of classes ``(N, K)``, unchecked."""
        return _RawToOutputs(self._task, self.network, self.description.network_shape)


class _RawToOutputs(torch.nn.Module):
    def __init__(self, task: Task, network: Network, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.task = task
        self.network = network
        self.shape = shape

    def forward(self, inputs: Tensor) -> Tensor:
        return _in_units(self.task, self.shape, self.network(self.task.prepare(inputs)))


def _in_units(task: Task, shape: tuple[int, ...], outputs: Tensor) -> Tensor:
    """Return decoded outputs in the unit of the data, images as ``(N, C, H, W)``."""
    values = task.in_units(outputs)
    return values.unflatten(1, shape) if task.output == "images" else values


def _is_taken(given: Tensor, dtype: torch.dtype, *, is_image: bool) -> bool:
    """Return whether inputs mean the same in the dtype of the data."""
    if given.is_floating_point() or not dtype.is_floating_point:
        return given.is_floating_point() == dtype.is_floating_point and (
            given.is_floating_point() or torch.equal(given.to(dtype).to(given.dtype), given)
        )
    if is_image and given.dtype == torch.uint8:  # pixels up to 255, where the data may have had them up to 1
        return False
    return float(given.double().abs().max()) <= _EXACT


def _tensor(inputs: object) -> Tensor:
    try:
        if isinstance(inputs, (list, tuple)) or hasattr(inputs, "to_numpy"):
            inputs = np.asarray(inputs)  # torch would make lists of Python's floats float32
        if isinstance(inputs, np.ndarray):
            inputs = np.require(inputs, requirements=["C", "W"])  # torch accepts no others
        return torch.as_tensor(inputs)
    except (TypeError, ValueError, RuntimeError) as error:
        kind = type(inputs).__name__ + (f" of {inputs.dtype}" if isinstance(inputs, np.ndarray) else "")
        raise UsageError(f"inputs are a {kind}; give a tensor or a NumPy array of numbers, (N, ...)") from error


Folders = str | PathLike[str] | Sequence[str | PathLike[str]]


def load(
    path: str | PathLike[str],
    *,
    plugins_dir: Folders = (),
    registry: Registry | None = None,
    device: torch.device | str = "cpu",
    plugin_dirs: Folders | None = None,
) -> Model:
    """Load a network that ``spikefront export --format torch`` wrote. Nothing in the file is executed.

    Args:
        path: the file.
        plugins_dir: folder, or several, whose ``.py`` files are plugins of the network.
        registry: the plugins; None for those that are installed and those of ``plugins_dir``.
        device: where the network computes.
        plugin_dirs: deprecated name of ``plugins_dir``.

    Raises:
        UsageError: when the file is missing, cut short, changed or of another kind, when a plugin is missing, or when
            the weights don't fit the network that the plugins build here.

    Warns:
        UserWarning: when a plugin has another version than at the network's training.
        DeprecationWarning: for ``plugin_dirs``.
    """
    if plugin_dirs is not None:
        warnings.warn("load(plugin_dirs=...) is now load(plugins_dir=...)", DeprecationWarning, stacklevel=2)
        plugins_dir = plugin_dirs
    path = Path(path)
    text, state = read_archive(path)
    try:
        description = Description.from_json(text)
    except (ValueError, TypeError) as error:
        raise UsageError(f"{path} has a description that this spikefront can't read: {error}") from error
    folders = [plugins_dir] if isinstance(plugins_dir, (str, PathLike)) else plugins_dir
    registry = registry or load_registry([Path(folder) for folder in folders])
    try:
        return Model(description, state, registry, device)
    except UsageError as error:
        raise UsageError(f"{path}: {error.on_command_line()}") from error
