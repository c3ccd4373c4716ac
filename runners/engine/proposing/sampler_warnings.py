"""Warnings of samplers: one line for each kind of what a user can act on, and no others."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from optuna.exceptions import ExperimentalWarning

_log = logging.getLogger(__name__)

_NEVER: Final = (ExperimentalWarning, DeprecationWarning, PendingDeprecationWarning, FutureWarning, RuntimeWarning)
_NUMERICAL: Final = ("numpy", "scipy", "sklearn", "torch")
_FITS: Final = "optuna._gp"  # of Gaussian processes: it says how its local search went
_INDEPENDENT: Final = re.compile(r"The parameter .*sampled independently")
_VARIES: Final = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`|[-+]?[0-9][0-9.e+-]*")


class SamplerWarnings(logging.Handler):
    """What a sampler and the libraries below it warn of, by log or by warning.

    Of each kind, which is the text without names in quotes and numbers, the first is shown in one line. Not shown is
    what experimental and deprecated interfaces say, which is for programmers, and how numerical methods converged.

    Args:
        name: name of the sampler.
    """

    def __init__(self, name: str) -> None:
        super().__init__(logging.WARNING)
        self._name = name
        self._shown: set[str] = set()

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Receive what is warned of meanwhile, in place of Optuna's own display."""
        optunas = logging.getLogger("optuna")
        handlers, optunas.handlers = optunas.handlers, [self]
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                yield
        finally:
            optunas.handlers = handlers
            for one in caught:
                if not issubclass(one.category, _NEVER) and not _is_numerical(one.filename):
                    self._show(str(one.message))

    def emit(self, record: logging.LogRecord) -> None:
        """Show what Optuna logs."""
        if not record.name.startswith(_FITS):
            self._show(record.getMessage())

    def _show(self, text: str) -> None:
        if _INDEPENDENT.match(text):
            text = "it draws hyperparameters that not all of its trials have at random, independently of the others"
        text = " ".join(text.split())
        kind = _VARIES.sub("", text)
        if kind not in self._shown:
            self._shown.add(kind)
            _log.warning("sampler %s: %s", self._name, text)


def _is_numerical(file: str) -> bool:
    parts = Path(file).parts
    after = [parts[place + 1] for place, part in enumerate(parts[:-1]) if part in ("site-packages", "dist-packages")]
    return bool(set(after[-1:]) & set(_NUMERICAL)) or "/optuna/_gp/" in Path(file).as_posix()
