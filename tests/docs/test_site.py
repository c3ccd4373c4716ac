"""The site of the documentation: its pages are all there, and lead where they say."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

import pytest
import yaml

from spikefront.plugins import Coding, load_registry
from spikefront.plugins.registry import Entry

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ROOT: Final = Path(__file__).parents[2]
MODULES: Final = ("stage", "codings", "reference")


@pytest.fixture(scope="module")
def site() -> Iterator[SimpleNamespace]:
    """Import what stages the site, which is not a part of the package."""
    sys.path.insert(0, str(ROOT / "docs/site"))
    try:
        yield SimpleNamespace(**{name: importlib.import_module(name) for name in MODULES})
    finally:
        sys.path.remove(str(ROOT / "docs/site"))
        for name in MODULES:
            sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def staged(site: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    site.stage.stage(folder, pictures=False)
    return folder


def headings(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub and the site make them."""
    prose = re.sub(r"^(`{3,}).*?^\1[ \t]*$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ (.+)$", prose, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


def test_links_of_all_pages_lead_to_pages_and_headings(staged: Path, site: SimpleNamespace) -> None:
    pages = {page: page.read_text(encoding="utf-8") for page in (staged / "pages").rglob("*.md")}
    broken = []
    for page, text in pages.items():
        prose: list[str] = []
        site.stage.outside_code(text, lambda part, prose=prose: prose.append(part) or part)
        for target, anchor in re.findall(r"\]\((?![a-z]+:)([^)\s#]*)#?([^)\s]*)\)", "".join(prose)):
            file = (page.parent / target).resolve() if target else page
            if not file.is_file() or (anchor and anchor not in headings(file)):
                broken.append(f"{page.relative_to(staged)}: {target}#{anchor}")

    assert len(pages) > 50
    assert broken == []


def test_the_page_of_all_codings_links_to_that_of_each(staged: Path) -> None:
    text = (staged / "pages" / "codings.md").read_text(encoding="utf-8")
    linked = re.findall(r"^## (\S+)\n\n\*\[[^]]+\]\(codings/(\S+)\.md\)", text, flags=re.MULTILINE)
    pages = {page.stem for page in (staged / "pages" / "codings").glob("*.md")}
    assert all(heading == page for heading, page in linked)
    assert {page for _, page in linked} == pages


def test_each_page_has_one_place_in_the_order(staged: Path, site: SimpleNamespace) -> None:
    order = yaml.unsafe_load((staged / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]

    named = list(site.stage._names(order))

    there = {str(page.relative_to(staged / "pages")) for page in (staged / "pages").rglob("*.md")}
    assert len(named) == len(set(named))
    assert set(named) == {name for name in there if not name.startswith("source/")}


def test_each_coding_has_a_page_with_its_hyperparameters(staged: Path) -> None:
    codings = load_registry(third_parties=False).entries["coding"]

    pages = {page.stem: page.read_text(encoding="utf-8") for page in (staged / "pages/codings").glob("*.md")}

    assert pages.keys() == codings.keys()
    for name, entry in codings.items():
        rows = re.findall(r"^\| `(\w+)` \|", pages[name], flags=re.MULTILINE)
        assert rows == [*entry.hyperparameters]


def test_a_new_coding_gets_a_page_and_a_picture_of_its_spikes(site: SimpleNamespace, tmp_path: Path) -> None:
    registry = load_registry([ROOT / "examples/plugins"], third_parties=False)
    entry: Entry = registry.entries["coding"]["step-forward"]
    assert issubclass(entry.plugin, Coding)

    page = site.codings.page("step-forward", entry, registry, "what it shows")
    alt = site.codings.draw(tmp_path, "latency", "digits")

    assert "# step-forward\n" in page
    assert "| `threshold` | 0.02..0.5 (log) | 0.1 | Height of one step (same unit as the input). |" in page
    assert "![what it shows](pictures/step-forward.png)" in page
    assert alt.startswith("latency, T = 8")
    assert (tmp_path / "codings/pictures/latency.png").read_bytes().startswith(b"\x89PNG")


def test_a_link_to_nothing_is_refused(site: SimpleNamespace, tmp_path: Path) -> None:
    staged = site.stage.Stage(tmp_path)
    with pytest.raises(site.stage.BrokenLink, match=r"docs/new\.md links to gone\.md, which is not there"):
        staged.write("new.md", "[a page](gone.md)", at="docs/new.md")


def test_links_to_files_of_the_repository_lead_to_pages_that_show_them(site: SimpleNamespace, tmp_path: Path) -> None:
    staged = site.stage.Stage(tmp_path)
    staged.write("new.md", "[a](../examples/study.yaml) and `[b](no.md)`", at="docs/new.md")
    staged.show_sources()

    assert (tmp_path / "pages/new.md").read_text() == "[a](source/examples/study.yaml.md) and `[b](no.md)`"
    shown = (tmp_path / "pages/source/examples/study.yaml.md").read_text()
    assert (ROOT / "examples/study.yaml").read_text().rstrip() in shown


class Links(HTMLParser):
    """Anchors of a page of the site, what it links to, and what it loads."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.targets: set[str] = set()
        self.loaded: set[str] = set()
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given: dict[str, Any] = dict(attrs)
        self.ids |= {given[key] for key in ("id", "name") if given.get(key)}
        if tag == "a" and given.get("href"):
            self.targets.add(given["href"])
        if tag == "link" and given.get("rel") not in ("canonical", "prev", "next"):
            self.loaded.add(given.get("href", ""))
        if tag in ("script", "img", "iframe"):
            self.loaded.add(given.get("src") or "")


@pytest.fixture(scope="module")
def built(site: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site as ``make docs`` does."""
    if find_spec("properdocs") is None:
        pytest.skip("what builds the site is not installed: make .venv/.docs")
    folder = tmp_path_factory.mktemp("built")
    site.stage.stage(folder)
    command = [sys.executable, "-m", "properdocs", "build", "--strict", "--quiet"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=280)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return folder / "site"


@pytest.mark.slow
def test_links_and_anchors_of_the_built_site_exist_and_nothing_is_loaded_from_elsewhere(built: Path) -> None:
    pages = {page: Links(page) for page in built.rglob("*.html") if page.name != "404.html"}
    broken, elsewhere = [], []
    for page, links in pages.items():
        elsewhere += [each for each in links.loaded if re.match(r"(https?:)?//", each)]
        for link in sorted(links.targets | links.loaded - {""}):
            if re.match(r"([a-z]+:|//)", link):
                continue
            path, _, anchor = unquote(link).partition("#")
            target = (page.parent / path).resolve() if path else page
            known = pages[target].ids if target in pages else set()
            if not target.is_file() or (anchor and target in pages and anchor not in known):
                broken.append(f"{page.relative_to(built)}: {link}")

    assert len(pages) > 100
    assert elsewhere == []
    assert broken == []
    for style in built.rglob("*.css"):
        assert re.findall(r"url\(['\"]?https?:", style.read_text(encoding="utf-8")) == []


@pytest.mark.slow
def test_the_site_is_searched_from_its_files(built: Path, browser: Browser) -> None:
    page = browser.new_context(offline=True).new_page()
    page.goto((built / "index.html").as_uri())
    page.wait_for_selector("[data-md-component=search-query]", state="attached")
    page.keyboard.press("/")
    page.keyboard.type("knee")
    # results come while it is being typed: the first ones are those of its beginning
    found = page.locator(".md-search-result__item", has_text="knee").locator("a[href*='concepts.html']").first
    found.wait_for(state="attached", timeout=20_000)
    found.click()
    page.wait_for_url("**/concepts.html*")
    assert "knee" in page.inner_text("article").lower()


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_is_wider_than_a_telephone(built: Path, browser: Browser, scheme: Any) -> None:
    page = browser.new_context(viewport={"width": 400, "height": 800}, color_scheme=scheme).new_page()
    wide = {}
    for file in sorted(built.glob("*.html")):
        page.goto(file.as_uri())
        wide[file.name] = page.evaluate("document.documentElement.scrollWidth")

    assert {name: width for name, width in wide.items() if width > 400} == {}
