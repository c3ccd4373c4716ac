"""Checks of what a hook registers: its type, its name, its hyperparameters, and the words of its contract."""

from __future__ import annotations

import importlib.util
import inspect
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from functools import cache
from types import ModuleType, NoneType, UnionType
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, Union, get_args, get_origin, get_type_hints

import pluggy

from spikefront.plugins import hookspecs
from spikefront.plugins.contracts import Coding
from spikefront.plugins.kinds import FAMILY_KINDS, PluginKind
from spikefront.plugins.loose import HOOKS
from spikefront.plugins.places import place_of
from spikefront.searchspace import Domain, Int, Objective, UnknownName, UsageError, describe, fields_of, from_flat
from spikefront.searchspace.declarations import field_at, with_cure
from spikefront.searchspace.narrowing import overlap

if TYPE_CHECKING:
    from spikefront.plugins.registry import Registry

_PLAIN: Final = (bool, int, float, str)


def checked(plugin: Any, kind: PluginKind) -> Any:
    """Return what a hook registered, or raise ``UsageError`` when it can't be a plugin of this kind."""
    if kind.contract is Objective:
        if not isinstance(plugin, Objective):
            raise UsageError(f"it registers {plugin!r}, which is not an Objective")
        if plugin.name == "quality":
            raise UsageError("objective 'quality' is the task's own; choose another name")
        where = "Objective.name"
    else:
        if not (isinstance(plugin, type) and issubclass(plugin, kind.contract)):
            raise UsageError(f"it registers {plugin!r}, which is not a subclass of {kind.contract.__name__}")
        where = f"{plugin.__qualname__}.name"
    name = getattr(plugin, "name", None)
    if not isinstance(name, str) or not name or set(name) & set(" .,|=*"):
        raise UsageError(f"{where} must be a word without blanks or any of . , | = *, not {name!r}")
    if kind.contract is not Objective:
        _refuse_config(plugin)
        _refuse_attributes(plugin, kind.contract)
    return plugin


def lacking(kind: PluginKind, plugin: Any, source: str) -> str | None:
    """Return in one line which library a plugin needs that is not installed, and how to get it; None where it has it.

    Args:
        kind: its kind.
        plugin: what a hook registered.
        source: the module or file whose hook it was.
    """
    library: str = getattr(plugin, "library", "")  # objectives have none
    if not library or importlib.util.find_spec(library) is not None:
        return None
    package = f"'spikefront[{library}]'" if source.startswith("spikefront.plugins.") else library
    return f"{kind} {plugin.name!r} needs {library}, which is not installed: pip install {package}"


def why_not_loaded(source: str, error: BaseException) -> str:
    """Return in one line why a plugin was not loaded.

    Args:
        source: its module or file.
        error: what was raised.
    """
    if isinstance(error, UsageError):
        reason = error.on_command_line()
    else:
        place = place_of(error, users=True)
        reason = f"{field_at(error)}{with_cure(error)}" + (f" ({place})" if place else "")
    return f"plugin {source} was not loaded: {' '.join(reason.split())}"


def plugin_manager() -> pluggy.PluginManager:
    """Return a manager of plugins that knows the hooks."""
    manager = pluggy.PluginManager("spikefront")
    manager.add_hookspecs(hookspecs)
    if os.environ.get("SPIKEFRONT_TRACE_PLUGINS") == "1":
        manager.trace.root.setwriter(sys.stderr.write)
        manager.enable_tracing()
    return manager


@contextmanager
def hooks_of(module: ModuleType, source: str, manager: pluggy.PluginManager) -> Iterator[None]:
    """Context in which a manager calls the hooks of one module, and of no other.

    Args:
        module: the module.
        source: its name for the manager.
        manager: what ``plugin_manager`` returned; made once, as it takes longer than the hooks.

    Raises:
        UnknownName: for a module that implements a hook which does not exist.
    """
    try:
        manager.register(module, name=source)
        refuse_unknown_hooks(manager, module)
        yield
    finally:
        if manager.is_registered(module):
            manager.unregister(module)


def refuse_unknown_hooks(manager: pluggy.PluginManager, module: ModuleType) -> None:
    """Raise ``UnknownName`` for a module that implements a hook which does not exist."""
    for name in vars(module):
        if manager.parse_hookimpl_opts(module, name) is not None and name not in HOOKS:
            raise UnknownName("hook", name, HOOKS)


def _refuse_config(plugin: Any) -> None:
    config = plugin.Config
    fields = fields_of(config)
    where = f"{plugin.__qualname__}: {config.__qualname__}"
    if not config.__dataclass_params__.frozen or config.__hash__ is None:
        raise UsageError(f"{where} must be frozen: @dataclass(frozen=True, slots=True)")
    if fields and config() != config():
        raise UsageError(f"{where} must compare by value; leave out eq=False")


def _refuse_attributes(plugin: Any, contract: type) -> None:
    """Raise ``UsageError`` for a class attribute that is not what the contract's annotation says."""
    for base in contract.__mro__:
        if not base.__module__.startswith("spikefront."):
            continue
        for name, hint in _hints(base).items():
            value = inspect.getattr_static(plugin, name, None)
            if get_origin(hint) is not ClassVar or value is None or hasattr(value, "__get__"):
                continue  # a descriptor may read data
            if not _fits(value, get_args(hint)[0]):
                raise UsageError(f"{plugin.__qualname__}.{name} must be {_words(get_args(hint)[0])}, not {value!r}")


