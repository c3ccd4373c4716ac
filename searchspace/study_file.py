"""A study file: the options of a search and the narrowings of its space, in YAML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import yaml

from spikefront.searchspace.errors import UnknownName, UsageError
from spikefront.searchspace.narrowing import Narrowing, parse_mapping, parse_set

OPTIONS: Final[dict[str, type]] = {
    "task": str,
    "trials": int,
    "time": str,
    "epochs": int,
    "workers": int,
    "seed": int,
    "sampler": str,
    "objective": list,
    "max_energy": str,
    "max_latency": float,
    "max_params": str,
    "min_quality": float,
    "target_hypervolume": float,
    "priors": bool,
    "from": str,
    "cost_aware": bool,
    "early_stopping": bool,
    "rungs": str,
    "reduction": int,
    "tell_stopped": str,
    "epoch_timeout": str,
    "gpus_per_trial": float,
    "address": str,
    "energy_model": str,
    "data_dir": Path,
    "plugins_dir": list,
    "name": str,
    "folder": Path,
    "tracking_uri": str,
    "experiment": str,
}
"""Options of a search and their types: the keys of a study file and the flags of ``run``."""
_IN_WORDS: Final = {int: "whole number", float: "number", str: "text", Path: "path", bool: "true or false"}


def read_study(config: Path) -> tuple[dict[str, Any], list[Narrowing]]:
    """Read a study file.

    Returns:
        The options of the search by name, and the narrowings of its ``space:`` section.

    Raises:
        UnknownName: for an option that does not exist.
        UsageError: for a value of the wrong type, or a file that is missing or no study file.
    """
    study = read_study_file(config)
    space = study.pop("space", {})
    if not isinstance(space, dict):
        raise UsageError(f"{config}: space must map hyperparameters to values, not {space!r}")
    return read_options(study, str(config)), parse_mapping(space, str(config))


def read_options(values: Mapping[str, object], source: str) -> dict[str, Any]:
    """Read options of a search from plain values.

    Args:
        values: plain values by option.
        source: what to name in messages.

    Raises:
        UnknownName: for an option that does not exist.
        UsageError: for a value of the wrong type.
    """
    for key in values:
        if key not in OPTIONS:
            raise UnknownName(f"option in {source}:", key, [*OPTIONS, "space"])
    return {key: _typed(key, value, f"{source}: {key}") for key, value in values.items()}


def _typed(key: str, value: object, where: str) -> Any:
    kind = OPTIONS[key]
    if kind is list:
        items = value if isinstance(value, list) else [value]
        return [Path(str(item)) for item in items] if key == "plugins_dir" else [str(item) for item in items]
    if kind is Path and isinstance(value, str):
        return Path(value)
    if kind is str and isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)  # YAML takes a name of digits for a number
    if kind is bool and isinstance(value, bool):
        return value
    if isinstance(value, bool) or not isinstance(value, (int, float) if kind is float else kind):
        raise UsageError(f"{where}: {value!r} is no {_IN_WORDS[kind]}")
    return value


def read_study_file(path: Path) -> dict[str, object]:
    """Read a YAML study file into a plain mapping.

    Raises:
        UsageError: when the file is missing, is not YAML, or is not a mapping.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise UsageError(f"{path}: not readable as YAML: {reason}") from error
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise UsageError(f"{path}: a study file is a mapping of option: value, see examples/study.yaml")
    return content


def read_asked(
    config: Path | None, flags: Mapping[str, Any], narrow: Sequence[str]
) -> tuple[dict[str, Any], list[Narrowing]]:
    """Read what is asked of a search: a study file, and flags that override it.

    Args:
        config: the study file, or None.
        flags: options by name; None is not given.
        narrow: narrowings, each ``NAME=VALUES``.

    Returns:
        The options, and the narrowings of the space; ``epochs`` is among both.

    Raises:
        UnknownName: for an option that does not exist.
        UsageError: for a value that makes no sense, or when no task is named.
    """
    given = {key.rstrip("_"): value for key, value in flags.items() if value is not None}  # Python's own word: from_
    unknown = given.keys() - OPTIONS
    if unknown:
        raise UnknownName("option", sorted(unknown)[0], OPTIONS)
    study, narrowings = read_study(config) if config is not None else ({}, [])
    if "epochs" in study:
        narrowings.append(_epochs(study["epochs"], f"{config}: epochs"))
    narrowings += [parse_set(text) for text in narrow]
    if "epochs" in given:
        narrowings.append(_epochs(given["epochs"], f"--epochs {given['epochs']}"))
    options = {**study, **given}
    if not options.get("task"):
        raise UsageError("--task is missing; see: spikefront plugins --kind task")
    latest = {narrowing.pattern: narrowing for narrowing in narrowings}  # a flag overrides the study file
    return options, list(latest.values())


def _epochs(number: int, source: str) -> Narrowing:
    return replace(parse_set(f"training.epochs={number}"), source=source)
