"""The page in a real browser: it asks nobody for anything, and answers to mouse, keyboard and touch."""

from __future__ import annotations

import html
import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from spikefront.results.findings import Findings
from spikefront.results.report.page import report_page
from spikefront.searchspace.records import LayerEnergy

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

pytestmark = pytest.mark.slow

SCREENSHOTS = Path(__file__).parents[3] / "build" / "report"
CODINGS = (
    "burst",
    "css",
    "direct",
    "gac",
    "latency",
    "phase",
    "rate",
    "rate-conversion",
    "sac",
    "<script>alert(1)</script>",
)


@pytest.fixture
def file(findings: Callable[..., Findings], tmp_path: Path) -> Path:
    """Write the page of a search with ten codings."""
    generator = np.random.default_rng(5)
    rows = []
    for at in range(300):
        energy, luck = 10 ** (1 + 3 * generator.random()), generator.random()
        quality = 0.95 - 0.5 / np.log10(energy) * (0.7 + 0.3 * luck)
        params = {"coding": CODINGS[at % 10], "neuron": "lif", "backbone": "mlp", "steps": str(at % 7 + 1)}
        params |= {f"coding.{CODINGS[at % 10]}.tau": str(luck), "training.optimizer.adam.lr": str(generator.random())}
        metrics = {"quality": quality, "energy_nj": energy, "attention_nj": energy * luck / 2, "latency_steps": 4.0}
        rows.append((params, metrics | {"sops": 1e4, "macs": 1e3, "spike_rate": 0.1, "parameters": 5e4}))
    found = findings(rows, seconds=5000.0)
    path = tmp_path / "report.html"
    path.write_text(report_page(replace(found, **_kept(found))), encoding="utf-8")
    return path


def _kept(found: Findings) -> dict[str, Any]:
    """Return twins, layers and pictures of its members."""
    buffer = io.BytesIO()
    Image.fromarray(np.arange(78 * 78, dtype=np.uint8).reshape(78, 78)).save(buffer, "png")
    counts = {name: 1000.0 for name in ("sops", "macs", "adds", "multiplies", "events", "sites")}
    roles = ("synapse", "neuron", "attention", "synapse", "neuron", "synapse", "readout")
    layers = [
        LayerEnergy(f"stages.{at}.layer", role, energy_nj=5.0, silent_nj=0.0, **counts) for at, role in enumerate(roles)
    ]
    members = []
    for at, one in enumerate(found.members):
        ann = {"quality": one.metrics["quality"] - 0.01, "energy_nj": 20.0 * (at + 1), "break_even_rate": 0.12}
        few = ann | {"energy_nj": 15.0 * (at + 1), "bits": 3.0}
        candidate = {"coding": one.coding, "steps": 4}
        member = {"trial": one.number, "verdict": ("trades", "loses")[at % 2], "candidate": candidate}
        members.append(member | {"metrics": dict(one.metrics), "ann": ann, "quantised": few})
    return {
        "twins": {"members": members, "failed": {}},
        "layers": {one.name: layers for one in found.members},
        "pictures": {one.name: buffer.getvalue() for one in found.members[:5]},
    }


def opened(browser: Browser, file: Path, **options: Any) -> tuple[Page, list[str]]:
    """Open a page, and collect whatever it should not do: say, ask for, or throw anything."""
    page = browser.new_page(**options)
    found: list[str] = []
    page.on("console", lambda message: found.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: found.append(f"error: {error}"))
    page.on("dialog", lambda dialog: found.append(f"dialog: {dialog.message}"))
    page.on("request", lambda request: found.append(f"request: {request.url}"))
    page.goto(file.as_uri())
    page.wait_for_selector("html.is-drawn", state="attached")
    assert found == [f"request: {file.as_uri()}"]
    found.clear()
    return page, found


def member(page: Page, trial: int | str) -> Locator:
    return page.locator(f'#picture-front path[aria-label^="trial {trial}, "]')


def numbers(page: Page) -> list[int]:
    """Return the trials of the members, from left to right."""
    return page.evaluate(  # type: ignore[no-any-return]
        "JSON.parse(document.getElementById('data').textContent).trials.filter(one => one[5]).map(one => one[0])"
    )


def shown(page: Page) -> list[int]:
    """Return the trials of the rows of the table of members that can be seen."""
    rows = page.locator("#members-table > tbody:visible")
    return [int(number) for number in rows.evaluate_all("all => all.map(one => one.dataset.trial)")]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1600])
