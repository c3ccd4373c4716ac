"""Gallery: pictures as files in a folder, and a page that shows them, which needs neither a script nor a network."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from spikefront.searchspace.errors import UsageError

_PAGE: Final = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<style>
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
body { max-width: 54rem; margin: 2rem auto; padding: 0 1rem }
img { max-width: 100%; height: auto; background: #fff; border-radius: 6px }
figure { margin: 0 0 3rem }
</style>
<title>{{ title }}</title>
<h1>{{ title }}</h1>
{% for name, (file, shown) in figures.items() %}<figure>
<h2>{{ name }}</h2>
<figcaption>{{ shown.about }}</figcaption>
<img src="{{ file.name }}" alt="{{ shown.alt }}">
</figure>
{% endfor %}"""


@dataclass(frozen=True)
class Shown:
    """A picture of a gallery.

    Attributes:
        png: its file.
        alt: what it shows, in words.
        about: what the page says below its name.
    """

    png: bytes
    alt: str
    about: str


def write_gallery(folder: Path, title: str, pictures: Mapping[str, Shown]) -> list[Path]:
    """Write pictures, and ``index.html``, into a folder, which is made where it is missing.

    Args:
        folder: where.
        title: heading of the page.
        pictures: by name, from which their files are named.

    Returns:
        The files, the page last.

    Raises:
        UsageError: when a file can't be written.
    """
    from jinja2 import Environment

    files: dict[Path, bytes] = {}
    figures = {}
    for name, shown in pictures.items():
        file = _file(folder, name, files)
        files[file], figures[name] = shown.png, (file, shown)
    page = Environment(autoescape=True).from_string(_PAGE).render(title=title, figures=figures)
    files[folder / "index.html"] = page.encode()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file, content in files.items():
            file.write_bytes(content)
    except OSError as error:
        raise UsageError(f"--pictures {folder} can't be written: {error.strerror}; choose another") from error
    return [*files]


def _file(folder: Path, name: str, taken: Mapping[Path, bytes]) -> Path:
    """Return a file for a name of any characters, which no other has, also where case makes no difference."""
    stem, names = re.sub(r"[^a-z0-9]+", "-", name.lower())[:60].strip("-") or "picture", {file.stem for file in taken}
    while stem in names:
        stem += "-2"
    return folder / f"{stem}.png"
