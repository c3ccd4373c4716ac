"""Find, for a data set and an energy budget, the spiking-network codings on the accuracy/energy Pareto front.

The verbs of the command line as functions: ``run``, ``judge``, ``pareto``. Each is imported when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spikefront.runners.judging.judge import judge
    from spikefront.search import pareto, run

__all__ = ["judge", "pareto", "run"]


def __getattr__(name: str) -> Any:
    if name == "judge":
        from spikefront.runners.judging.judge import judge

        return judge
    if name in ("pareto", "run"):
        from spikefront import search

        return getattr(search, name)
    raise AttributeError(f"module 'spikefront' has no attribute {name!r}")
