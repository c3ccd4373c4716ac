"""What ``--patience`` saves and costs on a public table of 15,625 trained spiking networks.

Run: python benchmarks/patience.py --table PATH [--seeds 20] [--caps 120 240] [--sampler NAME]

PATH is the table of ``sampler_table.py``. Searches with a sampler and successive halving are simulated up to a cap, in
full trainings, and ended where ``Patience`` would have ended them. Saved is the share of the cap that is left; lost is
how much less hypervolume they have than at the cap. Means over seeds; never is the share that came to the cap.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence
from pathlib import Path

from optuna.trial import TrialState
from sampler_table import CellTable  # files beside this one
from tabular import Played, play

from spikefront.plugins import load_registry
from spikefront.plugins.stopping.halving import Halving
from spikefront.runners.engine.patience import hardly_gains
from spikefront.runners.engine.settings import SearchSettings

SHARES = (0.005, 0.01, 0.02)
WINDOWS = (10, 20, 30)


def ended_at(search: Played, share: float, window: int) -> float | None:
    """Return after how many full trainings a search would have been ended; None for never."""
    rows: list[int] = []
    curve: list[float] = []
    for row, state, spent in zip(search.rows, search.states, search.spent, strict=True):
        if state is not TrialState.COMPLETE:
            continue
        rows.append(row)
        curve.append(search.table.share(rows))
        if hardly_gains(curve, share, window):
            return spent
    return None


def line(searches: Sequence[Played], cap: float, share: float, window: int) -> str:
    """Return what a patience saves and costs."""
    ends = [ended_at(search, share, window) for search in searches]
    ends = [None if end is None or end > cap else end for end in ends]
    found = [(cap if end is None else end, search) for end, search in zip(ends, searches, strict=True)]
    saved = [100 * (1 - units / cap) for units, _ in found]
    lost = [100 * (1 - search.share(units) / search.share(cap)) for units, search in found]
    never = 100 * sum(end is None for end in ends) / len(ends)
    units = [units for units, _ in found]
    return (
        f"cap {cap:g}, patience {share:g}, window {window}: ends at {statistics.mean(units):.1f} "
        f"± {statistics.stdev(units):.1f}, saves {statistics.mean(saved):.1f} %, loses {statistics.mean(lost):.2f} %, "
        f"never {never:.0f} %"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, help="the table; nothing is measured without")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--caps", type=float, nargs="+", default=[120.0, 240.0])
    parser.add_argument("--sampler", default=SearchSettings("digits").sampler)
    arguments = parser.parse_args()
    if arguments.table is None:
        print("patience: skipped, as no --table is given")
        return
    table = CellTable(arguments.table)
    sampler = load_registry(third_parties=False).get("sampler", arguments.sampler)()
    most = max(arguments.caps)
    searches = [play(table, sampler, [Halving()], units=most, seed=seed) for seed in range(arguments.seeds)]
    print(f"{arguments.sampler}, halving, {arguments.seeds} seeds", flush=True)
    for cap in arguments.caps:
        for window in WINDOWS:
            for share in SHARES:
                print(f"  {line(searches, cap, share, window)}", flush=True)


if __name__ == "__main__":
    main()
