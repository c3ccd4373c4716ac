"""What a report is computed from: a search, its trials and fronts, what was confirmed, and files of its members."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from spikefront.results.stability import Stability, stability
from spikefront.results.store.schema import (
    CONFIRMED_FILE,
    ENVIRONMENT_FILE,
    PROBED_FILE,
    RECOMMENDED_FILE,
    TWINS_FILE,
)
from spikefront.searchspace import Front, Objective, Trial, Value
from spikefront.searchspace.activity import Activity
from spikefront.searchspace.front import spread, unseparated
from spikefront.searchspace.records import LayerEnergy

if TYPE_CHECKING:
    from spikefront.plugins import Registry
    from spikefront.results.importance import Explained
    from spikefront.results.searches import StoredSearch

_PICTURED: Final = 0.95
_LAYERED: Final = 200
"""Most members of the front whose layers are read, evenly spaced; each takes 5 ms."""
_CURVES: Final = 24
"""Most members whose learning curves are read, evenly spaced: 4 ms from tables, 0.2 s by MLflow's client."""
CURVED: Final = ("quality", "energy_nj", "spike_rate")
"""Metrics whose values at the end of each epoch are read, beside those of further objectives."""
_PICTURES: Final = 12
"""Most members whose pictures of what they make are shown; one of clothes takes 30 kB."""
_ACTIVE: Final = 6
"""Most members, beside the knee, whose activity is read; it takes 3 to 100 kB."""


@dataclass(frozen=True)
class Findings:
    """A search and all that its report is made from.

    Attributes:
        name: the search's name.
        task: its task.
        quality: the task's own name for quality.
        objectives: the axes of the front; the first is quality.
        run_id: MLflow's run of the search.
        options: the settings of the search, as text.
        ended: why it ended; empty while it runs, or when its driver died.
        began: its start, in milliseconds since 1970.
        seconds: from its start to its end, or to the end of its last trial.
        trials: in the order in which they ended, those that run last; of a trial evaluated again only the last.
        environment: content of ``environment.json``; empty before the search has ended.
        confirmed: content of ``confirmed.json``; empty before ``spikefront confirm``.
        twins: content of ``twins.json``; empty before ``spikefront twin``.
        recommended: content of ``recommended.json``; empty before ``spikefront recommend``.
        inputs: kind of the task's inputs; empty where it is not known.
        probed: content of ``probed.json``; empty before ``spikefront probe --search``.
        layers: energies of members of the front by layer, as their ``layers.json`` has them, by the names of trials.
        pictures: PNG files of what members of the front make, evenly spaced among them, by the names of trials.
        activities: what networks of the knee and of members evenly spaced on the front do, by the names of trials.
        curves: metrics of trials on the front, or with a point there, evenly spaced, by their names and epochs.
        stability: the fronts under each energy model; None where the store has no counts.
    """

    name: str
    task: str
    quality: str
    objectives: tuple[Objective, ...]
    run_id: str
    options: Mapping[str, Value]
    ended: str
    began: int
    seconds: float
    trials: Sequence[Trial]
    environment: Mapping[str, Any] = field(default_factory=dict)
    confirmed: Mapping[str, Any] = field(default_factory=dict)
    twins: Mapping[str, Any] = field(default_factory=dict)
    recommended: Mapping[str, Any] = field(default_factory=dict)
    inputs: str = ""
    probed: Mapping[str, Any] = field(default_factory=dict)
    layers: Mapping[str, Sequence[LayerEnergy]] = field(default_factory=dict)
    pictures: Mapping[str, bytes] = field(default_factory=dict)
    activities: Mapping[str, Activity] = field(default_factory=dict)
    curves: Mapping[str, Mapping[int, Mapping[str, float]]] = field(default_factory=dict)
    stability: Stability | None = None

    @cached_property
    def front(self) -> Front:
        """The front among the comparable trials."""
        return Front(self.objectives, self.trials)

    @cached_property
    def members(self) -> Sequence[Trial]:
        """The members of the front, cheapest first."""
        return self.front.members

    @cached_property
    def comparable(self) -> Sequence[Trial]:
        """The trials evaluated at full budget with a finite value on each axis, in the order in which they ended.

        Their points, which only members of fronts are shown of, are not among them.
        """
        return self.front.trainings

    @cached_property
    def knee(self) -> Trial | None:
        """The best compromise of the front between quality and the axis beside it."""
        return self.front.knee()

    @cached_property
    def alike(self) -> Mapping[str, tuple[str, ...]]:
        """The neighbours on the front that a member's energy is not separated from, by its name."""
        return unseparated(self.members)

    @cached_property
    def losers(self) -> frozenset[str]:
        """The names of the members of the front that lose to a twin."""
        return frozenset(str(one["trial"]) for one in self.twins.get("members", ()) if one["verdict"] == "loses")

    @property
    def compared(self) -> Sequence[Mapping[str, Any]]:
        """The members of ``twins.json`` that have twins."""
        return [one for one in self.twins.get("members", ()) if "ann" in one]

    @cached_property
    def codings(self) -> Sequence[str]:
        """The names of the codings of all trials, sorted."""
        return sorted({trial.coding for trial in self.trials if trial.coding})

    @cached_property
    def fronts(self) -> Mapping[str, Front]:
        """The front of each coding by itself, where it has comparable trials."""
        return {name: front for name, front in self.front.by("coding").items() if name}

    @cached_property
    def importances(self) -> Sequence[Explained]:
        """How much each hyperparameter matters for the front, and for each objective, see ``explain``."""
        from spikefront.results.importance import explain

        return explain(self)

    @cached_property
    def shown(self) -> Sequence[Trial]:
        """The comparable trials that pictures have room for.

        These are all members of the codings' fronts, points among them, and all trials no further from the best in
        quality than half as far again as the better 95 %: a few trials at chance would flatten all others.
        """
        if not self.comparable:
            return []
        worse = self.front.losses_of(self.comparable)[:, 0]
        members = [trial for front in self.fronts.values() for trial in front.members]
        best, most = float(worse.min()), float(np.quantile(worse, _PICTURED))
        floor = max(best + 1.5 * (most - best), float(self.front.losses_of(members)[:, 0].max()))
        trials = [trial for trial, loss in zip(self.comparable, worse, strict=True) if loss <= floor]
        return [*trials, *(trial for trial in members if trial.cut)]

    def heading(self, axis: Objective) -> str:
        """Return the heading of an objective's column."""
        return axis.heading(self.quality)

    def describe(self, trial: Trial) -> str:
        """Return what a trial reached, in words; the axis beside quality needs no name where its values have a unit."""
        parts = [f"trial {trial.name}", trial.coding]
        for axis in self.objectives:
            value = axis.format(trial.metrics.get(axis.metric))
            parts.append(value if axis == self.front.across and axis.unit else f"{self.heading(axis)} {value}")
        return ", ".join([*parts, *(["loses to a twin"] if trial.name in self.losers else [])])


