"""The study files of the published systems: what they search is published, is built, and runs."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Final

import pytest
import torch
from torch import Tensor

from spikefront.plugins import Registry, load_registry
from spikefront.runners.engine.plan import space_of
from spikefront.runners.engine.settings import SearchSettings
from spikefront.runners.engine.study_file import read_settings
from spikefront.runners.judging.network import Network, assemble
from spikefront.searchspace import Candidate, from_flat

SYSTEMS = Path(__file__).parents[1] / "examples" / "systems"
FILES = sorted(SYSTEMS.glob("*.yaml"))
SHAPES: Final[dict[str, tuple[tuple[int, int, int], int]]] = {
    "cifar10": ((3, 32, 32), 10),
    "digits": ((1, 8, 8), 10),
    "dvs128-gesture": ((2, 128, 128), 11),
    "fashion-mnist": ((1, 28, 28), 10),
}
"""Shape of one input at one step, and number of classes."""


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load_registry(third_parties=False)


def searched(file: Path, registry: Registry) -> tuple[SearchSettings, list[Candidate]]:
    settings = read_settings({"config": file})
    return settings, [candidate for _, candidate in islice(space_of(settings, registry).candidates(), 100)]


def test_each_system_has_its_experiment_in_full_and_small() -> None:
    assert [file.stem for file in FILES] == [
        f"{system}{size}" for system in ("css", "gac", "sac", "tcja") for size in ("-small", "")
    ]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_search_ends_with_the_last_candidate(file: Path, registry: Registry) -> None:
    settings, candidates = searched(file, registry)
    assert settings.name == file.stem
    assert settings.trials == len(candidates)
    for candidate in candidates:
        registry.refuse(candidate)


@pytest.mark.parametrize("system", ["gac", "tcja"])
def test_the_released_candidate_is_among_those_in_full(system: str, registry: Registry) -> None:
    _, candidates = searched(SYSTEMS / f"{system}.yaml", registry)
    assert from_flat({**registry.published(system)[0], "coding": system}, registry) in candidates


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_network_is_built_and_takes_the_task_s_inputs(file: Path, registry: Registry) -> None:
    """On torch's meta device, which computes shapes alone."""
    _, candidates = searched(file, registry)
    for candidate in candidates:
        with torch.device("meta"):
            network, x = made(candidate, registry)
            assert network(x).shape == (2, SHAPES[candidate.task.name][1])


@pytest.mark.slow
@pytest.mark.parametrize("system", ["css", "gac", "sac", "tcja"])
def test_a_network_in_full_computes(system: str, registry: Registry) -> None:
    _, candidates = searched(SYSTEMS / f"{system}.yaml", registry)
    network, x = made(candidates[0], registry)
    with torch.no_grad():
        assert network(x).isfinite().all()


def made(candidate: Candidate, registry: Registry) -> tuple[Network, Tensor]:
    """Return a network and two inputs for it: images, or frames of events."""
    shape, outputs = SHAPES[candidate.task.name]
    events = registry.task(candidate).inputs == "events"
    x = torch.rand(2, *([candidate.steps] if events else []), *shape)
    return assemble(candidate, registry, shape, outputs), (4 * x).floor() if events else x
