from __future__ import annotations

from collections.abc import Iterator

import pytest
import ray

from spikefront.runners.engine.placing.session import DRIVER_ENVIRONMENT, environment


@pytest.fixture
def local_ray() -> Iterator[None]:
    """Start Ray on this machine, as a search does, for four workers."""
    with environment(DRIVER_ENVIRONMENT):
        ray.init(address="local", num_cpus=4, include_dashboard=False, log_to_driver=False)
        yield
        ray.shutdown()
