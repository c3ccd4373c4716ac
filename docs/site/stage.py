"""Staging of the documentation: copies pages, adds those made from code, and writes the configuration of the site.

``python docs/site/stage.py FOLDER`` writes ``FOLDER/pages`` and ``FOLDER/mkdocs.yml``. Pages link to files of the
repository as they do there; on the site such a file is a page that shows it. A page that ``nav.yml`` does not name
comes last, under "More", so that a new page, coding or example needs no entry.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parents[1]
MOVED: Final = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
"""Pages that lie elsewhere in the repository, by the name that they have on the site."""
_LANGUAGES: Final = {
    "py": "python",
    "yaml": "yaml",
    "yml": "yaml",
    "toml": "toml",
    "sh": "sh",
    "sbatch": "sh",
    "md": "md",
}
_CODE: Final = re.compile(r"^(`{3,}|~{3,}).*?^\1[ \t]*$|`[^`\n]+`", re.MULTILINE | re.DOTALL)
_LINK: Final = re.compile(r"(\]\()([^)\s#]*)(#[^)\s]*)?(\))")


class BrokenLink(ValueError):
    """A page links to what the repository does not have."""


def tracked() -> list[str]:
    """Return the files of the repository, by their paths in it: what git tracks, and what is new and not ignored."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return sorted({name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()})


def outside_code(text: str, change: Callable[[str], str]) -> str:
    """Return a page with its prose changed, and its code as it is."""
    parts, end = [], 0
    for code in _CODE.finditer(text):
        parts += [change(text[end : code.start()]), code[0]]
        end = code.end()
    return "".join([*parts, change(text[end:])])


class Stage:
    """Pages of the site, and what they link to.

    Attributes:
        pages: folder that they are written to.
        files: files of the repository.
        shown: files and folders of the repository that are a page, by the name of that page.
        changed: what the site makes of a page of the repository, by its path.
    """

    def __init__(self, folder: Path) -> None:
        self.pages = folder / "pages"
        self.files = tracked()
        pages = [name for name in self.files if name.startswith("docs/") and not name.startswith("docs/site/")]
        self.shown: dict[str, str] = {name: name.removeprefix("docs/") for name in pages} | MOVED
        self.changed: dict[str, Callable[[str], str]] = {}
        self._wanted: list[str] = []

    def copy(self) -> None:
        """Copy pages and pictures of the repository, links led to where their targets are on the site."""
        for name, shown in [(name, shown) for name, shown in self.shown.items() if name in self.files]:
            if name.endswith(".md"):
                text = (ROOT / name).read_text(encoding="utf-8")
                self.write(shown, self.changed.get(name, str)(text), at=name)
            else:
                target = self.pages / shown
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(ROOT / name, target)

    def write(self, page: str, text: str, at: str) -> None:
        """Write a page.

        Args:
            page: its name on the site.
            text: its Markdown.
            at: path in the repository that its links are relative to.

        Raises:
            BrokenLink: when it links to a file that is not there.
        """
        file = self.pages / page
        file.parent.mkdir(parents=True, exist_ok=True)
        led = outside_code(text, lambda prose: _LINK.sub(lambda link: self._lead(link, page, at), prose))
        file.write_text(led, encoding="utf-8")

    def _lead(self, link: re.Match[str], page: str, at: str) -> str:
        before, target, anchor, after = link.groups(default="")
        if not target or re.match(r"[a-z]+:", target):
            return link[0]
        path = os.path.normpath(os.path.join(os.path.dirname(at), target))
        made = path.removeprefix("docs/")
        shown = made if (self.pages / made).is_file() else self._page_of(path, at, target)
        return f"{before}{os.path.relpath(shown, os.path.dirname(page) or '.')}{anchor}{after}"

    def _page_of(self, path: str, at: str, target: str) -> str:
        """Return the page that shows a file or folder of the repository."""
        if path in self.shown:
            return self.shown[path]
        if path in self.files:
            page = f"source/{path}.md"
        elif any(name.startswith(f"{path}/") for name in self.files):
            page = f"source/{path}/index.md"
        else:
            raise BrokenLink(f"{at} links to {target}, which is not there")
        self.shown[path] = page
        self._wanted.append(path)
        return page

    def show_sources(self) -> None:
        """Write a page for each file and folder that a page links to."""
        while self._wanted:
            path = self._wanted.pop()
            page = self.shown[path]
            if path in self.files:
                text, at = _shown(ROOT / path), path
            else:
                inside = [name.removeprefix(f"{path}/") for name in self.files if name.startswith(f"{path}/")]
                shown = [name for name in inside if _is_text(ROOT / path / name)]
                text, at = "\n".join(f"- [{name}]({name})" for name in shown), f"{path}/."
            self.write(page, f"---\nsearch:\n  exclude: true\n---\n\n# {path}\n\n{text}\n", at=at)

    def navigation(self) -> list[Any]:
        """Return the order of pages: that of ``nav.yml``, its patterns filled, then those that it does not name."""
        there = sorted(str(file.relative_to(self.pages)) for file in self.pages.rglob("*.md"))
        ordered = yaml.safe_load((HERE / "nav.yml").read_text(encoding="utf-8"))
        named = set(_names(ordered))
        rest = [page for page in there if page not in named and not page.startswith("source/")]
        patterns = {name: [page for page in rest if Path(page).match(name)] for name in named if "*" in name}
        filled = _fill(ordered, patterns)
        taken = {page for pages in patterns.values() for page in pages}
        more = [page for page in rest if page not in taken]
        return [*filled, {"More": more}] if more else filled