def test_it_fits_and_asks_for_nothing(browser: Browser, file: Path, width: int, scheme: Any) -> None:
    page, found = opened(browser, file, viewport={"width": width, "height": 900}, color_scheme=scheme)
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{width}-{scheme}.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    small = page.evaluate(
        "[...document.querySelectorAll('body *')].filter(one => one.checkVisibility() && one.textContent.trim()"
        " && parseFloat(getComputedStyle(one).fontSize) < 14).map(one => one.outerHTML.slice(0, 80))"
    )
    assert [one for one in small if "vega-actions" not in one] == []
    for section in ("pictures", "twins", "energy"):
        assert page.locator(f"section#{section}").bounding_box()["width"] <= width  # type: ignore[index]
    images = page.locator("section#pictures img")
    assert images.count() == 5
    sizes = images.evaluate_all("all => all.map(one => [one.complete, one.naturalWidth, one.width == one.height])")
    assert sizes == [[True, 78, True]] * 5
    page.locator("section#energy summary", has_text="layer by layer").first.click()
    assert page.locator("section#energy details[open] table").first.is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == {"light": "rgb(255, 255, 255)", "dark": "rgb(22, 22, 22)"}[scheme]
    ink = page.locator("#picture-front text").first.evaluate("one => getComputedStyle(one).fill")
    assert ink == {"light": "rgb(89, 89, 89)", "dark": "rgb(169, 169, 166)"}[scheme]
    page.emulate_media(media="print")
    page.screenshot(path=SCREENSHOTS / f"{width}-{scheme}-print.png", full_page=True)
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.locator("#picture-front path").first.is_visible()
    assert found == []
    page.close()


def test_pointing_shows_the_configuration_and_a_click_holds_it(browser: Browser, file: Path) -> None:
    page, found = opened(browser, file, viewport={"width": 1600, "height": 900})
    about, first = page.locator("#about"), numbers(page)[0]
    assert ", on the front" in about.inner_text()  # the knee
    for trial in numbers(page)[:3]:
        member(page, trial).hover(force=True)
        assert f"Trial {trial}, " in about.inner_text()
        assert "training.optimizer.adam.lr" in about.inner_text()
    member(page, first).click(force=True)
    member(page, numbers(page)[-1]).hover(force=True)
    assert f"Trial {first}, " in about.inner_text()
    assert page.locator("#members-table > tbody.chosen").get_attribute("data-trial") == str(first)
    assert found == []
    page.close()


def test_the_keyboard_reaches_every_member(browser: Browser, file: Path) -> None:
    page, found = opened(browser, file)
    about, order = page.locator("#about"), numbers(page)
    page.locator(".legend button").last.focus()
    for _ in range(20):  # past the links of the picture above
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "picture-front":
            break
    page.keyboard.press("Home")
    for trial in order:
        assert f"Trial {trial}, " in about.inner_text()
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Home")
    assert f"Trial {order[0]}, " in about.inner_text()
    page.keyboard.press("End")
    assert f"Trial {order[-1]}, " in about.inner_text()
    page.keyboard.press("Escape")
    assert about.inner_text() == ""
    assert found == []
    page.close()


def test_a_finger_will_do(browser: Browser, file: Path) -> None:
    page, found = opened(browser, file, viewport={"width": 400, "height": 800}, has_touch=True)
    for trial in (numbers(page)[0], numbers(page)[-1]):
        member(page, trial).scroll_into_view_if_needed()
        member(page, trial).tap(force=True)
        page.locator("#about h3", has_text=f"Trial {trial}, ").wait_for()
    sizes = page.locator(".legend button").evaluate_all("all => all.map(one => one.getBoundingClientRect().height)")
    assert min(sizes) >= 44
    assert found == []
    page.close()


@pytest.mark.parametrize("press", ["click", "keyboard"])
def test_the_legend_hides_and_shows_a_coding_in_every_picture_and_table(
    browser: Browser, file: Path, press: str
) -> None:
    page, found = opened(browser, file)
    button = page.locator(".legend button", has_text="burst")

    def push() -> None:
        if press == "click":
            button.click()
        else:
            button.focus()
            page.keyboard.press("Space")

    def dim(section: str) -> int:
        return page.locator(
            f"section#{section} path[opacity='0.06'], section#{section} path[fill-opacity='0.06']"
        ).count()

    everyone = shown(page)
    burst = [one for one in everyone if one % 10 == 0]  # as the file has them
    assert [dim(section) for section in ("front", "codings", "twins", "energy")] == [0, 0, 0, 0]
    push()
    assert button.get_attribute("aria-pressed") == "false"
    page.wait_for_function("document.querySelector('section#energy path[opacity=\"0.06\"]')")
    assert all(dim(section) > 0 for section in ("front", "codings", "twins", "energy"))
    assert shown(page) == [one for one in everyone if one not in burst]
    push()
    assert button.get_attribute("aria-pressed") == "true"
    page.wait_for_function("!document.querySelector('section#energy path[opacity=\"0.06\"]')")
    assert shown(page) == everyone
    assert found == []
    page.close()


