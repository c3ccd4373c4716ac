"""Time of queries on large searches: the front, its knee, the front of each coding, and a comparison.

Run: python benchmarks/queries.py [--runs 10000]

Two searches of so many trials each are written straight into the tables of an SQLite database, with scattered values
and five codings; one in fifty trials of the first is tagged as on the front. Times are those of one call in a process
after a first one, which also opens the store.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sized
from pathlib import Path
from typing import Final

from mlflow_store import fill

FRONT_BOUND_MS: Final = 150
CODINGS: Final = ("direct", "latency", "rate", "sac", "phase")


def scatter(uri: str) -> None:
    """Give the runs that ``fill`` wrote other values, times and codings, and a second search a part of them."""
    from mlflow import MlflowClient
    from sqlalchemy import create_engine, text

    first = "SELECT MIN(rowid) FROM latest_metrics WHERE run_uuid = m.run_uuid"
    pseudo = f"((({first}) * {{}}) % 9973) / 9973.0"
    quality, energy = pseudo.format(7919), f"EXP(11.5 * {pseudo.format(3467)})"
    names = " ".join(f"WHEN {place} THEN '{name}'" for place, name in enumerate(CODINGS))
    other = MlflowClient(uri).create_run("0", tags={"search": "other", "task": "digits", "spikefront.role": "search"})
    (big,) = MlflowClient(uri).search_runs(["0"], "tags.search = 'big' and tags.`spikefront.role` = 'search'")
    MlflowClient(uri).set_tag(big.info.run_id, "task", "digits")
    half = "run_uuid IN (SELECT run_uuid FROM tags WHERE key = 'trial.number' AND CAST(value AS INTEGER) % 2 = 1)"
    with create_engine(uri).begin() as connection:
        for statement in (
            f"UPDATE latest_metrics AS m SET value = {quality} WHERE key = 'quality'",
            f"UPDATE latest_metrics AS m SET value = {energy} WHERE key = 'energy_nj'",
            f"UPDATE params SET value = CASE rowid % {len(CODINGS)} {names} END WHERE key = 'coding'",
            f"UPDATE runs SET start_time = {big.info.start_time}, end_time = {big.info.start_time} + rowid * 1000 "
            "WHERE status = 'FINISHED'",
            f"UPDATE tags SET value = 'other' WHERE key = 'search' AND {half}",
            f"UPDATE tags SET value = '{other.info.run_id}' WHERE key = 'mlflow.parentRunId' AND {half}",
        ):
            connection.execute(text(statement))


def measure(label: str, query: Callable[[], Sized], bound_ms: int | None = None, times: int = 8) -> None:
    """Print the milliseconds of the first call, and the median of those after it."""
    taken = []
    for _ in range(times + 1):
        started = time.perf_counter()
        rows = len(query())
        taken.append(1000 * (time.perf_counter() - started))
    bound = f"; bound {bound_ms} ms" if bound_ms else ""
    print(
        f"{label}: {rows} rows, {taken[0]:.0f} ms at first, then {statistics.median(taken[1:]):.0f} ms "
        f"(median of {times}, {min(taken[1:]):.0f} to {max(taken[1:]):.0f}{bound})",
        flush=True,
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10_000, help="trials of each of the two searches")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        os.chdir(name)
        uri = f"sqlite:///{Path(name)}/mlflow.db"
        fill(uri, 2 * arguments.runs)
        scatter(uri)
        from spikefront.results.compare import compare
        from spikefront.results.queries import pareto
        from spikefront.results.store.connection import Store

        store = Store(uri)
        print(f"{arguments.runs} trials in each of two searches, SQLite")
        measure("pareto", lambda: pareto(store, "big"), FRONT_BOUND_MS)
        measure("pareto --knee", lambda: pareto(store, "big", knee=True), FRONT_BOUND_MS)
        measure("pareto, two limits", lambda: pareto(store, "big", min_quality=0.5, max_energy_nj=1e3), FRONT_BOUND_MS)
        measure("pareto --per-coding", lambda: pareto(store, "big", per_coding=True), times=3)
        measure("compare", lambda: compare(store, ["big", "other"]).frame, times=3)
        os.chdir("/")


if __name__ == "__main__":
    main()
