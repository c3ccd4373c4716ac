"""Searches in a store: opened by name, with their trials, front and files."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from spikefront.results.member import Member, no_trial, not_on_front
from spikefront.results.store import schema
from spikefront.results.store.connection import Store, tag_is
from spikefront.results.store.documents import candidate_of, front_members, points_of
from spikefront.results.store.reading import (
    MemberFiles,
    read_confirmed,
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
from spikefront.searchspace.secrets import redact_values
from spikefront.searchspace.trial import Trial, last_tries, read_name

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
        inputs: kind of the task's inputs; empty where it is not known.
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
        self.inputs: str = tags.get(schema.INPUTS, "")
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
        """Its trials in the order of their ends, those that run last; of a trial evaluated again only the last.

        Each has its points: while the search runs, those that are or were on the front.
        """
        return last_tries([self._measured(trial) for trial in read_trials(self.store, self.run)])

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
    def counts(self) -> dict[str, Counts]:
        """Operations of its trials, and of points that are or were on its front, by name, as they were counted.

        Empty before its end, or of an earlier version.
        """
        from spikefront.plugins import Counts

        stored = self.artifact(schema.COUNTS_FILE).get("trials", {})
        return {name: Counts.from_dict(plain) for name, plain in stored.items()}

    def files(
        self, trials: Sequence[Trial], pictures: Collection[str] = (), activities: Collection[str] = ()
    ) -> dict[str, MemberFiles]:
        """Return files of trials by name: energy by layer, and what ``read_files`` reads of the names given."""
        return read_files(self.store, {trial.name: trial.run_id for trial in trials}, pictures, activities)

    def activity(self, trial: Trial) -> Activity | None:
        """Return what the network of a trial does; None where the trial left nothing of it, or it can't be read."""
        return self.files([trial], activities=[trial.name])[trial.name].activity

    def curves(self, trials: Sequence[Trial], metrics: Sequence[str]) -> dict[str, dict[int, dict[str, float]]]:
        """Return metrics of trials by name and epoch."""
        return read_curves(self.store, {trial.name: trial.run_id for trial in trials}, metrics)

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

    def run_of(self, name: str) -> Run | None:
        """Return the run of a trial or point by its name; None where it has none."""
        number, cut = read_name(name)
        wanted = [tag_is(schema.NUMBER, str(number))]
        if cut:
            wanted = [tag_is(schema.POINT_TRIAL, str(number)), tag_is(schema.POINT_CUT, str(cut))]
        return next(trial_runs(self.store, self.run_id, wanted, 1), None)

    def find(self, name: str) -> Trial:
        """Return a trial or point by its name, also a point that has no run because it never was on the front.

        Raises:
            UsageError: when there is none, with the points that there are.
        """
        number, cut = read_name(name)
        trial = next((one for one in read_trials(self.store, self.run) if one.number == number), None)
        if trial is None:
            raise no_trial(self.store, self.name, number)
        points = {point.cut: point for point in self._measured(trial).points}
        if not cut or cut in points:
            return points[cut] if cut else trial
        if points:
            raise UsageError(
                f"no point {name} of search {self.name!r}: trial {number} can be cut at {', '.join(map(str, points))}"
            )
        why = "its coding can't be cut, or the search left points out"
        raise UsageError(f"no point {name} of search {self.name!r}: trial {number} has none: {why}")

    def _measured(self, trial: Trial) -> Trial:
        """Return a trial with its points, those that have no run among them."""
        return _with_points(trial, self._points.get(trial.number, {}))

    @cached_property
    def _points(self) -> Mapping[int, Mapping[int, Mapping[str, float]]]:
        return points_of(self.artifact(schema.POINTS_FILE)) if self.ended else {}

    def member(self, trial: int | str, folder: Path) -> Member:
        """Fetch a member of the front, with its weights.

        Args:
            trial: number of its trial, or name of the point.
            folder: where its files go.

        Raises:
            UsageError: when there is no such trial or point, it is not on the front, or it left no weights.
        """
        called = f"{self.name}/{trial}"
        run = self.run_of(str(trial))
        if run is None:
            raise not_on_front(called, self.find(str(trial)))
        return self.member_of(run, called, folder)

    def member_of(self, run: Run, called: str, folder: Path) -> Member:
        """Fetch the member of the front that a run is, or the trial, run for all its steps, of a point on the front.

        Args:
            run: the run of its trial.
            called: its name, for messages.
            folder: where its files go.

        Raises:
            UsageError: when it is neither trial nor point, neither it nor a point of it is on the front, or it left no
                weights.
        """
        tags = run.data.tags
        described = run.info.run_id if tags.get(schema.PARETO) == schema.TRUE else self._point_on_front(tags)
        if not described:
            rank = f"its Pareto rank is {tags[schema.RANK]}" if schema.RANK in tags else tags.get(schema.STATE, "")
            raise UsageError(f"run {called} is not on a front ({rank}); members and their trials: spikefront pareto")
        try:
            trial = schema.trial_of(run, self.began)
        except ValueError as error:
            raise UsageError(f"run {called} is not a trial of a search: {error}; list: spikefront pareto") from error
        candidate = candidate_of(self._fetch(described, schema.CANDIDATE_FILE, folder).read_bytes())
        if not candidate:
            raise UsageError(f"run {called}: its {schema.CANDIDATE_FILE} is damaged; take another member")
        priced = trial.versions.get("energy", "").partition(" ")[0]
        return Member(
            search=self.name,
            trial=Trial(
                trial.number,
                candidate={name: value for name, value in candidate.items() if name != "cut" or trial.cut},
                metrics=trial.metrics,
                run_id=trial.run_id,
                versions=trial.versions,
                cut=trial.cut,
            ),
            weights=self._fetch(tags.get(schema.POINT_RUN, trial.run_id), schema.WEIGHTS_SUFFIX, folder),
            plugins={
                f"{kind}.{value.partition(' ')[0]}": value.partition(" ")[2]
                for kind, value in trial.versions.items()
                if kind in JOINT_FAMILIES
            },
            energy_model=self.energy_model if priced in ("", name_of(self.energy_model)) else priced,
            commit=self.artifact(schema.ENVIRONMENT_FILE).get("git_commit") or "",
            confirmed=read_confirmed(self.store, run),
        )

    def _point_on_front(self, tags: Mapping[str, str]) -> str:
        """Return the run of a point on the front, of a trial with these tags, whose weights are kept; or nothing."""
        points = (one for one in self.front.members if one.cut)
        number = schema.number_of(tags) if schema.NUMBER in tags else -1
        return next((one.run_id for one in points if one.number == number), "")

    def _fetch(self, run_id: str, ending: str, folder: Path) -> Path:
        client = self.store.client
        for artifact in client.list_artifacts(run_id):
            if artifact.path.endswith(ending):
                return Path(client.download_artifacts(run_id, artifact.path, str(folder)))
        what = "weights" if ending == schema.WEIGHTS_SUFFIX else ending
        raise UsageError(
            f"run {run_id} has no {what} in MLflow: a search writes them there when it ends; "
            f"resume it: spikefront run --resume {self.name}"
        )


def _with_points(trial: Trial, measured: Mapping[int, Mapping[str, float]]) -> Trial:
    """Return a trial with the points that were measured, and the runs of those that have one."""
    if not measured:
        return trial
    runs = {point.cut: point for point in trial.points}
    whole = trial.with_points(measured)
    return replace(whole, points=tuple(runs.get(point.cut, point) for point in whole.points))


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
