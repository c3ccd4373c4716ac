from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import altair as alt
import pytest
from PIL import Image

from spikefront.results.findings import Findings
from spikefront.results.pictures.front import front_picture
from spikefront.results.pictures.picture import Picture, data
from spikefront.searchspace import UsageError


@pytest.fixture
def picture(findings: Callable[..., Findings]) -> Picture:
    trials = [({"coding": "<b>'"}, {"quality": 0.5 + at / 10, "energy_nj": 2.0**at}) for at in range(4)]
    return front_picture(findings(trials))


def test_it_is_saved_in_the_format_of_the_ending(picture: Picture, tmp_path: Path) -> None:
    with Image.open(picture.save(tmp_path / "p.png")) as image:
        assert (image.format, image.mode) == ("PNG", "RGBA")
        assert image.width > 1280
    assert picture.save(tmp_path / "p.svg").read_text().startswith("<svg")
    rows = list(csv.DictReader(io.StringIO(picture.save(tmp_path / "p.CSV").read_text())))
    assert [float(row["x"]) for row in rows] == [1.0, 2.0, 4.0, 8.0]
    assert "vega-lite" in json.loads(picture.save(tmp_path / "p.json").read_text())["$schema"]


def test_half_transparent_colours_are_those_of_the_chart_on_any_ground() -> None:
    square = {"x": 0, "x2": 1, "y": 0, "y2": 1}
    mark = alt.Chart(data([square])).mark_rect(color="#0072B2", opacity=0.4)
    chart = mark.encode(x=alt.X("x:Q", axis=None), x2="x2:Q", y=alt.Y("y:Q", axis=None), y2="y2:Q")
    with Image.open(io.BytesIO(Picture(chart.properties(width=40, height=40), "a square", [square]).png())) as image:
        middle = image.getpixel((image.width // 2, image.height // 2))
    assert middle == pytest.approx((0x00, 0x72, 0xB2, 0.4 * 255), abs=2)


@pytest.mark.slow  # it makes the JavaScript
def test_a_page_of_its_own_needs_no_network(picture: Picture, tmp_path: Path) -> None:
    page = picture.save(tmp_path / "p.html").read_text()
    assert "<script src" not in page
    assert len(page) < 1.2e6


@pytest.mark.parametrize("name", ["p.gif", "p", "missing/p.png"])
def test_what_can_not_be_written_is_one_error(picture: Picture, name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="picture"):
        picture.save(tmp_path / name)


def test_a_notebook_shows_it_as_svg_with_its_names_as_text(picture: Picture) -> None:
    shown = picture._repr_mimebundle_()["image/svg+xml"]
    assert "<b>" not in shown
    assert "&lt;b&gt;" in shown
