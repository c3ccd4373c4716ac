"""The MLflow schema: every tag, metric prefix and artifact name, and the conversion between runs and trials.

A search is a run with role ``search``; each of its trials is a child run with role ``trial``, and so, with role
``point``, is each point of a trial that is, or was, on the front.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from spikefront.searchspace.candidate import FAMILIES
from spikefront.searchspace.domains import Value
from spikefront.searchspace.errors import shown
from spikefront.searchspace.objectives import (
    EARLIER_ENERGY,
    Objective,
    quality_objective,
    read_objectives,
    write_objectives,
)
from spikefront.searchspace.trial import ACTIVITY as ACTIVITY
from spikefront.searchspace.trial import COUNTS as COUNTS
from spikefront.searchspace.trial import LAYERS as LAYERS
from spikefront.searchspace.trial import PICTURE as PICTURE
from spikefront.searchspace.trial import SearchInfo, Trial, read_name

if TYPE_CHECKING:
    from mlflow.entities import Run

# Tags of every run
SEARCH: Final = "search"
TASK: Final = "task"
ROLE: Final = "spikefront.role"
PARENT: Final = "mlflow.parentRunId"

# Tags of a search
ID: Final = "search.id"
"""The search's own random id, which the journal has as well; without it in what earlier versions wrote."""
OBJECTIVES: Final = "search.objectives"
"""The objectives as JSON, see ``write_objectives``."""
QUALITY: Final = "search.quality"
"""The task's own name for quality, for example ``accuracy``."""
INPUTS: Final = "search.inputs"
"""Kind of the task's inputs, such as ``static`` or ``events``; without it in what earlier versions wrote."""
ENDED: Final = "search.ended"

# Tags of a trial
NUMBER: Final = "trial.number"
STATE: Final = "trial.state"
REASON: Final = "trial.reason"
RETRY_OF: Final = "trial.retry_of"
PARETO: Final = "pareto"
RANK: Final = "pareto.rank"
PLUGIN: Final = "plugin."
"""Prefix: ``plugin.<kind>`` holds name and version."""
CONFIRMED: Final = "confirmed"
"""``true`` where the member stays on the front surely, ``false`` where it falls or is undecided, or ``failed``."""
CONFIRMED_VERDICT: Final = "confirmed.verdict"
"""``stays``, ``undecided``, ``falls`` or ``failed``; without it in what earlier versions wrote."""
BEATEN_BY: Final = "confirmed.beaten_by"
"""Number of a member that dominates this one on the means over seeds; empty where there is none."""
CONFIRMED_SEEDS: Final = "confirmed.seeds"
TWIN: Final = "twin"
TWIN_REASON: Final = "twin.reason"
TWIN_SPLIT: Final = "twin.split"
"""``test`` or ``validation``: what a member and its twins were measured on."""
TWIN_SEEDS: Final = "twin.seeds"
"""The seeds that a member and its twins have in common; without it in what earlier versions wrote."""

# Tags of a point, beside those of plugins and of its place on the front
POINT_TRIAL: Final = "point.trial"
"""Number of the trial that trained its network."""
POINT_RUN: Final = "point.run_id"
"""That trial's run, which has the weights."""
POINT_CUT: Final = "point.cut"
"""Step T' after which the network is stopped."""

# Metrics of a search
HYPERVOLUME: Final = "hypervolume"
FRONT_SIZE: Final = "front_size"

# Prefixes of metrics of a trial
TEST_METRIC: Final = "test."
ALONE_METRIC: Final = "training_alone."
"""Measured on the test split, by seed, as ``TEST_METRIC``, after a training on the training split alone."""
FRESH_METRIC: Final = "fresh."
"""Measured on the validation split, by seed, after a training on the training split alone under a fresh seed."""
FRESH_TEST_METRIC: Final = f"{FRESH_METRIC}{TEST_METRIC}"
"""Measured on the test split, by seed, as ``TEST_METRIC``, of trials that ``spikefront recommend`` has chosen."""
FRESH_RIGHT: Final = f"{FRESH_METRIC}right."
"""Prefix of tags: which samples a repeat of that seed classified correctly."""
CONFIRMED_METRIC: Final = "confirmed."
CONFIRMED_PROBABILITY: Final = "confirmed.probability"
CONFIRMED_P: Final = "confirmed.p"
TWIN_METRIC: Final = "twin."
ADDED_LATER: Final = (TEST_METRIC, ALONE_METRIC, FRESH_METRIC, CONFIRMED_METRIC, TWIN_METRIC)
"""Prefixes of the metrics that ``spikefront confirm``, ``recommend`` and ``twin`` add to the runs of trials."""

