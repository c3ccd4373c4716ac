"""Errors that a user can mend: one line each, raised before any trial starts."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

_MOST: Final = 20
"""Most names listed in a message."""


class UsageError(ValueError):
    """A rule the user's input broke. The text says the rule, the offending value and the nearest fix."""


class UnknownName(UsageError):
    """A name that nothing answers to. The text offers the nearest name and lists those that exist.

    Args:
        what: what was looked up, for example ``"coding"``.
        name: the name that was not found.
        known: the names that exist.
    """

    def __init__(self, what: str, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        near = get_close_matches(name, names, n=_MOST, cutoff=0.5)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        if len(names) > _MOST:  # nobody reads a line of fifty names
            shown, more = near or names[:_MOST], f" ({len(names)} in all)"
        else:
            shown, more = names, ""
        super().__init__(f"unknown {what} {name!r}.{hint} Known: {', '.join(shown) or 'none'}{more}.")
