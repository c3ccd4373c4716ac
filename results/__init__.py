"""What was found: the Pareto front, the MLflow store, queries, the report and the live view.

Importing this is quick: each name is imported when it is first asked for, so that the command line can list the verbs
that live here without loading anything.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spikefront.results.front import Scoreboard, Trial
    from spikefront.results.listeners import Listeners
    from spikefront.results.live import LiveView
    from spikefront.results.queries import pareto, search_names
    from spikefront.results.store.connection import check_store
    from spikefront.results.store.recorder import MlflowStore
    from spikefront.searchspace.front import hypervolume, nondominated, pareto_ranks
    from spikefront.searchspace.units import format_duration, format_energy, parse_duration, parse_energy

_HOMES = {
    "Listeners": "results.listeners",
    "LiveView": "results.live",
    "MlflowStore": "results.store",
    "Scoreboard": "results.front",
    "Trial": "results.front",
    "check_store": "results.tracking",
    "format_duration": "searchspace.units",
    "format_energy": "searchspace.units",
    "hypervolume": "searchspace.pareto",
    "nondominated": "searchspace.pareto",
    "pareto": "results.queries",
    "pareto_ranks": "searchspace.pareto",
    "parse_duration": "searchspace.units",
    "parse_energy": "searchspace.units",
    "search_names": "results.queries",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"spikefront.{_HOMES[name]}"), name)


__all__ = [
    "Listeners",
    "LiveView",
    "MlflowStore",
    "Scoreboard",
    "Trial",
    "check_store",
    "format_duration",
    "format_energy",
    "hypervolume",
    "nondominated",
    "pareto",
    "pareto_ranks",
    "parse_duration",
    "parse_energy",
    "search_names",
]
