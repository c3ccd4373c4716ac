"""Before a search on a cluster: real Ray with two nodes, of which the second may differ."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from spikefront.runners.engine.placing import nodes
from spikefront.runners.engine.placing.nodes import (
    check_cluster,
    check_this_node,
    compare_inventories,
    expected_on_nodes,
    inventory,
)
from spikefront.runners.engine.settings import SearchSettings
from spikefront.searchspace import UsageError

# What another node finds follows a variable of its environment: one machine can't have two files at one path.
PLUGIN = """
import os
from pathlib import Path
from spikefront.plugins import Coding, hookimpl

class Local(Coding):
    name = "local"

if os.environ.get("NODE_LACKS") == "local":
    raise ImportError("no such library")

@hookimpl
def register_codings(register):
    register(Local)
    if os.environ.get("NODE_HAS_MORE"):
        register(type("More", (Local,), {"name": "more", "__module__": __name__}))
"""

# A second copy of a package, found first on the second node, is what another version of a wheel is.
THIRD_PARTY = """
from spikefront.plugins import Coding, hookimpl

class Foreign(Coding):
    name = "foreign"
    # {comment}

@hookimpl
def register_codings(register):
    register(Foreign)
"""

ON_TWO_NODES = """
import json, sys, os, time
from pathlib import Path
import ray
from ray.cluster_utils import Cluster
from spikefront.runners.engine.placing.nodes import check_cluster
from spikefront.runners.engine.placing.session import RaySession
from spikefront.runners.engine.settings import SearchSettings
from spikefront.searchspace import UsageError

folder, plugins, second = Path(sys.argv[1]), tuple(map(Path, json.loads(sys.argv[2]))), json.loads(sys.argv[3])
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
cluster.add_node(num_cpus=1, env_vars=second)
settings = SearchSettings("digits", name="s", folder=folder, address=cluster.address, plugins_dir=plugins)
settings.directory.mkdir(parents=True)
try:
    with RaySession(settings) as session:
        session.wait()
        cluster.wait_for_nodes()
        started = time.monotonic()
        try:
            check_cluster(settings)
            print("the same", file=sys.__stdout__, flush=True)
        except UsageError as error:
            print(error.on_command_line(), file=sys.__stdout__, flush=True)
        print(sorted(path.name for path in settings.directory.iterdir()), file=sys.__stdout__, flush=True)
        print(time.monotonic() - started, file=sys.stderr)
finally:
    cluster.shutdown()
