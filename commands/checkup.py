"""What ``spikefront doctor`` looks at: each check returns what was found, and what to do where it is not well.

Modules that take time are imported inside functions, since the command line imports this one at every start.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from spikefront.searchspace.errors import UsageError, one_line
from spikefront.searchspace.secrets import redact
from spikefront.searchspace.targets import is_writable, obstacle

if TYPE_CHECKING:
    import pandas as pd

    from spikefront.plugins import Registry
    from spikefront.results.store.connection import Store

State = Literal["ok", "note", "fault"]

_SHOWN: Final = ("torch", "ray", "optuna", "mlflow", "numpy", "numba")
"""Packages whose versions are shown also where nothing is wrong with them."""
_ROOM: Final = 1.0
"""Gigabytes of disk below which there is a note."""
_MLFLOW_PORT: Final = 5000
_ANSWERS_WITHIN_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Check:
    """What was found of one part.

    Attributes:
        part: what was looked at.
        state: ``ok``; ``note`` for what some searches need; ``fault`` for what keeps this one from running.
        found: what was found.
        todo: the cure; empty where none is needed.
    """

    part: str
    state: State
    found: str
    todo: str = ""


@dataclass(frozen=True, slots=True)
class Checkup:
    """What was found, part by part.

    Attributes:
        checks: in the order in which they were made.
        search: command that can be given when all is well.
    """

    checks: Sequence[Check]
    search: str

    @property
    def ready(self) -> bool:
        """Whether nothing keeps a search from running."""
        return all(check.state != "fault" for check in self.checks)

    @property
    def verdict(self) -> str:
        """One line: ready, or what to do."""
        faults = [check for check in self.checks if check.state == "fault"]
        if not faults:
            return f"ready: {self.search}"
        more = f" ({len(faults) - 1} more above)" if len(faults) > 1 else ""
        return f"not ready: {faults[0].part}: {faults[0].todo or faults[0].found}{more}"

    def __str__(self) -> str:
        """A line for each check, its cure below it, and the verdict."""
        lines = []
        for check in self.checks:
            lines.append(f"{check.state:6} {check.part:12} {check.found}")
            lines += [f"{'':19} -> {check.todo}"] * bool(check.todo)
        return "\n".join([*lines, self.verdict])

    def frame(self) -> pd.DataFrame:
        """Return a row for each check."""
        import pandas as pd

        columns = ("part", "state", "found", "todo")
        return pd.DataFrame([[getattr(check, name) for name in columns] for check in self.checks], columns=columns)


def packages() -> Iterator[Check]:
    """Yield what is installed: Python, the packages that spikefront requires, and its extras."""
    import platform
    from importlib.metadata import PackageNotFoundError, metadata, version

    yield Check("python", "ok", f"{platform.python_version()} at {sys.executable}, {platform.platform()}")
    try:
        extras = metadata("spikefront").get_all("Provides-Extra") or []
    except PackageNotFoundError:
        yield Check("spikefront", "fault", "it is not installed", "pip install spikefront, or pip install --editable .")
        return
    found = ", ".join(f"{name} {version(name)}" for name in _SHOWN if _installed(name))
    lacking = list(_lacking(""))
    if lacking:
        yield Check("packages", "fault", f"not as required: {'; '.join(lacking)}", "pip install --upgrade spikefront")
    else:
        yield Check("packages", "ok", f"spikefront {version('spikefront')}, {found}")
    for extra in extras:
        lacking = list(_lacking(extra))
        if lacking:
            todo = f"where you need it: pip install 'spikefront[{extra}]'"
            yield Check("extra", "note", f"{extra}: {'; '.join(lacking)}", todo)
        else:
            yield Check("extra", "ok", f"{extra} is installed")


def _installed(name: str) -> bool:
    from importlib.metadata import PackageNotFoundError, version

    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


def _lacking(extra: str) -> Iterator[str]:
    """Yield what is missing, or too old, of the requirements of spikefront or of one of its extras."""
    from importlib.metadata import requires, version

    from packaging.requirements import Requirement

    for text in requires("spikefront") or ():
        required = Requirement(text)
        if required.marker is not None and not required.marker.evaluate({"extra": extra}):
            continue
        if extra and (required.marker is None or required.marker.evaluate({"extra": ""})):
            continue
        if not _installed(required.name):
            yield f"{required.name} is not installed"
        elif not required.specifier.contains(version(required.name), prereleases=True):
            yield f"{required.name} is {version(required.name)}, and must be {required.specifier}"


def processors() -> Check:
    """Return the processors that trials may use, and the memory and disk there is."""
    from spikefront.runners.engine.machine import cores

    free = shutil.disk_usage(Path.cwd()).free / 1e9
    parts = [f"{cores()} cores"]
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        parts.append(f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 1e9:.0f} GB memory")
    found = ", ".join([*parts, f"{free:.0f} GB free on the disk of this folder"])
    if free < _ROOM:
        return Check("machine", "note", found, "free some space, or run the search in another folder")
    return Check("machine", "ok", found)


def gpu() -> Check:
    """Return which GPUs torch can use."""
    import torch

    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
        return Check("gpu", "ok", f"{', '.join(names)}; give trials a share of one with --gpus-per-trial 0.25")
    if shutil.which("nvidia-smi") and torch.version.cuda is None:
        todo = "install torch for CUDA, see pytorch.org/get-started"
        return Check("gpu", "note", f"there is a driver, but torch {torch.__version__} is without CUDA", todo)
    return Check("gpu", "ok", "none that torch can use; trials run on the processors")


def _here() -> str:
    import socket

    return socket.gethostname()


def ray(address: str | None) -> Check:
    """Return whether Ray starts, or the cluster at an address answers, and runs a task."""
    print("starting Ray ..." if address is None else f"asking Ray at {address} ...", file=sys.stderr)
    import ray

    from spikefront.runners.engine.placing.session import RaySession
    from spikefront.runners.engine.settings import SearchSettings

    where = "on this machine" if address is None else f"at {address}"
    try:
        with RaySession(SearchSettings("digits", workers=1, address=address)) as session:
            session.wait()
            task: Any = ray.remote(_here)
            host = ray.get(task.options(num_cpus=1).remote(), timeout=_ANSWERS_WITHIN_S)
            nodes = sum(bool(node["Alive"]) for node in ray.nodes())
    except UsageError as error:
        return _faulty("ray", error)
    except Exception as error:  # Ray raises bare ones, too
        return Check("ray", "fault", f"no task ran {where}: {_reason(error)}", "see docs/scaling.md, or --address")
    return Check("ray", "ok", f"a task ran {where} ({host}; nodes: {nodes})")


def ports(mlflow: int = _MLFLOW_PORT) -> Iterator[Check]:
    """Yield whether processes of this machine can reach each other, and whether the port of MLflow's pages is free."""
    import socket

    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            socket.create_connection(server.getsockname(), timeout=5).close()
    except OSError as error:
        todo = "let programs listen on 127.0.0.1: Ray's processes talk there"
        yield Check("ports", "fault", f"127.0.0.1 can't be reached: {error.strerror or error}", todo)
        return
    try:
        socket.create_server(("127.0.0.1", mlflow)).close()
    except OSError:
        found = f"127.0.0.1 is reachable; port {mlflow}, where mlflow ui listens, is taken"
        yield Check("ports", "note", found, f"if that is not MLflow: mlflow ui --port {mlflow + 1}")
    else:
        yield Check("ports", "ok", f"127.0.0.1 is reachable; port {mlflow} is free for mlflow ui")


