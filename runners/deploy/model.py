"""Trained networks in use: raw inputs in, classes or values out."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from spikefront.plugins import Registry, Task, load_registry
from spikefront.runners.deploy.archive import read_archive
from spikefront.runners.deploy.description import Description
from spikefront.runners.judging.assembly import Network, assemble
from spikefront.runners.judging.training import decoded_outputs, prepared
from spikefront.runners.seeding import fixed_randomness
from spikefront.searchspace import Candidate, UsageError, from_flat

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Model:
    """A trained network with its task's way of reading inputs.

    Args:
        description: what it is.
        state: its weights, as the network's ``state_dict``.
        registry: where its plugins are looked up.
        device: where it computes.

    Attributes:
        description: all that is known of it.
        candidate: what it was made from.
        metrics: what was measured on the validation split when it was trained.
        network: the network, in eval mode.

    Raises:
        UsageError: when a plugin is missing, or the weights don't fit the network that the plugins build here.

    Warns:
        UserWarning: when a plugin has another version than the one it was trained with.
    """

    def __init__(
        self,
        description: Description,
        state: Mapping[str, Tensor],
        registry: Registry,
        device: torch.device | str = "cpu",
    ) -> None:
        changed = _compare_plugins(description, registry)
        self.description = description
        self.candidate: Candidate = from_flat(description.candidate, registry)
        self.metrics: dict[str, float] = dict(description.metrics)
        self._task: Task = registry.get("task", self.candidate.task.name)(self.candidate.task.config)
        self._device = torch.device(device)
        with fixed_randomness(0):  # initial weights are overwritten, but would move the caller's generator
            network = assemble(self.candidate, registry, description.network_shape, description.outputs)
        try:
            network.load_state_dict(dict(state))
        except RuntimeError as error:
            reason = " ".join(str(error).split()).partition(": ")[2]
            versions = f"; of other versions: {', '.join(changed)}" if changed else ""
            raise UsageError(f"weights don't fit the network that plugins build here ({reason}){versions}") from error
        self.network: Network = network.to(self._device).eval()

    def logits(self, inputs: Tensor | NDArray[Any]) -> Tensor:
        """Return the decoded outputs.

        A random code is drawn from a fixed seed: the same inputs, in the same order, give the same outputs.

        Args:
            inputs: raw inputs as the task's data come, ``(N, ...)``: for digits, ``(N, 1, 8, 8)`` of whole numbers from
                0 to 16. A NumPy array is taken too.

        Returns:
            ``(N, K)`` floats, on the model's device.

        Raises:
            UsageError: for inputs of another shape, dtype or range.
        """
        return decoded_outputs(self.network, self._prepared, self._checked(inputs))

    def predict(self, inputs: Tensor | NDArray[Any]) -> Tensor:
        """Return the class of each input, ``(N,)`` integers, or the outputs ``(N, K)`` of a task that has no classes.

        Values are in the unit of the task's data.

        Args:
            inputs: raw inputs, as for ``logits``.

        Raises:
            UsageError: for inputs of another shape, dtype or range.
        """
        outputs = self.logits(inputs)
        return outputs.argmax(1) if self.description.classes else self._task.in_units(outputs)

    def _checked(self, inputs: Tensor | NDArray[Any]) -> Tensor:
        """Return the inputs in the shape and dtype in which the task's data come, on the device."""
        given = torch.as_tensor(inputs)
        shape, name = self.description.input_shape, self.description.candidate["task"]
        if given.dim() != len(shape) + 1 or given.shape[1:] != shape or len(given) == 0:
            wanted = ", ".join(["N", *map(str, shape)])
            more = "; one input needs a leading axis of 1" if given.shape == shape else ""
            raise UsageError(f"inputs of shape {tuple(given.shape)}: task {name!r} has ({wanted}), N at least 1{more}")
        dtype: torch.dtype = getattr(torch, self.description.input_dtype)
        if given.dtype != dtype:
            cast = given.to(dtype)
            if given.is_floating_point() != dtype.is_floating_point or not (
                given.is_floating_point() or torch.equal(cast.to(given.dtype), given)
            ):
                kind = str(given.dtype).removeprefix("torch.")
                raise UsageError(f"inputs of dtype {kind}: task {name!r} has {self.description.input_dtype}")
            given = cast
        return given.to(self._device)

    def _prepared(self, batch: Tensor) -> Tensor:
        x = prepared(self._task, batch)
        low, high = float(x.min()), float(x.max())
        if not 0 <= low <= high <= 1:  # NaN too
            name = self.description.candidate["task"]
            scaled = f"scaled as task {name!r} does, they reach from {low:g} to {high:g}"
            raise UsageError(f"inputs out of range: {scaled}, and must be within 0 and 1")
        return x

    def raw_to_logits(self) -> torch.nn.Module:
        """Return a module from a batch of raw inputs to decoded outputs, without any checks."""
        return _RawToLogits(self._task, self.network)


class _RawToLogits(torch.nn.Module):
    def __init__(self, task: Task, network: Network) -> None:
        super().__init__()
        self.task = task
        self.network = network

    def forward(self, inputs: Tensor) -> Tensor:
        out: Tensor = self.network(self.task.prepare(inputs))
        return out


def load(
    path: str | Path,
    *,
    plugin_dirs: Sequence[str | Path] = (),
    registry: Registry | None = None,
    device: torch.device | str = "cpu",
) -> Model:
    """Load a network that ``spikefront export --format torch`` wrote. Nothing in the file is executed.

    Args:
        path: the file.
        plugin_dirs: folders whose ``.py`` files are plugins, for a network that was trained with such.
        registry: plugins; found anew when None.
        device: where the network computes.

    Raises:
        UsageError: when the file is missing, cut short, changed or something else, when a plugin is missing, or when
            the weights don't fit the network that the plugins build here.

    Warns:
        UserWarning: when a plugin has another version than the one that the network was trained with.
    """
    path = Path(path)
    text, state = read_archive(path)
    try:
        description = Description.from_json(text)
    except (ValueError, TypeError) as error:
        raise UsageError(f"{path} has a description that this spikefront can't read: {error}") from error
    registry = registry or load_registry([Path(each) for each in plugin_dirs])
    try:
        return Model(description, state, registry, device)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error


def _compare_plugins(description: Description, registry: Registry) -> list[str]:
    """Return the plugins that have another version here, and warn of them.

    Raises:
        UsageError: when one is missing.
    """
    here = registry.versions()
    for key, wanted in description.plugins.items():
        if key not in here:
            kind, _, name = key.partition(".")
            reason = next((problem for problem in registry.problems.values() if name in problem), "")
            mend = reason or "install it, or give the folder with its file (--plugins-dir, plugin_dirs)"
            raise UsageError(f"{kind} {name!r} {wanted} is missing here: {mend}")
    changed = [
        f"{key} {here[key]} (was {wanted})" for key, wanted in description.plugins.items() if here[key] != wanted
    ]
    if changed:
        text = f"trained with other versions of its plugins, and may compute something else: {', '.join(changed)}"
        warnings.warn(text, UserWarning, stacklevel=4)
    return changed
