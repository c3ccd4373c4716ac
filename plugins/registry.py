"""The plugin registry: built-ins by package scan, third parties by entry point, loose files by folder.

A plugin that can't be loaded gives one line; all others stay usable.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from importlib.metadata import PackageNotFoundError, entry_points, version
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from pluggy import PluginManager

from spikefront.plugins.contracts import Coding, EnergyModel, Task
from spikefront.plugins.contracts.plugin import SEQUENTIAL
from spikefront.plugins.entry import Entry as Entry
from spikefront.plugins.fit import fits_task, why_not_together, why_not_truncated
from spikefront.plugins.kinds import FAMILY_KINDS, KINDS, PluginKind
from spikefront.plugins.loose import HOOKS, digest, load_file, plugin_files
from spikefront.plugins.places import traceback_of
from spikefront.plugins.registration import checked, hooks_of, lacking, plugin_manager, refuse_relations, why_not_loaded
from spikefront.searchspace import (
    DEFAULTS,
    Candidate,
    Domain,
    Int,
    Objective,
    Part,
    UnknownName,
    UsageError,
    Value,
    check,
    fields_of,
    from_flat,
)
from spikefront.searchspace.candidate import typed
from spikefront.searchspace.configured import name_of, read_config
from spikefront.searchspace.declarations import optunas_warnings
from spikefront.searchspace.objectives import OBJECTIVES

_NAMED: Final = 8  # files that declare no plugin
_SEARCHED_SPAN: Final = 2
"""Time steps for a point of a sequence, up to which T is searched."""


@dataclass
class Registry:
    """All plugins, by kind and name. Build one with ``load_registry``.

    Attributes:
        entries: registered plugins by kind and name.
        problems: one line for each plugin that could not be loaded, by the name of its module or file.
        tracebacks: the traceback of each of these errors, likewise.
        left_out: Python files beside the plugins of a folder that declare none, and that none imports.
        missing: one line for each plugin that needs a library which is not installed, by its kind and name.
    """

    entries: dict[str, dict[str, Entry]] = field(default_factory=lambda: {kind: {} for kind in KINDS})
    problems: dict[str, str] = field(default_factory=dict)
    tracebacks: dict[str, str] = field(default_factory=dict)
    left_out: list[Path] = field(default_factory=list)
    missing: dict[tuple[str, str], str] = field(default_factory=dict)

    def get(self, kind: str, name: str) -> type[Any]:
        """Return a plugin class. Objectives, which are values, are in ``objectives``.

        Raises:
            UnknownName: when there is none of that name.
            UsageError: when a plugin of that name failed to load, with the reason.
        """
        if name in self.entries[kind]:
            plugin: type[Any] = self.entries[kind][name].plugin
            return plugin
        self._fail_if_broken(kind, name)
        raise UnknownName(str(KINDS[kind]), name, self.entries[kind])

    def task(self, candidate: Candidate) -> Task:
        """Return the task of a candidate, with its settings."""
        task: Task = self.get("task", candidate.task.name)(candidate.task.config)
        return task

    def need(self, kind: str, name: str, version: str = "") -> None:
        """Raise ``UsageError`` when a plugin that something was stored with is not here.

        Args:
            kind: its kind.
            name: its name.
            version: its version then; empty where that is not known.
        """
        if name not in self.entries[kind]:
            self._fail_if_broken(kind, name)
            what = f"{KINDS[kind]} {name!r}" + (f" {version}" if version else "")
            reason = next((problem for problem in self.problems.values() if name in problem), "")
            fix = reason or "install it, or give the folder with its file (--plugins-dir)"
            raise UsageError(f"{what} is missing here: {fix}")

    def stored(self, flat: Mapping[str, object]) -> Candidate:
        """Return a candidate that was stored in its flat form.

        Raises:
            UsageError: when a plugin is missing, is not what it was, or parts do not go together.
        """
        for family, kind in FAMILY_KINDS.items():
            if family in flat:
                self.need(kind.name, str(flat[family]))
        return from_flat(typed(flat, self), self)

    def energy_model(self, text: str) -> EnergyModel:
        """Return an energy model by its name, or with its settings: ``chip-table(node=14nm)``.

        Raises:
            UnknownName: when there is none of that name, or it has no such setting.
            UsageError: when it failed to load, or a setting is outside its range.
        """
        plugin: type[EnergyModel] = self.get("energy", name_of(text))
        return plugin(read_config(text, plugin.Config)) if "(" in text else plugin()

    @property
    def objectives(self) -> Mapping[str, Objective]:
        """Objectives beside quality, by name."""
        return {name: entry.plugin for name, entry in self.entries["objective"].items()}

    def refuse_missing(self, family: str, name: str) -> None:
        """Raise ``UsageError`` for a plugin whose library is not installed."""
        self._refuse_missing(FAMILY_KINDS[family].name, name)

    def _refuse_missing(self, kind: str, name: str) -> None:
        if (line := self.missing.get((kind, name))) is not None:
            raise UsageError(line)

    def _fail_if_broken(self, kind: str, name: str) -> None:
        self._refuse_missing(kind, name)
        for source, problem in self.problems.items():
            module = Path(source).name.removesuffix(".py").partition(":")[0].rpartition(".")[2]
            if module.replace("_", "-") == name:
                raise UsageError(problem)
        for path in self.left_out:
            if path.stem.replace("_", "-") == name:
                raise UsageError(f"plugin {path} was not loaded: it declares no plugin; hooks: {', '.join(HOOKS)}")

    def _leave_out(self, source: str, error: BaseException) -> None:
        """Note why a plugin was not loaded."""
        self.problems[source], self.tracebacks[source] = why_not_loaded(source, error), traceback_of(error)
        if os.environ.get("SPIKEFRONT_TRACE_PLUGINS") == "1":
            print(self.tracebacks[source], end="", file=sys.stderr)

    @property
    def lines(self) -> list[str]:
        """What was not loaded, a line each: the plugins with an error, then the other files of each folder."""
        others: dict[Path, list[str]] = {}
        for path in self.left_out:
            others.setdefault(path.parent, []).append(path.name)
        return [
            *self.problems.values(),
            *(f"in {folder} these declare no plugin: {_some(names)}" for folder, names in others.items()),
        ]

    def options(self, family: str) -> Mapping[str, type]:
        """Return the config class of each name in a family of choices (``coding``, ``training.surrogate``, ...)."""
        return {name: entry.plugin.Config for name, entry in self.entries[FAMILY_KINDS[family].name].items()}

    def steps(self, coding: str, task: str = "") -> Int:
        """Return the numbers of time steps over which a coding is searched; on sequences one or two per point."""
        return self._on_sequences(coding, task, _SEARCHED_SPAN) or self.get("coding", coding).step_range

    def open_steps(self, coding: str, task: str = "") -> Int:
        """Return the numbers of time steps that can be asked for by their value: those of ``steps``, and more."""
        more: Int | None = self.get("coding", coding).open_steps
        on_sequences = self._on_sequences(coding, task, self.get("coding", coding).longest)
        return on_sequences or more or self.steps(coding)

    def _on_sequences(self, coding: str, task: str, most_per_point: int) -> Int | None:
        """Return the multiples of the length of a task's sequences that a coding goes up to; None where there is none.

        So it is, too, where task or coding is about something else than sequences.
        """
        plugin: type[Coding] = self.get("coding", coding)
        given = self.get("task", task) if task in self.entries["task"] else None
        if given is None or given.inputs not in SEQUENTIAL or given.inputs not in plugin.inputs:
            return None
        most = min(most_per_point, plugin.longest // given.length)
        return Int(given.length, given.length * most, step=given.length) if most else None

    def default(self, family: str, coding: str, task: str) -> str | None:
        """Return the default name in a family beside this coding and task; None where there is none."""
        needed: frozenset[str] | None = self.get("coding", coding).neurons
        if family == "backbone":
            on = self.get("task", task)
            fits = [name for name, entry in self.entries[family].items() if fits_task(entry.plugin, on)]
            return DEFAULTS[family] if DEFAULTS[family] in fits else min(fits, default=None)
        if family == "neuron" and needed is not None and DEFAULTS[family] not in needed:
            return min(needed)
        return DEFAULTS.get(family)

    def applies(self, family: str, coding: str) -> bool:
        """Return whether a family makes a difference to a coding: an ANN that is converted needs no surrogate."""
        return family != "training.surrogate" or self.get("coding", coding).trained_by == "bptt"

    def named_only(self, family: str, name: str) -> bool:
        """Return whether a plugin is searched only where a user names it."""
        return bool(self.get(FAMILY_KINDS[family].name, name).named_only)

    def misfit(self, family: str, name: str, chosen: Mapping[str, str]) -> str | None:
        """Return the reason why a loss does not fit task and coding, or None; all else fits."""
        if family != "training.loss":
            return None
        loss, task = self.get("loss", name), self.get("task", chosen["task"])
        if loss.classes and not task.classifies():
            return f"loss {name!r} needs classes, and task {task.name!r} has none; leave training.loss at 'task'"
        coding = self.get("coding", chosen["coding"])
        if loss.per_step and not coding(steps=coding.step_range.low).averages:
            return _unaveraged(name, coding.name)
        return None

    def published(self, coding: str) -> Sequence[Mapping[str, Value]]:
        """Return the settings of publications of a coding."""
        settings: Sequence[Mapping[str, Value]] = self.get("coding", coding).published
        return settings

    def starting_points(self, coding: str) -> Sequence[Mapping[str, Value]]:
        """Return settings of a coding from which a search may begin, though no publication has them."""
        settings: Sequence[Mapping[str, Value]] = self.get("coding", coding).starting_points
        return settings

    def domains(self, family: str, name: str, coding: str, steps: int) -> Mapping[str, Domain]:
        """Return the domains of a plugin that are tighter beside this coding at this T, by field."""
        plugin: type[Coding] = self.get("coding", coding)
        if family == "coding":
            return plugin.domains(steps)
        found: dict[str, Domain] = {}
        for hyperparameter in fields_of(self.options(family)[name]) if plugin.requires else ():
            for pattern, domain in plugin.requires.items():
                if fnmatchcase(f"{family}.{name}.{hyperparameter.name}", pattern):
                    found[hyperparameter.name] = domain
        return found

    def problem(self, chosen: Mapping[str, str]) -> str | None:
        """Return the reason why these names can't be one network, or None."""
        parts = {kind: self.get(kind, chosen[kind]) for kind in ("task", "coding", "neuron", "backbone")}
        return why_not_together(self.entries, **parts)

    def refuse(self, candidate: Candidate) -> None:
        """Raise ``UsageError`` when a candidate's parts can't be one network."""
        names = {kind: getattr(candidate, kind).name for kind in ("task", "coding", "neuron", "backbone")}
        if (problem := self.problem(names)) is not None:
            raise UsageError(problem)
        loss = candidate.training.loss
        misfit = None if loss is None else self.misfit("training.loss", loss.name, names)
        if misfit is not None:
            raise UsageError(misfit)
        if 0 < candidate.training.schedule.truncation < candidate.steps:
            self.refuse_truncated(candidate.coding.name, candidate.neuron.name, candidate.backbone.name)
        self.refuse_values(candidate)

    def refuse_truncated(self, coding: str, neuron: str, backbone: str) -> None:
        """Raise ``UsageError`` when a network of these can't be trained in parts of its time steps."""
        kinds = {"coding": coding, "neuron": neuron, "backbone": backbone}
        parts = {kind: self.get(kind, name) for kind, name in kinds.items()}
        if (problem := why_not_truncated(self.entries, **parts)) is not None:
            raise UsageError(f"training.truncation: {problem}; 0 trains over all")

    def refuse_values(self, candidate: Candidate) -> None:
        """Raise ``UsageError`` when a hyperparameter is outside what the candidate's coding allows."""
        coding = candidate.coding.name
        if (known := self._on_sequences(coding, candidate.task.name, candidate.steps)) is not None:
            check(known, candidate.steps, f"steps (sequences of {known.low} points)")
        for family in ("coding", "neuron", "backbone"):
            part: Part = getattr(candidate, family)
            values = part.existing()
            for name, domain in self.domains(family, part.name, coding, candidate.steps).items():
                if name in values:
                    where = f"{family}.{part.name}.{name} (coding {coding!r} at {candidate.steps} steps)"
                    check(domain, values[name], where)
        loss = candidate.training.loss
        if loss is not None and self.get("loss", loss.name).per_step:
            made = self.get("coding", coding)(candidate.coding.config, steps=candidate.steps)
            if not made.averages:
                raise UsageError(_unaveraged(loss.name, coding))

    def versions(self) -> dict[str, str]:
        """Return ``kind.name -> version`` of every plugin, to compare two machines by."""
        return {f"{kind}.{name}": e.version for kind, names in self.entries.items() for name, e in names.items()}


