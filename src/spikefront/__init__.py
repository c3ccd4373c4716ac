"""Find, for a data set and an energy budget, the spiking-network codings on the accuracy/energy Pareto front.

``run`` searches and returns a ``Search``, ``load_search`` opens one; ``pareto``, ``confirm``, ``twin``, ``report``,
``compare`` and ``export`` are the commands of the same names; ``judge`` evaluates one candidate, ``load`` reads an
exported network. The names are listed in ``__init__.pyi``; each is imported when it is first used.
"""

import sys


def _run_as_module() -> bool:
    """Return whether ``python -m spikefront`` is looking for what to run."""
    command = " ".join(sys.orig_argv).replace(" -m ", " -m")
    return sys.argv[:1] == ["-m"] and f"{command} ".partition(" -mspikefront")[2][:1] in (" ", ".")


if _run_as_module() and not sys.flags.safe_path:
    # python -m puts the current folder first, and what lies there is not to be imported. Nothing was, from here on
    del sys.path[0]

from typing import Any  # noqa: E402

import lazy_loader  # noqa: E402

_lazy, _names, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __dir__() -> list[str]:
    return [*_names(), "__version__"]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib import metadata  # 30 ms that help need not take

        return metadata.version("spikefront")
    return _lazy(name)
