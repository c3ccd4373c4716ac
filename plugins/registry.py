"""Finding plugins: built-ins by package scan, third parties by entry point, loose files by folder.

One broken plugin gives one line and takes nothing else down.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import pkgutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from importlib.metadata import PackageNotFoundError, entry_points, version
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import pluggy

from spikefront.plugins import hookspecs
from spikefront.plugins.contracts import Backbone, Coding, EnergyModel, Neuron, Plugin
from spikefront.plugins.contracts.task import Task
from spikefront.plugins.optimizers import OPTIMIZERS
from spikefront.plugins.surrogates import SURROGATES
from spikefront.searchspace import (
    DEFAULTS,
    Candidate,
    Domain,
    Int,
    Part,
    UnknownName,
    UsageError,
    Value,
    check,
    fields_of,
)

KINDS: Final[dict[str, tuple[str, type[Plugin]]]] = {
    "coding": ("register_codings", Coding),
    "neuron": ("register_neurons", Neuron),
    "backbone": ("register_backbones", Backbone),
    "task": ("register_tasks", Task),
    "energy": ("register_energy_models", EnergyModel),
}
"""Kinds of plugin: the hook that registers it and the contract that it fulfils."""

_BUILTIN_PACKAGES: Final = ("codings", "neurons", "backbones", "tasks", "energy")


@dataclass(frozen=True, slots=True)
class Entry:
    """A registered plugin: its class, the module it came from and that module's version."""

    plugin: type[Any]
    origin: str
    version: str

    @property
    def summary(self) -> str:
        """First line of the class's documentation."""
        return (self.plugin.__doc__ or "").strip().partition("\n")[0]


@dataclass
class Registry:
    """All plugins, by kind and name. Build one with ``load_registry``.

    Attributes:
        entries: registered plugins by kind and name.
        problems: one line for each plugin that could not be loaded, by the name of its module or file.
    """

    entries: dict[str, dict[str, Entry]] = field(default_factory=lambda: {kind: {} for kind in KINDS})
    problems: dict[str, str] = field(default_factory=dict)

    def get(self, kind: str, name: str) -> type[Any]:
        """Return a plugin class.

        Raises:
            UnknownName: when there is none of that name; the text says so if a plugin of that name failed to load.
        """
        if name in self.entries[kind]:
            return self.entries[kind][name].plugin
        self._fail_if_broken(name)
        raise UnknownName("energy model" if kind == "energy" else kind, name, self.entries[kind])

    def _fail_if_broken(self, name: str) -> None:
        for source, problem in self.problems.items():
            module = Path(source).name.removesuffix(".py").partition(":")[0].rpartition(".")[2]
            if module.replace("_", "-") == name:
                raise UsageError(problem)

    def options(self, family: str) -> Mapping[str, type]:
        """Return the config class of each name in a family of choices (``coding``, ``training.surrogate``, ...)."""
        if family == "training.optimizer":
            return OPTIMIZERS
        if family == "training.surrogate":
            return SURROGATES
        return {name: entry.plugin.Config for name, entry in self.entries[family].items()}

    def steps(self, coding: str) -> Int:
        """Return the numbers of time steps over which a coding is searched."""
        domain: Int = self.get("coding", coding).steps
        return domain

    def default(self, family: str, coding: str) -> str | None:
        """Return what a candidate with this coding is made of where it does not say."""
        needed: frozenset[str] | None = self.get("coding", coding).neurons
        if family == "neuron" and needed is not None and DEFAULTS[family] not in needed:
            return min(needed)
        return DEFAULTS.get(family)

    def applies(self, family: str, coding: str) -> bool:
        """Say whether a family makes a difference to a coding: an ANN that is converted needs no surrogate."""
        return family != "training.surrogate" or self.get("coding", coding).trained_by == "bptt"

    def published(self, coding: str) -> Sequence[Mapping[str, Value]]:
        """Return the settings that publications used with a coding."""
        settings: Sequence[Mapping[str, Value]] = self.get("coding", coding).published
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
        """Say why these names can't be one network; None when they can."""
        coding = self.get("coding", chosen["coding"])
        task = self.get("task", chosen["task"])
        if task.inputs not in coding.inputs:
            takers = sorted(name for name, e in self.entries["coding"].items() if task.inputs in e.plugin.inputs)
            return (
                f"coding {coding.name!r} takes {' or '.join(sorted(coding.inputs))} input, but task {task.name!r} "
                f"gives {task.inputs}; codings that take it: {', '.join(takers) or 'none'}"
            )
        backbone = self.get("backbone", chosen["backbone"])
        if backbone.output != task.output:
            able = sorted(name for name, e in self.entries["backbone"].items() if e.plugin.output == task.output)
            return (
                f"task {task.name!r} needs a backbone that makes {task.output}, and {backbone.name!r} makes "
                f"{backbone.output}; backbones that do: {', '.join(able) or 'none'}"
            )
        if task.layout not in backbone.layouts:
            able = sorted(name for name, e in self.entries["backbone"].items() if task.layout in e.plugin.layouts)
            return (
                f"backbone {backbone.name!r} takes {' or '.join(sorted(backbone.layouts))}, but task {task.name!r} "
                f"gives {task.layout}; backbones that take them: {', '.join(able)}"
            )
        if coding.trained_by == "conversion" and not backbone.convertible:
            able = sorted(name for name, e in self.entries["backbone"].items() if e.plugin.convertible)
            return (
                f"coding {coding.name!r} converts an ANN, which backbone {backbone.name!r} can't be; "
                f"backbones that can: {', '.join(able)}"
            )
        if coding.neurons is not None and chosen["neuron"] not in coding.neurons:
            return (
                f"coding {coding.name!r} needs neuron {' or '.join(sorted(coding.neurons))}, not {chosen['neuron']!r}"
            )
        return None

    def refuse(self, candidate: Candidate) -> None:
        """Raise ``UsageError`` when a candidate's parts can't be one network."""
        problem = self.problem(
            {
                "task": candidate.task.name,
                "coding": candidate.coding.name,
                "neuron": candidate.neuron.name,
                "backbone": candidate.backbone.name,
            }
        )
        if problem is not None:
            raise UsageError(problem)
        coding = candidate.coding.name
        for family in ("coding", "neuron", "backbone"):
            part: Part = getattr(candidate, family)
            for name, domain in self.domains(family, part.name, coding, candidate.steps).items():
                where = f"{family}.{part.name}.{name} (coding {coding!r} at {candidate.steps} steps)"
                check(domain, getattr(part.config, name), where)

    def versions(self) -> dict[str, str]:
        """Return ``kind.name -> version`` of every plugin, to compare two machines by."""
        return {f"{kind}.{name}": e.version for kind, names in self.entries.items() for name, e in names.items()}


