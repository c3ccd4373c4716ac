"""Study files: the options of a search and the narrowings of its space, in YAML."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from spikefront.runners.engine.settings import SearchSettings, epochs_set, named_option
from spikefront.searchspace import Narrowing, UsageError, parse_mapping

_SPACE: Final = "space"
Key = tuple[Any, int]
"""Value of a key, and the line that it stands in."""


def read_study_file(path: Path) -> dict[str, Key]:
    """Read a YAML study file into a mapping from keys to their values and lines.

    Raises:
        UsageError: when the file is missing, is not YAML, or is not a mapping.
    """
    try:
        loader = yaml.SafeLoader(path.read_text(encoding="utf-8"))
        node = loader.get_single_node()
        content = loader.construct_document(node) if node is not None else None
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise UsageError(f"{path}: not readable as YAML: {reason}") from error
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise UsageError(f"{path}: a study file is a mapping of option: value, see examples/study.yaml")
    assert isinstance(node, yaml.MappingNode)
    lines = {key.value: key.start_mark.line + 1 for key, _ in node.value}
    return {key: (value, lines.get(key, 1)) for key, value in content.items()}


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


def _read_study(path: Path) -> tuple[dict[str, Any], dict[str, str], tuple[Narrowing, ...]]:
    """Return options, where each stands, and the narrowings of the space, the epochs among them."""
    study = read_study_file(path)
    space, line = study.pop(_SPACE, ({}, 0))
    if not isinstance(space, dict):
        raise UsageError(f"{path}, line {line}: space must map hyperparameters to values, not {space!r}")
    narrowings = tuple(parse_mapping(space, str(path)))
    options: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for key, (value, line) in study.items():
        declared = named_option(key, str(path))
        sources[declared.name] = f"{path}, line {line}"
        if value is not None:
            options[declared.name] = declared.read(value, sources[declared.name])
    if "epochs" in options:
        narrowings = epochs_set(narrowings, options["epochs"], f"{sources['epochs']}: epochs")
    return options, sources, narrowings
