"""CodingBench as Parquet: five tables, which README.md describes column by column."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from training import by_role  # a file beside this one

from spikefront.plugins import Counts

Rows = list[dict[str, Any]]
KEY: Final = ("task", "candidate", "seed")
_PRICED: Final = ("sops", "macs", "adds", "multiplies", "shifts", "biases")
"""Counts by role that are stored of points: those that arithmetic is priced by."""


def pack(
    candidates: Mapping[str, Sequence[Mapping[str, Any]]],
    trainings: Iterable[Mapping[str, Any]],
    starts: Sequence[Mapping[str, Any]],
    out: Path,
) -> list[Path]:
    """Write the tables, and return their files.

    Args:
        candidates: flat candidates by task; the number of a candidate is its place.
        trainings: what the journal has of each training.
        starts: what it has of each start of the generation.
        out: folder; made if there is none.
    """
    tables: dict[str, Rows] = {"trainings": [], "epochs": [], "points": [], "layers": []}
    known = [dict(line) for line in trainings]
    known.sort(key=lambda line: (line["task"], line["candidate"], line["seed"]))
    for line in known:
        key = {name: line[name] for name in KEY}
        tables["trainings"].append(key | _training(line))
        tables["epochs"] += [key | epoch for epoch in line["epochs"]]
        tables["points"] += [key | _point(int(cut), point) for cut, point in line.get("points", {}).items()]
        tables["layers"] += [key | _layer(layer) for layer in line.get("counts", {}).get("layers", ())]
    frames = {name: pd.DataFrame(rows) for name, rows in tables.items()}
    frames["candidates"] = candidates_frame(candidates)
    out.mkdir(parents=True, exist_ok=True)
    return [write(frame, out / f"{name}.parquet", starts) for name, frame in frames.items() if len(frame)]


def candidates_frame(candidates: Mapping[str, Sequence[Mapping[str, Any]]]) -> pd.DataFrame:
    """Return the candidates, with a column for each hyperparameter that varies within a task.

    ``flat`` has all hyperparameters as JSON, as spikefront reads them.
    """
    varying = {"coding", "steps"}
    for flats in candidates.values():
        for name in dict.fromkeys(name for flat in flats for name in flat):
            if len({flat[name] for flat in flats if name in flat}) > 1:
                varying.add(name)
    names = sorted(varying, key=_place)
    rows = [
        {"task": task, "candidate": number, **{name: flat.get(name) for name in names}, "flat": json.dumps(flat)}
        for task, flats in candidates.items()
        for number, flat in enumerate(flats)
    ]
    return pd.DataFrame(rows)


def _place(name: str) -> tuple[int, str]:
    """Return where a hyperparameter stands: in the order in which spikefront chooses them."""
    order = ("coding", "steps", "coding.", "neuron", "backbone", "training")
    return next(
        place for place, start in enumerate(order) if name == start or (name.startswith(start) and place > 1)
    ), name


def _training(line: Mapping[str, Any]) -> dict[str, Any]:
    counts = line.get("counts")
    told = {name: value for name, value in line.items() if name not in (*KEY, "epochs", "counts", "points")}
    found = {"state": line["state"], "reason": line.get("reason", "")} | told
    found["epochs"] = len(line["epochs"])
    found["cpu_seconds"] = sum(epoch["cpu_seconds"] for epoch in line["epochs"])
    if line["epochs"]:
        last = line["epochs"][-1]
        found |= {name: value for name, value in last.items() if name not in ("epoch", "cpu_seconds")}
    if counts is not None:
        timing = counts.get("timing") or {}
        found |= {f"chip_{name}": value for name, value in timing.items()}
        found |= {"samples": counts["samples"], "delay": counts["delay"]}
        found |= by_role(counts)
    return found


def _point(cut: int, point: Mapping[str, Any]) -> dict[str, Any]:
    priced = {name: value for name, value in point["counts"].items() if name.partition("_")[2] in _PRICED}
    return {"cut": cut, **{name: value for name, value in point.items() if name != "counts"}, **priced}


def _layer(layer: Mapping[str, Any]) -> dict[str, Any]:
    """Return one layer's counts, over all samples, as one row."""
    nested = ("operations", "geometry", "traffic")
    row = {name: value for name, value in layer.items() if name not in nested}
    for name in nested:
        row |= layer[name] or {}
    for name in ("kernel", "stride"):
        row[f"{name}_height"], row[f"{name}_width"] = row.pop(name, None) or (None, None)
    return row


def counts_of(layers: pd.DataFrame, *, samples: int, steps: int, delay: int = 0) -> Counts:
    """Return the counts of one training from its rows of ``layers.parquet``, for any energy model to price.

    Those of time are left out: a model of a chip gives the energy, and no latency.
    """
    plain = []
    for row in layers.replace({np.nan: None}).to_dict("records"):
        geometry: dict[str, Any] | None = None
        if row["weights"] is not None:
            geometry = {"biased": bool(row["biased"])}
            geometry |= {name: int(row[name]) for name in ("inputs", "outputs", "channels", "weights")}
            for name in ("kernel", "stride"):
                if row[f"{name}_height"] is not None:
                    geometry[name] = (int(row[f"{name}_height"]), int(row[f"{name}_width"]))
        traffic = None
        if row["accesses"] is not None:
            traffic = {name: int(row[name]) for name in ("accesses", "updates", "messages", "hops_x", "hops_y")}
            traffic |= {"off_chip": bool(row["off_chip"]), "storage": row["storage"]}
        operations = {name: float(row[name] or 0) for name in ("adds", "multiplies", "shifts")}
        numbers = ("sops", "macs", "macs_every_step", "events", "sites", "biases")
        plain.append(
            {"layer": row["layer"], "role": row["role"], **{name: int(row[name] or 0) for name in numbers}}
            | {"active": None if row["active"] is None else int(row["active"])}
            | {"operations": operations, "geometry": geometry, "traffic": traffic}
        )
    return Counts.from_dict({"samples": samples, "steps": steps, "delay": delay, "layers": plain})


def write(frame: pd.DataFrame, path: Path, starts: Sequence[Mapping[str, Any]]) -> Path:
    """Write a table in its smallest types, with how it was made in the metadata ``codingbench``."""
    small = _smallest(frame, floats="Float64" if path.stem == "candidates" else "float32")
    table = pa.Table.from_pandas(small, preserve_index=False)
    made = json.dumps({"starts": list(starts)}).encode()
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), b"codingbench": made})
    pq.write_table(table, path, compression="zstd", compression_level=19, row_group_size=1 << 20)
    return path


def _smallest(frame: pd.DataFrame, floats: str) -> pd.DataFrame:
    """Return a table whose whole numbers are integers of few bits; null where there is nothing."""
    found = frame.convert_dtypes()
    for name, column in found.items():
        if column.dtype == "Float64":
            found[name] = column.astype(floats)
        elif column.dtype == "Int64":
            largest = column.abs().max()
            found[name] = column.astype(next(f"Int{bits}" for bits in (16, 32, 64) if largest < 2 ** (bits - 1)))
    return found