_hints: Final = cache(get_type_hints)


def _fits(value: object, hint: Any) -> bool:
    """Return whether a value is of a type, as far as contracts use types of class attributes."""
    origin, inner = get_origin(hint), get_args(hint)
    if hint is NoneType:
        return value is None
    if origin is Literal:
        return value in inner
    if origin in (Union, UnionType):
        return any(_fits(value, one) for one in inner)
    if origin is frozenset:
        return isinstance(value, (frozenset, set)) and len(value) > 0 and all(_fits(one, inner[0]) for one in value)
    if hint is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if hint in _PLAIN or hint is Int:
        return isinstance(value, hint) and (hint is bool or not isinstance(value, bool))
    return True


def _words(hint: Any) -> str:
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Literal:
        return " or ".join(map(repr, inner))
    if origin in (Union, UnionType):
        return " or ".join(_words(one) for one in inner if one is not NoneType)
    if origin is frozenset:
        return f"a set of {'names' if inner[0] is str else _words(inner[0])}"
    words: dict[Any, str] = {bool: "True or False", float: "a number", int: "a whole number", str: "a text"}
    return words.get(hint, "an Int")


def refuse_relations(registry: Registry, coding: type[Coding]) -> None:
    """Raise ``UsageError`` where a coding names what no plugin has: in ``requires``, ``published`` and the like.

    Args:
        registry: all plugins, which is why this can't be seen when the coding is registered.
        coding: the coding.
    """
    where = coding.__qualname__
    if coding.step_range.low < 1:
        raise UsageError(f"{where}.step_range must begin at 1 or more, not {describe(coding.step_range)}")
    opened = coding.open_steps or coding.step_range
    if overlap(coding.step_range, opened) != coding.step_range:
        raise UsageError(
            f"{where}.open_steps must hold all of step_range, {describe(coding.step_range)}, not {describe(opened)}"
        )
    for neuron in sorted(coding.neurons or ()):
        if neuron not in registry.entries["neuron"]:
            raise UnknownName(f"neuron in {where}.neurons:", neuron, registry.entries["neuron"])
    _refuse_requires(registry, coding)
    _refuse_domains(coding)
    for attribute in ("published", "starting_points"):
        _refuse_settings(registry, coding, attribute)


def _refuse_requires(registry: Registry, coding: type[Coding]) -> None:
    where = f"{coding.__qualname__}.requires"
    if not isinstance(coding.requires, Mapping):
        raise UsageError(f"{where} must map patterns of names to domains, not {coding.requires!r}")
    known = {
        f"{family}.{name}.{field.name}": field.domain
        for family in FAMILY_KINDS
        if family != "coding"
        for name, config in registry.options(family).items()
        for field in fields_of(config)
    }
    for pattern, domain in coding.requires.items():
        if not isinstance(domain, Domain):
            raise UsageError(f"{where}: {pattern}: {domain!r} is not a domain such as Choice((True,))")
        matched = {name: known[name] for name in known if fnmatchcase(name, pattern)}
        if not matched:
            raise UnknownName(f"hyperparameter in {where}:", pattern, known)
        for name, own in matched.items():
            if overlap(own, domain) is None:
                raise UsageError(f"{where}: {pattern}: {describe(domain)} leaves nothing of {name}, {describe(own)}")


def _refuse_domains(coding: type[Coding]) -> None:
    own = {field.name: field.domain for field in fields_of(coding.Config)}
    opened = coding.open_steps or coding.step_range
    for steps in sorted({coding.step_range.low, coding.step_range.high, opened.low, opened.high}):
        for name, domain in coding.domains(steps).items():
            where = f"{coding.__qualname__}.domains({steps})"
            if name not in own:
                raise UnknownName(f"hyperparameter in {where}:", name, own)
            if overlap(own[name], domain) is None:
                raise UsageError(f"{where}: {name}: {describe(domain)} leaves nothing of {describe(own[name])}")


def _refuse_settings(registry: Registry, coding: type[Coding], attribute: str) -> None:
    where, given = f"{coding.__qualname__}.{attribute}", getattr(coding, attribute)
    if isinstance(given, (str, Mapping)) or not isinstance(given, Sequence):
        raise UsageError(f"{where} must be a sequence of settings, each a dictionary, not {given!r}")
    task = next(iter(registry.entries["task"]), None)
    for number, settings in enumerate(given):
        if not isinstance(settings, Mapping):
            raise UsageError(f"{where}[{number}] must be a dictionary of settings, not {settings!r}")
        if settings.get("coding", coding.name) != coding.name:
            raise UsageError(f"{where}[{number}]: it is about coding {settings['coding']!r}")
        if task is None:
            continue
        try:
            candidate = from_flat({"task": task, **settings, "coding": coding.name}, registry)
            registry.refuse_values(candidate)
        except UsageError as error:
            raise UsageError(f"{where}[{number}]: {error}") from None
