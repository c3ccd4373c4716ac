"""Parts of a search, built from its settings: sampler, stopping rules, energy model, objectives."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

from spikefront.plugins import KINDS as PLUGIN_KINDS
from spikefront.plugins import EnergyModel, Logger, Registry, Sampler, StoppingRule, Task
from spikefront.plugins.contracts.energy import TIMED_METRICS
from spikefront.plugins.stopping.halving import Rungs, rung_shares
from spikefront.runners.engine.settings import SearchSettings
from spikefront.runners.failures import one_line
from spikefront.searchspace import (
    ENERGY,
    Choice,
    Narrowing,
    Objective,
    UnknownName,
    UsageError,
    Value,
    build,
    fields_of,
)
from spikefront.searchspace.configured import name_of
from spikefront.searchspace.errors import OptionError
from spikefront.searchspace.objectives import find_objective, quality_objective

_log = logging.getLogger(__name__)

KINDS: Final = tuple(kind.name for kind in PLUGIN_KINDS.values() if kind.package and not kind.family)
"""Kinds of plugin whose hyperparameters are set for a search as a whole: ``--set stopping.halving.reduction=4``."""


def split_narrowings(narrowings: Sequence[Narrowing]) -> tuple[list[Narrowing], list[Narrowing]]:
    """Return the narrowings of the space, and the settings of parts of the search."""
    of_parts = [narrowing for narrowing in narrowings if narrowing.pattern.partition(".")[0] in KINDS]
    return [narrowing for narrowing in narrowings if narrowing not in of_parts], of_parts


def make_sampler(settings: SearchSettings, registry: Registry) -> Sampler:
    """Return the sampler that the settings name."""
    sampler: Sampler = _make(registry, "sampler", settings.sampler, settings.narrowings)
    return sampler


def make_energy_model(settings: SearchSettings, registry: Registry) -> EnergyModel:
    """Return the energy model that the settings name, with its own settings: ``--set energy.NAME.FIELD=VALUE``."""
    model = set_energy_model(registry.energy_model(settings.energy_model), settings.narrowings)
    if settings.charge_encoder:
        return model
    if "charge_encoder" not in {field.name for field in fields_of(model.Config)}:
        problem = f"energy model {model.name!r} can't leave the encoder out: let its config inherit EnergyConfig"
        raise settings.error("charge_encoder", problem)
    return type(model)(build(type(model).Config, {**model.config_values(), "charge_encoder": False}, model.name))


def set_energy_model(model: EnergyModel, narrowings: Sequence[Narrowing]) -> EnergyModel:
    """Return an energy model with the settings that narrowings give it."""
    given = _given(model, "energy", narrowings)
    if not given:
        return model
    return type(model)(build(type(model).Config, {**model.config_values(), **given}, f"energy.{model.name}"))


def make_rules(settings: SearchSettings, registry: Registry) -> list[StoppingRule]:
    """Return the stopping rules that the settings name, in their order; none without early stopping."""
    if settings.rung_shares is not None and not settings.resume:
        _check_rungs(settings)
    if not settings.early_stopping:
        return []
    return [
        _make(registry, "stopping", name, settings.narrowings, _shorthands(settings, name)) for name in _names(settings)
    ]


def make_loggers(settings: SearchSettings, registry: Registry) -> list[Logger]:
    """Return the loggers that the settings name, each once, in their order.

    Raises:
        UnknownName: when there is none of that name.
        UsageError: when it can't work here.
    """
    return [_make(registry, "logger", name, settings.narrowings) for name in dict.fromkeys(settings.logger)]


def _check_rungs(settings: SearchSettings) -> None:
    """Raise ``OptionError`` for rungs that successive halving can't use, also in a search without it."""
    try:
        Rungs((), settings.rung_shares)
    except OptionError as error:
        raise settings.error("rungs", error.problem) from None


def _names(settings: SearchSettings) -> Sequence[str]:
    assert not isinstance(settings.stopping, str)
    return settings.stopping


def _shorthands(settings: SearchSettings, name: str) -> Mapping[str, Any]:
    """Return what ``--rungs`` and ``--reduction`` set of the rule that they belong to."""
    return {"reduction": settings.reduction, "shares": settings.rung_shares} if name == "halving" else {}


def rungs_of(settings: SearchSettings) -> dict[str, str]:
    """Return the rungs that successive halving uses, as the option ``rungs`` reads them; empty without it."""
    if not settings.early_stopping or "halving" not in _names(settings):
        return {}
    parts = {narrowing.pattern: narrowing for narrowing in split_narrowings(settings.narrowings)[1]}
    given = parts.get("stopping.halving.reduction")  # it holds over --reduction
    used = settings.rung_shares or rung_shares(reduction=int(given.values[0]) if given else settings.reduction)
    return {"rungs": ",".join(f"{share:g}" for share in used)}


