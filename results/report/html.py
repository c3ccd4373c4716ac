"""HTML elements as Python calls. Whatever is not an element itself is escaped, so that no text becomes markup."""

from __future__ import annotations

import json
from collections.abc import Iterable
from html import escape
from typing import Final

_VOID: Final = frozenset({"meta", "input", "br", "use", "line", "path", "rect", "img"})


class Html(str):
    """Markup, which is not escaped again."""

    __slots__ = ()


def element(name: str, *children: object, **attributes: object) -> Html:
    """Return an element.

    Args:
        name: of the element.
        children: elements, and anything else as text; lists of them are joined; None is left out.
        attributes: ``class_`` becomes ``class``, ``data_sort`` becomes ``data-sort``; None and False are left out, True
            stands alone.
    """
    written = "".join(
        f" {key.rstrip('_').replace('_', '-')}" + ("" if value is True else f'="{escape(str(value))}"')
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    if name in _VOID and not children:
        return Html(f"<{name}{written}/>")
    return Html(f"<{name}{written}>{join(children)}</{name}>")


def join(children: Iterable[object]) -> Html:
    """Return children one after the other."""
    parts = []
    for child in children:
        if isinstance(child, Html):
            parts.append(child)
        elif isinstance(child, (list, tuple)):
            parts.append(join(child))
        elif child is not None:
            parts.append(Html(escape(str(child))))
    return Html("".join(parts))


def data_block(name: str, value: object) -> Html:
    """Return values for the page's script, as JSON that can't end its element."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    text = text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return Html(f'<script type="application/json" id="{escape(name)}">{text}</script>')


def table(head: Iterable[object], rows: Iterable[Iterable[object]], *, numbers: Iterable[int] = ()) -> Html:
    """Return a table in a box that scrolls when it is too wide.

    Args:
        head: titles of the columns.
        rows: cells.
        numbers: columns that are set to the right.
    """
    right = set(numbers)
    cells = [
        element("tr", [element("td", cell, class_="number" if at in right else None) for at, cell in enumerate(row)])
        for row in rows
    ]
    titles = [
        element("th", title, scope="col", class_="number" if at in right else None) for at, title in enumerate(head)
    ]
    whole = element("table", element("thead", element("tr", titles)), element("tbody", cells))
    return scrolling(whole)


def scrolling(whole: Html) -> Html:
    """Return something wide in a box that scrolls, by keyboard too."""
    return element("div", whole, class_="wide", tabindex="0", role="group", aria_label="Table; scrolls sideways")
