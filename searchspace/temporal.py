"""Variants of a network and of its input by which a task is asked what it needs of time and order."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class Variant(StrEnum):
    """One of the ways in which the same candidate is trained."""

    FULL = "full"
    SHUFFLE = "shuffle"
    SHUFFLE_EACH = "shuffle-each"
    SUM = "sum"
    LAST = "last"
    NO_STATE = "NoTD"
    SPATIAL = "SDBP"


OF_INPUTS: Final = (Variant.SHUFFLE, Variant.SHUFFLE_EACH, Variant.SUM)
"""Variants of what is fed in: the same as ``full`` where an input is one point that stands still."""

OF_NEURONS: Final = (Variant.NO_STATE, Variant.SPATIAL)
"""Variants of the neurons, for those that state a single step."""

MEANINGS: Final[Mapping[Variant, str]] = {
    Variant.FULL: "as it is",
    Variant.SHUFFLE: "points in one other order, the same for all samples",
    Variant.SHUFFLE_EACH: "points in a new random order for each sample",
    Variant.SUM: "all points summed into each",
    Variant.LAST: "read out at the last step only",
    Variant.NO_STATE: "neurons without state",
    Variant.SPATIAL: "no gradient through time",
}
"""What each is, in a few words."""
