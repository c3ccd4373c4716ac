"""What ``recommended.json`` says: the answer, the candidates and their repeats; written and read."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, Final

from spikefront.results.recommendation.answer import Recommendation
from spikefront.results.recommendation.evidence import Arm, Evidence
from spikefront.results.recommendation.segments import Segment
from spikefront.results.verdicts import LEVEL
from spikefront.searchspace.objectives import Limits
from spikefront.searchspace.trial import Trial, read_name

RULE: Final = (
    f"A coding is the best where the posterior probability that one of its candidates has the largest mean quality is "
    f"{LEVEL:g} or more at the end of the budget of trainings (more before it), and its lead is not smaller than the "
    "error of the split; it ties with those whose probability is 0.05 or more. Intervals of leads are of 90 %."
)


def document(
    recommendation: Recommendation, evidence: Evidence, limits: Limits, task: str, first: int
) -> dict[str, Any]:
    """Return what ``recommended.json`` says.

    Args:
        recommendation: the answer.
        evidence: all candidates with their repeats, those of earlier calls too.
        limits: the limits.
        task: name of the task.
        first: the first of the seeds.
    """
    return {
        "search": recommendation.search,
        "task": task,
        "split": "validation; trained on training; test at the end, trained on training and validation",
        "rule": RULE,
        "first_seed": first,
        "limits": {name: value for name in limits.__slots__ if (value := getattr(limits, name)) is not None},
        "verdict": recommendation.verdict,
        "coding": recommendation.coding,
        "trial": recommendation.trial,
        "probability": _finite(recommendation.probability),
        "lead": _finite(recommendation.lead),
        "low": _finite(recommendation.low),
        "high": _finite(recommendation.high),
        "tied": list(recommendation.tied),
        "more": recommendation.more,
        "answer": list(recommendation.answer),
        "segments": [
            {"start_nj": one.start_nj, "end_nj": _finite(one.end_nj), "coding": one.coding}
            | {"trials": list(one.trials), "tied": list(one.tied), "probability": _finite(one.probability)}
            for one in recommendation.segments
        ],
        "members": [
            {
                "trial": arm.name,
                "coding": arm.trial.coding,
                "candidate": dict(arm.trial.candidate),
                "selected": dict(arm.trial.metrics),
                "validation": {str(seed): dict(found) for seed, found in arm.repeats.items()},
                "test": {str(seed): dict(found) for seed, found in arm.test.items()},
            }
            for arm in evidence.arms
            if arm.repeats
        ],
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def as_json(found: Mapping[str, Any]) -> str:
    """Return a document as JSON; what is not finite, of metrics, is left out."""

    def kept(value: Any) -> Any:
        if isinstance(value, dict):
            return {
                key: kept(one) for key, one in value.items() if not (isinstance(one, float) and not math.isfinite(one))
            }
        return [kept(one) for one in value] if isinstance(value, list) else value

    return json.dumps(kept(found), indent=2, allow_nan=False)


def arms_in(found: Mapping[str, Any]) -> list[Arm]:
    """Return the candidates with their repeats that ``recommended.json`` has."""
    arms = []
    for one in found.get("members", ()):
        number, cut = read_name(one["trial"])
        trial = Trial(number, "COMPLETE", one["candidate"], one["selected"], cut=cut)
        by_seed = ({int(seed): metrics for seed, metrics in one[split].items()} for split in ("validation", "test"))
        arms.append(Arm(trial, *by_seed))
    return arms


def segments_in(found: Mapping[str, Any]) -> tuple[Segment, ...]:
    """Return the answer along the energy axis that ``recommended.json`` has."""
    return tuple(
        Segment(
            one["start_nj"], one.get("end_nj", math.inf), one["coding"], tuple(one["trials"]), tuple(one["tied"]),
            one.get("probability", math.nan),
        )
        for one in found.get("segments", ())
    )  # fmt: skip
