"""The front of a search that has ended."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping

from spikefront.results.searches import StoredSearch
from spikefront.results.store.connection import Store


class EndedFront:
    """The front of a search that has ended, whose members are measured further.

    Args:
        store: where the search is.
        name: its name; None for the newest.

    Raises:
        UnknownName: when there is no search of that name.
        UsageError: when it has no front yet, or the store does not answer.

    Attributes:
        search: the search.
        members: the members of its front, cheapest first, with typed candidates.
    """

    def __init__(self, store: Store, name: str | None = None) -> None:
        self.search = StoredSearch.open(store, name)
        self.members = self.search.members
        self._runs = {trial.name: trial.run_id for trial in self.members}
        self._client = store.client
        self._failed: dict[str, str] = {}  # reasons, by name

    def _log(self, trial: str, metrics: Mapping[str, float], step: int = 0) -> None:
        """Write the finite ones of some metrics to a member's run."""
        from mlflow.entities import Metric

        at = int(time.time() * 1000)
        points = [Metric(name, value, at, step) for name, value in metrics.items() if math.isfinite(value)]
        self._client.log_batch(self._runs[trial], metrics=points)

    def _by_seed(self, trial: str, prefix: str) -> dict[int, dict[str, float]]:
        """Return metrics of a member's run by seed, their step: those whose names have a prefix, without it."""
        found: dict[int, dict[str, float]] = {}
        run = self._runs[trial]
        for name in self._client.get_run(run).data.metrics:
            if name.startswith(prefix):
                for point in self._client.get_metric_history(run, name):
                    found.setdefault(point.step, {})[name.removeprefix(prefix)] = point.value
        return found