def folders(searches: Path) -> Iterator[Check]:
    """Yield whether the folder of searches and the user's cache can be written."""
    import pooch

    above = obstacle(searches)
    if above is not None:
        found = f"--folder {searches} can't be made or written, for {above}"
        yield Check("folder", "fault", found, "give --folder another, or run in a folder of yours")
    else:
        known = sum(1 for _ in searches.glob("*/")) if searches.is_dir() else 0
        yield Check("folder", "ok", f"{searches.absolute()} can be written; searches in it: {known}")
    cache = Path(pooch.os_cache("spikefront"))
    if obstacle(cache) is not None or (cache.is_dir() and not is_writable(cache)):
        found = f"{cache} can't be written: nothing is downloaded or kept, and neurons are compiled anew each time"
        yield Check("cache", "note", found, "set XDG_CACHE_HOME to a folder that can be written")
    else:
        yield Check("cache", "ok", f"{cache} can be written")


def store(opened: Callable[[], Store]) -> Check:
    """Return whether the MLflow store answers.

    Args:
        opened: returns the store, or raises ``UsageError`` for an address that is none.
    """
    try:
        store = opened()
        store.check()
        if store.file is not None and not store.file.exists():
            return Check("store", "ok", f"{store.shown} does not exist yet; the first search makes it")
        found = store.find_experiment()
    except UsageError as error:
        return _faulty("store", error)
    except Exception as error:  # whatever a store raises
        todo = "choose another with --tracking-uri, or restore it"
        return Check("store", "fault", f"it does not open: {_reason(error)}", todo)
    name = store.wanted[1]
    if found is None:
        return Check("store", "ok", f"{store.shown} opens; experiment {name!r} does not exist yet")
    return Check("store", "ok", f"{store.shown} opens, with experiment {name!r}")


