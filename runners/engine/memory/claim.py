"""The folder of a search, made and locked for its one driver before anything starts."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Self

from spikefront.runners.engine.memory.journal import DriverLock
from spikefront.runners.engine.settings import SearchSettings, refuse_taken
from spikefront.searchspace import OptionError


class Claim:
    """The folder of a search, held by this driver. It is removed again if the search does not begin.

    Where nobody chose a name, the first of ``NAME``, ``NAME-2``, ``NAME-3`` that is free is taken, by making its
    folder: of drivers that start at the same moment each gets its own.

    Args:
        settings: options of the search.
        taken: returns whether a name is in use elsewhere, such as in the store; asked only where nobody chose a name.

    Raises:
        UsageError: when the folder can't be made or locked, holds another search, or another driver has it.

    Attributes:
        settings: the options, with the name that was found.
    """

    def __init__(self, settings: SearchSettings, taken: Callable[[str], bool] = lambda name: False) -> None:
        self._made: list[Path] = []  # the outermost first
        self.settings = settings
        try:
            self._make(Path(settings.folder))
            if settings.resume or "name" in settings.given:
                self._make(settings.directory)
            else:
                self.settings = self._with_free_name(taken)
            self._lock = DriverLock(self.settings.directory)
        except OSError as error:
            self._remove()
            raise _not_made(settings, error) from error
        except BaseException:
            self._remove()
            raise
        if not settings.resume:
            try:
                refuse_taken(self.settings)  # again, now that no other driver can begin one
            except BaseException:
                self.release()
                raise

    def _make(self, folder: Path) -> None:
        missing = [parent for parent in (folder, *folder.parents) if not os.path.exists(parent)]
        folder.mkdir(parents=True, exist_ok=True)
        self._made += reversed(missing)

    def _with_free_name(self, taken: Callable[[str], bool]) -> SearchSettings:
        for place in count(1):
            name = f"{self.settings.name}-{place}" if place > 1 else str(self.settings.name)
            folder = Path(self.settings.folder) / name
            if folder.exists() or taken(name):
                continue
            with suppress(FileExistsError):  # another driver was faster
                folder.mkdir()
                self._made.append(folder)
                return self.settings if place == 1 else replace(self.settings, name=name)
        raise AssertionError("there is always one more number")

    def _remove(self) -> None:
        """Remove the folders that were made here, if nothing is in them."""
        for folder in reversed(self._made):
            with suppress(OSError):
                folder.rmdir()

    def release(self) -> None:
        """Give the folder to other drivers; remove it, if no search has begun."""
        if self.settings.directory in self._made and not self.settings.journal.exists():
            self._lock.discard()
            self._remove()
        else:
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.release()


def _not_made(settings: SearchSettings, error: OSError) -> OptionError:
    return settings.error("folder", f": {error.strerror}; choose another")
