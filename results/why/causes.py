"""Rules by which the likely cause of a trial that did not learn is named, the first that holds."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from spikefront.plugins.stopping.silent import LEARNT_NOTHING, SATURATED
from spikefront.results.why.nearest import Neighbour, learnt_share
from spikefront.searchspace.retraining import INPUT, READOUT, LayerEpoch, Retraining, short
from spikefront.searchspace.trial import Trial
from spikefront.searchspace.units import format_quality

_NOT_FINITE: Final = re.compile(r"(quality|energy_nj|loss) is (nan|-?inf) at epoch \d+|weights are not finite")
_HUNG: Final = "(--epoch-timeout)"
_LOST: Final = "lost its worker"
_BROKEN_OFF: Final = ("the search broke off", "the search ended", "the driver died", "failed outside of the candidate")
_HALF: Final = 0.5
_FADED: Final = 1e-3
_FEW: Final = 0.05
_EXPLODED: Final = 2.0
_LARGE: Final = 100.0
_SHORT: Final = 0.1
_FAR: Final = 3.0
_FEW_STEPS: Final = 100
_LATENCY_STEPS: Final = 4


@dataclass(frozen=True, slots=True)
class Cause:
    """The likely cause of what became of a trial.

    Attributes:
        rule: name of the rule that found it.
        happened: what happened; a sentence without its full stop.
        change: what to change; the same, or empty where nothing is to be changed.
    """

    rule: str
    happened: str
    change: str = ""

    def __str__(self) -> str:
        return ". ".join(filter(None, (self.happened, self.change))) + "."


@dataclass(frozen=True)
class Case:
    """What is known of a trial.

    Attributes:
        trial: the trial, as it is stored.
        flat: its candidate, in its flat form, with typed values.
        chance: quality of the best constant output.
        best: the best possible quality.
        most: how far the best trial of its search came from chance (0) to the best possible quality (1).
        seen: its retraining; None where it was not trained again.
        near: the nearest trial that learnt; None where none did.
    """

    trial: Trial
    flat: Mapping[str, Any]
    chance: float
    best: float
    most: float
    seen: Retraining | None = None
    near: Neighbour | None = None

    @property
    def quality(self) -> float:
        """Its last quality, as stored or else as measured again; NaN where it has none."""
        history = self.seen.history if self.seen else ()
        return self.trial.metrics.get("quality", history[-1]["quality"] if history else math.nan)

    @property
    def learnt(self) -> float:
        """How far it came from chance (0) to the best possible quality (1)."""
        return learnt_share(self.quality, self.chance, self.best)

    @property
    def reason(self) -> str:
        """Why it ended, as stored or else as seen again; empty where it came to its end."""
        return self.trial.reason or (self.seen.reason if self.seen else "")

    @cached_property
    def last(self) -> Sequence[LayerEpoch]:
        """The layers after the last epoch."""
        return self.seen.at(self.seen.epochs) if self.seen else ()

    @property
    def losses(self) -> list[float]:
        """Training loss by epoch."""
        return [metrics["loss"] for metrics in self.seen.history] if self.seen else []

    @property
    def training_steps(self) -> int:
        """Training steps that were made."""
        return self.seen.steps * self.seen.epochs if self.seen else 0

    def of(self, family: str, field: str) -> tuple[str, Any]:
        """Return the flat name of a field of the plugin of a family, and its value; None where it has none."""
        name = f"{family}.{self.flat.get(family)}.{field}"
        return name, self.flat.get(name)

    def told(self, name: str) -> str:
        """Return a setting with its value here, and in the nearest trial that learnt where that differs."""
        here, there = self.flat.get(name), self.near.value(name) if self.near else None
        value = f"{here:.4g}" if isinstance(here, float) else f"{here}"
        if there is None or there == here or self.near is None:
            return f"{name} ({value} here)"
        other = f"{there:.4g}" if isinstance(there, float) else f"{there}"
        return f"{name} ({value} here, {other} in trial {self.near.trial.number})"


def hung(case: Case) -> Cause | None:
    """An epoch took longer than ``--epoch-timeout`` allows."""
    if _HUNG not in case.reason:
        return None
    place = case.reason.partition("it was in ")[2]
    where = f"mend the loop in {place}" if place else "look for a loop without an end in its plugins"
    return Cause("hung", f"It hung: {case.reason}", f"If it was merely slow, give --epoch-timeout more; else {where}")


def lost_worker(case: Case) -> Cause | None:
    """Its process was killed."""
    if not case.reason.startswith(_LOST):
        return None
    change = "If memory ran out, use fewer --workers, a smaller training.batch, or fewer steps or a smaller width here"
    return Cause("lost worker", f"It {case.reason}", change)


def broken_off(case: Case) -> Cause | None:
    """Its search or its driver ended before it did."""
    if not case.reason.startswith(_BROKEN_OFF):
        return None
    return Cause("broken off", f"It was broken off: {case.reason}", "It says nothing about the candidate: try it again")


def diverged(case: Case) -> Cause | None:
    """Quality, energy, loss or a weight became NaN or infinite."""
    if not _NOT_FINITE.search(case.reason):
        return None
    name, _ = case.of("training.optimizer", "lr")
    told = f"Training diverged: {case.reason.partition(': ')[2] or case.reason}"
    grown = [one for one in case.seen.layers if one.gradient > _LARGE] if case.seen else []
    if grown:
        first = min(grown, key=lambda one: (one.epoch, -one.gradient))
        told += f"; layer {short(first.layer)} had a gradient norm of {first.gradient:.3g} at epoch {first.epoch}"
    change = f"Lower the learning rate {case.told(name)}, by ten times at first"
    if not grown:
        change += "; if that does not help, look for a division by 0, or a logarithm of it, in a plugin"
    return Cause("NaN", told, change)


def raised(case: Case) -> Cause | None:
    """A plugin, or a library that it called, raised an exception."""
    failed, seen = case.trial.state == "FAIL", case.seen
    if not failed and not (seen and seen.reason):
        return None
    what = case.reason or "an exception of which nothing is stored"
    if seen is None:
        return Cause("exception", f"It raised {what}")
    if not seen.reason:
        told = f"It raised {what}, and did not when it was trained again here"
        return Cause("exception", told, "Look for what differs: memory, the machine, the version of a plugin")
    told = f"It raised {what}, in epoch {len(seen.history) + 1}"
    if not failed:
        told = f"It raised {seen.reason} when it was trained again here, as it did not in its search"
    return Cause("exception", told, f"Mend {seen.place}; its traceback is below" if seen.place else "")


def conversion(case: Case) -> Cause | None:
    """A trained ANN was good, and the network that it was converted to is not."""
    seen = case.seen
    if not seen or not seen.converted or not seen.history or "ann_quality" not in seen.history[-1]:
        return None
    reached = seen.history[-1]["ann_quality"]
    share = learnt_share(reached, case.chance, case.best)
    if share <= LEARNT_NOTHING or case.learnt >= _HALF * share:
        return None
    known = [one for one in seen.converted if not math.isnan(one.error)]
    worst = next((one for one in known if one.error > _HALF), max(known, key=lambda one: one.error, default=None))
    told = f"Its ANN reached {format_quality(reached)}, the converted network {format_quality(case.quality)}"
    if worst is None:
        return Cause("conversion", told, "Take more steps")
    told += (
        f"; layer {short(worst.layer)} carries {worst.carried:.3g} of a mean activation of {worst.activation:.3g} "
        f"(error {worst.error:.0%}, {worst.rate:.2g} spikes per neuron and step)"
    )
    percentile, _ = case.of("coding", "percentile")
    scale, chosen = case.of("coding", "scale")
    balanced = chosen == "least-error"  # which cuts off as much as that number of levels makes worth it
    if worst.clipped > _FEW and not balanced:
        return Cause(
            "conversion", f"{told}, and cuts {worst.clipped:.0%} of them off", f"Raise {case.told(percentile)}"
        )
    steps = int(case.flat["steps"])
    levels = f"{steps} step{'s tell' if steps > 1 else ' tells'} too few values apart"
    other = f"change {case.told(scale)}" if balanced else f"lower {case.told(percentile)}"
    return Cause("conversion", told, f"{levels}: take more {case.told('steps')}, or {other}")


def silent(case: Case) -> Cause | None:
    """A spiking layer, or the code, never fires on the counted samples, and quality is at chance."""
    quiet = [one for one in case.last if one.rate == 0]
    if case.learnt > LEARNT_NOTHING or not quiet:
        return None
    first = quiet[0]
    if first.layer == INPUT:
        threshold, value = case.of("coding", "threshold")
        change = f"Lower {case.told(threshold)}" if value is not None else "Change the settings of its coding"
        return Cause("silent code", f"Coding {case.flat['coding']} makes no spike of any sample", change)
    told = f"Layer {short(first.layer)} is silent: none of its neurons fires"
    name, threshold = case.of("neuron", "threshold")
    if first.margin >= 0:
        change = "Give its batch norms more training steps: more training.epochs, or a smaller training.batch"
        told += " on the validation samples, though some did in training, where batch norm uses the batch's own mean"
        return Cause("unsettled batch norm", told, f"{change}; or lower {case.told(name)}")
    if threshold is None or math.isnan(first.current):
        return Cause("weak input", told, "Lower the threshold of its neurons, or take wider layers in front of it")
    return _weak(case, first, told, name, float(threshold))


def _weak(case: Case, layer: LayerEpoch, told: str, name: str, threshold: float) -> Cause:
    """Return why a layer's potential stays below its threshold: the current is too weak, or too short for its leak."""
    steps, (tau_name, tau) = int(case.flat["steps"]), case.of("neuron", "tau")
    told += f". The largest current into one is {layer.current:.3g}, the threshold {threshold:.3g}"
    if not math.isnan(layer.margin):
        told += f", and potentials reached {threshold + layer.margin:.3g} in training"
    gain, most = float(steps), math.inf
    if tau is not None:
        scale = 1.0 if case.of("neuron", "decay_input")[1] in (True, None) else float(tau)
        gain, most = scale * (1 - (1 - 1 / float(tau)) ** steps), scale
    if layer.current * most < threshold:
        return Cause("weak input", told, f"The input is too weak at any T: lower {case.told(name)}")
    if layer.current * gain < threshold:
        leak = f"With tau {float(tau):.3g} a" if tau is not None else "A"
        told += f". {leak} constant current reaches it within {steps} steps from {threshold / gain:.3g} on"
        lower = f"lower {case.told(tau_name)} or {case.told(name)}" if tau is not None else f"lower {case.told(name)}"
        return Cause("leak and threshold", told, f"{lower[0].upper()}{lower[1:]}, or take more {case.told('steps')}")
    told += ", but it does not last: single spikes leak away before others join them"
    return Cause("weak input", told, f"Lower {case.told(name)}, or take a coding that fires more often")


