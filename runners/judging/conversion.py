"""Conversion of a trained ANN to a spiking network, and the cache of trained ANNs."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from torch import Tensor

from spikefront.plugins import Data, Registry, Task
from spikefront.plugins.bases.conversion import Conversion
from spikefront.plugins.data.digest import digest_of
from spikefront.plugins.kinds import FAMILY_KINDS
from spikefront.plugins.registry import own_version
from spikefront.runners.judging.network import Network, assemble_ann
from spikefront.runners.judging.seeding import seed_everything
from spikefront.runners.judging.training import Trainer, evenly, prepared
from spikefront.searchspace import Candidate
from spikefront.searchspace.targets import replaced

CALIBRATION_SAMPLES = 512
"""Number of training samples, evenly spaced, on which activations are measured."""


class Converter:
    """Conversion of a candidate's ANN into its spiking network.

    Args:
        candidate: the candidate.
        network: its spiking network, whose weights and scales are written.
        registry: contains its plugins.
        task: the task.
        train: the training split.
        shape: shape of one input.
        outputs: number of outputs.
        read: the training split as it was read, by which the ANN's file is named; it may be on another device.
        cache: folder of trained ANNs, shared with other candidates; None for none.
    """

    def __init__(
        self,
        candidate: Candidate,
        network: Network,
        *,
        registry: Registry,
        task: Task,
        train: Data,
        shape: tuple[int, ...],
        outputs: int,
        read: Data,
        cache: Path | None,
    ) -> None:
        self._candidate = candidate
        self._network = network
        self._registry = registry
        self._read = read
        self._task = task
        self._train = train
        self._cache = cache
        seed_everything(candidate.seed)  # the ANN depends on no draw of the coding
        assert isinstance(network.coding, Conversion)
        self._coding: Conversion = network.coding
        self.ann = assemble_ann(candidate, registry, shape, outputs, self._coding).to(network.device)
        self.trained_here = False

    def run(self) -> float:
        """Train the ANN, or read it from the cache, then convert it.

        Returns:
            The last epoch's training loss of the ANN.
        """
        path = ann_file(self._cache, self._candidate, self._read, self._registry, self._coding.trained_with)
        loss, self.trained_here = train_once(self._candidate, self.ann, self._task, self._train, path)
        self._convert()
        return loss

    @torch.no_grad()
    def _convert(self) -> None:
        coding = self._coding
        wrong = self._network.backbone.load_state_dict(self.ann.backbone.state_dict(), strict=False)
        assert not wrong.unexpected_keys
        self.ann.eval()
        for activations, site in zip(self._activations(), self._network.sites, strict=True):
            assert site.scale is not None
            coding.calibrate(site.scale, activations)
        few = prepared(self._task, evenly(self._train.inputs, 2).to(self._network.device))
        self._network.eval()
        coding.settle(self._network.backbone, lambda: self._network(few))

    def _activations(self) -> list[Tensor]:
        """Return the output of each site of the ANN on the calibration set, ``(B, C, ...)``."""
        outputs: list[Tensor] = []
        hooks = [
            site.register_forward_hook(lambda module, args, out: outputs.append(out.values[0]))
            for site in self.ann.sites
        ]
        run_calibration(self.ann, self._task, self._train)
        for hook in hooks:
            hook.remove()
        return outputs


def run_calibration(network: Network, task: Task, train: Data) -> None:
    """Run a network on the calibration set, for the sake of its hooks."""
    network(prepared(task, evenly(train.inputs, CALIBRATION_SAMPLES).to(network.device)))


def train_once(
    candidate: Candidate, network: Network, task: Task, train: Data, path: Path | None
) -> tuple[float, bool]:
    """Train an ANN for all epochs of a candidate's schedule, or read it from a file.

    Of several processes with the same file the first trains, and the others wait for it.

    Args:
        candidate: the candidate, with schedule and seed.
        network: the result of ``assemble_ann``; its weights are written.
        task: the task.
        train: the training split.
        path: the file, see ``ann_file``; None for none.

    Returns:
        The last epoch's training loss, or the first that is not finite, and whether it was trained by this call.
    """
    if path is None:
        return _fit(candidate, network, task, train), True
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        if path.exists():
            known = _read(path, network)
            if known is not None:
                return known, False
        loss = _fit(candidate, network, task, train)
        with replaced(path) as part:
            torch.save({"state": network.state_dict(), "loss": loss}, part)
        return loss, True


def _read(path: Path, network: Network) -> float | None:
    """Read the weights of a trained network, and return its loss; None, and nothing is read, of a damaged file."""
    try:
        stored: dict[str, Any] = torch.load(path, weights_only=True, map_location=network.device)
        loss, shapes = float(stored["loss"]), {name: value.shape for name, value in network.state_dict().items()}
        if {name: value.shape for name, value in stored["state"].items()} != shapes:
            return None
        network.load_state_dict(stored["state"])
    except Exception:  # torch raises anything for a damaged file, which is trained anew
        return None
    return loss


def _fit(candidate: Candidate, network: Network, task: Task, train: Data) -> float:
    trainer = Trainer(network, task, train, candidate.training, candidate.seed)
    loss = 0.0
    for _ in range(candidate.training.schedule.epochs):
        loss = trainer.epoch()
        if not math.isfinite(loss):
            break
    return loss


def ann_file(
    cache: Path | None, candidate: Candidate, train: Data, registry: Registry, trained_with: Sequence[str] = ()
) -> Path | None:
    """Return the file of a candidate's ANN in a cache; None without one.

    Args:
        cache: folder of trained ANNs, shared with other candidates.
        candidate: the candidate.
        train: the training split, as it was read.
        registry: contains its plugins.
        trained_with: that of the conversion for which it is trained; nothing for one with rectifiers.
    """
    return None if cache is None else cache / f"{ann_key(candidate, train, registry, trained_with)}.pt"


def ann_key(candidate: Candidate, train: Data, registry: Registry, trained_with: Sequence[str] = ()) -> str:
    """Return a name for the ANN of a candidate: a hash of everything its training depends on, not of the conversion.

    That is the candidate without its coding and neuron, but for what ``trained_with`` names of them, the versions of
    the plugins that are trained or train, the version of spikefront, and each byte of the training split.
    """
    flat: Mapping[str, Any] = candidate.flat()
    used = {
        name: value
        for name, value in flat.items()
        if name.partition(".")[0] in ("task", "backbone", "training", "seed")
        and not name.startswith("training.surrogate")
    }
    used |= {name: flat[name] for name in trained_with}
    versions = registry.versions()
    names = [f"{kind.name}.{used[family]}" for family, kind in FAMILY_KINDS.items() if family in used]
    key = {**used, "versions": {name: versions[name] for name in names}, "spikefront": own_version()}
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode())
    for tensor in (train.inputs, train.targets):
        digest.update(digest_of(tensor).encode())
    return f"{candidate.backbone.name}-{digest.hexdigest()[:16]}"
