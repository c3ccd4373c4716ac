"""Find, for a data set and an energy budget, the spiking-network codings on the accuracy/energy Pareto front.

``run`` searches and returns a ``Search``, ``load_search`` opens one; ``pareto``, ``confirm``, ``twin``, ``report``,
``compare`` and ``export`` are the commands of the same names; ``judge`` evaluates one candidate, ``load`` reads an
exported network. The names are listed in ``__init__.pyi``; each is imported when it is first used.
"""

from typing import Any

import lazy_loader

_lazy, _names, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __dir__() -> list[str]:
    return [*_names(), "__version__"]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib import metadata  # 30 ms that help need not take

        return metadata.version("spikefront")
    return _lazy(name)
