"""Early exit: a rule by which a network stops at the first step that it is sure at, sample by sample."""

from __future__ import annotations

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
        if problem := _problem(self.rule, self.threshold):
            raise UsageError(f"exit {self} {problem}")

    def __str__(self) -> str:
        return f"{self.rule}:{self.threshold!r}"

    @classmethod
    def parse(cls, text: str) -> Exit:
        """Read ``RULE:THRESHOLD``, such as ``max:0.9``.

        Raises:
            UsageError: for other text, which it does not repeat.
        """
        rule, _, written = text.partition(":")
        try:
            threshold = float(written)
        except ValueError:
            raise UsageError("must be RULE:THRESHOLD, such as max:0.9") from None
        if problem := _problem(rule, threshold):
            raise UsageError(problem)
        return cls(cast("ExitRule", rule), threshold)


def _problem(rule: str, threshold: float) -> str:
    if rule not in EXIT_RULES:
        return f"has no rule: name one of {', '.join(EXIT_RULES)}"
    return "" if threshold >= 0 else "has no threshold of at least 0"


__all__ = ["EXIT_RULES", "Exit", "ExitRule"]
