"""A command: ``spikefront codings SEARCH`` prints what each coding has reached in a search."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from spikefront.commands.app import command, hookimpl
from spikefront.commands.options import Experiment, SearchName, TrackingUri

if TYPE_CHECKING:
    import pandas as pd

    from spikefront.commands.printing import Format


def codings(
    search: SearchName = None, *, tracking_uri: TrackingUri = None, experiment: Experiment = None
) -> pd.DataFrame:
    """Return a row for each coding: its evaluated trials, those on the front, best quality and least energy."""
    import pandas as pd

    import spikefront

    found = spikefront.load_search(search, tracking_uri=tracking_uri, experiment=experiment)
    best = max if found.objectives[0].maximize else min
    on_front = list(found.front()["coding"])
    evaluated = [trial for trial in found.trials.values() if trial.state == "COMPLETE"]
    rows = []
    for coding in sorted({trial.coding for trial in evaluated}):
        metrics = [trial.metrics for trial in evaluated if trial.coding == coding]
        rows.append(
            {
                "coding": coding,
                "trials": len(metrics),
                "on the front": on_front.count(coding),
                "quality": best(each["quality"] for each in metrics),
                "energy_nj": min(each["energy_nj"] for each in metrics),
            }
        )
    return pd.DataFrame(rows, columns=["coding", "trials", "on the front", "quality", "energy_nj"])


def _print(frame: pd.DataFrame, format_: Format) -> None:
    from spikefront.commands.printing import print_rows

    print_rows(frame, format_)


@hookimpl
def register_commands(app: typer.Typer) -> None:
    about = "Print what each coding has reached in a search."
    command(_print, about=about, example="codings digits-1", to=app, formats=True)(codings)
