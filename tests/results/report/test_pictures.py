from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from spikefront.results.findings import Findings
from spikefront.results.report import page as page_module
from spikefront.results.report.page import report_page
from spikefront.results.store.connection import Store
from spikefront.results.store.recorder import MlflowRecorder

Make = Callable[..., Findings]


def png(width: int, height: int) -> bytes:
    file = io.BytesIO()
    Image.new("L", (width, height), 128).save(file, "png")
    return file.getvalue()


def section(page: str) -> str:
    return page[page.index('id="pictures"') :].partition("</section>")[0]


def row(coding: str, quality: float, energy: float) -> tuple[dict[str, str], dict[str, float]]:
    return {"coding": coding}, {"quality": quality, "energy_nj": energy}


def test_a_picture_is_in_the_page_with_its_trial_and_a_text_for_who_does_not_see_it(findings: Make) -> None:
    rows = [row("sac", 0.5, 10.0), row("<b>", 0.9, 100.0), row("sac", 0.95, 1e3)]
    page = report_page(findings(rows, pictures={"0": png(78, 60), "1": png(400, 10)}))
    shown = section(page)
    first, second = re.findall(r"<img ([^>]*)>", shown)
    assert 'alt="Picture of what trial 1, &lt;b&gt;, accuracy 0.9000, 100 nJ makes"' in second
    assert "<figcaption>Trial 0, sac, accuracy 0.5000, 10.0 nJ</figcaption>" in shown
    assert "2 of 3 members are shown" in shown
    (source,) = re.findall(r'src="data:image/png;base64,([^"]*)"', first)
    assert base64.b64decode(source) == png(78, 60)
    assert "img-src data:" in page
    assert "image-rendering: pixelated" in page


def test_without_pictures_there_is_no_section(findings: Make) -> None:
    assert 'id="pictures"' not in report_page(findings([row("sac", 0.5, 10.0)]))


@pytest.mark.parametrize("picture", [b"GIF89a", png(8, 8)[:20], b"", png(1000, 1000) + bytes(500_000)])
def test_what_is_no_picture_of_some_size_is_not_shown(findings: Make, picture: bytes) -> None:
    shown = section(report_page(findings([row("sac", 0.5, 10.0)], pictures={"0": picture})))
    assert "Its picture is no PNG, or too large for this page." in shown
    assert "<img" not in shown
    assert len(shown) < page_module._LARGEST


def test_pictures_of_members_are_read_from_the_store(
    database: None, search: Callable[..., Any], candidate: Callable[..., Any], read: Make, tmp_path: Path
) -> None:
    store = MlflowRecorder(Store())
    store.search_started(search())
    for number in range(20):
        weights = tmp_path / f"trial-{number:05d}.pt"
        weights.touch()
        weights.with_suffix(".picture.png").write_bytes(png(number + 1, 5))
        store.trial_started(number, candidate())
        metrics = {"quality": 0.1 + number / 100, "energy_nj": 10.0 * (number + 1)}
        store.trial_ended(number, "COMPLETE", "", metrics, weights)
    store.search_ended("all trials done")
    found = read()
    assert len(found.members) == 20
    # 12 of 20, evenly: 19 / 11 apart, rounded, both ends among them
    assert sorted(map(int, found.pictures)) == [0, 2, 3, 5, 7, 9, 10, 12, 14, 16, 17, 19]
    assert all(picture == png(int(trial) + 1, 5) for trial, picture in found.pictures.items())
