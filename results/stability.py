"""Fronts of a search under several energy models, from the operations that it stored: who stays, and who would join."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from typing import TYPE_CHECKING, Any, Final

from spikefront.results.searches import StoredSearch
from spikefront.searchspace.configured import name_of, write_configured
from spikefront.searchspace.errors import one_line
from spikefront.searchspace.front import Front
from spikefront.searchspace.objectives import ENERGY, Objective
from spikefront.searchspace.records import LayerEnergy
from spikefront.searchspace.trial import Trial, read_name

if TYPE_CHECKING:
    import pandas

    from spikefront.plugins import Counts, EnergyModel, Registry

YES: Final = "yes"
NO: Final = "no"
UNKNOWN: Final = "not known"

COLUMNS: Final = ("search", "trial", "quality", ENERGY.metric, "coding", "steps", "cut", "run_id", "on_every_front")
"""First columns of ``Stability.frame``."""

_NO_COUNTS: Final = "no counts stored"
_PARTLY: Final = "its counts, of an earlier version, are not known to suffice for this model"
_EARLIER: Final = (
    "Counts by layer of an earlier version leave out encoders, take shifts for multiplications, and may lack biases: "
    "so do the energies that other models give for them"
)


@dataclass(frozen=True, slots=True)
class ModelFront:
    """The front of a search under one energy model.

    Attributes:
        model: name of the model.
        energies: nanojoules per sample of each trial and point that it prices, by name.
        problems: why it does not price one, by name.
        members: names of those on its front, among those that it prices.
    """

    model: str
    energies: Mapping[str, float]
    problems: Mapping[str, str]
    members: frozenset[str]

    def place(self, name: str) -> str:
        """Return ``yes`` where a trial or point is on the front, ``no``, or ``not known: `` and why."""
        if name in self.problems:
            return f"{UNKNOWN}: {self.problems[name]}"
        return YES if name in self.members else NO


@dataclass(frozen=True, slots=True)
class Agreement:
    """How alike two models rank the trials that both price.

    Attributes:
        models: their names.
        tau: Kendall's tau-b of the energies, from -1 to 1; NaN where it is not defined.
        trials: number of these trials.
    """

    models: tuple[str, str]
    tau: float
    trials: int


@dataclass(frozen=True)
class Stability:
    """The fronts of a search under several energy models.

    Attributes:
        search: name of the search.
        trials: its comparable trials and points by name.
        fronts: a front for each model, the search's own first. Its energies are those that were stored.
        earlier: whether some trials were priced from counts of an earlier version.
    """

    search: str
    trials: Mapping[str, Trial]
    fronts: Sequence[ModelFront]
    earlier: bool = False

    @cached_property
    def members(self) -> list[Trial]:
        """The members of the search's own front and those who join under another model, cheapest first."""
        found = [self.trials[name] for name in {name for front in self.fronts for name in front.members}]
        return sorted(found, key=lambda trial: (trial.metrics[ENERGY.metric], trial.number, trial.cut))

    @cached_property
    def agreements(self) -> list[Agreement]:
        """Kendall's tau between each two models, over all finished full-budget trials that both price."""
        from scipy.stats import kendalltau

        found = []
        for one, other in combinations(self.fronts, 2):
            both = sorted(one.energies.keys() & other.energies.keys())
            values = [[front.energies[name] for name in both] for front in (one, other)]
            is_defined = all(len(set(each)) > 1 for each in values)
            tau = float(kendalltau(*values).statistic) if is_defined else math.nan
            found.append(Agreement((one.model, other.model), tau, len(both)))
        return found

    def everywhere(self, name: str) -> str:
        """Return whether a trial or point is on the front of every model: ``yes``, ``no`` or ``not known``."""
        places = {front.place(name) for front in self.fronts}
        return NO if NO in places else YES if places == {YES} else UNKNOWN

    def frame(self, trials: Sequence[Trial]) -> pandas.DataFrame:
        """Return a row for each trial: whether it is on the front of each model, and its energy there.

        The columns are ``COLUMNS``; for each model ``on_MODEL`` and ``MODEL_nj``; and for each two models
        ``tau_MODEL_MODEL``, which has the same value in every row.
        """
        import pandas

        names = [front.model for front in self.fronts]
        columns = [*COLUMNS, *(f"on_{name}" for name in names), *(f"{name}_nj" for name in names)]
        taus = {"tau_" + "_".join(one.models): one.tau for one in self.agreements}
        frame = pandas.DataFrame([self._row(trial) | taus for trial in trials], columns=[*columns, *taus])
        frame.attrs["beside"] = [*columns[-len(names) :], *taus]
        frame.attrs["sentences"] = list(self.sentences())
        return frame

    def _row(self, trial: Trial) -> dict[str, Any]:
        row: dict[str, Any] = {
            "search": self.search,
            "trial": trial.label,
            "quality": trial.metrics["quality"],
            ENERGY.metric: trial.metrics[ENERGY.metric],
            "coding": trial.coding,
            "steps": trial.candidate.get("steps", ""),
            "cut": trial.cut,
            "run_id": trial.run_id,
            "on_every_front": self.everywhere(trial.name),
        }
        for front in self.fronts:
            row[f"on_{front.model}"] = front.place(trial.name)
            row[f"{front.model}_nj"] = front.energies.get(trial.name, math.nan)
        return row

    def sentences(self) -> Iterator[str]:
        """Yield what the fronts show, a sentence each."""
        own, *others = self.fronts
        if not own.members:
            return
        stay = [name for name in _sorted(own.members) if self.everywhere(name) == YES]
        text = f"{len(stay)} of the {len(own.members)} members under {own.model} are on the front of every model"
        yield text + (f": {_listed(stay)}" if stay else "")
        for front in others:
            yield self._change(own, front)
        for one in self.agreements:
            if one.trials < 2:
                continue
            value = "is not defined" if math.isnan(one.tau) else f"is {one.tau:.2f}"
            yield (
                f"Kendall's tau between {one.models[0]} and {one.models[1]} {value} over the energies of "
                f"{one.trials} trials judged at full budget"
            )
        if self.earlier:
            yield _EARLIER

    def _change(self, own: ModelFront, front: ModelFront) -> str:
        priced = own.members & front.energies.keys()
        if not priced:
            return f"Under {front.model} no member can be priced: {_why(front)}"
        gone, come = (_sorted(each) for each in (priced - front.members, front.members - own.members))
        parts = [f"{len(priced) - len(gone)} of {len(priced)} members stay"]
        parts += [f"{_listed(gone)} leave{'s' if len(gone) == 1 else ''}"] if gone else []
        parts += [f"{_listed(come)} would join"] if come else []
        among = (
            f", among the {len(front.energies)} of {len(self.trials)} trials that it prices; the others: {_why(front)}"
        )
        return f"Under {front.model} {', '.join(parts)}{among if front.problems else ''}"