def _make(
    registry: Registry,
    kind: str,
    name: str,
    narrowings: Sequence[Narrowing],
    shorthands: Mapping[str, Any] | None = None,
) -> Any:
    plugin = registry.get(kind, name)
    hyperparameters = {field.name for field in fields_of(plugin.Config)}
    given = dict(shorthands or {})
    values = {key: given.pop(key) for key in list(given) if key in hyperparameters}
    values |= _given(plugin, kind, narrowings)
    return plugin(build(plugin.Config, values, f"{kind}.{name}"), **given)


def _given(plugin: Any, kind: str, narrowings: Sequence[Narrowing]) -> dict[str, Value]:
    """Return the hyperparameters that a user has set of a part of the search, by field."""
    hyperparameters, values = {field.name: field for field in fields_of(plugin.Config)}, {}
    for narrowing in split_narrowings(narrowings)[1]:
        _, _, rest = narrowing.pattern.partition(".")
        part, _, field = rest.partition(".")
        if not narrowing.pattern.startswith(f"{kind}.") or part != plugin.name:
            continue
        if field not in hyperparameters:
            raise UnknownName(f"hyperparameter in {narrowing.source}:", field, hyperparameters)
        values[field] = _only(narrowing, hyperparameters[field].domain)
    return values


def _only(narrowing: Narrowing, domain: Any) -> Any:
    kept = narrowing.apply(domain, narrowing.pattern)
    if not isinstance(kept, Choice) or len(kept.choices) != 1:
        raise UsageError(f"{narrowing.source}: {narrowing.pattern} is set for the whole search: give one value")
    return kept.choices[0]


def refuse_unused(settings: SearchSettings, registry: Registry) -> None:
    """Raise ``UsageError`` for a setting of a part that this search does not have."""
    for narrowing in split_narrowings(settings.narrowings)[1]:
        kind, _, rest = narrowing.pattern.partition(".")
        name = rest.partition(".")[0]
        if not name:
            chosen = PLUGIN_KINDS[kind].asked(",".join(narrowing.values))
            raise UsageError(f"{narrowing.source}: a part of this kind is chosen by {chosen}")
        registry.get(kind, name)
        another = kind == "logger" and settings.resume  # which a resumed search may choose
        if name not in _used(settings, kind) and not another:
            chosen = PLUGIN_KINDS[kind].asked(name)
            raise UsageError(f"{narrowing.source}: this search has no {kind} {name!r}; choose it: {chosen}")


def _used(settings: SearchSettings, kind: str) -> Sequence[str]:
    """Return the names of the parts of one kind that a search has."""
    if kind == "energy":
        return (name_of(settings.energy_model),)
    if kind == "stopping" and not settings.early_stopping:
        return ()
    named: str | Sequence[str] = getattr(settings, kind)
    return (named,) if isinstance(named, str) else named


def check_quality_limit(settings: SearchSettings, task: Task) -> None:
    """Raise ``OptionError`` for a ``min_quality`` that the task's quality can't have."""
    limit = settings.min_quality
    if limit is None or settings.resume:
        return
    if limit > task.best_quality if task.maximize else limit < task.best_quality:
        problem = f"can't be reached: {task.quality} on task {task.name} is {task.best_quality:g} at best"
        raise settings.error("min_quality", problem)
    if task.quality == "accuracy" and limit < 0:
        raise settings.error("min_quality", "must be from 0 to 1: accuracy is a share")


def objectives_of(
    task: type[Task], settings: SearchSettings, registry: Registry | None = None
) -> tuple[Objective, ...]:
    """Return the axes of the front: quality, energy, and those that the settings name.

    Raises:
        UnknownName: for an objective that does not exist.
    """
    quality = quality_objective(maximize=task.maximize, worst=task.worst_quality, best=task.best_quality)
    axes = [quality, ENERGY]
    for text in settings.objective:
        if text in ("quality", task.quality):
            continue
        axis = find_objective(text) if registry is None else find_objective(text, registry.objectives)
        if axis.metric not in {other.metric for other in axes}:
            axes.append(axis)
    return tuple(axes)


def refuse_times(objectives: Sequence[Objective], model: EnergyModel, settings: SearchSettings) -> None:
    """Raise ``OptionError`` for an objective that needs a time, where the energy model has none."""
    if not model.has_times() and any(axis.metric in TIMED_METRICS for axis in objectives):
        problem = f"needs an energy model with times, such as loihi-1: {model.name} has none"
        raise settings.error("objective", problem)


def restore_rule(rule: StoppingRule, states: Mapping[int, Any], warn: bool = True) -> None:
    """Give a stopping rule what it stored by trial; it goes on without what it does not take.

    Args:
        rule: has begun.
        states: what it stored, by the ordinal of the trial's training.
        warn: whether to say, in one warning, what it does not take.
    """
    problems = []
    for number, state in states.items():
        try:
            rule.restore(number, state)
        except Exception as error:  # the rule is a plugin, and the journal may be of another version of it
            problems.append(f"trial {number}: {one_line(error)}")
    if problems and warn:
        count = f"{len(problems)} trial{'s' * (len(problems) > 1)}"
        _log.warning("stopping rule %s goes on without its state of %s: %s", rule.name, count, problems[0])
