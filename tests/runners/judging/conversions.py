"""What tests of conversions share: a candidate that is trained quickly, and its conversion."""

from __future__ import annotations

from typing import Final

from spikefront.plugins import Registry, SearchData
from spikefront.runners.judging.judge import Judging
from spikefront.searchspace import from_flat

QUICK: Final[dict[str, object]] = {
    "task": "digits",
    "backbone": "mlp",
    "training.epochs": 2,
    "training.subset": 300,
}


def converted(registry: Registry, data: SearchData, **more: object) -> Judging:
    """Return a judging whose ANN is trained and converted."""
    judging = Judging(
        from_flat({**QUICK, **more}, registry),
        registry=registry,
        data=data,
        energy_model=registry.get("energy", "horowitz-45nm")(),
    )
    judging.epoch()
    judging.network.eval()
    return judging
