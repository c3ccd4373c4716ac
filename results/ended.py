"""The front of a search that has ended, as its ``front.json`` has it: what is measured further starts from it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from spikefront.results.queries import axes_of, nothing_in, open_existing, search_names, searches
from spikefront.searchspace import UnknownName, UsageError, Value

_NAMES: Final = 20


class EndedSearch:
    """A search that has ended with a front.

    Args:
        search: name of the search; None for the newest.
        tracking_uri: MLflow server or store.
        experiment: MLflow experiment.

    Raises:
        UnknownName: when there is no search of that name.
        UsageError: when there is no search at all, it has no front yet, or the store does not answer.

    Attributes:
        client: MLflow's client of the store.
        run_id: MLflow's run of the search.
        search: its name.
        task: its task.
        options: what it was asked for, as text.
        ids: MLflow's runs of the members, by the numbers of their trials.
        candidates: flat candidates of the members, by the numbers of their trials.
        selected: their metrics on the validation split.
        objectives: the axes of the front.
    """

    def __init__(self, search: str | None, tracking_uri: str | None, experiment: str | None) -> None:
        self.client, home = open_existing(tracking_uri, experiment)
        run = next(searches(self.client, home, search), None)
        if run is None and search is not None:
            raise UnknownName("search", search, search_names(tracking_uri, experiment, _NAMES))
        if run is None:
            raise nothing_in(tracking_uri)
        self.run_id: str = run.info.run_id
        self.search, self.task = run.data.tags["search"], run.data.tags["task"]
        self.options: Mapping[str, str] = run.data.params
        front = self._front()
        self.ids: dict[int, str] = {member["trial"]: member["run_id"] for member in front}
        self.candidates: dict[int, dict[str, Value]] = {member["trial"]: member["candidate"] for member in front}
        self.selected: dict[int, dict[str, float]] = {member["trial"]: member["metrics"] for member in front}
        self.objectives = axes_of(run)

    def _front(self) -> list[dict[str, Any]]:
        from mlflow.exceptions import MlflowException

        try:
            with tempfile.TemporaryDirectory() as folder:
                path = self.client.download_artifacts(self.run_id, "front.json", folder)
                front: list[dict[str, Any]] = json.loads(Path(path).read_text(encoding="utf-8"))["front"]
        except (MlflowException, OSError) as error:
            raise UsageError(
                f"search {self.search!r} has left no front.json: it runs, or died; end it, or go on with it: "
                f"spikefront run --resume {self.search}"
            ) from error
        if not front:
            raise UsageError(f"search {self.search!r} has nobody on its front: no trial was judged to its end")
        return front