def saturated(case: Case) -> Cause | None:
    """A spiking layer fires at every step, or all at more than 95 % of them, and quality is at chance."""
    layers = [one for one in case.last if one.layer not in (INPUT, READOUT) and not math.isnan(one.rate)]
    if case.learnt > LEARNT_NOTHING or not layers:
        return None
    always = [one for one in layers if one.rate >= 1 or one.saturated == 1]
    if not always and min(one.rate for one in layers) <= SATURATED:
        return None
    first = (always or layers)[0]
    name, threshold = case.of("neuron", "threshold")
    told = f"Layer {short(first.layer)} is saturated: it fires at {first.rate:.0%} of the steps, whatever the input"
    if threshold is None:
        return Cause("saturated", told, "Raise the threshold of its neurons")
    told += f". The largest current into one is {first.current:.3g}, the threshold {threshold:.3g}"
    return Cause("saturated", told, f"Raise {case.told(name)}, or lower the learning rate")


def exploding(case: Case) -> Cause | None:
    """The training loss ends at more than twice its least value."""
    losses = case.losses
    if len(losses) < 2 or not losses[-1] > _EXPLODED * min(losses) > 0:
        return None
    name, _ = case.of("training.optimizer", "lr")
    at = losses.index(min(losses)) + 1
    told = f"The training loss exploded: {min(losses):.3g} at epoch {at}, {losses[-1]:.3g} at epoch {len(losses)}"
    return Cause("exploding loss", told, f"Lower the learning rate {case.told(name)}")


