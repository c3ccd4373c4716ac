"""Final evaluation: trained on training and validation split together, measured on the test split."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NotRequired, TypedDict, Unpack

import torch
from torch import Tensor

from spikefront.plugins import Data, EnergyModel, Registry, SearchData, Task
from spikefront.runners.judging.judge import Judging, refuse_infinite
from spikefront.runners.judging.training import split_outputs
from spikefront.searchspace import Candidate

RIGHT: Final = "right"
"""Key of which samples were classified correctly, beside the metrics of ``judge_by_sample``."""


class Conditions(TypedDict):
    """Conditions under which a candidate is trained again.

    Attributes:
        registry: where its plugins are looked up.
        data: what ``confirmation_data`` returned, or the splits of a search.
        energy_model: what prices the operations.
        device: where to train; the CPU by default.
        ann_cache: folder in which the ANNs of conversion codings are kept; none by default.
    """

    registry: Registry
    data: SearchData
    energy_model: EnergyModel
    device: NotRequired[torch.device | str]
    ann_cache: NotRequired[Path | None]


def confirmation_data(task: Task, data_dir: Path | None, steps: int, *, alone: bool = False) -> SearchData:
    """Read a task's data for confirming, and for twins of what was confirmed. The test split is read nowhere else.

    Args:
        task: the task.
        data_dir: folder with the user's data.
        steps: number of time steps T; only event tasks need it.
        alone: whether to train on the training split alone, as a search does.

    Returns:
        Training and validation samples as ``train``, or training samples alone; test samples as ``validation``.
    """
    known = task.search_data(data_dir, steps)
    if alone:
        return replace(known, validation=task.test_data(data_dir, steps))
    inputs = _joined(known.train.inputs, known.validation.inputs)
    generated = known.train.targets is known.train.inputs  # kept once, as the task does
    targets = inputs if generated else _joined(known.train.targets, known.validation.targets)
    return SearchData(Data(inputs, targets), task.test_data(data_dir, steps), known.outputs, known.classes)


def _joined(one: Tensor, other: Tensor) -> Tensor:
    """Return the samples of both: the same memory where the second's follow the first's, as in a mapped file."""
    follows = (
        one.untyped_storage().data_ptr() == other.untyped_storage().data_ptr()
        and one.is_contiguous()
        and other.is_contiguous()
        and other.storage_offset() == one.storage_offset() + one.numel()
        and (one.dtype, one.shape[1:]) == (other.dtype, other.shape[1:])
    )
    return one.as_strided((len(one) + len(other), *one.shape[1:]), one.stride()) if follows else torch.cat([one, other])


def judge_for_good(
    candidate: Candidate,
    seed: int,
    *,
    cuts: Sequence[int] = (0,),
    **conditions: Unpack[Conditions],
) -> dict[int, Mapping[str, float]]:
    """Train a candidate at full budget under a seed, and measure it once, at the end.

    Args:
        candidate: the candidate; its own cut does not count.
        seed: seed of every random source, in place of the candidate's own.
        cuts: the steps after which its network is stopped and measured; 0 for the network that runs all T.
        conditions: see ``Conditions``.

    Returns:
        By cut the metrics of ``Judging.epoch``, of the test split, or of what else ``data`` has for validation; without
        those of a cut where they are not finite.

    Raises:
        FloatingPointError: when its training diverges.
    """
    _, found = _trained(candidate, seed, conditions)
    return {cut: found[cut] for cut in cuts if cut in found}


def judge_by_sample(
    candidate: Candidate,
    seed: int,
    *,
    cuts: Sequence[int] = (0,),
    **conditions: Unpack[Conditions],
) -> dict[int, Mapping[str, Any]]:
    """Train and measure a candidate as ``judge_for_good`` does, and say which samples it classifies correctly.

    Returns:
        By cut the metrics and, where quality is the share of correct samples, ``right``: whether each of the validation
        split is, a list of bool.
    """
    judging, found = _trained(candidate, seed, conditions)
    task, network, validation = conditions["registry"].task(candidate), judging.network, conditions["data"].validation
    found = {cut: found[cut] for cut in cuts if cut in found}
    if not task.classifies():
        return found
    said: dict[int, Mapping[str, Any]] = {}
    for cut, metrics in found.items():
        with network.cut_at(cut) if cut else nullcontext():
            outputs, targets = split_outputs(network, task, validation).cpu(), validation.targets.cpu()
        right = (outputs.argmax(1) == targets).tolist()
        is_accuracy = math.isclose(sum(right) / len(right), metrics["quality"], abs_tol=1e-9)
        said[cut] = {**metrics, RIGHT: right} if is_accuracy else metrics
    return said


def _trained(candidate: Candidate, seed: int, conditions: Conditions) -> tuple[Judging, dict[int, Mapping[str, float]]]:
    """Return a candidate trained at full budget, and what was measured of it by cut."""
    judging = Judging(replace(candidate, seed=seed, cut=0), **conditions)
    for _ in range(candidate.training.schedule.epochs - 1):
        if not judging.converts:
            refuse_infinite({"loss": judging.train()}, judging.epochs_done)
    metrics = judging.epoch()
    refuse_infinite(metrics, judging.epochs_done)
    return judging, {0: metrics, **judging.points}