def stability(search: StoredSearch, registry: Registry) -> Stability:
    """Price the stored operations of a search's trials under every installed energy model.

    The search's own model keeps the energies that were stored; the others have their default settings, and charge the
    encoder where the search did. ``energy_nj``, ``attention_nj``, ``encoder_nj``, times and objectives that are
    computed follow the model; quality and all else stay.

    Args:
        search: the search.
        registry: contains the energy models.
    """
    trials = search.front.trials
    own = ModelFront(
        name_of(search.energy_model),
        {name: trial.metrics[ENERGY.metric] for name, trial in trials.items() if ENERGY.metric in trial.metrics},
        {},
        frozenset(trial.name for trial in search.front.members),
    )
    counts, partly = search.counts, {}
    if not all(trial.name in counts for trial in search.front.members):
        files = search.files([trial for trial in search.front.members if trial.name not in counts])
        partly = {name: _counts(each.layers, trials[name]) for name, each in files.items() if each.layers}
    fronts = [own]
    for model in _models(search, registry):
        fronts.append(_front(search, model, counts, partly, _computed(search.objectives, registry)))
    used = any(front.energies.keys() & partly.keys() for front in fronts[1:])
    return Stability(search.name, trials, fronts, used)


def _models(search: StoredSearch, registry: Registry) -> Iterator[EnergyModel]:
    """Yield all models but the search's own, which charge the encoder where that does."""
    charges = "charge_encoder=False" not in search.energy_model
    for name in sorted(registry.entries["energy"].keys() - {name_of(search.energy_model)}):
        model = registry.energy_model(name)
        if not charges and hasattr(getattr(model, "config", None), "charge_encoder"):
            model = registry.energy_model(write_configured(name, {"charge_encoder": False}))
        yield model


