"""Pictures of what members of the front make, as their trials left them."""

from __future__ import annotations

import base64
import struct
from typing import Final

from spikefront.results.findings import Findings
from spikefront.results.report.figures import describe
from spikefront.results.report.html import Html, element
from spikefront.searchspace import Trial

_HEAD: Final = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
_WIDE: Final = 340
"""Pixels of the page that a picture fills, where a whole multiple of its own does not exceed them."""
_LARGEST: Final = 400_000
"""Bytes of the largest picture that is put into the page."""


def pictures_section(findings: Findings) -> list[object]:
    """Return the section about pictures, cheapest member first."""
    shown = [one for one in findings.members if one.number in findings.pictures]
    note = "What members make, cheapest first, as their task draws it after training. Of a generator: random samples; "
    note += "below, in turns, rows of validation images and of their reconstructions."
    if len(shown) < len(findings.members):
        note += f" {len(shown)} of {len(findings.members)} members are shown, evenly spaced."
    figures = [_figure(findings, one, findings.pictures[one.number]) for one in shown]
    return [element("p", note), element("div", figures, class_="pictures")]


def _figure(findings: Findings, one: Trial, picture: bytes) -> Html:
    text = describe(findings, one)
    caption = element("figcaption", text[0].upper() + text[1:])
    size = _size(picture)
    if size is None or len(picture) > _LARGEST:
        return element("figure", element("p", "Its picture is no PNG, or too large for this page."), caption)
    width, height = size
    times = max(1, _WIDE // width)
    source = f"data:image/png;base64,{base64.b64encode(picture).decode()}"
    alt = f"Picture of what {text} makes"
    return element("figure", element("img", src=source, alt=alt, width=times * width, height=times * height), caption)


def _size(picture: bytes) -> tuple[int, int] | None:
    """Return width and height of a PNG, in pixels; None of anything else."""
    if not picture.startswith(_HEAD) or len(picture) < len(_HEAD) + 8:
        return None
    width, height = struct.unpack_from(">II", picture, len(_HEAD))
    return (width, height) if width and height else None
