"""Study files: the options of a search and the narrowings of its space, in YAML."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from spikefront.runners.engine.settings import OPTIONS, SearchSettings, named_option
from spikefront.runners.engine.values import epochs_set
from spikefront.searchspace import Narrowing, UsageError, parse_mapping
from spikefront.searchspace.errors import cut, shown
from spikefront.searchspace.options import count, duration, energy, number, shares, switch, whole

_SPACE: Final = "space"
_STUDY: Final = "a study file is a mapping of option: value, see examples/study.yaml"
_LARGEST: Final = 256 * 1024
_DEEPEST: Final = 20
_MOST_NODES: Final = 10_000
_PLAIN: Final = (whole, number, switch, energy, duration, count, shares)
"""Readers of options that take numbers, or true and false."""
_KEYS: Final = {declared.key: declared for declared in OPTIONS.values()}

_STR, _INT, _FLOAT, _BOOL, _NULL, _SEQ, _MAP = (
    f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "seq", "map")
)
_SCALARS: Final = {_STR, _INT, _FLOAT, _BOOL, _NULL, "tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:value"}

Key = tuple[Any, int]
"""Value of a key, and the line that it stands in."""


def read_study_file(path: Path, what: str = _STUDY) -> dict[str, Key]:
    """Read a YAML study file, or another file of this form, into a mapping from keys to their values and lines.

    Names and values of ``space``, and options that are text, are read as they are written: ``coding: off`` is a name,
    and ``name: 010`` is not 8.

    Raises:
        UsageError: when it is missing, too large, no regular file, no YAML or no mapping, or has a key twice.
    """
    try:
        loader = _Loader(_content(path, what))
        node = loader.get_single_node()
        pairs = loader.pairs(node) if isinstance(node, yaml.MappingNode) else []
        if not isinstance(node, yaml.MappingNode) or any(key.tag != _STR for key, _ in pairs):
            raise UsageError(f"{path}: {what}")
        return {key.value: (loader.value(value, _is_text(key.value)), _line(key)) for key, value in pairs}
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from error
    except _Problem as problem:
        raise UsageError(f"{path}, line {problem.line}: {problem}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not readable as YAML: {' '.join(str(error).split())}") from error


def _content(path: Path, what: str) -> str:
    """Return the text of a file; of a pipe or a device there may be no end."""
    mode = path.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise UsageError(f"{path}: not a regular file; {what}")
    with path.open("rb") as file:
        content = file.read(_LARGEST + 1)
    if len(content) > _LARGEST:
        raise UsageError(f"{path}: has more than {_LARGEST // 1024} KiB; {what}")
    return content.decode("utf-8")


class _Problem(Exception):
    """What is wrong with a line of a study file."""

    def __init__(self, node: yaml.Node | yaml.Event, problem: str) -> None:
        super().__init__(problem)
        self.line = _line(node)


class _Loader(yaml.SafeLoader):
    """YAML without what a study file has no use for: deep nesting, aliases that multiply, a key that stands twice."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = self._nodes = 0
        self._sizes: dict[int, int] = {}

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Compose a node, and count what it stands for once all aliases are written out."""
        event: yaml.Event = self.peek_event()  # type: ignore[no-untyped-call]
        before = self._nodes
        self._depth += 1
        if self._depth > _DEEPEST:
            raise _Problem(event, f"is nested more than {_DEEPEST} deep")
        node = super().compose_node(parent, index)
        self._depth -= 1
        if isinstance(event, yaml.AliasEvent) and id(node) not in self._sizes:
            raise _Problem(event, f"*{cut(str(event.anchor))} stands inside of what it names")
        self._nodes += self._sizes[id(node)] if isinstance(event, yaml.AliasEvent) else 1
        self._sizes.setdefault(id(node), self._nodes - before)
        if self._nodes > _MOST_NODES:
            raise _Problem(event, f"there are more than {_MOST_NODES:,} values, all aliases written out")
        return node

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Compose a mapping, whose keys are words that differ."""
        node = super().compose_mapping_node(anchor)
        first: dict[str, yaml.Node] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == _NULL:
                raise _Problem(key, "the name before the colon is missing, or not a word")
            if key.value in first:
                raise _Problem(key, f"{cut(key.value)} stands in line {_line(first[key.value])} already; leave one out")
            first[key.value] = key
        return node

    def pairs(self, node: yaml.MappingNode) -> list[tuple[yaml.ScalarNode, yaml.Node]]:
        """Return keys and values of a mapping, those of ``<<`` among them."""
        try:
            self.flatten_mapping(node)
        except yaml.constructor.ConstructorError as error:
            raise _Problem(node, f"<<: {error.problem}") from None
        return list(node.value)

    def value(self, node: yaml.Node, as_text: bool) -> Any:
        """Return a node as plain values: text, numbers, true, false, None, lists and mappings."""
        if isinstance(node, yaml.SequenceNode) and node.tag == _SEQ:
            return [self.value(item, as_text) for item in node.value]
        if isinstance(node, yaml.MappingNode) and node.tag == _MAP:
            return {key.value: self.value(value, as_text) for key, value in self.pairs(node)}
        if not isinstance(node, yaml.ScalarNode) or node.tag not in _SCALARS:
            raise _Problem(node, f"a study file has no use for {cut(node.tag)}; give text, a number, true or false")
        if node.tag == _NULL:
            return None
        text = str(node.value)
        if node.tag == _BOOL and (not as_text or text.lower() in ("true", "false")):
            return self.bool_values.get(text.lower(), text)
        if node.tag not in (_INT, _FLOAT):
            return text
        try:
            found = int(text) if node.tag == _INT else float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
        except ValueError:  # 1:30 or 0x10, which YAML takes for numbers, or thousands of digits
            return text
        return text if as_text and str(found) != text else found


