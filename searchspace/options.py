"""Options of commands and searches, each declared once as a field of a dataclass.

::

    @dataclass(frozen=True)
    class SearchOptions:
        time: Annotated[float | str | None, Option("Budget", duration, "DURATION", changeable=True)] = None
        \"\"\"Stop after this long: 90s, 30m, 2h.\"\"\"

From that follow the flag and its help, the key of a study file, the argument of the Python function and whether a
resume may change it. Values may be text with units or plain values, from any of the three.
"""

from __future__ import annotations

import dataclasses
import inspect
import math
import operator
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final, get_args, get_origin, get_type_hints

from spikefront.searchspace.docs import attribute_docs
from spikefront.searchspace.errors import OptionError, UsageError, shown
from spikefront.searchspace.secrets import redact, redact_address, remember
from spikefront.searchspace.units import format_duration, parse_count, parse_duration, parse_energy, parse_shares

_LARGEST_WHOLE: Final = 2**63
_LONGEST_NAME: Final = 255
_LONGEST_LINE: Final = 500
_LONGEST_PATH: Final = 2000
"""Bytes of a file's name, on every file system in use; characters of what MLflow takes for a name; bytes of a path."""


def whole(value: Any) -> int:
    """Read a whole number, or text that is one."""
    try:
        if isinstance(value, bool) or (isinstance(value, str) and not value.isascii()):
            raise ValueError
        found = int(value) if isinstance(value, str) or _is_whole(value) else operator.index(value)
    except (TypeError, ValueError):
        raise ValueError("is not a whole number") from None
    if abs(found) >= _LARGEST_WHOLE:
        raise ValueError("is too large: give a whole number below 2**63")
    return found


def _is_whole(value: Any) -> bool:
    return isinstance(value, float) and value.is_integer()


def number(value: Any) -> float:
    """Read a finite number, or text that is one."""
    try:
        if isinstance(value, bool) or (isinstance(value, str) and not value.isascii()):
            raise ValueError
        found = float(value)
    except OverflowError:
        found = math.inf
    except (TypeError, ValueError):
        raise ValueError("is not a number") from None
    if not math.isfinite(found):
        raise ValueError("must be a finite number")
    return found


def text(value: Any) -> str:
    """Read text; a number stands for its digits, as in a study file, where a name of digits is a number.

    Neither journal nor store can hold null characters and halves of surrogate pairs.
    """
    if isinstance(value, (bool, Mapping)) or not isinstance(value, (str, int, float, Path)):
        raise ValueError("is not text")
    found = str(value)
    if "\0" in found or not _encodable(found):
        raise ValueError("has a character that can't be stored; leave it out")
    return found


def named(value: Any) -> str:
    """Read a name of something that exists: text that is not blank."""
    found = text(value)
    if not found.strip():
        raise ValueError("is blank; leave it out, or name one")
    return found


def line(value: Any) -> str:
    """Read a name that is one line of printable characters."""
    found = named(value)
    if not found.isprintable() or len(found) > _LONGEST_LINE:
        raise ValueError(f"must be printable characters, {_LONGEST_LINE} at most")
    return found


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def path(value: Any) -> Path:
    """Read a path without control characters, of names that file systems take."""
    if not isinstance(value, (str, Path)) or not str(value):
        raise ValueError("is not a path")
    found = Path(value)
    if any(ord(char) < 32 or ord(char) == 127 for char in str(found)) or not _encodable(str(found)):
        raise ValueError("has a control character, or is not UTF-8; rename it")
    if len(str(found).encode()) > _LONGEST_PATH or any(len(part.encode()) > _LONGEST_NAME for part in found.parts):
        raise ValueError(
            f"is longer than {_LONGEST_PATH} bytes, or has a name of more than {_LONGEST_NAME}; shorten it"
        )
    return found


def switch(value: Any) -> bool:
    """Read True or False."""
    if not isinstance(value, bool):
        raise ValueError("is not true or false")
    return value


def _quantity(parse: Callable[[str], float], what: str) -> Callable[[Any], float]:
    def read(value: Any) -> float:
        if isinstance(value, str):
            return parse(value)
        found = number(value)
        if found <= 0:
            raise ValueError(f"must be above 0: {what}")
        return found

    return read


energy: Final = _quantity(parse_energy, "nanojoules, or text with a unit like 500nJ")
"""Read an energy: nanojoules, or text with a unit."""
duration: Final = _quantity(parse_duration, "seconds, or text with a unit like 90s")
"""Read a duration: seconds, or text with a unit."""
count: Final = _quantity(parse_count, "a count, or text like 100k")
"""Read a count: a number, or text with k or M."""


def shares(value: Any) -> tuple[float, ...]:
    """Read shares between 0 and 1: numbers, or text like ``0.15,0.45``."""
    if isinstance(value, str):
        found = parse_shares(value)
    else:
        several = isinstance(value, Iterable) and not isinstance(value, Mapping)
        found = tuple(map(number, value if several else [value]))
    if not found or not all(0 < share < 1 for share in found):
        raise ValueError("is not a list of shares: give numbers between 0 and 1, like 0.15,0.45")
    return found


class _BadItem(ValueError):
    """An error of one of several values."""

    def __init__(self, problem: str, item: Any) -> None:
        super().__init__(problem)
        self.item = item


def _problem(error: Exception) -> str:
    return error.on_command_line() if isinstance(error, UsageError) else str(error)


