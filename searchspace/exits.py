"""Early exit: a rule by which a network stops at the first step that it is sure at, sample by sample."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal, cast, get_args

from spikefront.searchspace.errors import UsageError

ExitRule = Literal["max", "entropy", "gap"]
"""What says how sure a network is: the largest softmax of its outputs; the entropy of the softmax, as a share of the
largest there can be; or the largest output less the second largest."""

EXIT_RULES: Final[tuple[ExitRule, ...]] = get_args(ExitRule)


@dataclass(frozen=True, slots=True)
class Exit:
    """A rule, and the value from which it lets a sample exit.

    Attributes:
        rule: ``max`` or ``gap``, which exit at ``threshold`` and above, or ``entropy``, at ``threshold`` and below.
        threshold: at least 0; infinite for a rule that ``max`` and ``gap`` never meet.

    Raises:
        UsageError: for a rule that there is not, or a threshold below 0.
    """

    rule: ExitRule
    threshold: float

    def __post_init__(self) -> None:
        if self.rule not in EXIT_RULES:
            raise UsageError(f"exit: no rule {self.rule!r}; one of {', '.join(EXIT_RULES)}")
        if math.isnan(self.threshold) or self.threshold < 0:
            raise UsageError(f"exit: a threshold of {self.threshold:g}; it must be at least 0")

    def __str__(self) -> str:
        return f"{self.rule}:{self.threshold!r}"

    @classmethod
    def parse(cls, text: str) -> Exit:
        """Read ``RULE:THRESHOLD``, such as ``max:0.9``.

        Raises:
            UsageError: for other text.
        """
        rule, _, threshold = text.partition(":")
        try:
            return cls(cast("ExitRule", rule), float(threshold))
        except ValueError as error:
            if isinstance(error, UsageError):
                raise
            raise UsageError(f"exit: {text!r} is not RULE:THRESHOLD, such as max:0.9") from None


__all__ = ["EXIT_RULES", "Exit", "ExitRule"]