# Artifacts of a search
FRONT_FILE: Final = "front.json"
COUNTS_FILE: Final = "counts.json"
"""Operations of each trial that was evaluated at full budget, before an energy model priced them, by its number."""
POINTS_FILE: Final = "points.json"
"""Metrics of all points, also of those that were never on the front, by the number of the trial and T'."""
ENVIRONMENT_FILE: Final = "environment.json"
CONFIRMED_FILE: Final = "confirmed.json"
TWINS_FILE: Final = "twins.json"
RECOMMENDED_FILE: Final = "recommended.json"
PROBED_FILE: Final = "probed.json"
"""How much the task of a search needs time and order, as ``spikefront probe --search`` has measured it."""
REPORT_FILE: Final = "report.html"
JOURNAL_FILES: Final = "journal*"

# Artifacts of a trial, beside ``LAYERS``, ``PICTURE`` and ``ACTIVITY``
CANDIDATE_FILE: Final = "candidate.json"
ERROR_FILE: Final = "error.txt"
"""Traceback of a trial that failed with an exception."""
WEIGHTS_SUFFIX: Final = ".pt"

_TRIAL_NUMBER: Final = re.compile("[0-9]{1,9}")

TRUE: Final = "true"
FALSE: Final = "false"

TRIAL_TAGS: Final = (ROLE, NUMBER, STATE, REASON, RETRY_OF, POINT_TRIAL, POINT_CUT)
"""Tags, beside those of plugins, that a ``Trial`` is made from."""


LATEST_MS: Final = 1 << 47
"""Milliseconds since 1970 before which all times are: the year 6429."""


def search_tags(search: SearchInfo) -> dict[str, str]:
    """Return the tags of a search's run."""
    known = {
        SEARCH: search.name,
        TASK: search.task,
        ROLE: "search",
        OBJECTIVES: write_objectives(search.objectives),
        QUALITY: search.quality,
    }
    return known | {tag: value for tag, value in ((ID, search.id), (INPUTS, search.inputs)) if value}


def trial_tags(
    search: SearchInfo, parent: str, number: int, flat: Mapping[str, Value], retry_of: int | None
) -> dict[str, str]:
    """Return the tags of a trial's run when it starts.

    Args:
        search: the search.
        parent: id of its run.
        number: the trial's number.
        flat: flat form of its candidate.
        retry_of: number of the trial that evaluated the same candidate before, or None.
    """
    tags = {NUMBER: str(number), STATE: "RUNNING"} | _child_tags(search, parent, "trial", flat)
    return tags | ({} if retry_of is None else {RETRY_OF: str(retry_of)})


def point_tags(search: SearchInfo, parent: str, point: Trial, training: str) -> dict[str, str]:
    """Return the tags of a point's run when it starts.

    Args:
        search: the search.
        parent: id of its run.
        point: the point.
        training: id of the run of the trial that trained its network.
    """
    tags = {POINT_TRIAL: str(point.number), POINT_RUN: training, POINT_CUT: str(point.cut)}
    return tags | _child_tags(search, parent, "point", point.candidate)


def _child_tags(search: SearchInfo, parent: str, role: str, flat: Mapping[str, Value]) -> dict[str, str]:
    tags = {SEARCH: search.name, TASK: search.task, ROLE: role, PARENT: parent}
    plugins = {family.removeprefix("training."): flat.get(family) for family in FAMILIES}
    for kind, name in {**plugins, "energy": search.energy_model}.items():
        if (plugin := f"{kind}.{name}") in search.plugins:
            tags[f"{PLUGIN}{kind}"] = f"{name} {search.plugins[plugin]}"
    return tags


def end_tags(state: str, reason: str, rank: int | None) -> dict[str, str]:
    """Return the tags of a trial that ended; the rank of one that is not comparable is None.

    The state is the last: where it is right, all else was written before.
    """
    return rank_tags(rank) | ({REASON: reason} if reason else {}) | {STATE: state}


