"""Study of a search in its journal: created, or opened again, and the time that it has had."""

from __future__ import annotations

import uuid
import warnings
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import optuna
from optuna.samplers import BaseSampler

from spikefront.plugins import Sampler
from spikefront.runners.engine.memory.journal import JOURNAL, open_journal, read_attributes
from spikefront.runners.engine.memory.records import FORMAT
from spikefront.runners.engine.proposing.sampler_warnings import SamplerWarnings
from spikefront.runners.engine.settings import SearchSettings, refuse_taken
from spikefront.searchspace import Objective


def create_study(
    settings: SearchSettings, objectives: Sequence[Objective], sampler: Sampler, about: Mapping[str, Any] | None = None
) -> optuna.Study:
    """Create the study of a new search; call it under the ``DriverLock``.

    Args:
        settings: how to search.
        objectives: the axes of the front.
        sampler: proposes candidates.
        about: what to store in the journal, so that the search can be resumed.

    Raises:
        UsageError: when the folder already holds a search.
    """
    refuse_taken(settings)  # again, now that no other driver can begin one
    settings.journal.unlink(missing_ok=True)  # of a driver that died at once
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        study_name=settings.name,
        storage=open_journal(settings.directory),
        sampler=_made(sampler, settings.seed),
        directions=["maximize" if objective.maximize else "minimize" for objective in objectives],
    )
    study.set_user_attr("search", dict(about or {}))
    _begin_session(study)
    return study


def reopen_study(settings: SearchSettings, sampler: Sampler) -> optuna.Study:
    """Open the study of a search that was begun before; call it under the ``DriverLock``."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = open_journal(settings.directory)
    (stored,) = storage.get_all_studies()  # it keeps its name when its folder gets another
    study = optuna.load_study(study_name=stored.study_name, storage=storage)
    study.sampler = _made(sampler, settings.seed)
    _identify(study, settings.directory)
    _begin_session(study)
    return study


def name_values(study: optuna.Study, objectives: Sequence[Objective], quality: str) -> None:
    """Name the values of a study with their units, as Optuna's own tools show them; those of a named one stay.

    Args:
        study: the study.
        objectives: its objectives; logarithmic ones are logarithms there.
        quality: the task's own name for quality.
    """
    if study.metric_names is not None:
        return
    labels = (quality if axis.metric == "quality" else axis.label for axis in objectives)
    names = [f"log10 {label}" if axis.log else label for axis, label in zip(objectives, labels, strict=True)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.set_metric_names(names)


def _made(sampler: Sampler, seed: int) -> BaseSampler:
    with SamplerWarnings(sampler.name)():
        return sampler.make(seed)


def _identify(study: optuna.Study, folder: Path) -> None:
    """Give the search an id and the name of its folder, where the journal has another or none.

    An earlier version stored no id. A folder that has another name than the search was renamed, or is a copy: while the
    one that it was copied from is there, it becomes a search of its own.
    """
    about = study.user_attrs["search"]
    name = about.get("options", {}).get("name", folder.name)
    new = {"format": FORMAT, "id": about.get("id") or uuid.uuid4().hex}
    if name != folder.name:
        new["options"] = {**about["options"], "name": folder.name}
        original = folder.with_name(name)
        if (original / JOURNAL).exists() and read_attributes(original)["search"].get("id") == about.get("id"):
            new["id"] = uuid.uuid4().hex
    if not new.items() <= about.items():
        study.set_user_attr("search", {**about, **new})


def _begin_session(study: optuna.Study) -> None:
    now = datetime.now(UTC).replace(tzinfo=None).isoformat()
    study.set_user_attr("sessions", [*study.user_attrs.get("sessions", []), now])


def spent_s(study: optuna.Study) -> float:
    """Return the seconds that earlier drivers searched: each from its start to the last trial that it ended."""
    starts = [datetime.fromisoformat(text) for text in study.user_attrs["sessions"]]
    ends = [trial.datetime_complete for trial in study.get_trials(deepcopy=False) if trial.datetime_complete]
    total = 0.0
    for start, following in pairwise(starts):
        total += max(
            ((end - start).total_seconds() for end in map(_naive, ends) if start <= end < following), default=0
        )
    return total


def _naive(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(tzinfo=None)
