from __future__ import annotations

import pytest

from spikefront.searchspace import ENERGY, Objective


def test_loss_is_0_at_best_and_1_at_worst() -> None:
    accuracy = Objective("accuracy", maximize=True, worst=0.0, best=1.0)
    for objective in (accuracy, ENERGY):
        assert objective.loss(objective.best) == 0
        assert objective.loss(objective.worst) == 1
    assert accuracy.loss(0.9) == pytest.approx(0.1)


def test_logarithmic_axis_measures_decades() -> None:
    assert ENERGY.told(1000.0) == pytest.approx(3)
    assert ENERGY.loss(1000.0) == pytest.approx(3 / 7)  # ENERGY spans seven decades from 1 nJ
