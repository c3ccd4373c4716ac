"""A search as a Python object: its trials and its front, and all that is done with them."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spikefront.commands.app import door
from spikefront.commands.options import DataDir, Experiment, PluginsDir, SearchName, TrackingUri

if TYPE_CHECKING:
    import pandas as pd

    from spikefront.commands.printing import Conclusions
    from spikefront.results.compare import Comparison
    from spikefront.results.pictures.plots import Plots
    from spikefront.results.recommendation.answer import Recommendation
    from spikefront.results.searches import StoredSearch
    from spikefront.results.store.connection import Store
    from spikefront.results.why.explanation import Explanation
    from spikefront.runners.deploy.model import Model
    from spikefront.runners.engine.search import SearchOutcome
    from spikefront.runners.engine.settings import SearchSettings
    from spikefront.runners.judging.judge import Judgement
    from spikefront.searchspace import Objective, Trial


class Search:
    """A search in MLflow, as ``spikefront.run`` and ``spikefront.load_search`` return it.

    It shows itself in a notebook as picture and table of its front.

    Args:
        store: where it is. It is read when something of the search is first asked for, so that a search that has ended
            is returned even when the store is down by then.
        name: its name.
        settings: options that it ran with; None where it was loaded.
        outcome: how it ended; None where it was loaded.
        key: id of the search or its run, where it was loaded.
        folders: of plugins and data, for what is done with a search that was loaded.

    Example:
        >>> search = load_search("digits-1")  # doctest: +SKIP
        >>> search.front(min_quality=0.95)  # doctest: +SKIP
        >>> search.export(19, "net.pt").predict(images)  # doctest: +SKIP
    """

    def __init__(
        self,
        store: Store,
        name: str,
        settings: SearchSettings | None = None,
        outcome: SearchOutcome | None = None,
        key: str = "",
        folders: Mapping[str, Any] | None = None,
    ) -> None:
        self._store = store
        self._key = key
        self._folders = dict(folders or {})
        self.name = name
        self.settings = settings
        self.outcome = outcome

    @cached_property
    def _stored(self) -> StoredSearch:
        from spikefront.results.searches import StoredSearch

        return StoredSearch.open(self._store, self.key)

    @property
    def key(self) -> str:
        """Its id, which commands take in place of its name, and which no other search has."""
        return (self.outcome.search_id if self.outcome else "") or self._key or self.name

    @property
    def missing(self) -> tuple[str, ...]:
        """What of the search did not reach MLflow, though its journal has it; ``run(resume=name)`` writes it."""
        return () if self.outcome is None else self.outcome.missing

    @property
    def task(self) -> str:
        """Name of its task."""
        return self._stored.task

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """The axes of its front; the first is quality."""
        return self._stored.objectives

    @cached_property
    def trials(self) -> Mapping[int, Trial]:
        """Its trials by number; of a trial that was evaluated again only the last."""
        return {trial.number: trial for trial in sorted(self._stored.trials, key=lambda trial: trial.number)}

    @property
    def hypervolume(self) -> float:
        """Share of the space between worst and ideal that its front dominates, from 0 to 1."""
        return self._stored.front.hypervolume

    @property
    def knee(self) -> Trial | None:
        """The best compromise of its front; None of an empty one."""
        return self._stored.front.knee()

    @property
    def _where(self) -> dict[str, Any]:
        return {"tracking_uri": self._store.uri, "experiment": self._store.experiment}

    @property
    def _settings(self) -> dict[str, Any]:
        """Folders that the search was given, for commands that need them as well."""
        if self.settings is None:
            return self._folders
        return {name: getattr(self.settings, name) for name in ("data_dir", "plugins_dir")}

    def front(self, **filters: Any) -> pd.DataFrame:
        """Return its front as a DataFrame; the filters are those of ``spikefront.pareto``."""
        from spikefront.commands.pareto import pareto

        return pareto(self.key, **filters, **self._where)

    def confirm(self, seeds: int = 5, **options: Any) -> Conclusions:
        """Retrain its front with several seeds and evaluate it on the test split; see ``spikefront.confirm``."""
        from spikefront.commands.confirm import confirm

        return confirm(self.key, seeds=seeds, **{**self._settings, **self._folder, **options}, **self._where)

    def recommend(self, **options: Any) -> Recommendation:
        """Find which coding is the best within a budget, and how surely; see ``spikefront.recommend``."""
        from spikefront.commands.recommend import recommend

        return recommend(self.key, **{**self._settings, **self._folder, **options}, **self._where)

    def twins(self, **options: Any) -> Conclusions:
        """Compare its front with ANNs of the same backbones; see ``spikefront.twin``."""
        from spikefront.commands.twin import twin

        return twin(self.key, **{**self._settings, **self._folder, **options}, **self._where)

    @property
    def _folder(self) -> dict[str, Any]:
        return {} if self.settings is None else {"folder": self.settings.folder}

    @cached_property
    def plot(self) -> Plots:
        """Its pictures, such as ``search.plot.front()``: shown in a notebook, and saved with ``.save("front.png")``."""
        from spikefront.results.findings import read_findings
        from spikefront.results.pictures.plots import Plots

        return Plots(read_findings(self._stored), self._stored.activity)

    def report(self, to: str | Path | None = None) -> Path:
        """Write its report into an HTML file, and return that; see ``spikefront.report``."""
        from spikefront.commands.report import report

        return report(self.key, to=to, **self._where)

    def compare(self, *others: str | Search) -> Comparison:
        """Compare it with other searches of its task in the same store; see ``spikefront.compare``."""
        from spikefront.commands.compare import compare

        names = [other.key if isinstance(other, Search) else other for other in others]
        return compare([self.key, *names], **self._where)

    def export(self, trial: int | str, to: str | Path, format: str = "torch", **options: Any) -> Model:
        """Export a member of its front into a file, and return it ready for use; see ``spikefront.export``.

        ``trial`` is the number of a trial, or the name of a point, such as ``12@4``.
        """
        from spikefront.commands.export import export

        return export(f"{self.key}/{trial}", to, format=format, **{**self._settings, **options}, **self._where)

    def picture(self, trial: int | str, **options: Any) -> list[Path]:
        """Draw what a member of its front does with a sample, and return the files; see ``spikefront.picture``."""
        from spikefront.commands.picture import picture

        return picture(f"{self.key}/{trial}", **{**self._settings, **options}, **self._where)

    def judge(self, trial: int | str, **options: Any) -> Judgement:
        """Train and measure the candidate of any of its trials once more, in this process; see ``spikefront.judge``."""
        from spikefront.commands.judge import judge

        return judge(f"{self.key}/{trial}", **{**self._settings, **options}, **self._where)

    def exits(self, trial: int | str, **options: Any) -> Conclusions:
        """Compare early exits of a member of its front with fixed numbers of steps; see ``spikefront.exits``."""
        from spikefront.commands.exits import exits

        return exits(f"{self.key}/{trial}", **{**self._settings, **options}, **self._where)

    def why(self, trial: int, **options: Any) -> Explanation:
        """Return why any of its trials did not learn; it is trained once more. See ``spikefront.why``."""
        from spikefront.commands.why import why

        return why(f"{self.key}/{trial}", **{**self._settings, **options}, **self._where)

    def __repr__(self) -> str:
        if self.missing:
            lacks = f"MLflow lacks {len(self.missing)} records of it; run(resume={self.name!r}) writes them"
            return f"<Search {self.name}: {lacks}>"
        front = self._stored.front
        return (
            f"<Search {self.name}: task {self.task}, {len(self.trials)} trials, "
            f"{len(front.members)} on the front, hypervolume {front.hypervolume:.4f}>"
        )

    def _repr_html_(self) -> str:
        """Return picture and table of the front, for a notebook."""
        from html import escape

        head = f"<p>{escape(repr(self).strip('<>'))}</p>"
        if self.missing or not self._stored.front.members:
            return head
        shown: str = self.front().drop(columns=["search", "run_id"]).to_html(index=False, float_format="{:.4g}".format)
        source = base64.b64encode(self.plot.front().svg().encode()).decode()
        image = f'<img alt="Front of {escape(self.name)}" src="data:image/svg+xml;base64,{source}">'
        return f"{head}{image}{shown}"


@door
def load_search(
    search: SearchName = None,
    *,
    data_dir: DataDir = None,
    plugins_dir: PluginsDir = (),
    tracking_uri: TrackingUri = None,
    experiment: Experiment = None,
) -> Search:
    """Return a search that is in MLflow. The folders serve what is done with it: export, confirm, twins, judge.

    Raises:
        UsageError: when there is no such search, or the store does not answer.
    """
    from spikefront.results.searches import StoredSearch
    from spikefront.results.store.connection import Store

    store = Store(tracking_uri, experiment)
    found = StoredSearch.open(store, search)
    folders = {"data_dir": data_dir, "plugins_dir": plugins_dir}
    return Search(store, found.name, key=found.run_id, folders=folders)


def trial_of(run: str, search: str | None) -> str:
    """Return ``SEARCH/TRIAL`` of a member that may be given by its own name beside the name of its search."""
    from spikefront.searchspace.trial import read_name

    if search is None:
        return run
    try:
        read_name(run)
    except ValueError:
        return run
    return f"{search}/{run}"
