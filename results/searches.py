"""Searches in a store: opened by name, with their trials, front and files."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from spikefront.results.store import schema
from spikefront.results.store.connection import Store, tag_is
from spikefront.results.store.documents import candidate_of, front_members
from spikefront.results.store.reading import (
    MemberFiles,
    read_curves,
    read_files,
    read_json,
    read_trials,
    search_run,
    search_runs,
    trial_runs,
    warn_left_out,
)
from spikefront.searchspace.activity import Activity
from spikefront.searchspace.candidate import JOINT_FAMILIES
from spikefront.searchspace.configured import name_of, write_configured
from spikefront.searchspace.errors import UnknownName, UsageError, shown
from spikefront.searchspace.front import Front, distinct
from spikefront.searchspace.objectives import DEFAULT_ENERGY_MODEL
from spikefront.searchspace.records import Spread
from spikefront.searchspace.secrets import redact_values
from spikefront.searchspace.trial import Trial, last_tries

if TYPE_CHECKING:
    from mlflow.entities import Run

    from spikefront.plugins import Counts

_AN_ID: Final = re.compile("[0-9a-f]{32}")
_NAMES: Final = 20
"""Most names in an error message."""


class StoredSearch:
    """A search in a store.

    Args:
        store: where it is.
        run: its MLflow run.

    Raises:
        UsageError: when the run is damaged, or was not written by a search.

    Attributes:
        store: where it is.
        run: its MLflow run as it was when it was opened.
        run_id: id of this run.
        name: its name.
        task: its task.
        objectives: the axes of its front; the first is quality.
        options: what it was started with, as text.
        ended: why it ended; empty while it runs, or when its driver died.
        began: its start, in milliseconds since 1970.
    """

    def __init__(self, store: Store, run: Run) -> None:
        tags = run.data.tags
        self.store, self.run = store, run
        self.run_id: str = run.info.run_id
        self.name: str = tags.get(schema.SEARCH, "")
        self.task: str = tags.get(schema.TASK, "")
        try:
            if not self.name:
                raise ValueError(f"it has no tag {schema.SEARCH}")
            if not 0 <= (run.info.start_time or 0) < schema.LATEST_MS:
                raise ValueError(f"its start, {run.info.start_time}, is not a time")
            self.objectives = schema.objectives_of(tags)
        except ValueError as error:
            raise UsageError(
                f"search {shown(self.name)}, run {self.run_id}, is damaged, or of another program: {error}; delete it"
            ) from error
        self.options: Mapping[str, str] = redact_values(dict(run.data.params))
        self.ended: str = tags.get(schema.ENDED, "")
        self.began: int = run.info.start_time or 0

    @classmethod
    def open(cls, store: Store, name: str | None = None) -> StoredSearch:
        """Open a search.

        Args:
            store: where.
            name: its name, of two of one name the newer; None for the newest of all.

        Raises:
            UnknownName: when there is no search of that name.
            UsageError: when there is no search at all, or the store does not answer.
        """
        return next(open_searches(store, name))

    @cached_property
    def quality(self) -> str:
        """The task's own name for quality, for example ``accuracy``."""
        tagged = self.run.data.tags.get(schema.QUALITY)
        return tagged or str(self.artifact(schema.FRONT_FILE).get("quality", "quality"))

    @property
    def energy_model(self) -> str:
        """Name of its energy model, with the settings that it had: ``chip-table(node=14nm)``."""
        name = self.options.get("energy_model", DEFAULT_ENERGY_MODEL)
        prefix = f"energy.{name}."
        settings = {key.removeprefix(prefix): value for key, value in self.options.items() if key.startswith(prefix)}
        return write_configured(name, settings)

    @cached_property
    def trials(self) -> list[Trial]:
        """Its trials in the order of their ends, those that run last; of a trial evaluated again only the last."""
        return last_tries(read_trials(self.store, self.run))

    @cached_property
    def front(self) -> Front:
        """The front over ``trials``."""
        return Front(self.objectives, self.trials)

    @property
    def seconds(self) -> float:
        """Time from its start to its end, or to the end of its last trial while it runs."""
        if self.run.info.end_time:
            return float(self.run.info.end_time - self.began) / 1000
        return max((trial.ended_s for trial in self.trials if math.isfinite(trial.ended_s)), default=0.0)

    def artifacts(self, *names: str) -> dict[str, dict[str, Any]]:
        """Return JSON artifacts of its run by name; one that is missing or can't be read is empty."""
        return read_json(self.store, self.run_id, names)

    def artifact(self, name: str) -> dict[str, Any]:
        """Return a JSON artifact of its run; empty where it is missing or can't be read."""
        return self.artifacts(name)[name]

    @cached_property
    def counts(self) -> dict[int, Counts]:
        """Operations of its trials by number, as they were counted; empty before its end, or of an earlier version."""
        from spikefront.plugins import Counts

        stored = self.artifact(schema.COUNTS_FILE).get("trials", {})
        return {int(number): Counts.from_dict(plain) for number, plain in stored.items()}

    def files(
        self, trials: Sequence[Trial], pictures: Collection[int] = (), activities: Collection[int] = ()
    ) -> dict[int, MemberFiles]:
        """Return files of trials by number: energy by layer, and what ``read_files`` reads of the numbers given."""
        return read_files(self.store, {trial.number: trial.run_id for trial in trials}, pictures, activities)

    def activity(self, trial: Trial) -> Activity | None:
        """Return what the network of a trial does; None where the trial left nothing of it, or it can't be read."""
        return self.files([trial], activities=[trial.number])[trial.number].activity

    def curves(self, trials: Sequence[Trial], metrics: Sequence[str]) -> dict[int, dict[int, dict[str, float]]]:
        """Return metrics of trials by number and epoch."""
        return read_curves(self.store, {trial.number: trial.run_id for trial in trials}, metrics)

    @cached_property
    def members(self) -> list[Trial]:
        """The members of the front of a search that ended, cheapest first, as its ``front.json`` has them.

        Raises:
            UsageError: when it has not ended, or its front is empty.
        """
        stored = self.artifact(schema.FRONT_FILE)
        if not stored:
            raise UsageError(
                f"search {self.name!r} has left no {schema.FRONT_FILE}: it runs, or died; end it, or resume it, "
                f"which writes a damaged file anew, too: spikefront run --resume {self.name}"
            )
        if not stored["front"]:
            raise UsageError(f"search {self.name!r} has an empty front: no trial was evaluated at full budget")
        return distinct(front_members(stored), self.objectives)

    def member(self, number: int, folder: Path) -> Member:
        """Fetch a member of the front, with its weights.

        Args:
            number: number of its trial.
            folder: where its files go.

        Raises:
            UsageError: when there is no such trial, it is not on the front, or it left no weights.
        """
        run = next(trial_runs(self.store, self.run_id, [tag_is(schema.NUMBER, str(number))], 1), None)
        if run is None:
            raise no_trial(self.store, self.name, number)
        return self.member_of(run, f"{self.name}/{number}", folder)

    def member_of(self, run: Run, called: str, folder: Path) -> Member:
        """Fetch the member of the front that a run is.

        Args:
            run: the run of its trial.
            called: its name, for messages.
            folder: where its files go.

        Raises:
            UsageError: when it is no trial, it is not on the front, or it left no weights.
        """
        tags = run.data.tags
        if tags.get(schema.PARETO) != schema.TRUE:
            rank = f"its Pareto rank is {tags[schema.RANK]}" if schema.RANK in tags else tags.get(schema.STATE, "")
            raise UsageError(f"run {called} is not on a front ({rank}); members and their trials: spikefront pareto")
        try:
            trial = schema.trial_of(run, self.began)
        except ValueError as error:
            raise UsageError(f"run {called} is not a trial of a search: {error}; list: spikefront pareto") from error
        candidate = candidate_of(self._fetch(trial, schema.CANDIDATE_FILE, folder).read_bytes())
        if not candidate:
            raise UsageError(f"run {called}: its {schema.CANDIDATE_FILE} is damaged; take another member")
        priced = trial.versions.get("energy", "").partition(" ")[0]
        return Member(
            search=self.name,
            trial=Trial(
                trial.number,
                candidate=candidate,
                metrics=trial.metrics,
                run_id=trial.run_id,
                versions=trial.versions,
            ),
            weights=self._fetch(trial, schema.WEIGHTS_SUFFIX, folder),
            plugins={
                f"{kind}.{value.partition(' ')[0]}": value.partition(" ")[2]
                for kind, value in trial.versions.items()
                if kind in JOINT_FAMILIES
            },
            energy_model=self.energy_model if priced in ("", name_of(self.energy_model)) else priced,
            commit=self.artifact(schema.ENVIRONMENT_FILE).get("git_commit") or "",
            confirmed=self._confirmed(run),
        )

    def _fetch(self, trial: Trial, ending: str, folder: Path) -> Path:
        client = self.store.client
        for artifact in client.list_artifacts(trial.run_id):
            if artifact.path.endswith(ending):
                return Path(client.download_artifacts(trial.run_id, artifact.path, str(folder)))
        what = "weights" if ending == schema.WEIGHTS_SUFFIX else ending
        raise UsageError(
            f"run {trial.run_id} has no {what} in MLflow: a search writes them there when it ends; "
            f"resume it: spikefront run --resume {self.name}"
        )

    def _confirmed(self, run: Run) -> Spread | None:
        metrics, name = run.data.metrics, f"{schema.CONFIRMED_METRIC}quality"
        wanted = [name, f"{name}_sd", f"{name}_low", f"{name}_high"]
        if any(key not in metrics for key in wanted):
            return None
        repeats = self.store.client.get_metric_history(run.info.run_id, f"{schema.TEST_METRIC}quality")
        return Spread(len({point.step for point in repeats}), *(metrics[key] for key in wanted))


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a front, with all that an export writes.

    Attributes:
        search: name of the search.
        trial: its trial, with typed candidate, validation metrics and run id.
        weights: file with its trained weights.
        plugins: versions of the plugins that it was trained with, by ``kind.name``.
        energy_model: name of the energy model, with its settings.
        commit: git commit that the search ran from; empty outside of a repository.
        confirmed: its quality on the test split; None before it was measured with at least two seeds.
    """

    search: str
    trial: Trial
    weights: Path
    plugins: Mapping[str, str]
    energy_model: str
    commit: str
    confirmed: Spread | None


def open_searches(store: Store, name: str | None = None) -> Iterator[StoredSearch]:
    """Yield searches, the newest first; with a name, only the newest of that name, and say so if there are others.

    Args:
        store: where.
        name: name of a search, its id, or the id of its run; None for all.

    Raises:
        UnknownName: when there is no such search.
        UsageError: when there is no search at all, or the store does not answer.
    """
    store.open_existing()
    if name is None:
        yield from _readable(store, search_runs(store))
        return
    run = search_run(store, name) if _AN_ID.fullmatch(name) else None
    if run is not None:
        yield StoredSearch(store, run)
        return
    found = list(islice(_readable(store, search_runs(store, name), name), 2))
    if len(found) > 1:
        began = datetime.fromtimestamp(found[0].began / 1000).strftime("%Y-%m-%d %H:%M:%S")
        print(
            f"spikefront: warning: of the searches named {name!r} this is the newest, begun {began}; the one before: "
            f"--search {found[1].run_id}",
            file=sys.stderr,
        )
    yield from found[:1]


def _readable(store: Store, runs: Iterator[Run], name: str | None = None) -> Iterator[StoredSearch]:
    """Yield the searches that can be read; those before each that can't are told in one line.

    Raises:
        UsageError: when there is none, or none can be read.
    """
    problems: list[str] = []
    is_empty = True
    for run in runs:
        try:
            search = StoredSearch(store, run)
        except UsageError as error:
            problems.append(error.on_command_line())
            continue
        if problems:
            warn_left_out("", problems)
            problems = []
        is_empty = False
        yield search
    if not is_empty:
        if problems:
            warn_left_out("", problems)
    elif problems:
        raise UsageError(problems[0])
    else:
        raise store.nothing_found() if name is None else UnknownName("search", name, search_names(store))


def search_names(store: Store, limit: int = _NAMES) -> list[str]:
    """Return the names of the newest searches, the newest first.

    Args:
        store: where.
        limit: how many at most.

    Raises:
        UsageError: when there is none, or the store does not answer.
    """
    store.open_existing()
    runs = store.client.search_runs([store.home], tag_is(schema.ROLE, "search"), max_results=limit)
    if not runs:
        raise store.nothing_found()
    return list(dict.fromkeys(run.data.tags.get(schema.SEARCH, "") for run in runs))


def no_trial(store: Store, search: str, number: int) -> UsageError:
    """Return the error of a trial that a search does not have."""
    return UsageError(f"no trial {number} of search {search!r} in {store.shown}; list: spikefront pareto")
