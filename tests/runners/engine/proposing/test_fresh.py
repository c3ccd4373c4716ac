"""No candidate is tried twice while there are others, and a space of which all are tried ends the search."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.samplers import BaseSampler
from ray.tune.search import Searcher

from spikefront.plugins import load_registry
from spikefront.runners.engine.memory.opening import create_study
from spikefront.runners.engine.memory.study import StudyRecord
from spikefront.runners.engine.parts import make_sampler
from spikefront.runners.engine.placing.bridge import StudySearcher
from spikefront.runners.engine.proposing.fresh import FreshSampler
from spikefront.runners.engine.proposing.shown import Shown
from spikefront.runners.engine.proposing.untried import Untried
from spikefront.runners.engine.settings import SearchSettings
from spikefront.runners.failures import LOST_WORKER, Failure
from spikefront.searchspace import ENERGY, Callbacks, Objective, Space, parse_set

REGISTRY = load_registry(third_parties=False)
OBJECTIVES = (Objective("quality", maximize=True, worst=0.0, best=1.0), ENERGY)
FIXED = (
    "coding=direct",
    "neuron=if",
    "neuron.if.threshold=1",
    "neuron.if.reset=soft",
    "backbone=mlp",
    "backbone.mlp.width=32",
    "backbone.mlp.depth=1",
    "training.epochs=1",
    "training.optimizer.adam.lr=0.002",
    "training.surrogate=sigmoid",
    "training.surrogate.sigmoid.alpha=4",
)


def space_of(*narrow: str) -> Space:
    return Space(REGISTRY, "digits", [parse_set(text) for text in (*FIXED, *narrow)])


class Searched:
    """A search of which every trial takes a moment.

    Attributes:
        reasons: why it was ended.
    """

    def __init__(self, folder: Path, space: Space, inner: BaseSampler | None = None, trials: int | None = 20) -> None:
        settings = SearchSettings(name="s", folder=folder)
        plugin = make_sampler(settings, REGISTRY)
        study = create_study(settings, OBJECTIVES, plugin)
        self.record = StudyRecord(study, OBJECTIVES)
        make = plugin.make if inner is None else lambda seed: inner
        untried, name = Untried(space), type(inner).__name__
        study.sampler = FreshSampler(make, space, Shown(self.record), untried=untried, name=name)
        self.reasons: list[str] = []
        self.searcher = StudySearcher(
            self.record, space, Callbacks(), trials, 2, folder, self.reasons.append, untried=untried
        )

    def one(self, name: str = "a", reason: str = "") -> int | None:
        """Run one trial and return its number of steps; None when there is none."""
        begun = self.searcher.suggest(name)
        if begun is Searcher.FINISHED:
            return None
        self.end(name, begun["candidate"]["steps"], reason)
        return int(begun["candidate"]["steps"])

    def end(self, name: str, steps: int, reason: str = "") -> None:
        if reason:
            self.searcher.fail(name, Failure(reason))
        else:
            energy = {"metrics/quality": 1 - 1 / steps, "metrics/energy_nj": 10.0 * steps, "metrics/seconds": 1.0}
            self.searcher.on_trial_complete(name, {"epoch": 1, **energy})


def of_optuna(name: str) -> Callable[[], BaseSampler]:
    make: dict[str, Callable[[], BaseSampler]] = {
        "random": lambda: optuna.samplers.RandomSampler(seed=0),
        "tpe": lambda: optuna.samplers.TPESampler(seed=0),
        "tpe, multivariate": lambda: optuna.samplers.TPESampler(seed=0, multivariate=True, group=True),
        "gp": lambda: optuna.samplers.GPSampler(n_startup_trials=1, seed=0),
        "nsga2": lambda: optuna.samplers.NSGAIISampler(seed=0),
        "nsga3": lambda: optuna.samplers.NSGAIIISampler(seed=0),
        "qmc": lambda: optuna.samplers.QMCSampler(seed=0),
        "grid": lambda: optuna.samplers.GridSampler({"steps": [2, 3]}, seed=0),
        "every": lambda: optuna.samplers.BruteForceSampler(seed=0),
        "constant": lambda: optuna.samplers.PartialFixedSampler({"steps": 3}, optuna.samplers.RandomSampler(seed=0)),
    }
    return make[name]


SAMPLERS = ["random", "tpe", "nsga2", "qmc", "grid", "every", "constant"]
OTHERS = ["tpe, multivariate", "gp", "nsga3"]


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize("names", [SAMPLERS, pytest.param(OTHERS, marks=pytest.mark.slow)])
def test_every_sampler_tries_each_candidate_once_then_the_search_ends(
    names: list[str], tmp_path: Path, recwarn: pytest.WarningsRecorder, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in names:
        made = of_optuna(name)()
        recwarn.clear()
        search = Searched(tmp_path / name, space_of("steps=2..4"), made)
        tried = [search.one(f"trial {number}") for number in range(4)]
        assert sorted(map(str, tried)) == ["2", "3", "4", "None"], name
        assert search.reasons == ["the space has 3 candidates, and all are tried; for more seeds: spikefront confirm"]
        assert search.searcher.exhausted
        assert not search.searcher.unfinished
        assert [str(one.message) for one in recwarn if "optuna" in str(one.category)] == [], name
    assert "[W " not in capfd.readouterr().err


def test_a_space_of_one_candidate_is_tried_once_by_several_workers(tmp_path: Path) -> None:
    search = Searched(tmp_path, space_of("steps=3"), trials=None)
    assert search.searcher.suggest("a")["candidate"]["steps"] == 3
    assert search.searcher.suggest("b") is None  # Tune asks again
    assert search.reasons == []
    search.end("a", 3)
    assert search.searcher.suggest("b") is Searcher.FINISHED
    assert search.reasons == ["the space has 1 candidate, and it is tried; for more seeds: spikefront confirm"]


def test_what_a_failed_or_lost_worker_leaves(tmp_path: Path) -> None:
    search = Searched(tmp_path, space_of("steps=3,4"))
    first = search.one("a", LOST_WORKER)
    found = [search.one(str(number), "loss is nan at epoch 1" if number == 0 else "") for number in range(3)]
    assert sorted(map(str, found)) == ["3", "4", "None"]  # the lost one again, and the failed one not
    assert first in found
    again = Searched(tmp_path / "again", space_of("steps=3"))
    assert [again.one(str(number), LOST_WORKER) for number in range(3)] == [3, 3, None]  # it kills its workers


def test_a_resumed_search_knows_what_was_tried(tmp_path: Path) -> None:
    search = Searched(tmp_path, space_of("steps=2..4"))
    first = search.one()
    search.searcher.suggest("b")
    search.searcher.end_all("PRUNED", "time is up")
    search.record.take_up()
    later = StudySearcher(search.record, space_of("steps=2..4"), Callbacks(), 9, 2, tmp_path, search.reasons.append)
    search.searcher = later
    rest = [search.one(str(number)) for number in range(3)]
    assert sorted(map(str, [first, *rest])) == ["2", "3", "4", "None"]
    assert search.reasons[0].startswith("the space has 3 candidates, and all are tried")
    over = StudySearcher(search.record, space_of("steps=2..4"), Callbacks(), 9, 2, tmp_path, search.reasons.append)
    over.end_if_exhausted()
    assert over.exhausted
    none = StudySearcher(search.record, space_of("steps=2..4"), Callbacks(), 0, 2, tmp_path, search.reasons.append)
    none.end_if_exhausted()
    assert not none.exhausted  # its trials are done, and that is why it ends


AT_RANDOM = "it draws hyperparameters that not all of its trials have at random, independently of the others"


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize("name", [pytest.param("gp", marks=pytest.mark.slow), "qmc"])
def test_what_optunas_own_samplers_draw_at_random_is_said_once(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = {"gp": lambda: optuna.samplers.GPSampler(n_startup_trials=3, seed=0)}.get(name, of_optuna(name))()
    search = Searched(
        tmp_path, Space(REGISTRY, "digits", [parse_set("coding=direct,rate"), parse_set("training.epochs=1")]), made
    )
    for number in range(5):
        search.one(str(number))
    assert caplog.messages == [f"sampler {type(made).__name__}: {AT_RANDOM}"]


class Loud(optuna.samplers.RandomSampler):
    """Warns of this and that at each draw, as samplers and the libraries below them do."""

    def sample_independent(self, study: Any, trial: Any, name: str, domain: Any) -> Any:
        text = "The parameter '%s' in Trial#%d is sampled independently by using `RandomSampler` instead of `Loud`."
        logging.getLogger("optuna.samplers.loud").warning(text, name, trial.number)
        logging.getLogger("optuna._gp.optim_mixed").warning("Local search did not converge.")
        for category in (optuna.exceptions.ExperimentalWarning, FutureWarning, DeprecationWarning, RuntimeWarning):
            warnings.warn("for programmers", category, stacklevel=1)
        warnings.warn_explicit("lbfgs failed", UserWarning, "/x/site-packages/sklearn/linear.py", 1)
        warnings.warn(f"'{name}': a step of {trial.number}\nis coarse", stacklevel=1)
        return super().sample_independent(study, trial, name, domain)


def test_of_each_kind_of_warning_of_a_sampler_one_line_is_shown(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    search = Searched(tmp_path, Space(REGISTRY, "digits", [parse_set("coding=direct,rate")]), Loud())
    for number in range(4):
        search.one(str(number))
    first, second = caplog.messages
    assert first == f"sampler Loud: {AT_RANDOM}"
    assert second.startswith("sampler Loud: 'coding': a step of 0 is coarse")
    assert "Warning" not in capfd.readouterr().err
    assert logging.getLogger("optuna").handlers  # Optuna's own display is back


class Stuck(optuna.samplers.RandomSampler):
    """Proposes the same at all times."""

    def sample_independent(self, study: Any, trial: Any, name: str, domain: Any) -> Any:
        return domain.choices[0] if hasattr(domain, "choices") else domain.low


def test_an_infinite_space_is_never_all_tried(tmp_path: Path) -> None:
    space = Space(REGISTRY, "digits", [parse_set("coding=direct")])
    search = Searched(tmp_path, space, Stuck(), trials=8)
    assert None not in [search.one(str(number)) for number in range(8)]
    assert search.reasons == []


class Raises(optuna.samplers.RandomSampler):
    """Fails from its third trial on."""

    def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, Any]:
        if trial.number > 1:
            raise ZeroDivisionError("no points")
        return {}


class RaisesLater(optuna.samplers.RandomSampler):
    """Fails when a trial has ended."""

    def after_trial(self, study: Any, trial: Any, state: Any, values: Any) -> None:
        raise ZeroDivisionError("no points")


@pytest.mark.parametrize("faulty", [Raises, RaisesLater])
def test_a_sampler_that_raises_costs_a_warning(
    faulty: type[BaseSampler], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    search = Searched(tmp_path, space_of("steps=2..6"), faulty())
    assert sorted(map(str, [search.one(str(number)) for number in range(6)])) == ["2", "3", "4", "5", "6", "None"]
    (line,) = caplog.messages
    assert line.startswith(
        f"sampler {faulty.__name__} failed and is left out; from now on candidates are drawn at random"
    )
    assert "ZeroDivisionError: no points (test_fresh.py:" in line
