"""Metadata stored for resuming, and the checks on resume."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from spikefront.plugins import Registry
from spikefront.plugins.stopping.halving import rung_shares
from spikefront.runners.engine.memory.journal import read_attributes
from spikefront.runners.engine.memory.records import FORMAT
from spikefront.runners.engine.settings import OPTIONS, SearchSettings, named_option
from spikefront.searchspace import Objective, Space, UsageError, parse_set
from spikefront.searchspace.configured import name_of
from spikefront.searchspace.errors import OptionError
from spikefront.searchspace.objectives import DEFAULT_ENERGY_MODEL, EARLIER_ENERGY, read_objectives, write_objectives
from spikefront.searchspace.secrets import HIDDEN, has_hidden, redact_address

ACCOUNTING: Final = 2
"""Rules by which operations are counted and charged: 2 has encoders, shifts and biases; 1 are those of before."""

_WIDENED: Final = ("decoding=membrane|softmax", "decoding=membrane")
"""Condition of a hyperparameter that has another case since, and what it was before."""


def about(
    settings: SearchSettings, registry: Registry, space: Space, objectives: Sequence[Objective] = ()
) -> dict[str, Any]:
    """Return what a search stores about itself: an id, options that were given, plugins, space, objectives.

    All are plain values.
    """
    options = {
        OPTIONS[name].key: _stored(name, getattr(settings, name))
        for name in settings.given
        if OPTIONS[name].option.study
    }
    return {
        "format": FORMAT,
        "accounting": ACCOUNTING,
        "id": uuid.uuid4().hex,
        # on another machine, too: the front depends on how many run at a time
        "options": {
            **options,
            "sampler": settings.sampler,
            "workers": settings.worker_count,
            "task": settings.task,
            "name": settings.name,
        },
        "narrowings": [str(narrowing) for narrowing in settings.narrowings],
        "plugins": registry.versions(),
        "space": _digest(space),
        "objectives": write_objectives(objectives),
    }


def as_begun(objectives: Sequence[Objective], stored: Mapping[str, Any]) -> tuple[Objective, ...]:
    """Return objectives on the scales that a search began with, so that its hypervolumes before and after compare.

    Args:
        objectives: those of a search that is resumed, on the scales of this version.
        stored: what ``about`` returned when it began. Journals of earlier versions have no objectives, and their energy
            counts from 1 nJ on.
    """
    began = read_objectives(str(stored["objectives"])) if "objectives" in stored else (EARLIER_ENERGY,)
    scales = {axis.metric: axis for axis in began}
    found = ((axis, scales.get(axis.metric, axis)) for axis in objectives)
    return tuple(replace(axis, worst=scale.worst, best=scale.best) for axis, scale in found)


def _stored(name: str, value: object) -> object:
    """Return the value of an option as the journal has it: no password, and paths that hold in any current folder."""
    return OPTIONS[name].write(value) if OPTIONS[name].option.secret else _plain(value)


def _plain(value: object) -> object:
    if isinstance(value, Path):
        return str(value.absolute())
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def _digest(space: Space) -> str:
    """Return a hash of what is searched, and of what is held at a value, but for what was added since, at its default.

    So a search that began before there was such a hyperparameter, or such a case of one, goes on.
    """
    rows = [
        (row.name, row.domain, row.active.replace(*_WIDENED))
        for row in space.rows()
        if row.searched or not _was_added(row.name)
    ]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:16]


def _is_of_another(name: str, space: Space, energy_model: str) -> bool:
    """Return whether a plugin is a task or an energy model that the search does not use, or a logger of results."""
    if name.startswith("logger."):
        return True
    return name.startswith(("task.", "energy.")) and name not in (f"task.{space.task}", f"energy.{energy_model}")


def _was_added(name: str) -> bool:
    added = ("optimizer.sgd.decay_all", "mix_by", "drop_last", "precision", "truncation")
    return name.startswith("training.loss") or name in {f"training.{each}" for each in added}


def resumed_settings(given: Mapping[str, Any]) -> SearchSettings:
    """Return the settings of a search that is resumed: those that it began with, and the options given now.

    Args:
        given: options by name, ``resume`` among them; None stands for an option that is not given.

    Raises:
        UnknownName: when there is no such search.
        UsageError: for an option that can't be changed any more.
    """
    options = {named_option(name).name: value for name, value in given.items() if value is not None}
    if "space" in options or "config" in options:
        raise UsageError("a resumed search has the space that it began with; leave out --set and --config")
    now = SearchSettings(**{**options, "name": None})
    name, folder = str(now.resume), Path(now.folder)
    stored = read_attributes(folder / name)["search"]
    if options.get("name") not in (None, name):
        raise UsageError(
            f"--name {options['name']}: search {name!r} keeps its name; to change it, rename {folder / name}"
        )
    began = _readable({named_option(key, "the journal").name: value for key, value in stored["options"].items()})
    if "sampler" not in began:
        began |= {**_earlier_defaults(began, stored["narrowings"]), **began}
    sources = {"epochs": "the journal"}  # its narrowing is among the others
    for key, value in began.items():
        if key not in options and OPTIONS[key].option.secret and has_hidden(str(value)):
            options[key] = _given_anew(name, str(value))
    fixed = {key: value for key, value in began.items() if not OPTIONS[key].option.changeable}
    before = SearchSettings(**{**fixed, "resume": name}, sources=sources)
    for key in options:
        declared = OPTIONS[key]
        if not declared.option.study or declared.option.changeable or key == "name":
            continue
        if getattr(before, key) != getattr(now, key):
            flags = ", ".join(other.flag for other in OPTIONS.values() if other.option.changeable)
            raise UsageError(f"{declared.flag} can't be changed when a search is resumed; what can: {flags}")
    narrowings = tuple(parse_set(text) for text in stored["narrowings"])
    if "plugins_dir" not in options:
        _check_plugins(began.get("plugins_dir", ()))
    found = {"name": name, "folder": folder, "space": narrowings or None}  # wherever it was when it began
    return SearchSettings(**{**began, **options, **found}, sources=sources)


def _earlier_defaults(began: Mapping[str, Any], narrowings: Sequence[str]) -> dict[str, Any]:
    """Return sampler and rungs of a search that an earlier version began, which stored only those that were given."""
    of_rule = [text.partition("=")[2] for text in narrowings if text.startswith("stopping.halving.reduction=")]
    reduction = int([began.get("reduction", 3), *of_rule][-1])
    return {"sampler": "tpe", "rungs": rung_shares(first=0.15, reduction=reduction)}


def _check_plugins(folders: Sequence[str]) -> None:
    """Raise ``UsageError`` when a folder of plugins that a search began with is not there any more."""
    for folder in folders:
        if not os.path.isdir(folder):
            raise UsageError(
                f"--plugins-dir {folder}: no such folder, and the search began with it; name all such folders anew, "
                "where they are now, by --plugins-dir"
            )


def _given_anew(search: str, stored: str) -> str:
    """Return the address of a store with the password that was not stored with it.

    Raises:
        UsageError: when the environment does not give it.
    """
    given = os.environ.get("MLFLOW_TRACKING_URI", "")
    if redact_address(given) == stored:
        return given
    bare = re.sub(rf"^(https?://){re.escape(HIDDEN)}@", r"\1", stored)
    by_variable = any(os.environ.get(f"MLFLOW_TRACKING_{name}") for name in ("PASSWORD", "TOKEN"))
    if by_variable and not has_hidden(bare):
        return bare
    raise UsageError(
        f"search {search!r} writes to {stored}, and its password is not stored; "
        "give the whole address again, with --tracking-uri or in MLFLOW_TRACKING_URI"
    )


def _readable(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a journal, without limits that an earlier version took but can't be kept to.

    Such a search broke off at its first trial, or no limit held: it goes on without.
    """
    found = {}
    for name, value in options.items():
        declared = OPTIONS[name]
        try:
            declared.checked(value, "the journal")
        except OptionError as error:
            if declared.option.group != "Limits":
                raise
            print(f"spikefront: warning: {error}; the search goes on without it", file=sys.stderr)
            continue
        found[name] = value
    return found