def load_registry(folders: Sequence[Path] = (), *, third_parties: bool = True) -> Registry:
    """Find and register all plugins.

    Set ``SPIKEFRONT_TRACE_PLUGINS=1`` to print each hook call, and tracebacks of what fails, to stderr.

    Args:
        folders: folders with plugins: ``.py`` files with a hook.
        third_parties: whether to load installed packages with an entry point in group ``spikefront``.

    Raises:
        UsageError: when a folder does not exist.
    """
    registry, manager = Registry(), plugin_manager()
    folders = list({os.path.realpath(folder): folder for folder in folders}.values())
    for name, axis in OBJECTIVES.items():
        registry.entries["objective"][name] = Entry(axis, "spikefront.searchspace.objectives", own_version())
    for source, load, release in _sources(folders, third_parties):
        try:
            with optunas_warnings():
                module = load()
            _register(registry, manager, module, source, release())
        except (Exception, SystemExit) as error:  # whatever a third party's file raises, the other plugins stay usable
            registry._leave_out(source, error)
    for folder in folders:
        registry.left_out += plugin_files(folder)[1]
    _drop_misfits(registry)
    return registry


def _drop_misfits(registry: Registry) -> None:
    """Leave out the codings that name what no plugin has, which is known once all are loaded."""
    for name, entry in list(registry.entries["coding"].items()):
        try:
            refuse_relations(registry, entry.plugin)
        except Exception as error:
            del registry.entries["coding"][name]
            registry._leave_out(entry.origin, error)


