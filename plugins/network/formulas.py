"""Forms of surrogate gradients that the kernels compute: a quotient or an exponential, by its numbers."""

from __future__ import annotations

from dataclasses import asdict
from functools import lru_cache

from spikefront.plugins.contracts.surrogate import Exponential, Quotient, Surrogate


@lru_cache(maxsize=256)
def numbers_of(formula: Quotient | Exponential) -> dict[str, float]:
    """Return the numbers of a formula by name: the same at each step, of which a small network makes many."""
    return asdict(formula)


def formula_of(surrogate: Surrogate) -> Quotient | Exponential | None:
    """Return the form of a surrogate that the kernels compute; None of one that torch computes."""
    return quotient_of(surrogate) or exponential_of(surrogate)


def quotient_of(surrogate: Surrogate) -> Quotient | None:
    """Return a surrogate's quotient, unless it is that of a base class whose derivative was overridden."""
    return surrogate.quotient() if _states(surrogate, "quotient") else None


def exponential_of(surrogate: Surrogate) -> Exponential | None:
    """Return a surrogate's exponential, unless it is that of a base class whose derivative was overridden."""
    return surrogate.exponential() if _states(surrogate, "exponential") else None


def _states(surrogate: Surrogate, form: str) -> bool:
    """Return whether the class that defines a surrogate's derivative, or one derived from it, defines a form of it."""
    for kind in type(surrogate).__mro__:
        if form in vars(kind):
            return True
        if "__call__" in vars(kind):
            break
    return False
