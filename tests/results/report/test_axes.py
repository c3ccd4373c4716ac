from __future__ import annotations

import pytest

from spikefront.results.report.axes import Scale, energy_tick, mark, steps


@pytest.mark.parametrize(
    ("scale", "ticks"),
    [
        (Scale(0.0, 1.0), [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (Scale(0.57, 0.91), [0.6, 0.7, 0.8, 0.9]),
        (Scale(1.0, 1e5, log=True), [1, 10, 100, 1e3, 1e4, 1e5]),
        (Scale(12, 1400, log=True), [30, 100, 300, 1000]),
        (Scale(1.2, 15, log=True), [2, 5, 10]),
        (Scale(100, 110, log=True), [100, 102, 104, 106, 108, 110]),
        (Scale(0, 280, time=True), [0, 60, 120, 180, 240]),
        (Scale(0, 3600 * 5, time=True), [3600.0 * at for at in range(6)]),
        (Scale(0, 0.4, time=True), [0.0]),
    ],
)
def test_ticks_are_round(scale: Scale, ticks: list[float]) -> None:
    assert scale.ticks() == pytest.approx(ticks)


@pytest.mark.parametrize("values", [[0.5], [0.5, 0.5], [], [0.1, 0.9]])
def test_every_value_has_a_place_inside(values: list[float]) -> None:
    for log in (False, True):
        scale = Scale.around(values, log)
        assert all(0 < scale.share(value) < 100 for value in values)
        assert scale.low < scale.high


def test_places_are_percentages() -> None:
    assert Scale(1, 10_000, log=True).share(100) == pytest.approx(50)
    assert Scale(0.0, 2.0).share(0.5) == 25
    assert 'x="25.00%" y="90.00%"' in mark(0, 25, 10)


def test_steps_go_on_before_they_go_up() -> None:
    drawn = steps([(10, 20), (50, 80)])
    assert drawn == (
        '<g><line x1="10.00%" y1="80.00%" x2="50.00%" y2="80.00%"/>'
        '<line x1="50.00%" y1="80.00%" x2="50.00%" y2="20.00%"/>'
        '<line x1="50.00%" y1="20.00%" x2="100.00%" y2="20.00%"/></g>'
    )
    assert steps([]) == "<g></g>"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.5, "500 pJ"), (1.0, "1 nJ"), (300.0, "300 nJ"), (2e3, "2 µJ"), (1e7, "10 mJ"), (1e-4, "0.1 pJ")],
)
def test_energies_on_an_axis_are_short(value: float, text: str) -> None:
    assert energy_tick(value) == text
