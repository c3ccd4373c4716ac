from __future__ import annotations

import pytest

from spikefront.plugins import Objective, load_registry
from spikefront.plugins.testing import ObjectiveContract

CONVERTED = ("ann-quality",)  # measured of converted networks alone
BUILT_IN = [axis for axis in load_registry(third_parties=False).objectives.values() if axis.name not in CONVERTED]


class TestEveryObjective(ObjectiveContract):
    @pytest.fixture(params=BUILT_IN, ids=lambda objective: objective.name)
    def objective(self, request: pytest.FixtureRequest) -> Objective:
        objective: Objective = request.param
        return objective
