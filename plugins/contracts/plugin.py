"""Base of all plugins: a name, and hyperparameters declared by a config."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal

from spikefront.searchspace import validate

InputKind = Literal["static", "events", "sequences", "spikes"]
OutputKind = Literal["values", "images"]
Layout = Literal["images", "features", "sequences"]

SEQUENTIAL: Final[frozenset[InputKind]] = frozenset({"sequences", "spikes"})
"""Kinds of inputs that have a length of their own, whatever T is, and the layout ``sequences``."""
COUNTED: Final[frozenset[InputKind]] = frozenset({"events", "spikes"})
"""Kinds of inputs that are whole numbers of events, each an accumulate per synapse."""


@dataclass(frozen=True, slots=True)
class NoConfig:
    """The config of a plugin without hyperparameters."""


class Plugin:
    """Base of all plugins.

    Attributes:
        name: what users call it; lower case, words joined by ``-``.
        Config: its hyperparameters, a frozen dataclass of ``Annotated[type, domain] = default`` fields.
        revision: number of changes after which its results don't compare with earlier ones under the same version of
            its package, such as another split of a task's data. It follows the version, ``0.1.0+1``.
        named_only: whether a search takes it only where its user names it.
        library: module of another package that it needs, such as ``snntorch``; empty for none. Where that is not
            installed, the plugin is not offered. Import it when an instance is made, not with the plugin's file.
    """

    name: ClassVar[str]
    Config: ClassVar[type] = NoConfig
    revision: ClassVar[int] = 0
    named_only: ClassVar[bool] = False
    library: ClassVar[str] = ""
    config: Any

    def _configure(self, config: Any) -> None:
        self.config = config if config is not None else self.Config()
        validate(self.config, self.name)


class SelfConfigured(Plugin):
    """A plugin that is its own config: a frozen dataclass of ``Annotated[type, domain] = default`` fields."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.Config = cls
