"""Picture: a declarative chart that shows itself in a notebook, and is saved as PNG, SVG, HTML, CSV or JSON.

Drawn by Vega-Altair, with vl-convert for files. Tried with a front of 10,302 trials beside Plotly 7.1 and Bokeh 3.9:
pages of 1.5, 5.2 and 1.7 MB that need no network were drawn after 1.2, 3.7 and 1.7 s (headless Chromium, 2 busy
cores). PNG and SVG need no browser here; Plotly drives one, Bokeh needs selenium and one. Its SVG takes the page's
colours by CSS alone, in the dark and in print. Its expressions are compiled in the page, so that a policy must allow
``unsafe-eval``.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import altair as alt
import numpy as np

from spikefront.searchspace.errors import UsageError
from spikefront.searchspace.targets import check_target

INK: Final = "#6b6b6d"
"""Colour of text and lines: mid-tone, legible on white and on black; a page puts its own in its place."""

_CONFIG: Final[Mapping[str, Any]] = {
    "background": "transparent",
    "font": "system-ui, sans-serif",
    "view": {"stroke": None},
    "axis": {
        "labelColor": INK,
        "titleColor": INK,
        "domainColor": INK,
        "tickColor": INK,
        "gridColor": INK,
        "gridOpacity": 0.15,
        "labelFontSize": 14,
        "titleFontSize": 14,
        "titleFontWeight": "normal",
        "labelLimit": 220,
    },
    "legend": {
        "labelColor": INK,
        "titleColor": INK,
        "labelFontSize": 14,
        "titleFontSize": 14,
        "labelLimit": 260,
        "symbolBaseFillColor": INK,
        "symbolBaseStrokeColor": INK,
    },
    "title": {"color": INK, "fontSize": 15, "anchor": "start", "subtitleColor": INK, "subtitleFontSize": 13},
    "header": {"labelColor": INK, "titleColor": INK, "labelFontSize": 14, "titleFontSize": 14},
    "text": {"color": INK, "fontSize": 14},
    "rule": {"color": INK},
}

Row = dict[str, Any]
"""One mark of a picture: its fields by name."""


class Picture:
    """Picture of some rows of data.

    Args:
        chart: an Altair chart.
        alt: what it shows, in words, for those who can't see it.
        rows: the data behind it, which ``save`` writes as CSV.

    Attributes:
        chart: the chart, whose size and titles Altair can change: ``picture.chart.properties(width=900)``.
        alt: what it shows, in words.
        rows: the data behind it.
    """

    def __init__(self, chart: Any, alt: str, rows: Sequence[Row]) -> None:
        self.chart = chart
        self.alt = alt
        self.rows = rows

    @cached_property
    def spec(self) -> dict[str, Any]:
        """The Vega-Lite specification, with its data."""
        # valid as it is: to check each chart against the schema takes 0.1 s, and the tests compile all of them
        spec: dict[str, Any] = self.chart.to_dict(validate=False)
        return spec | {"config": _CONFIG, "description": self.alt}

    def svg(self) -> str:
        """Return it as SVG."""
        import vl_convert

        text: str = vl_convert.vegalite_to_svg(self.spec)
        return text

    def png(self, scale: float = 2.0) -> bytes:
        """Return it as PNG, on a transparent ground.

        Args:
            scale: pixels of the file to one of the chart.
        """
        import vl_convert
        from PIL import Image

        # vl-convert 1.9 spoils half transparent colours on a transparent ground, and none on white or black
        head, end, rest = self.svg().partition(">")
        over = [
            vl_convert.svg_to_png(f'{head}{end}<rect width="100%" height="100%" fill="{ground}"/>{rest}', scale=scale)
            for ground in ("white", "black")
        ]
        white, black = (np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), dtype=float) for png in over)
        alpha = 255 - (white - black).mean(2, keepdims=True)
        colour = (black * 255 / np.maximum(alpha, 1)).clip(0, 255)
        file = io.BytesIO()
        pixels = np.concatenate([colour, alpha], 2).round().astype(np.uint8)
        Image.fromarray(pixels).save(file, "PNG", optimize=True)
        return file.getvalue()

    def csv(self) -> str:
        """Return the data behind it."""
        text = io.StringIO()
        writer = csv.DictWriter(text, list(dict.fromkeys(name for row in self.rows for name in row)))
        writer.writeheader()
        writer.writerows(self.rows)
        return text.getvalue()

    def html(self) -> str:
        """Return it as a page of its own, to zoom and to point at, which needs no network."""
        import vl_convert

        text: str = vl_convert.vegalite_to_html(self.spec, bundle=True)
        return text

    def save(self, file: Path | str) -> Path:
        """Write it into a file, in the format of the file's ending.

        Args:
            file: one that ends in .png, .svg, .html, .csv (the data behind it) or .json (Vega-Lite).

        Returns:
            The file.

        Raises:
            UsageError: for another ending, or when the file can't be written.
        """
        file = Path(file)
        check_picture(file)
        made = FORMATS[file.suffix.lower()](self)
        try:
            file.write_bytes(made if isinstance(made, bytes) else made.encode())
        except OSError as error:
            raise UsageError(f"picture {file} can't be written: {error.strerror}; choose another place") from error
        return file

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        """Return it as a notebook shows it: as SVG, without a network."""
        return {"image/svg+xml": self.svg(), "text/plain": self.alt}


FORMATS: Final[Mapping[str, Callable[[Picture], str | bytes]]] = {
    ".png": Picture.png,
    ".svg": Picture.svg,
    ".html": Picture.html,
    ".csv": Picture.csv,
    ".json": lambda picture: json.dumps(picture.spec, indent=2),
}


def check_picture(file: Path | str) -> None:
    """Refuse the name of a picture that can't be written, before anything is read.

    Raises:
        UsageError: for an ending that is no format, or a folder that is missing.
    """
    if Path(file).suffix.lower() not in FORMATS:
        raise UsageError(f"picture {file} must end in {' or '.join(FORMATS)}")
    check_target(Path(file), "picture", todo="choose another place")


class _Rows(alt.InlineData):
    """Data of a chart. Altair copies a chart in each step of its making; rows need not be copied with it."""

    def __deepcopy__(self, memory: object = None) -> _Rows:
        return self


def data(rows: Sequence[Row]) -> alt.InlineData:
    """Return rows as a chart's data."""
    return _Rows(values=list(rows))
