"""What tests of the page share: a reader of it, and rows of trials."""

from __future__ import annotations

import json
from collections import Counter
from html.parser import HTMLParser
from typing import Any, Final

VOID: Final = {"meta", "input", "br", "img"}
"""Elements that have no end."""


class Page(HTMLParser):
    """Reads a page: its elements, its text by section, and that all that opens closes."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[tuple[str, str]] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: Counter[str] = Counter()
        self.sections: dict[str, str] = {}
        self.data: dict[str, Any] = {}
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append((tag, dict(attrs).get("id") or ""))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == ("script", "data"):
            self.data = json.loads(data)
        elif not any(tag in ("script", "style", "svg") for tag, _ in self.open):
            section = next((name for tag, name in self.open if tag == "section"), "")
            self.sections[section] = self.sections.get(section, "") + data + " "

    def all(self, tag: str, **attributes: str) -> list[dict[str, str | None]]:
        return [its for name, its in self.elements if name == tag and attributes.items() <= its.items()]


def row(coding: str, quality: float, energy: float, **params: str) -> tuple[dict[str, str], dict[str, float]]:
    return {"coding": coding, "steps": "4", **params}, {"quality": quality, "energy_nj": energy}
