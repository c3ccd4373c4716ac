"""Checks of what a config declares: domains that can be drawn from, stored and written on a command line."""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, get_type_hints

from spikefront.searchspace.domains import Choice, Domain, Float, Int
from spikefront.searchspace.errors import UsageError

_TYPES: Final = (bool, int, float, str)


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
            raise UsageError(f"{config.__qualname__}: {type(error).__name__}: {error}") from error


@contextmanager
def optunas_warnings() -> Iterator[None]:
    """Raise what Optuna warns of while a domain is made: a range that it shortens to whole steps."""
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "The distribution is specified by")
        warnings.filterwarnings("ignore", "Choices for a categorical distribution")  # refuse_domain says which
        yield


def _refuse_annotation(base: type, name: str, annotation: object) -> None:
    probe = type("Probe", (), {"__annotations__": {name: annotation}, "__module__": base.__module__})
    try:
        get_type_hints(probe, vars(sys.modules[base.__module__]), dict(vars(base)), include_extras=True)
    except Exception as error:
        raise UsageError(f"{base.__qualname__}.{name}: {type(error).__name__}: {error}") from error


def refuse_domain(domain: Domain, where: str) -> None:
    """Raise ``UsageError`` naming ``where`` for a domain whose values can't be drawn, stored or told apart."""
    if isinstance(domain, Choice):
        _refuse_choices(domain.choices, where)
    elif isinstance(domain, (Int, Float)) and not (math.isfinite(domain.low) and math.isfinite(domain.high)):
        raise UsageError(f"{where}: {domain.low}..{domain.high} is not a range of finite numbers")


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
