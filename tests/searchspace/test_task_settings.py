from __future__ import annotations

import optuna
import pytest

from spikefront.plugins import Registry, load_registry
from spikefront.searchspace import Space, from_flat, parse_set

SIZE = "task.image-folder.size"


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load_registry(third_parties=False)


def space(registry: Registry, *texts: str) -> Space:
    return Space(registry, "image-folder", [parse_set(text) for text in texts])


def sizes(space: Space, registry: Registry) -> set[object]:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    flats = [space.suggest(study.ask()).flat() for _ in range(30)]
    assert all(from_flat(flat, registry).flat() == flat for flat in flats)
    return {flat[SIZE] for flat in flats}


def test_setting_of_a_task_stays_at_its_default_until_it_is_set(registry: Registry) -> None:
    assert sizes(space(registry), registry) == {32}
    assert sizes(space(registry, f"{SIZE}=16"), registry) == {16}
    assert space(registry, f"{SIZE}=16").default().task.config.size == 16


def test_setting_of_a_task_can_be_searched(registry: Registry) -> None:
    assert sizes(space(registry, f"{SIZE}=8..10"), registry) == {8, 9, 10}


def test_setting_of_a_task_is_listed(registry: Registry) -> None:
    (row,) = [row for row in space(registry, f"{SIZE}=16").rows() if row.name.startswith("task.")]
    assert (row.name, row.domain, row.default, row.active) == (SIZE, "16", 16, "always")
    assert row.doc == "Height and width to which the images are scaled and cut, in pixels."
