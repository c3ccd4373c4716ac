"""Ray for the length of a search: what can't be is refused before Ray starts."""

from __future__ import annotations

from pathlib import Path

import pytest
import ray

from spikefront.runners.engine.placing.session import RaySession, check_gpus
from spikefront.runners.engine.settings import SearchSettings
from spikefront.searchspace import UsageError


@pytest.mark.parametrize("gpus", [0, 0.25, 0.5, 1, 2, 8])
def test_a_share_of_one_gpu_or_several_whole_ones_can_be_had(gpus: float) -> None:
    check_gpus(gpus)


def test_one_and_a_half_gpus_are_refused_before_ray_starts(tmp_path: Path) -> None:
    settings = SearchSettings("s", tmp_path / "s", gpus_per_trial=1.5)
    with (
        pytest.raises(UsageError, match=r"--gpus-per-trial 1.5: .* several must be whole; take 1 or 2$"),
        RaySession(settings),
    ):
        pytest.fail("it began")
    assert not ray.is_initialized()