def test_a_brush_selects_in_every_picture_and_table(browser: Browser, file: Path) -> None:
    page, found = opened(browser, file, viewport={"width": 1600, "height": 900})
    left, right = (member(page, at) for at in (numbers(page)[0], numbers(page)[1]))
    left.scroll_into_view_if_needed()
    boxes = [one.bounding_box() for one in (left, right)]
    assert all(boxes)
    low, high = (min(box["x"] for box in boxes if box), max(box["x"] for box in boxes if box))
    page.mouse.move(low - 6, boxes[0]["y"] - 30)  # type: ignore[index]
    page.mouse.down()
    page.mouse.move(high + 14, boxes[0]["y"] + 40, steps=6)  # type: ignore[index]
    page.mouse.up()
    page.wait_for_function("document.querySelector('tbody.gone')")
    picked = shown(page)
    assert set(numbers(page)[:2]) <= set(picked)
    assert numbers(page)[-1] not in picked
    page.mouse.dblclick(low + 200, boxes[0]["y"] + 100)  # type: ignore[index]
    page.wait_for_function("!document.querySelector('tbody.gone')")
    assert found == []
    page.close()


def test_pictures_are_saved_as_png_svg_and_csv(browser: Browser, file: Path) -> None:
    page, found = opened(browser, file)
    menu = page.locator("#picture-front details")
    for kind, ending in (("PNG", "png"), ("SVG", "svg"), ("CSV", "csv")):
        menu.evaluate("one => one.setAttribute('open', '')")
        with page.expect_download() as download:
            menu.locator("a", has_text=kind).click()
        assert download.value.suggested_filename == f"front.{ending}"
        content = Path(download.value.path()).read_bytes()
        assert content.startswith({"png": b"\x89PNG", "svg": b"<svg", "csv": b'"trial"'}[ending])
    assert [one for one in found if not one.startswith("request: blob:")] == []
    page.close()


def test_the_table_sorts_and_narrows(browser: Browser, file: Path) -> None:
    page, found = opened(browser, file)

    def column(at: int) -> list[str]:
        rows = page.locator("#members-table > tbody:visible > tr:first-child")
        script = f"all => all.map(one => one.cells[{at}].dataset.value ?? one.cells[{at}].textContent.trim())"
        return rows.evaluate_all(script)  # type: ignore[no-any-return]

    head = page.locator("#members-table th")
    for at, kind in ((2, float), (5, str), (3, float)):
        head.nth(at).locator("button").click()
        up = [kind(value) for value in column(at)]
        assert up == sorted(up)
        assert head.nth(at).get_attribute("aria-sort") == "ascending"
        head.nth(at).locator("button").click()
        assert [kind(value) for value in column(at)] == sorted(up, reverse=True)
        assert page.locator("#members-table th[aria-sort]").count() == 1
    everyone = len(column(0))
    page.locator("#only-front").check()
    assert sorted(shown(page)) == sorted(numbers(page))
    assert len(column(0)) < everyone
    page.locator("#members-table summary").first.click()
    assert "training.optimizer.adam.lr" in page.locator("#members-table details[open]").inner_text()
    assert found == []
    page.close()


def test_without_script_front_and_table_are_there(browser: Browser, file: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(file.as_uri())
    assert member(page, numbers_in(file)[0]).is_visible()
    assert page.locator("#members-table td").first.is_visible()
    assert not page.locator("#only-front").is_visible()
    assert page.locator(".unscripted").first.is_visible()
    context.close()


def numbers_in(file: Path) -> list[int]:
    (text,) = re.findall(r'id="data">(.*?)</script>', file.read_text(encoding="utf-8"), re.DOTALL)
    return [row[0] for row in json.loads(text)["trials"] if row[5]]


def test_it_works_in_a_frame_as_mlflow_shows_artifacts(browser: Browser, file: Path, tmp_path: Path) -> None:
    inside = html.escape(file.read_text(encoding="utf-8"))
    outside = tmp_path / "outside.html"
    frame = f'<iframe sandbox="allow-scripts" srcdoc="{inside}" width="1000" height="700"></iframe>'
    outside.write_text(f"<!doctype html><p>around</p>{frame}", encoding="utf-8")
    page = browser.new_page()
    page.goto(outside.as_uri())
    framed = page.frame_locator("iframe")
    framed.locator("html.is-drawn").wait_for(state="attached")
    framed.locator("nav a", has_text="Codings").click()
    assert framed.locator("section#codings h2").bounding_box()["y"] < 700  # type: ignore[index]
    framed.locator(".legend button").first.click()
    assert framed.locator(".legend button").first.get_attribute("aria-pressed") == "false"
    assert page.locator("p", has_text="around").count() == 1
    page.close()
