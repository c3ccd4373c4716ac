"""Early exit by confidence: which sample stops after which step, and what that saves.

Outputs ``y_t`` are those of the network stopped after step t, for the steps of ``Network.cuts`` and T. A rule of
``spikefront.searchspace.exits`` is looked at after each of them but T, where every sample ends. Energy is counted
sample by sample: what the network does until it is stopped there, with what layers before do meanwhile where neurons
lag, and a check at each step at which it was looked at::

    gap            2K - 3 additions: the largest two of K outputs, and their difference
    max, entropy   K products for a table of the exponential, K additions, K comparisons

Thresholds are chosen on the validation split. On a GPU, a batch saves nothing: all of its samples run together. A chip
that sees one sample after the other saves what is said here.

Reference: Li et al., "SEENN", NeurIPS (2023), for ``max``; Li et al., "Input-aware dynamic timestep spiking neural
networks", DAC (2023), for ``entropy``; Li, Jones & Furber, "Unleashing the potential of spiking neural networks with
dynamic confidence", ICCV (2023), for choosing the threshold on data that were not trained on. Counting the checks, and
the steps that pipelined layers run in vain, is ours.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import torch
from torch import Tensor

from spikefront.plugins import Data, EnergyModel, LayerCount, Operations, Task
from spikefront.plugins.network.traffic import Traffic
from spikefront.runners.judging.counting import count_samples
from spikefront.runners.judging.measuring import MEASURING_SAMPLES, MEASURING_SEED, measuring_batch
from spikefront.runners.judging.network import Network
from spikefront.runners.judging.training import evenly, outputs_at, prepared
from spikefront.searchspace import UsageError
from spikefront.searchspace.exits import EXIT_RULES, Exit, ExitRule

TOLERANCE: Final = 0.001
"""Quality that an exit may cost by default: a tenth of a point of accuracy."""

THRESHOLDS: Final = 64
"""Thresholds of a rule that are tried: quantiles of the confidences of the validation split, rounded."""

_DIGITS: Final = 4


@dataclass(frozen=True, slots=True)
class ExitPoint:
    """What a network achieves on a split.

    Attributes:
        exit: its rule; None for the network that stops after the same step for all samples.
        quality: on the whole split.
        energy_nj: mean over the samples whose operations were counted, checks included.
        steps: mean step after which a sample ends, over the whole split.
        latency_steps: the same with the steps by which the output lags.
        most_steps: the step after which the last sample ends.
    """

    exit: Exit | None
    quality: float
    energy_nj: float
    steps: float
    latency_steps: float
    most_steps: int


@dataclass(frozen=True, slots=True)
class ExitCurves:
    """Fixed numbers of steps and exits of one network.

    Attributes:
        fixed: the network stopped after the same step for all samples, by steps; the last is the whole network.
        exits: by rule, exits from the earliest to the latest.
        tolerance: quality below that of the whole network that was allowed.
        maximize: whether more quality is better.
        chosen: of all exits within the tolerance, that of least energy; None where there is none.
        best_fixed: of all fixed steps within the tolerance, those of least energy.
        tested: ``chosen``, ``best_fixed`` and the whole network on the test split, in this order; empty where it was
            not read.
    """

    fixed: tuple[ExitPoint, ...]
    exits: Mapping[ExitRule, tuple[ExitPoint, ...]]
    tolerance: float
    maximize: bool
    chosen: ExitPoint | None
    best_fixed: ExitPoint
    tested: tuple[ExitPoint, ...] = ()

    @property
    def saves(self) -> float:
        """Share of the energy of ``best_fixed`` that ``chosen`` saves; negative where it costs more."""
        return -math.inf if self.chosen is None else 1 - self.chosen.energy_nj / self.best_fixed.energy_nj


def confidence(outputs: Tensor, rule: ExitRule) -> Tensor:
    """Return how sure outputs ``(..., K)`` are by a rule, ``(...)``; by ``entropy`` how unsure.

    Example:
        >>> confidence(torch.tensor([3.0, 0.5, 0.0]), "gap")
        tensor(2.5000)
    """
    if rule == "gap":
        first, second = outputs.topk(2, dim=-1).values.unbind(-1)
        return first - second
    logs = outputs.log_softmax(-1)
    if rule == "max":
        return logs.amax(-1).exp()
    entropy: Tensor = -(logs.exp() * logs).sum(-1) / math.log(outputs.shape[-1])
    return entropy


def exit_places(confidences: Tensor, exit: Exit) -> Tensor:
    """Return the first place at which each sample may exit, ``(N,)``; the last where it never may.

    Args:
        confidences: of the outputs at each place, ``(places, N)``.
        exit: the rule, by which ``confidences`` were made.
    """
    sure = confidences <= exit.threshold if exit.rule == "entropy" else confidences >= exit.threshold
    sure[-1] = True
    return sure.int().argmax(0)


def check_operations(rule: ExitRule, outputs: int) -> Operations:
    """Return the operations of one look at ``outputs`` outputs; a comparison counts as an addition."""
    if rule == "gap":
        return Operations(adds=2 * outputs - 3)
    return Operations(adds=2 * outputs, multiplies=outputs)


def exit_energies(energies: Tensor, check_nj: float, places: Tensor) -> Tensor:
    """Return the energy of each sample, ``(N,)``.

    Args:
        energies: of each sample, when it is stopped at each place, ``(N, places)``.
        check_nj: price of a check, of which there is one at each place but the last.
        places: where each sample exits, from 0, ``(N,)``.
    """
    checks = (places + 1).clamp(max=energies.shape[1] - 1).double()
    return energies.gather(1, places.unsqueeze(1)).squeeze(1) + check_nj * checks


class Exits:
    """A trained network on a split, at every step after which it may end.

    Args:
        network: the network, not cut.
        task: its task, of classes.
        data: the split.
        energy_model: what prices the operations.

    Attributes:
        ends: the steps.
        outputs: decoded outputs of the split when the network ends after each of them, ``(places, N, K)``.
        energies: nanojoules of each counted sample by place, ``(M, places)``: of all samples, or of evenly spaced ones.

    Raises:
        UsageError: for a task without classes, and a network that is cut or that has one place to end only.
    """

    def __init__(self, network: Network, task: Task, data: Data, energy_model: EnergyModel) -> None:
        refuse_exits(network, task)
        self._network, self._task, self._targets = network, task, data.targets
        self._model = energy_model
        self.ends = (*network.cuts, network.coding.steps)
        found = outputs_at(network, partial(prepared, task), data.inputs, self.ends)
        self.outputs = torch.stack([found[end] for end in self.ends]).to(data.targets.device)
        batch = measuring_batch(task, data, network.device)
        self._counts = count_samples(network, batch, self.ends, traffic=energy_model.reads_traffic, seed=MEASURING_SEED)
        priced = [[energy_model.energy_nj(counts) for counts in sample] for sample in self._counts]
        self.energies = torch.tensor(priced, dtype=torch.float64)
        self._counted = evenly(torch.arange(len(data)), MEASURING_SAMPLES)

    def check_nj(self, rule: ExitRule) -> float:
        """Return the price of one check, as the energy model has it for additions and multiplications of a read-out."""
        plain = self._counts[0][-1]
        operations = check_operations(rule, self.outputs.shape[2])
        traffic = Traffic() if self._model.reads_traffic else None
        checked = replace(
            plain, layers=(*plain.layers, LayerCount("exit", "readout", operations=operations, traffic=traffic))
        )
        return self._model.layer_energy_nj(checked)["exit"]

    def fixed(self) -> tuple[ExitPoint, ...]:
        """Return what the network achieves when all samples end after the same step."""
        return tuple(self._point(None, torch.full((self.outputs.shape[1],), place)) for place in range(len(self.ends)))

    def at(self, exit: Exit) -> ExitPoint:
        """Return what the network achieves with an exit."""
        return self._point(exit, exit_places(confidence(self.outputs, exit.rule), exit).cpu())

    def curve(self, rule: ExitRule, most: int = THRESHOLDS) -> tuple[ExitPoint, ...]:
        """Return what it achieves with thresholds of a rule, from those that let most samples exit early."""
        confidences = confidence(self.outputs, rule)
        known = confidences[:-1].flatten().double().cpu()
        thresholds = known[known.isfinite()].sort().values
        at = torch.linspace(0, max(0, len(thresholds) - 1), most).round().long().unique()
        chosen = {float(f"{threshold:.{_DIGITS}g}") for threshold in thresholds[at].tolist()}
        points = [
            self._point(exit, exit_places(confidences, exit).cpu())
            for exit in (Exit(rule, threshold) for threshold in sorted(chosen) if threshold >= 0)
        ]
        return tuple(sorted(points, key=lambda point: point.steps))

    def _point(self, exit: Exit | None, places: Tensor) -> ExitPoint:
        taken = self.outputs[places.to(self.outputs.device), torch.arange(len(places), device=self.outputs.device)]
        quality = self._task.measure(self._network, taken, self._targets)["quality"]
        ends, of_counted = torch.tensor(self.ends), places[self._counted]
        energies = self.energies.gather(1, of_counted.unsqueeze(1)).squeeze(1)
        if exit is not None:
            energies = exit_energies(self.energies, self.check_nj(exit.rule), of_counted)
        steps, delay = float(ends[places].double().mean()), self._counts[0][-1].delay
        latest = int(ends[places].max())
        return ExitPoint(exit, quality, float(energies.mean()), steps, steps + delay, latest)


def refuse_exits(network: Network, task: Task) -> None:
    """Raise ``UsageError`` for a network that has no exits: its task is not of classes, or it can't be cut."""
    if not task.classifies():
        raise UsageError(f"exits: task {task.name!r} has no classes whose scores say how sure they are")
    if network.cut:
        whole = f"take that of all steps, without @{network.cut}"
        raise UsageError(f"exits: the network is cut at {network.cut} already; {whole}")
    if not network.cuts:
        raise UsageError(
            f"exits: coding {network.coding.name!r}, as it is set up, can't be stopped before its last step"
        )


