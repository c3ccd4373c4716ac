"""Export of NeuroBench's metrics: a JSON file with what a network would be listed with, by NeuroBench's names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from spikefront.plugins import SearchData
from spikefront.runners.deploy.model import Model
from spikefront.runners.judging.measuring import measuring_batch
from spikefront.runners.judging.neurobench import complexity
from spikefront.runners.judging.training import evaluate
from spikefront.searchspace.targets import replaced

DEFINITIONS: Final = {
    "paper": "Yik et al., The neurobench framework for benchmarking neuromorphic computing algorithms and systems, "
    "Nature Communications 16 (2025)",
    "code": "neurobench 2.3.0",
}
"""Where the metrics are defined."""

CORRECTNESS: Final = {"accuracy": "ClassificationAccuracy", "smape": "SMAPE", "r2": "R2"}
"""NeuroBench's names of qualities, by ours; others keep ours."""


def export_neurobench(model: Model, path: Path, data: SearchData) -> list[str]:
    """Write NeuroBench's metrics of a network as JSON, and return remarks for its card.

    Complexity is measured on the samples on which a search counts operations, correctness on the whole validation
    split.

    Args:
        model: the network.
        path: the file to write.
        data: the task's data.
    """
    task, description = model.task, model.description
    found = complexity(model.network, measuring_batch(task, data.validation))
    quality = evaluate(model.network, task, data.validation)["quality"]
    name = CORRECTNESS.get(description.quality, description.quality)
    remarks = [
        f"Metrics of NeuroBench on {found.samples} validation samples, as {DEFINITIONS['code']} defines them; its "
        f"harness did not run. {name} is on the validation split, not on the test split of a leaderboard."
    ]
    if found.unstated:
        neurons = ", ".join(found.unstated)
        remarks.append(f"MembraneUpdates is not known: neuron {neurons} does not state the potential after each step.")
    document = {
        "definitions": DEFINITIONS,
        "task": description.candidate["task"],
        "split": "validation",
        "samples": {"complexity": found.samples, "correctness": len(data.validation)},
        "results": {name: quality, **found.results()},
        "remarks": remarks,
        "candidate": dict(description.candidate),
    }
    with replaced(path) as part:
        part.write_text(json.dumps(document, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    return remarks