def load_registry(plugin_dirs: Sequence[Path] = (), *, third_parties: bool = True) -> Registry:
    """Find and register all plugins.

    Set ``SPIKEFRONT_TRACE_PLUGINS=1`` to print each hook call to stderr.

    Args:
        plugin_dirs: folders whose ``.py`` files are plugins.
        third_parties: whether to load installed packages with an entry point in group ``spikefront``.

    Raises:
        UsageError: when a folder does not exist.
    """
    registry = Registry()
    for source, load, release in _sources(plugin_dirs, third_parties):
        try:
            module = load()
            _register(registry, module, source, release)
        except (Exception, SystemExit) as error:  # whatever a third party's file raises, the other plugins stay usable
            reason = str(error) if isinstance(error, UsageError) else f"{type(error).__name__}: {error}"
            registry.problems[source] = f"plugin {source} was not loaded: {' '.join(reason.split())}"
    return registry


_Source = tuple[str, Callable[[], ModuleType], str]


def _sources(plugin_dirs: Sequence[Path], third_parties: bool) -> Iterator[_Source]:
    own = _own_version()
    for package_name in _BUILTIN_PACKAGES:
        package = importlib.import_module(f"spikefront.plugins.{package_name}")
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            yield module.name, lambda name=module.name: importlib.import_module(name), own  # type: ignore[misc]
    if third_parties:
        for point in entry_points(group="spikefront"):
            yield point.value, point.load, point.dist.version if point.dist else "unknown"
    for folder in plugin_dirs:
        if not folder.is_dir():
            raise UsageError(f"--plugins-dir {folder}: no such folder")
        for path in sorted(folder.glob("*.py")):
            digest = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
            yield str(path), lambda path=path, d=digest: _load_file(path, d), f"sha256:{digest}"  # type: ignore[misc]


def _own_version() -> str:
    try:
        return version("spikefront")
    except PackageNotFoundError:
        return "source"


def _load_file(path: Path, digest: str) -> ModuleType:
    name = f"spikefront_plugin_{path.stem}_{digest}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickle look modules up by name
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _register(registry: Registry, module: ModuleType, source: str, release: str) -> None:
    """Call one module's hooks, and take over what they registered only if all went well."""
    manager = pluggy.PluginManager("spikefront")
    manager.add_hookspecs(hookspecs)
    if os.environ.get("SPIKEFRONT_TRACE_PLUGINS") == "1":
        manager.trace.root.setwriter(sys.stderr.write)
        manager.enable_tracing()
    manager.register(module, name=source)
    _refuse_unknown_hooks(manager, module)
    found: list[tuple[str, type[Plugin]]] = []
    for kind, (hook, contract) in KINDS.items():
        getattr(manager.hook, hook)(register=lambda cls, k=kind, c=contract: found.append((k, _checked(cls, c))))
    if not found:
        raise UsageError(f"it registers nothing; hooks: {', '.join(hook for hook, _ in KINDS.values())}")
    added: dict[tuple[str, str], Entry] = {}
    for kind, plugin in found:
        taken = registry.entries[kind].get(plugin.name) or added.get((kind, plugin.name))
        if taken is not None:
            raise UsageError(f"{kind} {plugin.name!r} is registered by both {taken.origin} and {source}")
        added[kind, plugin.name] = Entry(plugin, source, release)
    for (kind, name), entry in added.items():
        registry.entries[kind][name] = entry


def _refuse_unknown_hooks(manager: pluggy.PluginManager, module: ModuleType) -> None:
    hooks: Iterable[str] = (hook for hook, _ in KINDS.values())
    known = set(hooks)
    for name in vars(module):
        if manager.parse_hookimpl_opts(module, name) is not None and name not in known:
            raise UnknownName("hook", name, known)


def _checked(plugin: type[Plugin], contract: type[Plugin]) -> type[Plugin]:
    """Refuse a class that can't be a plugin of this kind, with the reason."""
    if not (isinstance(plugin, type) and issubclass(plugin, contract)):
        raise UsageError(f"it registers {plugin!r}, which is no subclass of {contract.__name__}")
    name = getattr(plugin, "name", None)
    if not isinstance(name, str) or not name or set(name) & set(" .,|=*"):
        raise UsageError(f"{plugin.__qualname__}.name must be a word without blanks or any of . , | = *, not {name!r}")
    fields_of(plugin.Config)
    return plugin
