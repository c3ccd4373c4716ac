"""The data set of a search as MLflow's inputs of a run: one for each split, with its digest and sizes."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Final

from spikefront.searchspace.trial import SearchInfo

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput

SOURCE_TYPE: Final = "spikefront task"
_CONTEXT: Final = "mlflow.data.context"  # the tag that MLflow's pages show beside a data set


def inputs_of(search: SearchInfo) -> list[DatasetInput]:
    """Return the splits of a search as MLflow has data sets: name of the task, digest, schema, and sizes as profile."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    version = search.plugins.get(f"task.{search.task}", "")
    source = json.dumps({"task": search.task, "version": version, "data_dir": search.options.get("data_dir", "")})
    found = []
    for split in search.data:
        spec = {"type": "tensor", "tensor-spec": {"dtype": split.dtype, "shape": [-1, *split.shape[1:]]}}
        schema = json.dumps({"mlflow_tensorspec": {"features": json.dumps([spec]), "targets": None}})
        profile = json.dumps({
            "samples": split.shape[0],
            "features_shape": list(split.shape),
            "features_size": math.prod(split.shape),
        })  # fmt: skip
        one = Dataset(search.task, split.digest, SOURCE_TYPE, source, schema, profile)
        found.append(DatasetInput(one, [InputTag(_CONTEXT, split.name)]))
    return found
