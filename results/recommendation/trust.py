"""Trust: how far the front of a search decides which coding leads, and the command that decides it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping

from spikefront.searchspace.front import Front
from spikefront.searchspace.objectives import ENERGY
from spikefront.searchspace.trial import Trial


def tries(trials: Iterable[Trial]) -> dict[str, int]:
    """Return how many trials each coding had that were evaluated at full budget, or stopped early; sorted."""
    found = Counter(one.coding for one in trials if one.coding and one.state in ("COMPLETE", "PRUNED"))
    return dict(sorted(found.items()))


def trust(by_coding: Mapping[str, int]) -> str:
    """Return how far a front can be trusted; empty without tries.

    Args:
        by_coding: what ``tries`` returned.

    Example:
        >>> trust({"css": 1, "direct": 4, "sac": 6})
        '3 codings, 1 to 6 tries each, one seed: which coding leads is not decided'
    """
    if not by_coding:
        return ""
    least, most = min(by_coding.values()), max(by_coding.values())
    if len(by_coding) == 1:
        which = "the front under other seeds may be another"
        return f"1 coding, {most} tr{'y' if most == 1 else 'ies'}, one seed: {which}"
    each = f"{most} tr{'y' if most == 1 else 'ies'} each" if least == most else f"{least} to {most} tries each"
    return f"{len(by_coding)} codings, {each}, one seed: which coding leads is not decided"


def deciding(by_coding: Mapping[str, int], front: Front) -> list[str]:
    """Return the beginning of the command that decides which coding leads, or, of one coding, what its front is.

    The energy budget that it has for an example is that of the knee, rounded up to 1, 2 or 5 of its decade.

    Args:
        by_coding: what ``tries`` returned.
        front: the front.
    """
    if len(by_coding) < 2:
        return ["spikefront", "confirm"]
    knee = front.knee()
    energy = math.nan if knee is None else knee.metrics.get(ENERGY.metric, math.nan)
    budget = [] if math.isnan(energy) or energy <= 0 else ["--max-energy", f"{round_up(energy):g}nJ"]
    return ["spikefront", "recommend", *budget]


def round_up(value: float) -> float:
    """Return the least of 1, 2 and 5 times a power of ten that is not below a value above 0."""
    decade = 10.0 ** math.floor(math.log10(value))
    return next(step * decade for step in (1.0, 2.0, 5.0, 10.0) if step * decade >= value * (1 - 1e-9))
