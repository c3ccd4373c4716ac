"""What Tab offers for the names of searches and of front members: read off local files, since a shell waits for it.

MLflow takes seconds to import, so its SQLite file is asked directly. Of a store on a server there are no members, and
the searches are those with a folder here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from typing import Any, Final

import typer

from spikefront.commands.options import KIND_NAMES

_MEMBERS: Final = """
    SELECT search.value || '/' || coalesce(number.value, point.value || '@' || cut.value) FROM tags AS search
    JOIN tags AS member ON member.run_uuid = search.run_uuid AND member.key = ? AND member.value = 'true'
    JOIN runs ON runs.run_uuid = search.run_uuid AND runs.lifecycle_stage = 'active'
    LEFT JOIN tags AS number ON number.run_uuid = search.run_uuid AND number.key = ?
    LEFT JOIN tags AS point ON point.run_uuid = search.run_uuid AND point.key = ?
    LEFT JOIN tags AS cut ON cut.run_uuid = search.run_uuid AND cut.key = ?
    WHERE search.key = ?
    ORDER BY search.value, CAST(coalesce(number.value, point.value) AS INTEGER), CAST(cut.value AS INTEGER)
"""
_SEARCHES: Final = """
    SELECT DISTINCT search.value FROM tags AS search
    JOIN runs ON runs.run_uuid = search.run_uuid AND runs.lifecycle_stage = 'active'
    WHERE search.key = ? ORDER BY search.value
"""
_MOST: Final = 200

Complete = Callable[[typer.Context, str], list[str]]


def _asked(query: str, keys: tuple[str, ...], given: Mapping[str, Any]) -> list[str]:
    """Return what the store's file says; nothing where there is none, or it is another's."""
    import sqlite3

    from spikefront.results.store.address import resolve_uri, sqlite_file

    file = sqlite_file(resolve_uri(given.get("tracking_uri")))
    if file is None or not file.is_file():
        return []
    with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True, timeout=0.2)) as connection:
        return [str(name) for (name,) in connection.execute(query, keys)]


def _searches(given: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names of searches: of the store, and of those that have a folder, which may be resumed."""
    from spikefront.results.store.schema import SEARCH

    with suppress(Exception):
        yield from _asked(_SEARCHES, (SEARCH,), given)
    with suppress(OSError):
        yield from sorted(entry.name for entry in os.scandir(given.get("folder") or "searches") if entry.is_dir())


def _members(given: Mapping[str, Any]) -> Iterator[str]:
    """Yield the members of all fronts, as ``SEARCH/TRIAL`` or ``SEARCH/TRIAL@T``."""
    from spikefront.results.store.schema import NUMBER, PARETO, POINT_CUT, POINT_TRIAL, SEARCH

    with suppress(Exception):
        yield from _asked(_MEMBERS, (PARETO, NUMBER, POINT_TRIAL, POINT_CUT, SEARCH), given)


def _kinds(given: Mapping[str, Any]) -> Iterator[str]:
    yield from KIND_NAMES


_OFFERED: Final[Mapping[str, Callable[[Mapping[str, Any]], Iterator[str]]]] = {
    "SEARCH": _searches,
    "SEARCH...": _searches,
    "RUN": _members,
    "WHAT": _members,
    "KIND": _kinds,
}


def completion_of(metavar: str) -> Complete | None:
    """Return what offers the values of an option, by what stands for them in the help; None where nothing does."""
    names = _OFFERED.get(metavar)
    if names is None:
        return None

    def complete(ctx: typer.Context, incomplete: str) -> list[str]:
        found = dict.fromkeys(name for name in names(ctx.params) if name.startswith(incomplete))
        return list(found)[:_MOST]

    return complete
