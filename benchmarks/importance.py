"""Importance of hyperparameters, ours beside Optuna's, on functions whose total-order Sobol indices are known.

Run: python benchmarks/importance.py [--trials 100 300] [--seeds 5] [--fanova]

Each line is a mean over seeds. AUC: how often an input that matters is put before one that does not (0.5 is a guess).
Error: mean absolute error of the shares; PED-ANOVA's have no scale of their own, so they are scaled to the true sum.
False: the largest share of an input that does not matter, of the sum of all. Crowded trials begin at random, and then
vary those that are best so far, as samplers do. Seconds are processor time for objective and front.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import optuna

from spikefront.results.findings import Findings
from spikefront.results.importance import explain
from spikefront.searchspace import Objective, Trial
from spikefront.searchspace.front import pareto_ranks

AXES: Final = tuple(Objective(name, maximize=False, worst=10.0, best=-10.0) for name in ("quality", "other"))
OWN: Final = {"p": (0.0, 0.5), "q": (0.4, 0.0), "r": (0.6, 0.5), "s": (1.0, 0.0)}
"""Level of each choice, and slope of its own hyperparameter."""

Inputs = dict[str, Any]
Generator = np.random.Generator


@dataclass(frozen=True)
class Problem:
    """A function of hyperparameters, all uniform on [0, 1] but ``lr``, which is log-uniform on [1e-5, 1], and a choice.

    Attributes:
        of: returns the objectives.
        truth: total-order index of each hyperparameter, of a conditional one among the trials that have it.
        about: what they are of: an objective's place, or -1 for the front, where only the order of indices counts.
    """

    of: Callable[[Inputs], tuple[float, ...]]
    truth: Mapping[str, float]
    about: int = 0

    def draw(self, generator: Generator) -> Inputs:
        """Return inputs at random."""
        found: Inputs = {name: float(generator.random()) for name in self.truth if not name.startswith("coding")}
        if "lr" in found:
            found["lr"] = 10 ** (-5 * found["lr"])
        if "coding" in self.truth:
            name = str(generator.choice(list(OWN)))
            found |= {"coding": name, f"coding.{name}.own": float(generator.random())}
        return found

    def trials(self, count: int, generator: Generator, crowded: bool) -> list[Trial]:
        """Return trials that end in the order in which they were drawn."""
        inputs: list[Inputs] = []
        values: list[tuple[float, ...]] = []
        for at in range(count):
            new = self.draw(generator)
            if crowded and at >= count // 4 and generator.random() < 0.8:
                order = np.argsort(pareto_ranks(values) + 0.1 * generator.random(at))
                base = inputs[order[generator.integers(max(4, at // 5))]]
                if new.keys() == base.keys():
                    new = {name: self._near(name, base, new, generator) for name in new}
            inputs.append(new)
            values.append((*self.of(new), 0.0)[:2])
        return [
            Trial(at, "COMPLETE", one, dict(zip(("quality", "other"), value, strict=True)), ended_s=float(at))
            for at, (one, value) in enumerate(zip(inputs, values, strict=True))
        ]

    @staticmethod
    def _near(name: str, base: Inputs, new: Inputs, generator: Generator) -> Any:
        if generator.random() < 0.2:
            return new[name]
        if name == "lr":
            return float(np.clip(base[name] * 10 ** (0.5 * generator.normal()), 1e-5, 1))
        return base[name] if name == "coding" else float(np.clip(base[name] + 0.1 * generator.normal(), 0, 1))


def weighted(shape: Callable[[float], float]) -> Callable[[Inputs], tuple[float]]:
    """Return a sum of four inputs whose variances are as 0.6 : 0.25 : 0.1 : 0.05."""
    return lambda x: (sum(share**0.5 * shape(x[name]) for name, share in WEIGHTS.items()),)


def conditional() -> Problem:
    """Return a choice of four, two of which have a hyperparameter that matters; of its own, and one beside it."""
    of_choice = np.var([level + slope / 2 for level, slope in OWN.values()])
    of_own, beside = np.mean([slope**2 for _, slope in OWN.values()]) / 12, 0.3**2 / 12
    total = of_choice + of_own + beside
    own = {f"coding.{name}.own": slope**2 / (slope**2 + 0.3**2) for name, (_, slope) in OWN.items()}
    truth = {"coding": float((of_choice + of_own) / total), "b": float(beside / total), **own, **idle(4)}

    def value(x: Inputs) -> tuple[float]:
        level, slope = OWN[x["coding"]]
        return (level + slope * x[f"coding.{x['coding']}.own"] + 0.3 * x["b"],)

    return Problem(value, truth)


def along(x: Inputs) -> tuple[float, float]:
    """Return two objectives: ``x`` moves along their front, ``d`` and, less, ``e`` away from it."""
    away = 2 * (x["d"] - 0.3) ** 2 + (x["e"] - 0.6) ** 2
    return x["x"] + away, 1 - x["x"] ** 0.5 + away


def idle(count: int) -> dict[str, float]:
    """Return inputs that do not matter."""
    return {f"idle{at}": 0.0 for at in range(count)}


WEIGHTS: Final = {"a": 0.6, "b": 0.25, "c": 0.1, "d": 0.05}
PROBLEMS: Final = {
    "additive": Problem(weighted(lambda x: x), {**WEIGHTS, **idle(6)}),
    "valleys": Problem(weighted(lambda x: (x - 0.7) ** 2), {**WEIGHTS, **idle(6)}),
    "interaction": Problem(lambda x: ((x["a"] - 0.5) * (x["b"] - 0.5),), {"a": 1.0, "b": 1.0, **idle(4)}),
    "both": Problem(
        lambda x: (x["a"] + 12**0.5 * (x["b"] - 0.5) * (x["c"] - 0.5),), {"a": 0.5, "b": 0.5, "c": 0.5, **idle(6)}
    ),
    # variance of (u - 1/2)^2 is 1/180, of b / (12 sqrt 5) too: half each; u is the logarithm's place in its range
    "logarithm": Problem(
        lambda x: ((np.log10(x["lr"]) / 5 + 0.5) ** 2 + x["b"] / 15**0.5,), {"lr": 0.5, "b": 0.5, **idle(6)}
    ),
    "conditional": conditional(),
    "the front": Problem(along, {"d": 0.8, "e": 0.2, "x": 0.0, **idle(4)}, about=-1),
}


def found_by_us(problem: Problem, trials: list[Trial]) -> dict[str, float]:
    """Return the shares that the report shows."""
    about: dict[str, Any] = {"name": "s", "task": "t", "quality": "error", "objectives": AXES, "run_id": ""}
    findings = Findings(**about, options={}, ended="done", began=0, seconds=1.0, trials=trials)
    return {row.name: row.share for row in explain(findings)[problem.about + 1].rows}


def study_of(trials: list[Trial]) -> optuna.Study:
    """Return a study with the same trials, its distributions those of ``Problem``."""
    study = optuna.create_study(directions=["minimize", "minimize"])
    real = optuna.distributions.FloatDistribution
    choice = optuna.distributions.CategoricalDistribution(list(OWN))
    for trial in trials:
        params: Inputs = dict(trial.candidate)
        spaces: dict[str, Any] = {name: choice if name == "coding" else real(0, 1) for name in params}
        if "lr" in params:
            spaces["lr"] = real(1e-5, 1, log=True)
        values = [float(value) for value in trial.metrics.values()]
        study.add_trial(optuna.create_trial(params=params, distributions=spaces, values=values))
    return study


def found_by_optuna(evaluator: optuna.importance.BaseImportanceEvaluator) -> Callable[..., dict[str, float]]:
    """Return an evaluator's importances for the objective, or for the front."""

    def found(problem: Problem, trials: list[Trial]) -> dict[str, float]:
        study = study_of(trials)
        each = [evaluator.evaluate(study, target=lambda trial: trial.values[0])]
        if isinstance(evaluator, optuna.importance.PedAnovaImportanceEvaluator):
            each.append(evaluator.evaluate(study))
        return each[problem.about]

    return found


