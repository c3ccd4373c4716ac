"""Fetches members of a front from MLflow: their candidate, weights and all that is known of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from spikefront.results.queries import open_existing
from spikefront.results.store.connection import ADDED_LATER, find_run, redact, resolve_uri
from spikefront.searchspace import UsageError, Value

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

_CONFIRMED: Final = {
    "mean": "confirmed.quality",
    "sd": "confirmed.quality_sd",
    "low": "confirmed.quality_low",
    "high": "confirmed.quality_high",
}
_REPEATS: Final = "test.quality"  # its steps are the seeds

_ENERGY_MODEL: Final = "horowitz-45nm"


@dataclass(frozen=True, slots=True)
class Member:
    """One member of a front.

    Attributes:
        run_id: MLflow's run of the trial.
        search: name of the search.
        trial: number of the trial.
        candidate: its flat form.
        weights: file with its trained weights.
        metrics: what was measured on the validation split.
        plugins: versions of the plugins that it was trained with, by ``kind.name``.
        energy_model: what priced its operations.
        commit: what was checked out where the search ran; empty outside of a repository.
        confirmed: its quality on the test split: ``seeds``, ``mean``, ``sd``, and ``low`` and ``high`` of the 95 %
            interval; None before it was measured with at least two seeds.
    """

    run_id: str
    search: str
    trial: int
    candidate: Mapping[str, Value]
    weights: Path
    metrics: Mapping[str, float]
    plugins: Mapping[str, str]
    energy_model: str
    commit: str
    confirmed: Mapping[str, float] | None


def fetch_member(run: str, folder: Path, tracking_uri: str | None = None, experiment: str | None = None) -> Member:
    """Fetch a member of a front.

    Args:
        run: id of its MLflow run, or the name of its search and its trial's number: ``digits-1/23``.
        folder: where its files go.
        tracking_uri: where; None means ``MLFLOW_TRACKING_URI``, or else ``mlflow.db`` in this folder.
        experiment: name of the MLflow experiment, for ``SEARCH/TRIAL``; None means the one that plain MLflow is in.

    Raises:
        UsageError: when there is no such run, it is on no front, it left no weights, or the store does not answer.
    """
    client, home = open_existing(tracking_uri, experiment)
    found = _find(client, home, run, redact(resolve_uri(tracking_uri)))
    tags = found.data.tags
    if tags.get("pareto") != "true":
        rank = f"its Pareto rank is {tags['pareto.rank']}" if "pareto.rank" in tags else tags.get("trial.state", "")
        raise UsageError(f"run {run} is not on a front ({rank}); members and their trials: spikefront pareto")
    parent = client.get_run(tags["mlflow.parentRunId"])
    return Member(
        run_id=found.info.run_id,
        search=tags["search"],
        trial=int(tags["trial.number"]),
        candidate=json.loads(_fetch(client, found, "candidate.json", folder).read_text(encoding="utf-8")),
        weights=_fetch(client, found, ".pt", folder),
        metrics={name: value for name, value in found.data.metrics.items() if not name.startswith(ADDED_LATER)},
        plugins=_plugins(tags),
        energy_model=_energy_model(tags, parent),
        commit=_commit(client, parent, folder),
        confirmed=_confirmed(client, found),
    )


def _find(client: MlflowClient, home: str, run: str, store: str) -> Run:
    from mlflow.exceptions import MlflowException

    search, slash, number = run.rpartition("/")
    run_id: str | None = run
    if slash:
        if not number.isdecimal():
            raise UsageError(f"{run!r} names no trial; give SEARCH/TRIAL such as digits-1/23, or an MLflow run id")
        run_id = find_run(client, home, search, int(number))
        if run_id is None:
            raise UsageError(f"no trial {number} of search {search!r} in {store}; list: spikefront pareto")
    try:
        found = client.get_run(str(run_id))
    except MlflowException as error:
        raise UsageError(f"no run {run!r} in {store}; list: spikefront pareto --format csv") from error
    if found.data.tags.get("spikefront.role") != "trial":
        raise UsageError(f"run {run} is no trial of a search; list: spikefront pareto --format csv")
    return found


def _fetch(client: MlflowClient, run: Run, ending: str, folder: Path) -> Path:
    for artifact in client.list_artifacts(run.info.run_id):
        if artifact.path.endswith(ending):
            return Path(client.download_artifacts(run.info.run_id, artifact.path, str(folder)))
    what = "weights" if ending == ".pt" else ending
    raise UsageError(
        f"run {run.info.run_id} has no {what} in MLflow: a search leaves them there when it ends; "
        f"go on with it: spikefront run --resume {run.data.tags['search']}"
    )


def _plugins(tags: Mapping[str, str]) -> dict[str, str]:
    """Return versions by ``kind.name`` from tags ``plugin.<kind>`` = name and version."""
    found = {}
    for tag, value in tags.items():
        if tag.startswith("plugin."):
            name, _, version = value.partition(" ")
            found[f"{tag.removeprefix('plugin.')}.{name}"] = version
    return {key: version for key, version in found.items() if not key.startswith("energy.")}


def _confirmed(client: MlflowClient, run: Run) -> dict[str, float] | None:
    if any(name not in run.data.metrics for name in _CONFIRMED.values()):
        return None
    seeds = {point.step for point in client.get_metric_history(run.info.run_id, _REPEATS)}
    return {"seeds": len(seeds), **{key: run.data.metrics[name] for key, name in _CONFIRMED.items()}}


def _energy_model(tags: Mapping[str, str], parent: Run) -> str:
    tagged = tags.get("plugin.energy", "").partition(" ")[0]
    return tagged or parent.data.params.get("energy_model", _ENERGY_MODEL)


def _commit(client: MlflowClient, parent: Run, folder: Path) -> str:
    names = [artifact.path for artifact in client.list_artifacts(parent.info.run_id)]
    if "environment.json" not in names:
        return ""
    path = Path(client.download_artifacts(parent.info.run_id, "environment.json", str(folder)))
    return json.loads(path.read_text(encoding="utf-8")).get("git_commit") or ""
