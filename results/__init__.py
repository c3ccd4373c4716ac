"""What was found: the Pareto front, the MLflow store, queries and the live view.

Importing this is quick: MLflow, pandas, matplotlib and rich are imported by the functions that need them.
"""

from spikefront.results.front import Scoreboard, Trial
from spikefront.results.listeners import Listeners
from spikefront.results.live import LiveView
from spikefront.results.queries import pareto, search_names
from spikefront.results.store import MlflowStore
from spikefront.results.tracking import check_store
from spikefront.searchspace.pareto import hypervolume, nondominated, pareto_ranks
from spikefront.searchspace.units import format_duration, format_energy, parse_duration, parse_energy

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
