"""Before a search starts on a cluster: every node has the same plugins and sees the search's folder."""

from __future__ import annotations

import hashlib
import os
import platform
import time
import uuid
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from inspect import getfile
from pathlib import Path
from typing import Any, Final

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from spikefront.plugins import load_registry
from spikefront.runners.engine.settings import SearchSettings
from spikefront.searchspace import UsageError

_ANSWER_TIMEOUT_S: Final = 120.0
"""A node that was never used reads Python, Ray and torch from its disk first."""

_MISFIT_PAUSE_S: Final = 30.0
"""A node that fails every trial at once would soon have had them all."""

_PROGRAMS: Final = ("python", "spikefront", "torch")


def check_cluster(settings: SearchSettings) -> None:
    """Ask every node of a cluster for its plugins, and let it read and write in the search's folder, which must exist.

    Nothing is asked on one machine, where all processes read the same files.

    Raises:
        UsageError: when a node does not answer, lacks a plugin, has another version of one, or does not see the folder.
    """
    if settings.address is None:
        return
    token = settings.folder.resolve() / f".seen-{uuid.uuid4().hex}"
    here = expected_on_nodes(settings)
    assert here is not None
    nodes = {node["NodeID"]: node["NodeManagerAddress"] for node in ray.nodes() if node["Alive"]}
    try:
        token.write_text(token.name)
        answers = _ask(nodes, settings.plugin_dirs, token)
        for node, answer in answers.items():
            name = f"node {nodes[node]} ({node[:8]})"
            if isinstance(answer, str):
                raise UsageError(f"{name} {answer}")
            refuse(here, answer, name)
            if not token.with_name(f"{token.name}.{node}").exists():
                raise UsageError(
                    _NOT_SHARED.format(name=name, folder=token.parent, what="what it wrote is not seen here")
                )
    finally:
        for path in token.parent.glob(f"{token.name}*"):
            path.unlink(missing_ok=True)


_NOT_SHARED: Final = (
    "{name} does not share {folder} ({what}); give --folder on storage that every node has at this path"
)


def expected_on_nodes(settings: SearchSettings) -> Mapping[str, str] | None:
    """Return what every node must have; None on one machine."""
    return None if settings.address is None else inventory(settings.plugin_dirs)


def inventory(plugin_dirs: Sequence[Path]) -> dict[str, str]:
    """Return programs and plugins of this machine, each with its version and a hash of its source.

    A file that is edited keeps its version, and one package may come from two wheels of the same version.
    """
    registry = load_registry(plugin_dirs)
    found = {
        "python": ".".join(platform.python_version_tuple()[:2]),
        "spikefront": f"{_version('spikefront')} {_hash(*_sources(Path(__file__).parents[3]))}",
        "torch": _version("torch"),
    }
    for kind, entries in registry.entries.items():
        for name, entry in entries.items():
            source = _hash(Path(getfile(entry.plugin)))
            # the version of a loose file is its hash
            found[f"{kind}.{name}"] = source if entry.version.startswith("sha256:") else f"{entry.version} {source}"
    for source, problem in registry.problems.items():
        found[f"broken {source}"] = problem
    return found


def refuse(expected: Mapping[str, str], found: Mapping[str, str], name: str) -> None:
    """Raise ``UsageError``, naming the first difference, unless both are the same."""
    different = [key for key in {**expected, **found} if expected.get(key) != found.get(key)]
    if not different:
        return
    # another spikefront or Python explains the rest
    key = next((key for key in _PROGRAMS if key in different), different[0])
    more = f", and {len(different) - 1} more differ" if len(different) > 1 else ""
    cure = (
        f"install the same {key} on every node"
        if key in _PROGRAMS
        else "install the same wheels on every node, and copy the folder of --plugins-dir to the same path there"
    )
    raise UsageError(
        f"{name} has {key} {found.get(key, 'not at all')}, this search {expected.get(key, 'not at all')}{more}; {cure}"
    )


@cache
def _misfit(expected: tuple[tuple[str, str], ...], plugin_dirs: tuple[Path, ...]) -> UsageError | None:
    try:
        refuse(dict(expected), inventory(plugin_dirs), f"node {ray.util.get_node_ip_address()}, which joined later,")
    except UsageError as error:
        return error
    return None


def refuse_misfit(expected: Mapping[str, str] | None, plugin_dirs: tuple[Path, ...]) -> None:
    """Raise ``UsageError`` on a worker whose node has other plugins than expected, after a while; see ``refuse``."""
    if expected is not None and (misfit := _misfit(tuple(expected.items()), plugin_dirs)) is not None:
        time.sleep(_MISFIT_PAUSE_S)
        raise misfit


def _ask(nodes: Mapping[str, str], plugin_dirs: Sequence[Path], token: Path) -> dict[str, dict[str, str] | str]:
    """Return each node's inventory, or what is wrong there."""
    look = ray.remote(num_cpus=0, max_retries=0)(_look)
    asked: dict[Any, str] = {}
    for node in nodes:
        pinned = NodeAffinitySchedulingStrategy(node, soft=False)
        asked[look.options(scheduling_strategy=pinned).remote(plugin_dirs, token, node)] = node
    done, silent = ray.wait(list(asked), num_returns=len(asked), timeout=_ANSWER_TIMEOUT_S)
    answers: dict[str, dict[str, str] | str] = {}
    for call in done:
        try:
            answers[asked[call]] = ray.get(call)
        except Exception as error:  # spikefront may be missing there, or anything that it needs
            reason = " ".join(str(error).split())[-300:]
            answers[asked[call]] = f"can't run spikefront ({reason}); install the same wheel on every node"
    for call in silent:
        ray.cancel(call, force=True)
        answers[asked[call]] = f"did not answer within {_ANSWER_TIMEOUT_S:g} s; see: ray status"
    return answers


def _look(plugin_dirs: Sequence[Path], token: Path, node: str) -> dict[str, str] | str:
    try:
        if token.read_text() != token.name:
            raise OSError("another file is there")
        token.with_name(f"{token.name}.{node}").touch()
    except OSError as error:
        return _NOT_SHARED.format(name="", folder=token.parent, what=error.strerror or error).strip()
    try:
        return inventory(plugin_dirs)
    except UsageError as error:  # it has no such folder
        return f"says {error}; copy the folder to the same path on every node"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "from source"


def _sources(folder: Path) -> list[Path]:
    """Return a package's Python files; its folders may be links."""
    found = (Path(at) / name for at, _, names in os.walk(folder, followlinks=True) for name in names)
    return sorted(path for path in found if path.suffix == ".py")


def _hash(*paths: Path) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.read_bytes())
    return f"sha256:{digest.hexdigest()[:12]}"