def charged_otherwise(stored: Mapping[str, Any]) -> str:
    """Return a warning where energies before and after a resume don't compare; empty where they do.

    Args:
        stored: what ``about`` returned when the search began.
    """
    if stored.get("accounting", 1) == ACCOUNTING:
        return ""
    return (
        "the trials of this search so far were charged by earlier rules (encoders and biases free, shifts as "
        "multiplications), so their energies don't compare with those to come; a new search has one rule for all"
    )


def refuse_changed(stored: Mapping[str, Any], registry: Registry, space: Space) -> None:
    """Raise ``UsageError`` when plugins or the space are not what they were when the search began."""
    before, now = stored["plugins"], registry.versions()
    used = {row.name.rpartition(".")[0] for row in space.rows()} | {f"task.{space.task}"}
    priced_by = name_of(stored.get("options", {}).get(OPTIONS["energy_model"].key, DEFAULT_ENERGY_MODEL))
    changed = [
        f"{name} was {before.get(name, 'not there')} and is {now.get(name, 'not there')}"
        for name in sorted(before.keys() | now.keys())
        if before.get(name) != now.get(name)
        and (name in used or (name in before and not _is_of_another(name, space, priced_by)))
    ]
    if not changed and stored["space"] != _digest(space):
        changed = ["the ranges of its hyperparameters are others"]
    if changed:
        raise UsageError(
            f"since the search began, {'; '.join(changed)}: old and new results may not compare; "
            "--force goes on all the same"
        )