"""


def on_two_nodes(tmp_path: Path, plugins: list[Path], second: dict[str, str], first: dict[str, str]) -> str:
    """Return the result of the check on a cluster whose second node has other environment variables."""
    script = tmp_path / "on_two_nodes.py"
    script.write_text(ON_TWO_NODES)
    arguments = [str(tmp_path / "searches"), json.dumps([str(path) for path in plugins]), json.dumps(second)]
    done = subprocess.run(
        [sys.executable, str(script), *arguments],
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, "RAY_AUTH_MODE": "disabled", **first},
    )
    assert done.returncode == 0, done.stderr
    result, left = done.stdout.splitlines()[-2:]
    assert left == "[]", "the check leaves nothing in the folder"
    return str(result)


@pytest.fixture
def plugins(tmp_path: Path) -> Path:
    folder = tmp_path / "plugins"
    folder.mkdir()
    (folder / "local.py").write_text(PLUGIN)
    return folder


def package(root: Path, comment: str) -> Path:
    """Write the files of an installed third-party package."""
    info = root / "foreign_spikes-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: foreign-spikes\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[spikefront]\nforeign = foreign_spikes\n")
    (root / "foreign_spikes.py").write_text(THIRD_PARTY.format(comment=comment))
    return root


@pytest.mark.slow
def test_two_equal_nodes_pass(tmp_path: Path, plugins: Path) -> None:
    assert on_two_nodes(tmp_path, [plugins], {}, {}) == "the same"


@pytest.mark.slow
def test_a_node_with_another_file_of_the_same_version_is_named(tmp_path: Path) -> None:
    path = os.environ.get("PYTHONPATH", "")
    ours, theirs = package(tmp_path / "ours", "as released"), package(tmp_path / "theirs", "as mended by hand")
    message = on_two_nodes(
        tmp_path,
        [],
        {"PYTHONPATH": os.pathsep.join([str(theirs), path])},
        {"PYTHONPATH": os.pathsep.join([str(ours), path])},
    )
    assert message.startswith("node ")
    assert " has coding.foreign 1.0 sha256:" in message
    assert ", this search 1.0 sha256:" in message
    assert "install the same wheels on every node" in message


@pytest.mark.slow
@pytest.mark.parametrize(
    ("second", "what"),
    [
        ({"NODE_LACKS": "local"}, " has coding.local not at all, this search sha256:"),
        ({"NODE_HAS_MORE": "1"}, " has coding.more sha256:"),
    ],
    ids=["lacks", "has more"],
)
def test_a_node_with_other_plugins_is_named(tmp_path: Path, plugins: Path, second: dict[str, str], what: str) -> None:
    message = on_two_nodes(tmp_path, [plugins], second, {})
    assert message.startswith("node ")
    assert what in message
    assert "copy the folder of --plugins-dir to the same path" in message


def test_one_machine_is_not_checked(tmp_path: Path) -> None:
    """Ray does not run, so any check would fail; nor is a file written."""
    settings = SearchSettings("digits", name="s", folder=tmp_path)
    check_cluster(settings)
    assert expected_on_nodes(settings) is None
    check_this_node(None, ())
    assert list(tmp_path.iterdir()) == []


def test_inventory_follows_the_content_of_a_file(plugins: Path) -> None:
    before = inventory([plugins])
    assert {"python", "spikefront", "torch", "coding.local", "coding.rate", "task.digits"} <= before.keys()
    assert not any(key.startswith("logger.") for key in before)  # they run on the driver alone
    assert inventory([plugins]) == before
    (plugins / "local.py").write_text(PLUGIN + "# edited\n")
    after = inventory([plugins])
    assert {key for key in before if before[key] != after[key]} == {"coding.local"}


def test_first_difference_is_named_with_both_versions_and_the_fix() -> None:
    here = {"python": "3.11", "spikefront": "0.2 sha256:a", "torch": "2.13", "coding.rate": "0.2 sha256:b"}
    compare_inventories(here, dict(here), "node 192.0.2.7")
    with pytest.raises(
        UsageError, match=r"^node 192.0.2.7 has torch 2.12, this search 2.13; install the same torch on"
    ):
        compare_inventories(here, {**here, "torch": "2.12"}, "node 192.0.2.7")
    other = {**here, "spikefront": "0.1 sha256:c", "coding.rate": "0.1 sha256:d"}
    with pytest.raises(UsageError, match=r"has spikefront 0.1 sha256:c, this search 0.2 sha256:a, and 1 more differ; "):
        compare_inventories(here, other, "node 192.0.2.7")
    del other["coding.rate"]
    with pytest.raises(
        UsageError, match=r"has coding.rate not at all, this search 0.2 sha256:b; install the same wheels"
    ):
        compare_inventories(here, {**other, "spikefront": here["spikefront"]}, "node 192.0.2.7")


def test_a_node_that_joined_later_fails_its_trials_with_the_reason(
    plugins: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nodes, "_MISMATCH_PAUSE_S", 0.01)
    monkeypatch.setattr("ray.util.get_node_ip_address", lambda: "192.0.2.7")
    expected = inventory([plugins])
    check_this_node(expected, (plugins,))
    with pytest.raises(
        UsageError, match=r"node 192.0.2.7, which joined later, has coding.local sha256:\w+, this search sha256:0;"
    ):
        check_this_node({**expected, "coding.local": "sha256:0"}, (plugins,))
