"""Loss of a machine of a cluster during a search: its trials go on elsewhere."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from optuna.trial import TrialState

if TYPE_CHECKING:
    from tests.chaos.conftest import Search

TRIALS = 8
QUICK = ["backbone=mlp", "training.subset=256", "coding=latency,rate", "training.epochs=20"]

# In a process of its own: Ray's state of a cluster must not affect other tests.
CLUSTER = """
import os, sys
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
from ray.cluster_utils import Cluster

cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
print(cluster.address, flush=True)
for line in sys.stdin:
    cluster.remove_node(nodes.pop(), allow_graceful=False)
    print("lost", flush=True)
cluster.shutdown()
"""


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Start a head without processors and two nodes of one each; a line of input removes a node."""
    with (tmp_path / "cluster.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", CLUSTER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    yield process
    process.communicate(timeout=60)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_trials_of_a_lost_node_end_on_another(search: Search, cluster: subprocess.Popen[str]) -> None:
    assert cluster.stdin is not None
    assert cluster.stdout is not None
    asked = f"--task digits --name s --trials {TRIALS} --workers 2 --seed 1 --no-early-stopping".split()
    quick = [part for text in QUICK for part in ("--set", text)]
    address = cluster.stdout.readline().strip()
    driver = search.start(*asked, *quick, "--address", address)
    search.wait_until(lambda: search.ended() >= 2, driver)
    print(file=cluster.stdin, flush=True)
    assert cluster.stdout.readline() == "lost\n"
    assert search.ended() <= TRIALS - 2, "the node was lost too late to matter"
    out = search.wait(driver)

    assert out.startswith(f"s: all trials done; {TRIALS} judged, 0 failed, 0 stopped early")
    assert {trial.state for trial in search.trials()} == {TrialState.COMPLETE}
    search.check_all(TRIALS)