def scores(found: Mapping[str, float], truth: Mapping[str, float], has_scale: bool) -> tuple[float, float, float]:
    """Return AUC, error and the largest share of what does not matter."""
    real, got = (np.array([np.nan_to_num(of.get(name, 0.0)) for name in truth]) for of in (truth, found))
    matters, not_ = got[real > 0], got[real == 0]
    auc = np.mean([(one > not_).mean() + (one == not_).mean() / 2 for one in matters])
    total = max(got.sum(), 1e-12)
    error = np.abs((got if has_scale else got * real.sum() / total) - real).mean()
    return float(auc), float(error), float(not_.max() / total)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, nargs="+", default=(100, 300))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--fanova", action="store_true", help="measure fANOVA as well, which takes minutes")
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    ways: dict[str, Callable[..., dict[str, float]]] = {"ours": found_by_us}
    ways["PED-ANOVA"] = found_by_optuna(optuna.importance.PedAnovaImportanceEvaluator())
    if arguments.fanova:
        ways["fANOVA"] = found_by_optuna(optuna.importance.FanovaImportanceEvaluator(seed=0))
    print(f"{'problem':12}{'trials':>7} {'sampling':9}{'by':10}{'AUC':>5}{'error':>7}{'false':>7}{'s':>7}")
    for name, problem in PROBLEMS.items():
        for count in arguments.trials:
            for crowded in (False, True):
                drawn = [problem.trials(count, np.random.default_rng(at), crowded) for at in range(arguments.seeds)]
                for by, way in ways.items():
                    if by == "fANOVA" and name in ("conditional", "the front"):
                        continue  # it leaves out conditional inputs, and needs one target
                    started = time.process_time()
                    has_scale = by != "PED-ANOVA" and problem.about == 0
                    each = [scores(way(problem, trials), problem.truth, has_scale) for trials in drawn]
                    taken = (time.process_time() - started) / arguments.seeds
                    auc, error, false = np.mean(each, axis=0)
                    where = "crowded" if crowded else "random"
                    off = "" if problem.about else f"{error:.3f}"
                    print(f"{name:12}{count:7} {where:9}{by:10}{auc:5.2f}{off:>7}{false:7.2f}{taken:7.2f}", flush=True)


if __name__ == "__main__":
    main()
