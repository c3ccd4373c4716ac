"""The contract of an objective."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import ClassVar

import pytest

from spikefront.searchspace import Objective
from spikefront.searchspace.objectives import read_objectives, write_objectives


class ObjectiveContract:
    """What every objective must do. Give the class a fixture ``plugin`` or ``objective``."""

    kind: ClassVar[str] = "objective"

    @pytest.fixture
    def objective(self, plugin: Objective) -> Objective:
        """Return the objective: what ``plugin`` returns, as the fixture of all other kinds is called."""
        return plugin

    def metrics(self) -> Mapping[str, float]:
        """Return the metrics of one epoch, as a search measures them."""
        return {
            "quality": 0.9,
            "energy_nj": 250.0,
            "attention_nj": 10.0,
            "encoder_nj": 5.0,
            "energy_se_nj": 2.5,
            "latency_steps": 6.0,
            "latency_us": 9.0,
            "edp_uj_s": 2.25e-6,
            "sops": 1e5,
            "macs": 2e4,
            "macs_every_step": 4e4,
            "spike_rate": 0.1,
            "min_layer_rate": 0.01,
            "max_layer_rate": 0.3,
            "parameters": 12_345.0,
            "loss": 0.4,
            "seconds": 1.5,
            "peak_memory_mb": 640.0,
        }

    def test_best_has_no_loss_and_worst_has_all(self, objective: Objective) -> None:
        assert objective.loss(objective.best) == pytest.approx(0)
        assert objective.loss(objective.worst) == pytest.approx(1)

    def test_it_is_measured_or_computed_from_what_is_measured(self, objective: Objective) -> None:
        metrics = dict(self.metrics())
        if objective.measure is not None:
            assert objective.metric not in metrics, "a metric that is measured needs no measure="
            metrics[objective.metric] = objective.measure(metrics)
        assert objective.problem(metrics) is None
        assert math.isfinite(objective.scaled(metrics[objective.metric]))

    def test_writes_its_values(self, objective: Objective) -> None:
        assert objective.title
        for value in (objective.best, objective.worst):
            assert objective.format(value)
            assert "\n" not in objective.format(value)
        assert objective.format(math.nan) == ""

    def test_survives_json_but_for_its_measure(self, objective: Objective) -> None:
        (again,) = read_objectives(write_objectives([objective]))
        assert json.loads(write_objectives([again])) == json.loads(write_objectives([objective]))
