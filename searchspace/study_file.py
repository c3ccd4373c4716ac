"""A study file: the options of a search and the narrowings of its space, in YAML."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import yaml

from spikefront.searchspace.errors import UnknownName, UsageError
from spikefront.searchspace.narrowing import Narrowing, parse_mapping

OPTIONS: Final[dict[str, type]] = {
    "task": str,
    "trials": int,
    "time": str,
    "epochs": int,
    "workers": int,
    "seed": int,
    "sampler": str,
    "objective": list,
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
_IN_WORDS: Final = {int: "whole number", float: "number", str: "text", Path: "path"}


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
    for key, value in study.items():
        if key not in OPTIONS:
            raise UnknownName(f"option in {config}:", key, [*OPTIONS, "space"])
        study[key] = _typed(key, value, f"{config}: {key}")
    return study, parse_mapping(space, str(config))


def _typed(key: str, value: object, where: str) -> Any:
    kind = OPTIONS[key]
    if kind is list:
        items = value if isinstance(value, list) else [value]
        return [Path(str(item)) for item in items] if key == "plugins_dir" else [str(item) for item in items]
    if kind is Path and isinstance(value, str):
        return Path(value)
    if kind is str and isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)  # YAML takes a name of digits for a number
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