def vanishing(case: Case) -> Cause | None:
    """Gradients of a layer are less than a thousandth of those of the last layer with any."""
    driven = [one for one in case.last if not math.isnan(one.gradient)]
    if len(driven) < 2 or not driven[-1].gradient > 0:
        return None
    end = driven[-1]
    faded = [one for one in driven[:-1] if one.gradient < _FADED * end.gradient]
    if not faded:
        return None
    weak = faded[0]
    told = (
        f"Gradients vanish: {weak.gradient:.2g} at layer {short(weak.layer)}, {end.gradient:.2g} at {short(end.layer)}"
    )
    spiking = [one for one in case.last if not math.isnan(one.passing)]
    narrow = min(spiking, key=lambda one: one.passing, default=None)
    if narrow is not None and narrow.passing < _FEW:
        shape = [name for name in case.flat if name.startswith("training.surrogate.")]
        settings = ", ".join(map(case.told, ["training.surrogate", *shape]))
        told += (
            f"; the surrogate gradient lets {narrow.passing:.2g} of the potentials of layer {short(narrow.layer)} pass"
        )
        threshold, value = case.of("neuron", "threshold")
        nearer = f", or a threshold nearer to the potentials: {case.told(threshold)}" if value is not None else ""
        return Cause("vanishing gradients", told, f"Take a wider, less steep surrogate: {settings}{nearer}")
    return Cause("vanishing gradients", told, "Take fewer layers, or a backbone with shortcuts")


