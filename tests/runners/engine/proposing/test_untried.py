"""Which candidates of a space a search has tried."""

from __future__ import annotations

import pytest

from spikefront.plugins import load_registry
from spikefront.runners.engine.memory.study import Seen
from spikefront.runners.engine.proposing.untried import Untried
from spikefront.searchspace import Space, parse_set

REGISTRY = load_registry(third_parties=False)


@pytest.mark.parametrize(("coding", "tried"), [("rate-conversion", True), ("direct", False)])
def test_a_conversion_has_tried_the_fewer_steps_that_were_measured_with_it(coding: str, tried: bool) -> None:
    space = Space(REGISTRY, "digits", [parse_set("steps=4..8")])
    over = {steps: space.fitted([{"coding": coding, "steps": steps}])[0].candidate for steps in range(4, 9)}
    untried = Untried(space)
    metrics = {"quality": 0.9, "energy_nj": 1.0}
    outcome = {"state": "COMPLETE", "reason": "", "metrics": metrics, "points": {"4": metrics, "5": metrics}}
    untried.read([Seen(0, over[7].flat(), outcome)])
    assert over[7] not in untried
    assert [steps for steps in (4, 5, 6, 8) if over[steps] not in untried] == ([4, 5] if tried else [])