def plugins(registry: Registry, folders: Sequence[Path]) -> Iterator[Check]:
    """Yield how many plugins there are, each that needs a library, and each that was not loaded."""
    entries = [entry for kind in registry.entries.values() for entry in kind.values()]
    own = sum(not entry.origin.startswith("spikefront.") for entry in entries)
    yield Check("plugins", "ok", f"{len(entries)} are registered, {own} of them not built in")
    for line in registry.missing.values():
        found, _, cure = line.rpartition(": ")
        yield Check("plugins", "note", found, f"where you need it: {cure}")
    for folder in folders:
        if not folder.is_dir():
            yield Check("plugins", "fault", f"--plugins-dir {folder}: no such folder", "name one that exists")
    for source, problem in registry.problems.items():
        todo = "mend or remove the file" if source.endswith(".py") else "mend the package, or pip uninstall it"
        yield Check("plugins", "fault", problem, f"{todo}; spikefront doctor --verbose shows the traceback")


def data(registry: Registry, data_dir: Path | None, asked: str | None) -> Iterator[Check]:
    """Yield for each task whether its data are there, and where that was looked.

    Args:
        registry: all plugins.
        data_dir: where the user keeps data; None for the usual places.
        asked: task whose data must be there; None for no one.
    """
    for name, entry in sorted(registry.entries["task"].items()):
        must = name == asked
        try:
            files = entry.plugin().files(data_dir)
        except UsageError as error:
            yield Check("data", "fault" if must else "note", *_missing(name, error))
            continue
        except Exception as error:  # a plugin's
            yield Check("data", "fault" if must else "note", f"{name}: {_reason(error)}", "mend the task")
            continue
        if files is None:
            yield Check("data", "ok", f"{name}: the task does not say where its files are")
        elif missing := [file for file in files if not file.exists()]:
            todo = "it is downloaded when first used, from the network; or give --data-dir its folder"
            yield Check("data", "note", f"{name}: no {missing[0].name} in {missing[0].parent}", todo)
        elif files:
            yield Check("data", "ok", f"{name}: found in {files[0] if len(files) == 1 else files[0].parent}")
        else:
            yield Check("data", "ok", f"{name}: needs no file")


def _missing(task: str, error: UsageError) -> tuple[str, str]:
    """Return what was looked for of a task's data, and what to do, as its error says."""
    text = re.sub(rf"^(task )?'?{re.escape(task)}'?:? ", "", error.on_command_line())
    if text.startswith(("give ", "--data-dir must ")):
        return f"{task}: its files are looked for in --data-dir, and none is given", text
    found, _, todo = text.partition("; ")
    return f"{task}: {found}", todo or "give --data-dir the folder that has it"


def _faulty(part: str, error: UsageError) -> Check:
    """Return the check of a part whose error says, behind its last semicolon, what to do."""
    found, _, todo = error.on_command_line().rpartition("; ")
    return Check(part, "fault", found or todo, todo if found else "")


def _reason(error: Exception) -> str:
    return one_line(redact(f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"))