def _front(
    search: StoredSearch,
    model: EnergyModel,
    counts: Mapping[str, Counts],
    partly: Mapping[str, Counts],
    computed: Sequence[Objective],
) -> ModelFront:
    priced, problems = [], {}
    front = Front(search.objectives)
    for name, trial in search.front.trials.items():
        known = counts.get(name) or partly.get(name)
        why = _NO_COUNTS if known is None else _shortfall(model, known, name in partly)
        if known is not None and not why:
            try:
                one = replace(trial, metrics=_metrics(trial, model, known, computed))
            except Exception as error:  # a plugin may raise anything
                why = _said(error)
            else:
                why = front.problem(one) or ""
                priced += [] if why else [one]
        if why:
            problems[name] = why
    for one in priced:
        front.add(one)
    energies = {one.name: one.metrics[ENERGY.metric] for one in priced}
    return ModelFront(name_of(str(model)), energies, problems, frozenset(one.name for one in front.members))


def _shortfall(model: EnergyModel, counts: Counts, earlier: bool) -> str:
    """Return what counts lack for a model; one that does not say is not trusted with those of an earlier version."""
    from spikefront.plugins import EnergyModel as Contract

    if earlier and type(model).shortfall is Contract.shortfall:
        return _PARTLY
    try:
        return model.shortfall(counts)
    except Exception as error:  # a plugin may raise anything
        return _said(error)


def _metrics(trial: Trial, model: EnergyModel, counts: Counts, computed: Iterable[Objective]) -> dict[str, float]:
    """Return the metrics that a trial would have under a model."""
    from spikefront.plugins.contracts.energy import TIMED_METRICS, energy_metrics

    metrics = {name: value for name, value in trial.metrics.items() if name not in TIMED_METRICS}
    metrics |= energy_metrics(model, counts)
    for axis in computed:
        assert axis.measure is not None
        metrics[axis.metric] = float(axis.measure(metrics))
    return metrics


def _computed(objectives: Sequence[Objective], registry: Registry) -> list[Objective]:
    """Return those of the objectives that are computed from metrics, as their plugins have them."""
    known = {axis.metric: axis for axis in registry.objectives.values() if axis.measure is not None}
    return [known[axis.metric] for axis in objectives if axis.metric in known]


def _counts(layers: Sequence[LayerEnergy], trial: Trial) -> Counts:
    """Return what ``layers.json`` of an earlier version has of a trial's operations, per sample."""
    from spikefront.plugins import Counts

    plain = [
        {
            "layer": layer.layer,
            "role": layer.role,
            "operations": {"adds": layer.adds, "multiplies": layer.multiplies, "shifts": layer.shifts},
            **{name: getattr(layer, name) for name in ("sops", "macs", "events", "sites", "biases")},
        }
        for layer in layers
    ]
    steps = trial.cut or trial.candidate.get("steps", 1)
    return Counts.from_dict({"samples": 1, "steps": steps if isinstance(steps, int) else 1, "layers": plain})


def _said(error: Exception) -> str:
    return one_line(f"{type(error).__name__}: {error}")


def _why(front: ModelFront) -> str:
    """Return the reasons why a model does not price trials, the most frequent first."""
    reasons = Counter(front.problems.values()).most_common(2)
    return "; ".join(f"{reason} ({number})" for reason, number in reasons)


def _sorted(names: Iterable[str]) -> list[str]:
    return sorted(names, key=read_name)


def _listed(names: Sequence[str], most: int = 10) -> str:
    text = ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
    return f"trial{'s' if len(names) > 1 else ''} {text}"