def read_findings(search: StoredSearch, registry: Callable[[], Registry] | None = None) -> Findings:
    """Return what a report of a search is made from.

    Args:
        search: the search.
        registry: returns the energy models under which its front is computed, too; None for none.
    """
    artifacts = search.artifacts(ENVIRONMENT_FILE, CONFIRMED_FILE, TWINS_FILE, RECOMMENDED_FILE, PROBED_FILE)
    found = Findings(
        name=search.name,
        task=search.task,
        quality=search.quality,
        objectives=search.objectives,
        run_id=search.run_id,
        options=search.options,
        ended=search.ended,
        began=search.began,
        seconds=search.seconds,
        trials=search.trials,
        environment=artifacts[ENVIRONMENT_FILE],
        confirmed=artifacts[CONFIRMED_FILE],
        twins=artifacts[TWINS_FILE],
        recommended=artifacts[RECOMMENDED_FILE],
        inputs=search.inputs,
        probed=artifacts[PROBED_FILE],
    )
    curved = dict.fromkeys((*CURVED, *(axis.metric for axis in found.objectives)))
    trials = {trial.number: trial for trial in found.trials}
    trained = [trials[number] for number in dict.fromkeys(one.number for one in found.members)]
    found = replace(found, curves=search.curves(spread(trained, _CURVES), list(curved)))
    if found.ended and found.members and registry is not None and search.counts:
        found = replace(found, stability=stability(search, registry()))
    return _with_files(found, search) if found.ended else found


def _with_files(found: Findings, search: StoredSearch) -> Findings:
    """Add the layers, pictures and activity of members of the front."""
    layered, active = spread(found.members, _LAYERED), spread(found.members, _ACTIVE)
    active += [found.knee] if found.knee is not None and found.knee not in active else []
    read = {trial.name: trial for trial in (*layered, *active)}
    files = search.files(
        list(read.values()), {trial.name for trial in spread(layered, _PICTURES)}, {trial.name for trial in active}
    )
    return replace(
        found,
        layers={name: each.layers for name, each in files.items() if each.layers},
        pictures={name: each.picture for name, each in files.items() if each.picture},
        activities={name: each.activity for name, each in files.items() if each.activity},
    )
