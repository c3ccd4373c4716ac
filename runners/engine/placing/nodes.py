"""Check of a cluster: every node has the same programs and plugins, and sees the search's folder."""

from __future__ import annotations

import hashlib
import os
import platform
import time
import uuid
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from spikefront.plugins import load_registry
from spikefront.runners.engine.settings import SearchSettings
from spikefront.searchspace import UsageError

_CHECK_TIMEOUT_S: Final = 120.0
"""Time limit of the check of a node; a new one reads Python, Ray and torch from its disk first."""

_MISMATCH_PAUSE_S: Final = 30.0
"""Wait before the failure of a trial; a node that fails without it would soon have failed all trials."""

_PROGRAMS: Final = ("python", "spikefront", "torch")


def check_cluster(settings: SearchSettings) -> None:
    """Compare the plugins of all nodes of a cluster, and check that each can read and write in the search's folder.

    On one machine nothing is checked: all processes read the same files.

    Raises:
        UsageError: when a node does not respond, has other plugins or versions, or does not see the folder.
    """
    if settings.address is None:
        return
    token = settings.directory.resolve() / f".seen-{uuid.uuid4().hex}"
    here = expected_on_nodes(settings)
    assert here is not None
    nodes = {node["NodeID"]: node["NodeManagerAddress"] for node in ray.nodes() if node["Alive"]}
    try:
        token.write_text(token.name)
        found = _check_nodes(nodes, settings.plugin_folders, token)
        for node, result in found.items():
            name = f"node {nodes[node]} ({node[:8]})"
            if isinstance(result, str):
                raise UsageError(f"{name} {result}")
            compare_inventories(here, result, name)
            if not token.with_name(f"{token.name}.{node}").exists():
                raise UsageError(_NOT_SHARED.format(name=name, folder=token.parent, what="its files are not seen here"))
    finally:
        for path in token.parent.glob(f"{token.name}*"):
            path.unlink(missing_ok=True)


_NOT_SHARED: Final = (
    "{name} does not share {folder} ({what}); give --folder on storage that every node has at this path"
)


def expected_on_nodes(settings: SearchSettings) -> Mapping[str, str] | None:
    """Return programs and plugins that every node must have; None on one machine."""
    return None if settings.address is None else inventory(settings.plugin_folders)


def inventory(plugins_dir: Sequence[Path]) -> dict[str, str]:
    """Return programs and plugins of this machine, each with its version and a hash of its source.

    The hash matters: an edited file keeps its version, and two wheels of one version may differ.
    """
    registry = load_registry(plugins_dir)
    found = {
        "python": ".".join(platform.python_version_tuple()[:2]),
        "spikefront": f"{_version('spikefront')} {_hash(*_sources(Path(__file__).parents[3]))}",
        "torch": _version("torch"),
    }
    for kind, entries in registry.entries.items():
        if kind == "logger":  # the driver alone has loggers
            continue
        for name, entry in entries.items():
            source = _hash(entry.file)
            # the version of a loose file is its hash
            found[f"{kind}.{name}"] = source if entry.version.startswith("sha256:") else f"{entry.version} {source}"
    for source, problem in registry.problems.items():
        found[f"broken {source}"] = problem
    return found


def compare_inventories(expected: Mapping[str, str], found: Mapping[str, str], name: str) -> None:
    """Raise ``UsageError`` with the first difference between two inventories, if there is one."""
    different = [key for key in {**expected, **found} if expected.get(key) != found.get(key)]
    if not different:
        return
    # another spikefront or Python explains the other differences
    key = next((key for key in _PROGRAMS if key in different), different[0])
    more = f", and {len(different) - 1} more differ" if len(different) > 1 else ""
    fix = (
        f"install the same {key} on every node"
        if key in _PROGRAMS
        else "install the same wheels on every node, and copy the folder of --plugins-dir to the same path there"
    )
    raise UsageError(
        f"{name} has {key} {found.get(key, 'not at all')}, this search {expected.get(key, 'not at all')}{more}; {fix}"
    )


@cache
def _mismatch(expected: tuple[tuple[str, str], ...], plugins_dir: tuple[Path, ...]) -> UsageError | None:
    try:
        name = f"node {ray.util.get_node_ip_address()}, which joined later,"
        compare_inventories(dict(expected), inventory(plugins_dir), name)
    except UsageError as error:
        return error
    return None


def check_this_node(expected: Mapping[str, str] | None, plugins_dir: tuple[Path, ...]) -> None:
    """Raise ``UsageError``, after a pause, on a worker whose node has other programs or plugins than expected."""
    if expected is not None and (mismatch := _mismatch(tuple(expected.items()), plugins_dir)) is not None:
        time.sleep(_MISMATCH_PAUSE_S)
        raise mismatch


def _check_nodes(nodes: Mapping[str, str], plugins_dir: Sequence[Path], token: Path) -> dict[str, dict[str, str] | str]:
    """Return each node's inventory, or the problem there."""
    check = ray.remote(num_cpus=0, max_retries=0)(_check)
    calls: dict[Any, str] = {}
    for node in nodes:
        pinned = NodeAffinitySchedulingStrategy(node, soft=False)
        calls[check.options(scheduling_strategy=pinned).remote(plugins_dir, token, node)] = node
    done, silent = ray.wait(list(calls), num_returns=len(calls), timeout=_CHECK_TIMEOUT_S)
    results: dict[str, dict[str, str] | str] = {}
    for call in done:
        try:
            results[calls[call]] = ray.get(call)
        except Exception as error:  # spikefront may be missing there, or anything that it needs
            reason = " ".join(str(error).split())[-300:]
            results[calls[call]] = f"can't run spikefront ({reason}); install the same wheel on every node"
    for call in silent:
        ray.cancel(call, force=True)
        results[calls[call]] = f"did not respond within {_CHECK_TIMEOUT_S:g} s; see: ray status"
    return results


def _check(plugins_dir: Sequence[Path], token: Path, node: str) -> dict[str, str] | str:
    try:
        if token.read_text() != token.name:
            raise OSError("another file is there")
        token.with_name(f"{token.name}.{node}").touch()
    except OSError as error:
        return _NOT_SHARED.format(name="", folder=token.parent, what=error.strerror or error).strip()
    try:
        return inventory(plugins_dir)
    except UsageError as error:  # it has no such folder
        return f"reports: {error.on_command_line()}; copy the folder to the same path on every node"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "from source"


def _sources(folder: Path) -> list[Path]:
    """Return a package's Python files; links to folders are followed."""
    found = (Path(at) / name for at, _, names in os.walk(folder, followlinks=True) for name in names)
    return sorted(path for path in found if path.suffix == ".py")


def _hash(*paths: Path) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.read_bytes())
    return f"sha256:{digest.hexdigest()[:12]}"