def rank_tags(rank: int | None) -> dict[str, str]:
    """Return the tags of a trial's Pareto rank; None where it is not comparable."""
    return {PARETO: TRUE if rank == 0 else FALSE} | ({} if rank is None else {RANK: str(rank)})


def objectives_of(tags: Mapping[str, str]) -> tuple[Objective, ...]:
    """Return the objectives of a search from the tags of its run; without them, quality from 0 to 1, and energy.

    Raises:
        ValueError: when the tag is damaged, in one line that names it.
    """
    if OBJECTIVES not in tags:
        return quality_objective(maximize=True, worst=0.0, best=1.0), EARLIER_ENERGY
    try:
        return read_objectives(tags[OBJECTIVES])
    except ValueError as error:
        raise ValueError(f"{OBJECTIVES} {shown(tags[OBJECTIVES])}: {error}") from error


def number_of(tags: Mapping[str, str], tag: str = NUMBER) -> int:
    """Return the number of a trial that a tag of its run holds.

    Raises:
        ValueError: when it holds none, in one line that names it.
    """
    text = tags.get(tag)
    if not isinstance(text, str) or _TRIAL_NUMBER.fullmatch(text) is None:
        raise ValueError(f"it has no {tag}" if text is None else f"{tag} {shown(text)} is not the number of a trial")
    return int(text)


def is_member_tags(tags: Mapping[str, str]) -> bool:
    """Return whether tags are those of a trial's run or a point's."""
    return NUMBER in tags or is_point(tags)


def is_point(tags: Mapping[str, str]) -> bool:
    """Return whether tags are those of a point's run."""
    return tags.get(ROLE) == "point"


def name_of_run(tags: Mapping[str, str]) -> str:
    """Return the name of the trial or point whose run has these tags.

    Raises:
        ValueError: when it is neither, in one line that names the tag.
    """
    if not is_point(tags):
        return str(number_of(tags))
    return Trial(number_of(tags, POINT_TRIAL), cut=number_of(tags, POINT_CUT)).name


def plugin_versions(tags: Mapping[str, str]) -> dict[str, str]:
    """Return name and version of plugins by kind."""
    return {tag.removeprefix(PLUGIN): value for tag, value in tags.items() if tag.startswith(PLUGIN)}


def trial_of(run: Run, search_start_ms: int) -> Trial:
    """Return the trial or point of an MLflow run.

    Args:
        run: with the tags of a trial or point.
        search_start_ms: when its search started, in milliseconds since 1970.

    Raises:
        ValueError: as ``make_trial`` does.
    """
    data = run.data
    return make_trial(run.info.run_id, run.info.end_time, search_start_ms, data.tags, data.params, data.metrics)


def make_trial(
    run_id: str,
    end_ms: int | None,
    search_start_ms: int,
    tags: Mapping[str, str],
    params: Mapping[str, str],
    metrics: Mapping[str, float],
) -> Trial:
    """Return the trial or point of what MLflow has of a run; values of params are typed where that loses nothing.

    Raises:
        ValueError: when the run is of neither, or damaged, in one line that names the tag.
    """
    number, cut = read_name(name_of_run(tags))
    return Trial(
        number=number,
        cut=cut,
        state="COMPLETE" if cut else tags.get(STATE, ""),
        candidate={name: value_of(text) for name, text in params.items()},
        metrics={name: value for name, value in metrics.items() if not name.startswith(ADDED_LATER)},
        reason=tags.get(REASON, ""),
        ended_s=math.nan if end_ms is None else (end_ms - search_start_ms) / 1000,
        retry_of=number_of(tags, RETRY_OF) if RETRY_OF in tags else None,
        run_id=run_id,
        versions=plugin_versions(tags),
    )


@lru_cache(maxsize=1 << 16)
def value_of(text: str) -> Value:
    """Return the bool, int or float that is written as exactly this text, or else the text.

    Example:
        >>> [value_of(text) for text in ("4", "0.5", "True", "1e3", "007", "sac")]
        [4, 0.5, True, '1e3', '007', 'sac']
    """
    if text in ("True", "False"):
        return text == "True"
    if text[:1].isdigit() or text[:1] == "-":
        for kind in (int, float):
            try:
                value = kind(text)
            except ValueError:
                continue
            if str(value) == text:
                return value
    return text