_Source = tuple[str, Callable[[], ModuleType], Callable[[], str]]


def _sources(folders: Sequence[Path], third_parties: bool) -> Iterator[_Source]:
    for kind in KINDS.values():
        if not kind.package:
            continue
        package = importlib.import_module(f"spikefront.plugins.{kind.package}")
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            yield module.name, lambda name=module.name: importlib.import_module(name), own_version  # type: ignore[misc]
    if third_parties:
        for point in entry_points(group="spikefront"):
            version_of = point.dist.version if point.dist else "unknown"
            yield point.value, point.load, lambda found=version_of: found  # type: ignore[misc]
    for folder in folders:
        for path in plugin_files(folder)[0]:
            yield str(path), lambda path=path: load_file(path), lambda path=path: f"sha256:{digest(path)}"  # type: ignore[misc]


def _unaveraged(loss: str, coding: str) -> str:
    return f"loss {loss!r} needs a coding that decodes by the mean over time, and {coding!r} does not"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")


@cache
def own_version() -> str:
    """Return the version of spikefront, which its built-in plugins have; ``source`` where it is not installed."""
    try:
        return version("spikefront")
    except PackageNotFoundError:
        return "source"


def _register(registry: Registry, manager: PluginManager, module: ModuleType, source: str, release: str) -> None:
    """Call one module's hooks, and add what they registered only if all of them succeed."""
    found: list[tuple[PluginKind, Any]] = []
    with hooks_of(module, source, manager):
        for kind in KINDS.values():
            getattr(manager.hook, kind.hook)(register=lambda plugin, k=kind: found.append((k, checked(plugin, k))))
        if not found and not manager.hook.register_commands.get_hookimpls():
            raise UsageError(f"it registers nothing; hooks: {', '.join(HOOKS)}")
    added: dict[tuple[str, str], Entry] = {}
    for kind, plugin in found:
        if (line := lacking(kind, plugin, source)) is not None:
            registry.missing[kind.name, plugin.name] = line
            continue
        taken = registry.entries[kind.name].get(plugin.name) or added.get((kind.name, plugin.name))
        if taken is not None:
            if taken.plugin is plugin and taken.origin != source:  # a file has imported the hook of another
                continue
            raise UsageError(f"{kind.name} {plugin.name!r} is registered by both {taken.origin} and {source}")
        revision = getattr(plugin, "revision", 0)  # objectives have none
        added[kind.name, plugin.name] = Entry(plugin, source, f"{release}+{revision}" if revision else release)
    for (name_of_kind, name), entry in added.items():
        registry.entries[name_of_kind][name] = entry