def _line(at: yaml.Node | yaml.Event) -> int:
    return 1 if at.start_mark is None else at.start_mark.line + 1


def _is_text(key: str) -> bool:
    """Return whether the option of a key is read as it is written, rather than as a number, or true or false."""
    return key == _SPACE or (key in _KEYS and _KEYS[key].option.read not in _PLAIN)


def read_settings(given: Mapping[str, Any]) -> SearchSettings:
    """Return the settings of a new search: those of a study file, if one is given, overridden by all others.

    Args:
        given: options by name, as text or plain values; None stands for an option that is not given.

    Raises:
        UnknownName: for an option that does not exist.
        UsageError: for a value that makes no sense, or when no task is named.
    """
    options = {named_option(name).name: value for name, value in given.items() if value is not None}
    stored: dict[str, Any] = {}
    sources: dict[str, str] = {}
    narrowings: tuple[Narrowing, ...] = ()
    if "config" in options:
        path = named_option("config").read(options["config"])
        stored, sources, narrowings = _read_study(path)
    own = named_option("space").read(options.pop("space")) if "space" in options else ()
    # a flag overrides the study file
    merged = {narrowing.pattern: narrowing for narrowing in (*narrowings, *own)}
    sources = {name: source for name, source in sources.items() if name not in options}
    settings = {**stored, **options, "space": tuple(merged.values()) or None}
    if not settings.get("task"):
        raise UsageError("--task is missing; see: spikefront plugins --kind task")
    return SearchSettings(**settings, sources=sources)


def _beside(path: Path, folder: Path) -> Path:
    """Return a folder as the study file means it: beside the file, or else, as before, in the current folder."""
    beside = path.parent / folder
    return folder if os.path.isdir(folder) and not os.path.isdir(beside) else beside


def _read_study(path: Path) -> tuple[dict[str, Any], dict[str, str], tuple[Narrowing, ...]]:
    """Return options, where each stands, and the narrowings of the space, the epochs among them."""
    study = read_study_file(path)
    space, line = study.pop(_SPACE, ({}, 0))
    space = {} if space is None else space
    if not isinstance(space, dict):
        raise UsageError(f"{path}, line {line}: space must map hyperparameters to values, not {shown(space)}")
    narrowings = tuple(parse_mapping(space, str(path)))
    options: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for key, (value, line) in study.items():
        declared = named_option(key, str(path))
        sources[declared.name] = f"{path}, line {line}"
        if value is not None:
            options[declared.name] = declared.read(value, sources[declared.name])
    if "plugins_dir" in options:
        options["plugins_dir"] = tuple(_beside(path, folder) for folder in options["plugins_dir"])
    if "epochs" in options:
        narrowings = epochs_set(narrowings, options["epochs"], f"{sources['epochs']}: epochs")
    return options, sources, narrowings
