"""Checks of what a config declares: domains that can be drawn from, stored and written on a command line."""

from __future__ import annotations

import linecache
import math
import re
import sys
import traceback
import typing
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import NoneType, UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from spikefront.searchspace.domains import Choice, Domain, Float, Int
from spikefront.searchspace.errors import UsageError

_TYPES: Final = (bool, int, float, str)
_LARGEST: Final = 2**53
"""Beyond it not every integer is a float, which samplers draw with."""
_CURES: Final = (
    (r"`low <= high` must hold, but got \(low=(.*?), high=(.*?)\)", r"it is reversed: write \2, \1"),
    (r"`low > 0` must hold for `log=True`", "begin above 0, or leave log=True out"),
    (r"`low >= 1` must hold for `log=True`", "begin at 1 or above, or leave log=True out"),
    (r"not divisible by `step`.*replaced with \[.*, (.*?)\]", r"end it at \1, or give another step"),
    (r"`step > 0` must hold", "give a step above 0, or none"),
    (r"step.*`?log`?|`log`.*step", "leave step or log=True out"),
    (r"`choices` must contain", "name its values"),
    (r"not supported between instances of 'str'", "give numbers, not text"),
)
"""What to do about what Optuna refuses, by its text."""
_DECLARATION: Final = re.compile(r"\s*(\w+)\s*:\s*(?:\w+\.)?Annotated\b")


def evaluated(config: type) -> dict[str, Any]:
    """Return the type hints of a config.

    Raises:
        UsageError: naming the field whose annotation can't be evaluated, such as one of a range that is reversed.
    """
    with optunas_warnings():
        try:
            return get_type_hints(config, include_extras=True)
        except Exception as error:
            for base in config.__mro__:
                for name, annotation in vars(base).get("__annotations__", {}).items():
                    _refuse_annotation(base, name, annotation)
            raise UsageError(f"{config.__qualname__}: {with_cure(error)}") from error


def with_cure(error: BaseException) -> str:
    """Return type and message of an error, with what to do where Optuna refuses a domain."""
    text = f"{type(error).__name__}: {error}"
    for pattern, cure in _CURES:
        if isinstance(error, (ValueError, TypeError, UserWarning)) and (found := re.search(pattern, text)):
            return f"{text.rstrip('.')}; {found.expand(cure)}"
    return text


def field_at(error: BaseException) -> str:
    """Return the hyperparameter, as ``Config.size: ``, whose domain can't be made; empty where it is none's."""
    for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
        found = _DECLARATION.match(linecache.getline(frame.f_code.co_filename, line))
        if found is not None:
            return f"{frame.f_code.co_qualname}.{found[1]}: "
    return ""


@contextmanager
def optunas_warnings() -> Iterator[None]:
    """Raise what Optuna warns of while a domain is made: a range that it shortens to whole steps."""
    for forget in getattr(typing, "_cleanups", ()):  # it takes Choice((True,)) for the Choice((1,)) of another plugin
        forget()
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "The distribution is specified by")
        warnings.filterwarnings("ignore", "Choices for a categorical distribution")  # refuse_domain says which
        yield


def _refuse_annotation(base: type, name: str, annotation: object) -> None:
    probe = type("Probe", (), {"__annotations__": {name: annotation}, "__module__": base.__module__})
    try:
        get_type_hints(probe, vars(sys.modules[base.__module__]), dict(vars(base)), include_extras=True)
    except Exception as error:
        raise UsageError(f"{base.__qualname__}.{name}: {with_cure(error)}") from error


def refuse_domain(domain: Domain, where: str) -> None:
    """Raise ``UsageError`` naming ``where`` for a domain whose values can't be drawn, stored or told apart."""
    if isinstance(domain, Choice):
        _refuse_choices(domain.choices, where)
    elif isinstance(domain, Int) and max(abs(domain.low), abs(domain.high)) > _LARGEST:
        raise UsageError(f"{where}: {domain.low}..{domain.high} reaches beyond {_LARGEST}, so that draws are not exact")
    elif isinstance(domain, (Int, Float)) and not (math.isfinite(domain.low) and math.isfinite(domain.high)):
        raise UsageError(f"{where}: {domain.low}..{domain.high} is not a range of finite numbers")


def refuse_scalar(default: object, where: str) -> None:
    """Raise ``UsageError`` naming ``where`` for a default that is a scalar of NumPy or torch."""
    if type(default) not in _TYPES and hasattr(default, "item"):
        raise UsageError(f"{where}, default: {default!r} is a {type(default).__name__}; write {default.item()!r}")


def refuse_type(hint: Any, domain: Domain, default: object, where: str) -> None:
    """Raise ``UsageError`` naming ``where`` for values that are not of the annotated type.

    An int may stand for a float, but a bool for neither.
    """
    for what, value in (*_examples(domain), ("the default", default)):
        if not _is_of(value, hint):
            name = getattr(hint, "__name__", str(hint)) if get_origin(hint) is None else str(hint)
            fix = f"annotate it as {type(value).__name__}, or change its domain"
            raise UsageError(f"{where}: {what} is of type {type(value).__name__}, not {name}; {fix}")


def _examples(domain: Domain) -> list[tuple[str, object]]:
    """Return values of a domain, and how they are named in a message."""
    if isinstance(domain, Choice):
        return [(repr(choice), choice) for choice in domain.choices]
    assert isinstance(domain, (Int, Float))
    return [(f"what lies in {domain.low}..{domain.high}", 1 if isinstance(domain, Int) else 1.0)]


def _is_of(value: object, hint: Any) -> bool:
    if hint is Any or hint is object:
        return True
    if get_origin(hint) is Literal:
        return any(value == one and type(value) is type(one) for one in get_args(hint))
    if get_origin(hint) in (Union, UnionType):
        return any(_is_of(value, one) for one in get_args(hint) if one is not NoneType)
    return type(value) is hint or (hint is float and type(value) is int)


def _refuse_choices(choices: tuple[object, ...], where: str) -> None:
    texts: dict[str, object] = {}
    for choice in choices:
        if type(choice) not in _TYPES:
            fix = "; name it, such as 'none'" if choice is None else ""
            raise UsageError(f"{where}: {choice!r} is not a bool, int, float or str, the values of a choice{fix}")
        if isinstance(choice, float) and not math.isfinite(choice):
            raise UsageError(f"{where}: {choice!r} is not a finite number; name it, such as {str(choice)!r}")
        text = str(choice)
        if not text or text != text.strip() or "," in text or ".." in text or not text.isprintable():
            rule = "a value must be a word that --set can name: no comma, '..', line break or blank at an end"
            raise UsageError(f"{where}: {choice!r}: {rule}")
        same = texts.get(text, next((other for other in texts.values() if other == choice), None))
        if same is not None:
            raise UsageError(f"{where}: {same!r} and {choice!r} can't be told apart; give each a name of its own")
        texts[text] = choice
