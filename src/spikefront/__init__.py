"""Find, for a data set and an energy budget, the spiking-network codings on the accuracy/energy Pareto front.

The verbs of the command line as functions: ``run``, ``judge``, ``pareto``, ``twin``, ``confirm``, ``export``,
``report``, and ``load`` for what was exported. Each is imported when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spikefront.found import confirm, export, pareto, twin
    from spikefront.results.report.verb import report
    from spikefront.runners.deploy.model import load
    from spikefront.runners.judging.judge import judge
    from spikefront.search import run

__all__ = ["confirm", "export", "judge", "load", "pareto", "report", "run", "twin"]


def __getattr__(name: str) -> Any:
    if name == "judge":
        from spikefront.runners.judging.judge import judge

        return judge
    if name == "run":
        from spikefront.search import run

        return run
    if name == "report":
        from spikefront.results.report.verb import report

        return report
    if name == "load":
        from spikefront.runners.deploy.model import load

        return load
    if name in ("confirm", "export", "pareto", "twin"):
        from spikefront import found

        return getattr(found, name)
    raise AttributeError(f"module 'spikefront' has no attribute {name!r}")
