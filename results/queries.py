"""Queries for the front of a stored search, as a DataFrame."""

from __future__ import annotations

import math
import operator
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from spikefront.results.searches import StoredSearch, open_searches
from spikefront.results.stability import stability
from spikefront.results.store import schema
from spikefront.results.store.connection import Store, quoted, tag_is
from spikefront.results.store.reading import trial_runs, trials_of
from spikefront.searchspace.errors import UnknownName, UsageError, shown
from spikefront.searchspace.front import Front, distinct, unseparated
from spikefront.searchspace.objectives import ENERGY, ENERGY_ERROR, LATENCY, OBJECTIVES, Objective
from spikefront.searchspace.trial import Trial
from spikefront.searchspace.units import parse_count, parse_energy

if TYPE_CHECKING:
    import pandas

    from spikefront.plugins import Registry

UNSEPARATED: Final = "same_energy_as"
"""Column with the neighbours on the front that a member's energy is not separated from; see ``unseparated``."""

COLUMNS: Final = (
    "search",
    "trial",
    "quality",
    "energy_nj",
    "latency_steps",
    "coding",
    "neuron",
    "backbone",
    "steps",
    "cut",
    "run_id",
    "spike_rate",
    "sops",
    "macs",
    ENERGY_ERROR,
    UNSEPARATED,
)
"""Columns of ``pareto``; the metrics of further objectives follow."""

_ENDED: Final = {"COMPLETE": "judged", "FAIL": "failed", "PRUNED": "stopped early", "RUNNING": "open"}
_OPERATORS: Final[dict[str, Callable[[float, float], bool]]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}


@dataclass(frozen=True, slots=True)
class Condition:
    """A limit on a metric, for example ``parameters<=20000``.

    Attributes:
        name: name of an objective or a metric.
        comparison: ``<=``, ``>=``, ``<`` or ``>``.
        limit: the limit, in the metric's own unit.
    """

    name: str
    comparison: str
    limit: float

    def __post_init__(self) -> None:
        if not math.isfinite(self.limit):
            raise UsageError(f"limit {self.limit:g} must be a finite number; leave it out for no limit")

    @classmethod
    def parse(cls, text: str) -> Condition:
        """Read a condition such as ``sops < 1e6``, ``parameters<=20k`` or ``attention<=2uJ``.

        Raises:
            UsageError: when it has no such form.
        """
        match = re.fullmatch(r"\s*([^\s<>=]+)\s*(<=|>=|<|>)\s*([^<>=]+?)\s*", text)
        if match is None:
            form = "NAME<=NUMBER, with <=, >=, < or >, like parameters<=20000"
            raise UsageError(f"condition {shown(text)} must read {form}")
        try:
            limit = float(match[3].encode("ascii"))
        except ValueError:
            limit = parse_energy(match[3]) if match[3].endswith("J") else parse_count(match[3])
        return cls(match[1], match[2], limit)

    def holds(self, value: float) -> bool:
        """Return whether a value meets the limit; NaN does not."""
        return _OPERATORS[self.comparison](value, self.limit)


def pareto(
    store: Store,
    search: str | None = None,
    *,
    min_quality: float | None = None,
    max_energy_nj: float | None = None,
    max_latency: float | None = None,
    where: Sequence[str] = (),
    coding: str | Sequence[str] = (),
    order: str = "energy",
    knee: bool = False,
    per_coding: bool = False,
    registry: Callable[[], Registry] | None = None,
    more: Callable[[], Iterable[Objective]] = tuple,
) -> pandas.DataFrame:
    """Return the front of a search.

    Args:
        store: where the search is.
        search: its name; None means the newest search that has a front.
        min_quality: leave out lower quality (higher, where the task's quality is minimised), in the task's own unit.
        max_energy_nj: leave out higher energy, in nanojoules per sample.
        max_latency: leave out more time steps.
        where: further conditions on any objective or metric, for example ``parameters<=20000``.
        coding: name or names of codings; leave out all others. Empty means none is left out.
        order: the objective or metric by which rows are sorted, the best first.
        knee: return only the knee of what the filters leave, see ``find_knee``.
        per_coding: the front of each coding among the comparable trials, in place of the front of all, and with
            ``knee`` its knee.
        registry: returns the energy models under each of which the front is computed; None for no other than the
            search's own.
        more: returns further objectives, such as those of plugins; called when neither the search nor spikefront has
            one of the name that ``where`` or ``order`` gives.

    Returns:
        One row for each member, with ``COLUMNS`` and the metrics of further objectives, in the given order; grouped by
        coding with ``per_coding``. ``trial`` has the number of a trial, or the name of a point (``12@4``); ``cut`` its
        T', and 0 otherwise. Missing numbers are NaN. ``same_energy_as`` has the names of the neighbours on the
        front that the energy is not separated from (see ``unseparated``), and is empty where there is none.
        ``attrs["quality"]`` has the task's own name for quality, and states where less is better;
        ``attrs["energy_model"]`` the energy model with its settings, and ``attrs["empty"]`` why there is no row. With
        ``registry``, one row for each trial on the front of some model, see ``Stability.frame``, and in
        ``attrs["sentences"]`` what they show.

    Raises:
        UnknownName: when there is no search of that name, no trial in it has one of the codings, or no such metric.
        UsageError: when there is no search at all, the store does not answer, or a condition can't be read; or when
            fronts of models are asked for together with a knee or fronts of codings.
    """
    if registry is not None and (knee or per_coding):
        raise UsageError(f"--stable and {'--knee' if knee else '--per-coding'} can't be combined; leave one out")
    coding = [coding] if isinstance(coding, str) else coding
    conditions = [Condition.parse(text) for text in where]
    conditions += [Condition(ENERGY.metric, "<=", max_energy_nj)] if max_energy_nj is not None else []
    conditions += [Condition(LATENCY.metric, "<=", max_latency)] if max_latency is not None else []
    if min_quality is not None:
        Condition("quality", ">=", min_quality)  # finite, before the store is opened
    for found in open_searches(store, search):
        trials = _fronts_by_coding(found) if per_coding else _front(found)
        if trials or search is not None:
            break
    else:
        frame = _table(found, [], {})
        frame.attrs["empty"] = f"no search in {store.shown} has a front: none has a trial judged at full budget"
        return frame
    stable = None if registry is None else stability(found, registry())
    trials = trials if stable is None else stable.members
    members = len(trials)
    alike: dict[str, tuple[str, ...]] = {}
    for name in {trial.coding for trial in trials} if per_coding else {None}:
        alike |= unseparated(trial for trial in trials if name in (None, trial.coding))
    quality = found.objectives[0]
    if min_quality is not None:
        conditions.append(Condition("quality", ">=" if quality.maximize else "<=", min_quality))
    _check_codings(found, set(coding) - {trial.coding for trial in trials})
    axis = _find(found, trials, order, "order", more)
    for condition in conditions:
        limited = _find(found, trials, condition.name, "metric", more)
        trials = [trial for trial in trials if condition.holds(_value(trial, limited))]
    trials = [trial for trial in trials if not coding or trial.coding in coding]
    if knee:
        front = Front(found.objectives, trials)
        knees = [each.knee() for each in (front.by("coding").values() if per_coding else [front])]
        trials = [one for one in knees if one is not None]
    trials = sorted(trials, key=lambda trial: (trial.coding if per_coding else "", *_rank(trial, axis)))
    frame = _table(found, trials, alike) if stable is None else stable.frame(trials)
    frame.attrs["quality"] = found.quality + ("" if quality.maximize else ", less is better")
    frame.attrs["energy_model"] = found.energy_model
    if frame.empty:
        frame.attrs["empty"] = _why_empty(found, members)
    return frame


