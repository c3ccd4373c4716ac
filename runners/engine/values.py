"""Values of options of a search as they are read: narrowings, addresses, folders."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spikefront.searchspace.options import many, text

if TYPE_CHECKING:
    from spikefront.searchspace import Narrowing


def read_narrowings(value: Any) -> tuple[Narrowing, ...]:
    """Read narrowings: ``NAME=VALUES`` once or several times, or names to a value, a list or ``LOW..HIGH``."""
    from spikefront.searchspace.narrowing import Narrowing, parse_mapping, parse_set

    if isinstance(value, Mapping):
        return tuple(parse_mapping(value, "space"))
    read = [item if isinstance(item, Narrowing) else parse_set(text(item)) for item in many(lambda item: item)(value)]
    return tuple({narrowing.pattern: narrowing for narrowing in read}.values())  # of two for one name the later holds


def is_address(text: str | None) -> bool:
    """Return whether a text is HOST:PORT, or auto; or there is none."""
    host, _, port = (text or "").rpartition(":")
    is_port = re.fullmatch(r"[0-9]{1,5}", port) is not None and 0 < int(port) < 2**16
    return text in (None, "auto") or (bool(host) and host.isprintable() and is_port)


def real_folders(paths: Sequence[Path]) -> tuple[Path, ...]:
    """Return folders as absolute paths without links, each once."""
    return tuple(dict.fromkeys(Path(os.path.realpath(path)) for path in paths))


def as_word(task: str | None) -> str:
    """Return the name of a task as the beginning of a folder's name."""
    return re.sub(r"[^\w.-]+", "-", str(task))[:100]


def epochs_set(narrowings: Sequence[Narrowing], epochs: int, source: str) -> tuple[Narrowing, ...]:
    """Return narrowings with that of the epochs in place of any before it."""
    from spikefront.searchspace.narrowing import parse_set

    added = replace(parse_set(f"training.epochs={epochs}"), source=source)
    return (*(narrowing for narrowing in narrowings if narrowing.pattern != added.pattern), added)
