"""Errors that a user can mend: one line each, raised before any trial starts."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import PurePath
from reprlib import Repr
from typing import Final

_MOST: Final = 20
"""Most names listed in a message."""
_LONGEST_VALUE: Final = 160
_LONGEST_LINE: Final = 2000

_FLAG: Final = re.compile(r"(spikefront [a-z][^;,()]*)|--([a-z][a-z-]*)(?:[ =]([^\s;()]+?)(?=$|[,;:)](?:\s|$)))?")
"""A command, which stays as it is, or a flag, perhaps with the value that ends a clause."""


class UsageError(ValueError):
    """A rule that the user's input broke. The text says the rule, the offending value and the nearest fix.

    Messages name options as the command line does, ``--max-energy``; ``str`` gives them in Python's words,
    ``max_energy=``, and ``on_command_line`` as they are. Either is one line of printable characters.
    """

    def on_command_line(self) -> str:
        """Return the message with options as flags."""
        return one_line(str(self.args[0]))

    def __str__(self) -> str:
        return _FLAG.sub(_in_python, self.on_command_line())


class OptionError(UsageError):
    """An option whose value breaks a rule, named in the words of the place where it was given.

    Args:
        option: name of the option in Python, for example ``max_energy``.
        value: what was given.
        problem: what is wrong with it, and the nearest fix, as the end of a sentence: ``must be above 0``.
        flag: its flag, where that is not the name with dashes.
        source: where it was given, for example ``study.yaml, line 3``; empty for the command line and Python.
    """

    def __init__(self, option: str, value: object, problem: str, *, flag: str = "", source: str = "") -> None:
        self.option, self.value, self.problem, self.source = option, value, problem, source
        self.flag = flag or f"--{option.rstrip('_').replace('_', '-')}"
        super().__init__(problem)

    def on_command_line(self) -> str:
        where = f"{self.source}: {self.option.rstrip('_')}:" if self.source else self.flag
        return one_line(f"{where} {_as_typed(self.value)}{self._rest(self.problem)}")

    def __str__(self) -> str:
        rest = self._rest(_FLAG.sub(_in_python, self.problem))
        if self.source:
            return one_line(f"{self.source}: {self.option.rstrip('_')}: {_as_typed(self.value)}{rest}")
        return one_line(f"{self.option}={shown(self.value)}{rest}")

    @staticmethod
    def _rest(problem: str) -> str:
        return problem if problem.startswith(":") else f" {problem}"

    def at(self, source: str) -> OptionError:
        """Return the same error for an option that was given elsewhere, such as in a study file."""
        return OptionError(self.option, self.value, self.problem, flag=self.flag, source=source)

    def __reduce__(self) -> tuple[object, ...]:
        return _restored, (self.option, self.value, self.problem, self.flag, self.source)


def _restored(option: str, value: object, problem: str, flag: str, source: str) -> OptionError:
    return OptionError(option, value, problem, flag=flag, source=source)


class _Cut(Repr):
    """``repr`` in bounded time and length, of values of any size and depth."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxstring, self.maxother, self.maxlong = 3, _LONGEST_VALUE, _LONGEST_VALUE, _LONGEST_VALUE

    def repr_int(self, x: int, level: int) -> str:
        """Write a whole number; Python writes none of more than 4,300 digits."""
        return super().repr_int(x, level) if x.bit_length() < 10_000 else f"a number of {x.bit_length():,} bits"


def shown(value: object) -> str:
    """Return ``repr`` of a value, of a long one its beginning and end."""
    return cut(_Cut().repr(value))


def _as_typed(value: object) -> str:
    """Write a value as it was typed; text that has blanks or signs between quotes."""
    if isinstance(value, str):
        plain = value and value.isprintable() and not set(value) & set(" '\"/\\")
        return cut(value) if plain else shown(value)
    if isinstance(value, float):
        return f"{value:g}"
    return cut(str(value)) if isinstance(value, PurePath) else shown(value)


def cut(text: str, most: int = _LONGEST_VALUE) -> str:
    """Return text, of a long one its beginning and end."""
    return text if len(text) <= most else f"{text[: most * 2 // 3]}...{text[len(text) - most // 3 + 3 :]}"


def one_line(text: str) -> str:
    """Return text as one line of printable characters: line breaks are blanks, other control characters escaped.

    Of a very long text the middle is left out.
    """
    if len(text) > _LONGEST_LINE or not text.isprintable():
        text = " ".join(cut(text, _LONGEST_LINE).splitlines())
        text = "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)
    return text


def _in_python(found: re.Match[str]) -> str:
    command, flag, value = found.groups()
    if command is not None:
        return str(command)
    name = {"set": "space", "from": "from_"}.get(flag, flag.replace("-", "_"))
    return f"{name}=" if value is None else f"{name}={value!r}"


class UnknownName(UsageError):
    """A name that nothing answers to. The text offers the nearest name and lists those that exist.

    Args:
        what: what was looked up, for example ``"coding"``.
        name: the name that was not found.
        known: the names that exist.
    """

    def __init__(self, what: str, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        near = get_close_matches(name[:_LONGEST_VALUE], names, n=_MOST, cutoff=0.5)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        if len(names) > _MOST:  # a line of fifty names is not read
            listed, more = near or names[:_MOST], f" ({len(names)} in all)"
        else:
            listed, more = names, ""
        super().__init__(f"unknown {what} {shown(name)}.{hint} Known: {', '.join(listed) or 'none'}{more}.")

    def __reduce__(self) -> tuple[object, ...]:
        return _unpickled, (self.args[0],)


def _unpickled(text: str) -> UnknownName:
    error = UnknownName.__new__(UnknownName)
    ValueError.__init__(error, text)
    return error
