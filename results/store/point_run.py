"""Run of a point that is trained again: one that never was on the front has none until then."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from spikefront.results.store import schema
from spikefront.results.store.entries import batches, name_for, param_texts, text_for

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

    from spikefront.searchspace.trial import Trial

_SHARED: Final = (schema.SEARCH, schema.TASK, schema.PARENT)
"""Tags that a point has of its trial, beside those of plugins."""


def create_point_run(client: MlflowClient, training: Run, point: Trial, rank: int) -> str:
    """Write a run for a point of a search that has ended, and return its id.

    The tag that makes it one is the last: what a kill leaves before is no point.

    Args:
        client: of the store.
        training: run of the trial that trained its network.
        point: the point, with candidate and metrics.
        rank: its Pareto rank.
    """
    from mlflow.entities import Metric, Param, RunTag

    tags = {tag: text for tag, text in training.data.tags.items() if tag in _SHARED or tag.startswith(schema.PLUGIN)}
    place = {
        schema.POINT_TRIAL: str(point.number),
        schema.POINT_RUN: training.info.run_id,
        schema.POINT_CUT: str(point.cut),
    }
    title, at = text_for(f"{point.number:04d}@{point.cut} {point.coding}".strip()), int(time.time() * 1000)
    run: str = client.create_run(training.info.experiment_id, tags=tags | place, run_name=title).info.run_id
    for batch in batches(
        [Metric(name_for(name), value, at, point.epoch) for name, value in point.metrics.items()],
        [Param(name, text) for name, text in param_texts(point.candidate).items()],
        [RunTag(tag, text) for tag, text in (schema.rank_tags(rank) | {schema.ROLE: "point"}).items()],
    ):
        client.log_batch(run, *batch)
    client.set_terminated(run)
    return run