def many(read: Callable[[Any], Any]) -> Callable[[Any], tuple[Any, ...]]:
    """Return a reader of one value or several."""

    def read_one(item: Any) -> Any:
        try:
            return read(item)
        except OptionError:
            raise
        except (UsageError, ValueError, TypeError) as error:
            raise _BadItem(_problem(error), item) from None

    def read_all(value: Any) -> tuple[Any, ...]:
        several = isinstance(value, Iterable) and not isinstance(value, (str, bytes, Mapping))
        return tuple(read_one(item) for item in (value if several else [value]))

    return read_all


@dataclasses.dataclass(frozen=True, slots=True)
class Option:
    """What an option is beside its type, default and documentation.

    Attributes:
        group: heading of the help page under which it is listed.
        read: turns text or a plain value into the option's value; its errors end a sentence that begins with them.
        metavar: what stands for its value in the help.
        changeable: whether a resumed search may be given another value.
        flag: its flag, where that is not the name with dashes.
        shown: the default as the help shows it, where it is computed.
        study: whether it may stand in a study file.
        both: whether a switch that is off by default has ``--no-`` as well, to override a study file.
        aliases: further names in Python.
        is_argument: whether it is given without a flag on the command line.
        argument_flag: flag by which an argument may be given, too.
        envvar: environment variable that gives its default on the command line.
        secret: whether its value is an address that may hold a password, which is neither stored nor shown.
        least: the least value, of a number; None for any.
        most: the largest value, likewise.
    """

    group: str
    read: Callable[[Any], Any] = text
    metavar: str = ""
    changeable: bool = False
    flag: str = ""
    shown: str = ""
    study: bool = True
    both: bool = False
    aliases: tuple[str, ...] = ()
    is_argument: bool = False
    argument_flag: str = ""
    envvar: str = ""
    secret: bool = False
    least: float | None = None
    most: float | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Declared:
    """An option with its name, default and documentation, as read off its declaration."""

    name: str
    option: Option
    default: Any
    doc: str

    @property
    def key(self) -> str:
        """Its key in study files and in what a search stores: ``from``, where Python needs ``from_``."""
        return self.name.rstrip("_")

    @property
    def flag(self) -> str:
        """Its flag on the command line."""
        return self.option.flag or f"--{self.key.replace('_', '-')}"

    def read(self, value: Any, source: str = "") -> Any:
        """Turn text or a plain value into the option's value.

        Raises:
            OptionError: naming the option in the words of the place where it was given.
        """
        if self.option.secret:
            remember(str(value))
        try:
            return self.option.read(value)
        except OptionError:
            raise
        except (UsageError, ValueError, TypeError) as error:
            problem, value = _problem(error), error.item if isinstance(error, _BadItem) else value
            if problem.startswith(f"{self.flag} "):  # it says itself where it was given
                raise
            raise self.error(value, problem.removeprefix(f"{shown(value)} "), source) from None

    def checked(self, value: Any, source: str = "") -> Any:
        """Turn text or a plain value into the option's value, and refuse what is out of bounds.

        Raises:
            OptionError: naming the option in the words of the place where it was given.
        """
        found, least, most = self.read(value, source), self.option.least, self.option.most
        given = value if isinstance(value, str) else found
        if least is not None and found < least:
            raise self.error(given, "must be above 0" if found <= 0 < least else f"must be {least:g} or more", source)
        if most is not None and found > most:
            raise self.error(given, f"must be {self.write(most)} at most", source)
        return found

    def write(self, value: Any) -> str:
        """Write the option's value as text that ``read`` takes, but for a password, which is left out."""
        if self.option.secret:
            return redact_address(str(value))
        if self.option.read is duration:
            text_ = format_duration(value)
            return text_ if parse_duration(text_) == value else f"{value:g}s"
        if self.option.read is energy:
            return f"{value:g}nJ"
        if isinstance(value, tuple):
            return ",".join(f"{item:g}" if isinstance(item, float) else str(item) for item in value)
        return str(value)

    def error(self, value: Any, problem: str, source: str = "") -> OptionError:
        """Return the error that says what is wrong with a value."""
        shown = redact(redact_address(str(value))) if self.option.secret else value
        return OptionError(self.name, shown, problem, flag=self.flag, source=source)


@cache
def options_of(declaration: type | Callable[..., Any]) -> Mapping[str, Declared]:
    """Return the options that a dataclass or a function declares, by name, in order.

    A function's are its parameters that are annotated with an ``Option`` and the text that documents them.
    """
    docs: Mapping[str, str] = {}
    if isinstance(declaration, type):
        hints = get_type_hints(declaration, include_extras=True)
        docs, defaults = attribute_docs(declaration), {f.name: f.default for f in dataclasses.fields(declaration)}
    else:
        parameters = inspect.signature(declaration).parameters
        defaults = {name: parameter.default for name, parameter in parameters.items()}
        # one by one: what the function returns may only be imported for type checkers
        hints = {name: _evaluated(parameter.annotation, declaration) for name, parameter in parameters.items()}
    found = {}
    for name, default in defaults.items():
        marks = get_args(hints[name])[1:] if get_origin(hints[name]) is Annotated else ()
        option = next((mark for mark in marks if isinstance(mark, Option)), None)
        if option is not None:
            doc = next((mark for mark in marks if isinstance(mark, str)), docs.get(name, ""))
            found[name] = Declared(name, option, default, doc)
    return found


def _evaluated(annotation: Any, function: Callable[..., Any]) -> Any:
    names: dict[str, Any] = {}
    while isinstance(annotation, str):
        try:
            return eval(annotation, inspect.unwrap(function).__globals__, names)
        except NameError as error:
            names[str(error.name)] = Any  # imported for type checkers alone
    return annotation
