"""``spikefront pareto``: the front of a search."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated

from spikefront.commands.app import command
from spikefront.commands.options import Experiment, PluginsDir, SearchName, TrackingUri, existing
from spikefront.commands.printing import Format, print_rows
from spikefront.searchspace.options import Option, energy, many, number, switch, text

if TYPE_CHECKING:
    import pandas as pd

    from spikefront.plugins import Registry
    from spikefront.searchspace import Objective


def _print(front: pd.DataFrame, format_: Format) -> None:
    print_rows(front, format_)
    for sentence in front.attrs.get("sentences", ()):
        print(sentence, file=sys.stdout if format_ is Format.table else sys.stderr)
    if front.empty:
        print(front.attrs["empty"], file=sys.stderr)


@command(
    _print,
    about="Print the front of a search.",
    example="pareto digits-1 --min-quality 0.95 --max-energy 200nJ --format csv",
    formats=True,
)
def pareto(
    search: SearchName = None,
    *,
    min_quality: Annotated[float | None, Option("Filters", number), "Leave out what is worse, for example 0.95"] = None,
    max_energy: Annotated[
        float | str | None, Option("Filters", energy, "ENERGY"), "Leave out what costs more: 500nJ, 2uJ"
    ] = None,
    max_latency: Annotated[float | None, Option("Filters", number), "Leave out what takes more time steps"] = None,
    where: Annotated[
        str | Sequence[str],
        Option("Filters", many(text), "CONDITION"),
        "Leave out what breaks a condition on a metric, like 'parameters<=20000'; repeatable",
    ] = (),
    coding: Annotated[
        str | Sequence[str], Option("Filters", many(text)), "Leave out all other codings; repeatable"
    ] = (),
    order: Annotated[
        str, Option("Output", text), "Objective or metric to sort by, best first: energy, quality, ..."
    ] = "energy",
    knee: Annotated[
        bool, Option("Filters", switch), "Only the knee: beyond it each gain in quality costs much"
    ] = False,
    per_coding: Annotated[bool, Option("Filters", switch), "The front of each coding by itself"] = False,
    stable: Annotated[
        bool, Option("Output", switch), "Whether each is on the front of every energy model, and who would join"
    ] = False,
    plugins_dir: PluginsDir = (),
    tracking_uri: TrackingUri = None,
    experiment: Experiment = None,
) -> pd.DataFrame:
    """Return the front of a search as a DataFrame. ``where`` and ``order`` also know the objectives of plugins.

    ``stable`` prices the operations that the search stored under every installed energy model. Each member, and each
    trial that would join, gets ``on_every_front``, for each model ``on_MODEL`` (``yes``, ``no``, or ``not known: `` and
    why) and its energy ``MODEL_nj``, and for each two models Kendall's tau, over the energies of all trials judged at
    full budget that both price: ``tau_MODEL_MODEL``, the same in each row.

    Raises:
        UsageError: when there is no such search, or the store does not answer.
    """
    from spikefront.results import queries
    from spikefront.results.store.connection import Store

    def registry() -> Registry:
        from spikefront.plugins import load_registry

        return load_registry(folders)

    def more() -> Iterable[Objective]:
        return registry().objectives.values()

    assert not isinstance(max_energy, str)
    folders = existing(plugins_dir)
    return queries.pareto(
        Store(tracking_uri, experiment),
        search,
        min_quality=min_quality,
        max_energy_nj=max_energy,
        max_latency=max_latency,
        where=where,
        coding=coding,
        order=order,
        knee=knee,
        per_coding=per_coding,
        registry=registry if stable else None,
        more=more,
    )