def _shown(file: Path) -> str:
    """Return a file of the repository as Markdown: a notebook by its cells, any other as it is."""
    content = file.read_text(encoding="utf-8")
    if file.suffix == ".ipynb":
        cells = [("".join(cell["source"]), cell["cell_type"]) for cell in json.loads(content)["cells"]]
        return "\n\n".join(f"``` python\n{text}\n```" if kind == "code" else text for text, kind in cells)
    return f"`````` {_LANGUAGES.get(file.suffix, 'text')}\n{content.rstrip()}\n``````"


def _is_text(file: Path) -> bool:
    try:
        file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return False
    return file.stat().st_size < 100_000


def _names(nav: Any) -> Iterator[str]:
    """Yield the pages and patterns of an order of pages."""
    for each in nav.values() if isinstance(nav, Mapping) else nav:
        yield from [each] if isinstance(each, str) else _names(each)


def _fill(nav: list[Any], patterns: Mapping[str, list[str]]) -> list[Any]:
    filled: list[Any] = []
    for each in nav:
        if isinstance(each, str):
            filled += patterns.get(each, [each])
        else:
            ((title, inside),) = each.items()
            filled.append({title: inside if isinstance(inside, str) else _fill(inside, patterns)})
    return filled


def stage(folder: Path, *, pictures: bool = True) -> Path:
    """Write the pages of the site, and its configuration.

    Args:
        folder: where; what an earlier call wrote there is removed.
        pictures: whether to draw those of codings, which takes some seconds.

    Returns:
        The configuration.
    """
    from codings import write_codings
    from reference import write_reference

    shutil.rmtree(folder / "pages", ignore_errors=True)
    staged = Stage(folder)
    staged.pages.mkdir(parents=True)
    write_codings(staged, pictures=pictures)
    write_reference(staged)
    staged.copy()
    staged.show_sources()
    for asset in ("extra.css", "iframe-worker.js"):
        shutil.copyfile(HERE / asset, staged.pages / asset)
    shutil.copyfile(HERE / "options.py", folder / "options.py")
    settings = (HERE / "mkdocs.yml").read_text(encoding="utf-8")
    file = folder / "mkdocs.yml"
    file.write_text(f"{settings}\n{yaml.safe_dump({'nav': staged.navigation()}, sort_keys=False)}", encoding="utf-8")
    return file


if __name__ == "__main__":
    print(stage(Path(sys.argv[1])))
