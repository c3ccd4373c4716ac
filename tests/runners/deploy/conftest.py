from __future__ import annotations

from collections.abc import Callable

import pytest

from spikefront.plugins import Registry, SearchData
from spikefront.runners.deploy.description import describe
from spikefront.runners.deploy.model import Model
from spikefront.runners.judging.judge import Judgement, judge

Trained = Callable[..., tuple[Judgement, Model]]


@pytest.fixture(scope="session")
def trained(registry: Registry, data: SearchData) -> Trained:
    """Train a small network on digits, and make a model of it; each candidate once."""
    made: dict[str, tuple[Judgement, Model]] = {}

    def make(**more: object) -> tuple[Judgement, Model]:
        flat = {name.replace("__", "."): value for name, value in more.items()}
        key = str(sorted(flat.items()))
        if key not in made:
            quick = {"task": "digits", "coding": "direct", "training.epochs": 2, "training.subset": 300}
            found = judge({**quick, **flat}, registry=registry, data=data)
            description = describe(found.candidate, data, registry, metrics=found.metrics)
            made[key] = found, Model(description, found.network.state_dict(), registry)
        return made[key]

    return make