def exit_curves(
    network: Network,
    task: Task,
    validation: Data,
    energy_model: EnergyModel,
    *,
    tolerance: float = TOLERANCE,
    rules: Sequence[ExitRule] = EXIT_RULES,
    test: Data | None = None,
) -> ExitCurves:
    """Compare exits of a trained network with fixed numbers of steps.

    Args:
        network: the network, not cut, which stays in eval mode.
        task: its task, of classes.
        validation: the split by which an exit is chosen.
        energy_model: what prices the operations.
        tolerance: quality below that of the whole network that an exit, or fewer steps, may have.
        rules: the rules.
        test: a split on which what was chosen is measured.

    Raises:
        UsageError: for a network that has no exits.
    """
    found = Exits(network, task, validation, energy_model)
    fixed, exits = found.fixed(), {rule: found.curve(rule) for rule in rules}
    least = _within(fixed[-1].quality, tolerance, task.maximize)
    allowed = [point for curve in exits.values() for point in curve if least(point.quality)]
    chosen = min(allowed, key=lambda point: point.energy_nj, default=None)
    best_fixed = min((point for point in fixed if least(point.quality)), key=lambda point: point.energy_nj)
    tested: tuple[ExitPoint, ...] = ()
    if test is not None:
        there = Exits(network, task, test, energy_model)
        ends = there.fixed()
        kept = [] if chosen is None or chosen.exit is None else [there.at(chosen.exit)]
        tested = (*kept, ends[fixed.index(best_fixed)], ends[-1])
    return ExitCurves(fixed, exits, tolerance, task.maximize, chosen, best_fixed, tested)


def _within(quality: float, tolerance: float, maximize: bool) -> Callable[[float], bool]:
    if maximize:
        return lambda other: other >= quality - tolerance - 1e-12
    return lambda other: other <= quality + tolerance + 1e-12


def outputs_with_exit(
    network: Network, prepare: Callable[[Tensor], Tensor], inputs: Tensor, exit: Exit
) -> tuple[Tensor, Tensor]:
    """Return decoded outputs ``(N, K)`` of raw inputs at the step after which each exits, and these steps ``(N,)``."""
    ends = (*network.cuts, network.coding.steps)
    found = outputs_at(network, prepare, inputs, ends)
    outputs = torch.stack([found[end] for end in ends])
    places = exit_places(confidence(outputs, exit.rule), exit)
    taken = outputs[places, torch.arange(len(places), device=places.device)]
    return taken, torch.tensor(ends, device=places.device)[places]