def _why_empty(search: StoredSearch, members: int) -> str:
    """Return why nothing of a front is shown."""
    if members:
        return f"the filters leave none of the {members} members of the front of {search.name}"
    states = Counter(trial.state for trial in search.trials)
    ended = ", ".join(f"{number} {_ENDED.get(state, state)}" for state, number in sorted(states.items()))
    return f"search {search.name} has no front: no trial was judged at full budget ({ended or 'it has no trials'})"


def _front(search: StoredSearch) -> list[Trial]:
    """Return the trials that the store marks as the front."""
    runs = trial_runs(search.store, search.run_id, [tag_is(schema.PARETO, schema.TRUE)])
    members = sorted(trials_of(search.run, runs), key=lambda trial: (trial.number, trial.cut))
    return distinct(members, search.objectives)  # an earlier version marked each trial of equal candidates


def _fronts_by_coding(search: StoredSearch) -> list[Trial]:
    return [trial for front in search.front.by("coding").values() for trial in front.members]


def _check_codings(search: StoredSearch, wanted: Iterable[str]) -> None:
    for name in wanted:
        known = trial_runs(search.store, search.run_id, [f"params.coding = {quoted(name)}"], 1)
        if next(known, None) is None:
            codings = {trial.coding for trial in search.trials} - {""}
            raise UnknownName(f"coding in search {search.name}:", name, codings)


def _find(
    search: StoredSearch, trials: Sequence[Trial], name: str, what: str, more: Callable[[], Iterable[Objective]]
) -> Objective:
    """Return the objective of this name or metric; for any other metric of the trials, one to be minimised."""
    axes = [*search.objectives, *OBJECTIVES.values()]
    metrics = {metric for trial in trials for metric in trial.metrics}
    for known in (lambda: axes, more):
        found = next((axis for axis in known() if name in (axis.name, axis.metric)), None)
        if found is not None or name in metrics:
            return found or Objective(name, maximize=False, worst=1.0, best=0.0)
    raise UnknownName(what, name, {axis.name for axis in axes} | metrics)


def _value(trial: Trial, axis: Objective) -> float:
    """Return the value of a trial on an axis, which may follow from other metrics; NaN where it is not known."""
    if axis.metric in trial.metrics or axis.measure is None:
        return trial.metrics.get(axis.metric, math.nan)
    try:
        return float(axis.measure(trial.metrics))
    except Exception:  # a plugin's, which may lack a metric, or raise anything
        return math.nan


def _rank(trial: Trial, axis: Objective) -> tuple[bool, float, bool, float, int, int]:
    """Return the sort key: the best first, then the cheapest, then by number; without a value last."""
    value, energy = (_value(trial, each) for each in (axis, ENERGY))
    signed = -value if axis.maximize else value
    return math.isnan(value), 0.0 if math.isnan(value) else signed, math.isnan(energy), energy, trial.number, trial.cut


def _table(search: StoredSearch, trials: Sequence[Trial], alike: Mapping[str, tuple[str, ...]]) -> pandas.DataFrame:
    import pandas

    columns = list(dict.fromkeys([*COLUMNS, *(axis.metric for axis in search.objectives)]))
    rows = [{name: _cell(search.name, trial, name, alike) for name in columns} for trial in trials]
    return pandas.DataFrame(rows, columns=columns)


def _cell(search: str, trial: Trial, column: str, alike: Mapping[str, tuple[str, ...]]) -> Any:
    given = {"search": search, "trial": trial.label, "cut": trial.cut, "run_id": trial.run_id}
    given[UNSEPARATED] = " ".join(alike.get(trial.name, ()))
    if column in given:
        return given[column]
    if column in ("coding", "neuron", "backbone", "steps"):
        return trial.candidate.get(column, "")
    return trial.metrics.get(column, math.nan)
