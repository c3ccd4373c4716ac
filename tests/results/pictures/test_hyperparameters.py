"""Heights and shares are computed by hand; what reads badly is held on the SVG."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from spikefront.results.findings import Findings
from spikefront.results.pictures.hyperparameters import (
    Column,
    hyperparameters,
    importance_picture,
    learning_picture,
    parallel_picture,
    slice_picture,
)
from spikefront.results.pictures.picture import Picture
from spikefront.results.pictures.plots import Plots
from spikefront.searchspace import ENERGY, OBJECTIVES, Trial, UsageError
from spikefront.searchspace.errors import UnknownName
from spikefront.searchspace.objectives import quality_objective

Make = Callable[..., Findings]
QUALITY = quality_objective(maximize=True, worst=0.0, best=1.0)
ODD = """coding.</script><script>alert('1')</script>["a"].b\\c"""
"""A name with all that ends a string, a tag or the name of a field."""


def made(findings: Make, **more: Any) -> Findings:
    """Return the findings of three trials: 0 and 2 on the front, the last without ``coding.sac.tau``."""
    places = ((0.5, 1.0, 1e-4, 2), (0.4, 10.0, 1e-3, 4), (0.9, 100.0, 1e-2, 6))
    trials: list[tuple[Mapping[str, Any], Mapping[str, float]]] = []
    for at, (quality, energy, rate, steps) in enumerate(places):
        params = {"task": "digits", "coding": "direct" if at == 2 else "sac", "lr": rate, "steps": steps, "same": 1}
        trials.append(
            (params | ({} if at == 2 else {"coding.sac.tau": 1.5}), {"quality": quality, "energy_nj": energy})
        )
    return findings(trials, **more)


def many(findings: Make, name: str = "lr") -> Findings:
    """Return the findings of 60 trials whose quality is all of one hyperparameter."""
    values = np.random.default_rng(0).random(60)
    trials = [({"coding": "sac", name: float(x)}, {"quality": float(x), "energy_nj": 1.0 + float(x)}) for x in values]
    return findings(trials)


def test_heights_are_linear_or_logarithmic_and_those_of_choices_equally_spaced(findings: Make) -> None:
    found = made(findings)
    assert Column.of(found, "lr").heights()[0] == {"0": 0.0, "1": 0.5, "2": 1.0}  # two decades: 1e-4, 1e-3, 1e-2
    assert Column.of(found, QUALITY).heights()[0] == pytest.approx({"0": 0.2, "1": 0.0, "2": 1.0})
    heights, texts = Column.of(found, "coding").heights()
    assert heights == {"0": 1.0, "1": 1.0, "2": 0.0}
    assert texts == [{"height": 0.0, "text": "direct"}, {"height": 1.0, "text": "sac"}]
    assert Column.of(found, "coding.sac.tau").heights()[0] == {"0": 0.5, "1": 0.5}  # one value: in the middle
    assert {text["text"] for text in Column.of(found, ENERGY).heights()[1]} == {"1.00 nJ", "10.0 nJ", "100 nJ"}


def test_parallel_coordinates_have_the_objectives_then_what_varied(findings: Make) -> None:
    picture = parallel_picture(made(findings))
    front, lr = next((row["front"], row["lr"]) for row in picture.rows if row["trial"] == 2)
    assert (front, lr) == (True, 1e-2)
    assert list(picture.rows[0])[2:] == ["accuracy", "energy", "coding", "lr", "steps"]
    svg = picture.svg()
    assert all(f">{text}<" in svg for text in ("accuracy", "energy", "coding", "direct", "sac", "100 nJ", "0.001"))


def test_a_line_is_broken_where_a_trial_does_not_have_a_hyperparameter(findings: Make) -> None:
    picture = parallel_picture(made(findings), ["coding.sac.tau", "lr"])
    assert [row["coding.sac.tau"] for row in sorted(picture.rows, key=lambda row: row["trial"])] == [1.5, 1.5, None]
    strong = next(layer for layer in picture.spec["layer"] if layer["mark"].get("strokeWidth") == 2.2)
    rows = picture.spec["datasets"][strong["data"]["name"]]
    assert [(row["v2"], row["v3"]) for row in rows] == [(0.5, 0.0), (None, 1.0)]
    assert strong["mark"]["invalid"].startswith("break-paths")


def test_of_many_trials_behind_the_front_as_many_are_drawn_as_wanted(findings: Make) -> None:
    trials = [({"coding": "sac", "lr": at}, {"quality": 0.5 - at / 1e3, "energy_nj": 1.0 + at}) for at in range(100)]
    assert len(parallel_picture(findings(trials), ["lr"], most=10).rows) == 11


def test_a_slice_is_of_one_hyperparameter_against_an_objective(findings: Make) -> None:
    found = made(findings)
    quality = slice_picture(found, "lr")
    assert [(row["trial"], row["x"], row["y"], row["front"]) for row in quality.rows] == [
        *[(1, 1e-3, 0.4, False), (0, 1e-4, 0.5, True), (2, 1e-2, 0.9, True)]
    ]
    assert quality.spec["layer"][0]["encoding"]["x"]["scale"]["type"] == "log"
    assert "accuracy (validation)" in quality.svg()
    energy = slice_picture(found, "coding.sac.tau", "energy")
    assert [row["y"] for row in energy.rows] == [10.0, 1.0]  # trial 2 does not have it
    assert "nJ" in energy.svg()
    assert slice_picture(found, "steps").spec["layer"][0]["encoding"]["x"]["scale"]["type"] == "linear"
    assert ">direct<" in slice_picture(found, "coding").svg()


def test_importances_have_a_column_for_the_front_and_each_objective(findings: Make) -> None:
    found = many(findings)
    picture = importance_picture(found)
    assert {row["objective"] for row in picture.rows} >= {"accuracy", "energy"}
    shares = {row["objective"]: row["share"] for row in picture.rows}
    assert shares["accuracy"] > 0.9  # all of the variance is lr's
    assert f">{shares['accuracy']:.0%}<" in picture.svg()
    assert hyperparameters(found) == ["lr"]  # the coding is the same for all


def curves(findings: Make) -> Findings:
    epochs = {1: {"quality": 0.3, "energy_nj": 50.0}, 2: {"quality": 0.9, "energy_nj": 100.0, "spike_rate": 0.2}}
    return made(findings, curves={"2": epochs})


def test_learning_curves_have_a_point_for_each_epoch(findings: Make) -> None:
    found = curves(findings)
    assert [(row["epoch"], row["value"]) for row in learning_picture(found).rows] == [(1, 0.3), (2, 0.9)]
    energy = learning_picture(found, "energy")
    assert [row["text"] for row in energy.rows] == ["50.0 nJ", "100 nJ"]
    assert "energy per sample" in energy.svg()
    assert [row["epoch"] for row in learning_picture(found, "spike-rate").rows] == [2]
    counted = findings([({"coding": "sac"}, {"quality": 0.5, "energy_nj": 1.0})], curves={"0": {1: {"sops": 0.0}}})
    assert [row["value"] for row in learning_picture(counted, "sops").rows] == [1.0]  # the floor of a logarithmic axis
    assert learning_picture(found, "accuracy").rows == learning_picture(found).rows


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda plots: plots.slice("lrr"), "unknown hyperparameter 'lrr'. Did you mean 'lr'?"),
        (lambda plots: plots.slice("lr", "energi"), "unknown objective 'energi'. Did you mean 'energy'?"),
        (lambda plots: plots.parallel(["stepz"]), "unknown hyperparameter 'stepz'. Did you mean 'steps'?"),
        (lambda plots: plots.learning("qualityy"), "unknown metric 'qualityy'. Did you mean 'quality'?"),
    ],
)
def test_an_unknown_name_is_one_error_with_the_nearest(
    findings: Make, draw: Callable[[Plots], Picture], message: str
) -> None:
    with pytest.raises(UnknownName) as error:
        draw(Plots(curves(findings)))
    assert message in str(error.value)


def test_where_there_is_nothing_to_draw_the_reason_is_said(findings: Make) -> None:
    with pytest.raises(UsageError, match="only 3 trials that can be compared, 40 are needed"):
        Plots(made(findings)).importance()
    with pytest.raises(UsageError, match="no learning curves"):
        Plots(made(findings)).learning()
    with pytest.raises(UsageError, match="no trial that was evaluated at full budget"):
        Plots(findings([])).parallel()
    with pytest.raises(UsageError, match="no trial that was evaluated at full budget"):
        Plots(findings([])).slice("lr")


def test_odd_names_and_values_stay_text(findings: Make) -> None:
    found = many(findings, ODD)
    trials = [Trial(one.number, candidate={**one.candidate, "b": ODD if one.number % 2 else '"'}, metrics=one.metrics)
              for one in found.trials]  # fmt: skip
    odd = findings([(one.candidate, one.metrics) for one in trials])
    for picture in (parallel_picture(odd), slice_picture(odd, ODD), slice_picture(odd, "b"), importance_picture(odd)):
        svg = picture.svg()
        assert "<script" not in svg
        assert "</script" not in svg
        assert "accuracy" in svg
        assert "coding.&lt;/script&gt;" in svg
        json.dumps(picture.spec, allow_nan=False)


def test_objectives_keep_their_order_and_units(findings: Make) -> None:
    latency = OBJECTIVES["latency"]
    metrics = [{"quality": 0.5 + at / 10, "energy_nj": 1.0 + at, "latency_steps": 2.0 * 2**at} for at in range(3)]
    found = findings([({"coding": "sac"}, one) for one in metrics], objectives=(QUALITY, ENERGY, latency))
    svg = parallel_picture(found).svg()
    at = [svg.index(f">{title}<") for title in ("accuracy", "energy", "latency (steps)")]
    assert all(one < other for one, other in pairwise(at))
