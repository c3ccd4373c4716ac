"""Points of a conversion are the networks that are converted over fewer steps, so that a search need not train them."""

from __future__ import annotations

from typing import Any

import pytest

from spikefront.runners.judging.judge import judge


@pytest.mark.parametrize(
    ("coding", "more", "cut"),
    [("rate-conversion", {}, 5), ("phase-conversion", {"neuron.phase.period": 4}, 4), ("css", {}, 6)],
)
def test_a_point_of_a_conversion_is_the_conversion_over_its_steps(coding: str, more: dict[str, Any], cut: int) -> None:
    flat = {"task": "digits", "coding": coding, "backbone": "mlp", "training.epochs": 1, "training.subset": 256, **more}
    point, alone = judge({**flat, "steps": 8}).points[cut], judge({**flat, "steps": cut}).metrics
    for name in ("quality", "energy_nj", "sops", "macs"):
        assert point[name] == alone[name]
