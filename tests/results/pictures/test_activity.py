from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from spikefront.results.findings import Findings
from spikefront.results.pictures.activity import matrix_picture, raster_picture
from spikefront.results.pictures.picture import Picture, Row
from spikefront.results.pictures.plots import Plots
from spikefront.searchspace import Trial, UsageError
from spikefront.searchspace.activity import Activity, LayerActivity

Make = Callable[..., Findings]

INPUT = LayerActivity(
    "input", "binary", (1, 2, 2), (0, 1, 2, 3), ((0, 2, 1), (3, 0, 1)), 0.5 / 3, inputs=(0.2, 0, 0, 1)
)
HIDDEN = LayerActivity(
    "backbone.layers.1.neuron", "ternary", (300,), (7, 200), ((0, 1, -1), (1, 1, 1), (1, 2, 1)), 0.01
)
CLASSES = ("cat", "<dog>")
SPIKES = Activity(7, 3, (INPUT, HIDDEN), "cat", "<dog>", classes=CLASSES, confusion=((8, 2), (0, 5)))
VALUES = Activity(0, 3, (INPUT,), "1.5", "2", pairs=((0, 1.0, 2.0), (0, 4.0, 4.0), (0, -2.0, -4.0)))


def behind(picture: Picture, layer: int) -> list[Row]:
    """Return the data of a layer of the chart."""
    rows: list[Row] = picture.spec["datasets"][picture.spec["layer"][layer]["data"]["name"]]
    return rows


def test_a_raster_has_each_spike_with_its_input_and_a_band_with_name_and_rate_for_each_layer() -> None:
    picture = raster_picture(SPIKES, "trial 3, latency")
    assert [(row["layer"], row["neuron"], row["step"], row["value"], row.get("input")) for row in picture.rows] == [
        ("input", 0, 2, 1, 0.2),
        ("input", 3, 0, 1, 1),
        (HIDDEN.name, 7, 1, -1, None),
        (HIDDEN.name, 200, 1, 1, None),
        (HIDDEN.name, 200, 2, 1, None),
    ]
    svg = picture.svg()
    assert "input: 4 neurons, 0.167 per neuron and step" in svg
    assert "layers.1: 2 of 300 neurons, 0.01 per neuron and step" in svg
    assert "sample 7 of the validation split" in svg
    assert "target cat, output &lt;dog&gt;" in svg
    assert svg.count('aria-roledescription="rect mark"') == 2 + len(picture.rows)
    assert "negative" in svg  # the legend


def test_bands_of_a_raster_do_not_overlap_and_rows_lie_within_theirs() -> None:
    picture = raster_picture(SPIKES)
    first, second = behind(picture, 0)
    assert 0 < first["y"] < first["y2"] < second["y"] < second["y2"]
    rows = {row["neuron"]: row for row in behind(picture, 1) if row["layer"] == "input"}
    assert first["y"] == rows[0]["y"] < rows[0]["y2"] < rows[3]["y"] < rows[3]["y2"] <= first["y2"]


def test_a_constant_input_spans_all_steps_and_larger_values_are_fuller() -> None:
    layer = replace(INPUT, kind="analog", constant=True, spikes=((0, 0, 0.2), (3, 0, 0.8)))
    picture = raster_picture(Activity(0, 40, (layer,)))
    svg = picture.svg()
    assert "input: 4 values, the same at each step" in svg
    assert "negative" not in svg
    assert {row["span"] for row in behind(picture, 1)} == {39}
    assert "share: 0.25" in svg


def test_a_network_that_is_silent_has_a_raster() -> None:
    layer = replace(HIDDEN, spikes=(), rate=0.0)
    assert "0 per neuron and step" in raster_picture(Activity(0, 3, (layer,))).svg()


def test_a_confusion_matrix_has_all_counts_and_shows_those_that_are_not_0() -> None:
    picture = matrix_picture(SPIKES, "trial 3, latency")
    assert picture is not None
    assert [row["count"] for row in picture.rows] == [8, 2, 0, 5]
    assert [row["share"] for row in picture.rows] == [0.8, 0.2, 0, 1]
    svg = picture.svg()
    assert "13 of 15 samples are right" in svg
    assert svg.count('aria-roledescription="rect mark"') == 3
    assert "<dog>" not in svg


def test_predicted_values_stand_against_true_ones_with_the_line_where_both_are_the_same() -> None:
    picture = matrix_picture(VALUES)
    assert picture is not None
    assert "root mean squared error 1.29" in picture.svg()  # sqrt((1 + 0 + 4) / 3)
    ends = [(row["true"], row["predicted"]) for row in behind(picture, 0)]
    assert all(true == said for true, said in ends)
    assert ends[0][0] < -4
    assert ends[1][0] > 4
    x, y = (picture.spec["layer"][1]["encoding"][channel] for channel in "xy")
    assert x["scale"] == y["scale"]
    assert len(behind(picture, 1)) == 3


def test_a_network_that_generates_has_no_matrix(findings: Make) -> None:
    made = replace(VALUES, pairs=())
    assert matrix_picture(made) is None
    found = findings([({"coding": "sac"}, {"quality": 0.5, "energy_nj": 1.0})], activities={"0": made})
    with pytest.raises(UsageError, match="has no matrix"):
        Plots(found).matrix(0)


def test_plots_draw_the_knee_or_the_trial_that_is_asked_for(findings: Make) -> None:
    points = [(0.5, 1.0), (0.85, 2.0), (0.9, 8.0)]
    trials = [({"coding": "sac"}, {"quality": quality, "energy_nj": energy}) for quality, energy in points]
    asked: list[int] = []

    def read(trial: Trial) -> Activity | None:
        asked.append(trial.number)
        return VALUES if trial.number == 2 else None

    plots = Plots(findings(trials, activities={"1": SPIKES}), read)
    assert "trial 1, sac" in plots.raster().svg()
    assert plots.matrix(2).rows[0]["true"] == 1.0
    assert asked == [2]
    with pytest.raises(UsageError, match=r"trial 0 of search 's' has no activity\.json .*: spikefront picture s/0$"):
        plots.raster(0)
    with pytest.raises(UsageError, match="no trial 9 of search 's'"):
        plots.matrix(9)
    with pytest.raises(UsageError, match="an empty front"):
        Plots(findings([])).raster()


def test_a_knee_that_is_a_point_is_drawn_as_its_trial_until_it_is_drawn_itself(findings: Make) -> None:
    made = findings([({"coding": "sac", "steps": "4"}, {"quality": 0.5, "energy_nj": 4.0})], activities={"0": SPIKES})
    trials = [made.trials[0].with_points({2: {"quality": 0.9, "energy_nj": 2.0}})]
    point = replace(made, trials=trials)
    assert point.knee is not None
    assert point.knee.name == "0@2"

    assert "trial 0, sac" in Plots(point).raster().svg()
    assert "trial 0@2, sac" in Plots(replace(point, activities={"0@2": SPIKES})).raster().svg()
    with pytest.raises(UsageError, match=r"trial 0@2 of search 's' has no activity\.json"):
        Plots(point).raster("0@2")


def test_many_classes_are_shown_without_counts_in_their_cells() -> None:
    names = tuple(f"class {number}" for number in range(30))
    cells = tuple(tuple(int(row == column) for column in range(30)) for row in range(30))
    picture = matrix_picture(replace(SPIKES, classes=names, confusion=cells))
    assert picture is not None
    assert len(picture.spec["layer"]) == 1
    assert picture.svg().count('aria-roledescription="rect mark"') == 30
    assert json.dumps(picture.spec)