def few_latency_steps(case: Case) -> Cause | None:
    """A latency code of four steps or fewer: each value is one of T firing times."""
    steps = int(case.flat["steps"])
    if case.flat["coding"] != "latency" or steps > _LATENCY_STEPS:
        return None
    told = f"A latency code of {steps} steps tells {steps} values apart, and each input fires but once"
    return Cause("few steps of a latency code", told, f"Take more {case.told('steps')}")


def learning_rate(case: Case) -> Cause | None:
    """Weights hardly moved, or moved by several times their norm without a lower loss."""
    layers = [one for one in case.last if one.layer != READOUT and not math.isnan(one.moved)]
    if not layers:
        return None
    name, _ = case.of("training.optimizer", "lr")
    most = max(layers, key=lambda one: one.moved)
    told = f"layer {short(most.layer)} moved by {most.moved:.0%} of its weights' norm in {case.training_steps} steps"
    if most.moved < _SHORT:
        more = f"Raise {case.told(name)}, or training.epochs, or take a smaller training.batch"
        if case.training_steps < _FEW_STEPS:
            return Cause("few training steps", f"Training was short: {told}, others by less", more)
        return Cause("learning rate too low", f"Weights hardly moved: {told}, others by less", more)
    losses = case.losses
    if most.moved > _FAR and losses and losses[-1] > 0.9 * losses[0]:
        told = f"The loss did not fall ({losses[0]:.3g}, then {losses[-1]:.3g}), while {told}"
        return Cause("learning rate too high", told, f"Lower {case.told(name)}")
    return None


def learnt(case: Case) -> Cause | None:
    """It came half as far as the best trial of its search, or was stopped after it had learnt something."""
    told = f"{format_quality(case.quality)}, where chance is {format_quality(case.chance)}"
    if case.learnt <= LEARNT_NOTHING or math.isnan(case.learnt):
        return None
    if case.trial.state == "PRUNED":
        return Cause("learnt", f"It learnt: {told}. Its search stopped it: {case.reason}")
    if case.trial.state == "COMPLETE" and case.learnt >= _HALF * case.most:
        return Cause("learnt", f"It learnt well: {told}")
    return None


def nothing(case: Case) -> Cause:
    """No rule holds."""
    change = "Try the settings of the nearest trial that learnt, one by one" if case.near else "Try other settings"
    return Cause("unknown", "No rule explains it", change)


RULES: Final[Sequence[Callable[[Case], Cause | None]]] = (
    hung,
    lost_worker,
    broken_off,
    diverged,
    raised,
    learnt,
    conversion,
    silent,
    saturated,
    exploding,
    vanishing,
    few_latency_steps,
    learning_rate,
    nothing,
)
"""The rules, in the order in which they are asked."""


def cause_of(case: Case) -> Cause:
    """Return the likely cause of what became of a trial, by the first rule that holds."""
    return next(found for rule in RULES if (found := rule(case)) is not None)
