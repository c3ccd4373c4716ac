"""Plugin files of a folder, which may be somebody's working folder: scripts, data and helpers lie beside them.

Only files that declare a plugin are executed. They import their siblings as if the folder were on ``sys.path``, but
nobody else does: a file that is named as a module elsewhere takes no one's place.
"""

from __future__ import annotations

import ast
import builtins
import hashlib
import importlib.util
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, Final

from spikefront.plugins.kinds import KINDS
from spikefront.searchspace import UsageError

COMMANDS: Final = "register_commands"  # for the command line, which calls it itself
HOOKS: Final = (*(kind.hook for kind in KINDS.values()), COMMANDS)
_LARGEST: Final = 16 * 1024**2  # bytes of a plugin file
_MARKERS: Final = ("hookimpl", "HookimplMarker")
_PREFIX: Final = "spikefront_plugin_"


def plugin_files(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return the files of a folder that are plugins, and its other Python files that no plugin imports.

    Raises:
        UsageError: when the folder does not exist, or can't be read.
    """
    if not os.path.isdir(folder):
        raise UsageError(f"--plugins-dir {folder}: no such folder")
    if not os.access(folder, os.R_OK | os.X_OK):
        raise UsageError(f"--plugins-dir {folder} can't be read; check its permissions")
    files = sorted(file for file in folder.glob("*.py") if not file.is_dir())
    plugins = [file for file in files if declares_plugins(file)]
    used = {sibling for file in plugins for sibling in _closure(file)}
    return plugins, [file for file in files if file not in plugins and file not in used]


def declares_plugins(file: Path) -> bool:
    """Return whether a file implements a hook, as far as that is seen without executing it.

    One that can't be read or parsed counts when its text names a hook, so that its error is shown. Pipes and devices,
    which may have no end, are not plugins, and neither are files of many megabytes.
    """
    if os.path.exists(file) and (not os.path.isfile(file) or os.path.getsize(file) > _LARGEST):
        return False
    try:
        source = file.read_bytes()
    except OSError:
        return True
    if not any(word.encode() in source for word in (*_MARKERS, *HOOKS)):
        return False
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return True
    return any(_is_declaration(statement) for statement in _at_module_level(tree.body))


def _at_module_level(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    for statement in body:
        yield statement
        for name in ("body", "orelse", "finalbody"):
            if not isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                yield from _at_module_level(getattr(statement, name, ()))
        for handler in getattr(statement, "handlers", ()):
            yield from _at_module_level(handler.body)


def _is_declaration(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.ImportFrom):  # pytest has hooks of its own
        return (statement.module or "").partition(".")[0] not in ("pytest", "pluggy") and any(
            alias.name in (*_MARKERS, *HOOKS) for alias in statement.names
        )
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return statement.name in HOOKS
    if isinstance(statement, ast.Assign):
        return any(isinstance(target, ast.Name) and target.id in HOOKS for target in statement.targets)
    return False


def load_file(path: Path) -> ModuleType:
    """Return the module of a loose plugin file, or of one beside it; the same one for the same content."""
    name = f"{_PREFIX}{path.stem}_{digest(path)}"
    if name in sys.modules:
        return sys.modules[name]
    return _load(name, path, None)


def digest(path: Path) -> str:
    """Return a hash of a file and of all beside it that it imports."""
    first, *others = _closure(path)
    found = hashlib.sha256(first.read_bytes())
    for other in others:
        found.update(hashlib.sha256(other.read_bytes()).digest())
    return found.hexdigest()[:12]


def _load(name: str, path: Path, package: Sequence[str] | None) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path, submodule_search_locations=list(package or ()) or None)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    folder = path.parent if package is None else path.parent.parent
    if package is None and len(_closure(path)) > 1:
        vars(module)["__builtins__"] = {**vars(builtins), "__import__": _importer(folder)}
    sys.modules[name] = module  # dataclasses and pickle look modules up by name
    writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # nothing is left in a folder of a user's
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    finally:
        sys.dont_write_bytecode = writes
    return module


def _importer(folder: Path) -> Callable[..., Any]:
    """Return the ``__import__`` of the files of a folder: siblings first, then what everybody imports."""

    def import_(
        name: str,
        globals: Mapping[str, object] | None = None,
        locals: Mapping[str, object] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> Any:
        if level == 1 and not name:  # from . import sibling
            return SimpleNamespace(**{each: import_(each) for each in fromlist or () if _sibling(folder, each)})
        top, dot, rest = name.partition(".")
        sibling = _sibling(folder, top) if level < 2 else None
        if sibling is None:
            return builtins.__import__(name, globals, locals, fromlist or (), level)
        module = _load_sibling(sibling)
        return builtins.__import__(module.__name__ + dot + rest, None, None, fromlist or (), 0)

    return import_


def _load_sibling(path: Path) -> ModuleType:
    if path.name != "__init__.py":
        return load_file(path)
    name = f"{_PREFIX}{path.parent.name}_{digest(path)}"
    return sys.modules[name] if name in sys.modules else _load(name, path, [str(path.parent)])


def _sibling(folder: Path, name: str) -> Path | None:
    """Return the file in a folder that is the module of this name; None where that is another's."""
    if not name.isidentifier() or name in sys.stdlib_module_names or name == "spikefront":
        return None
    for file in (folder / name / "__init__.py", folder / f"{name}.py"):
        if file.is_file() and not _is_required(name):
            return file
    return None


@cache
def _is_required(name: str) -> bool:
    """Return whether a module belongs to what spikefront, or a package that it requires, needs."""
    owners, seen, left = packages_distributions().get(name, []), set[str](), ["spikefront"]
    if not owners:
        return False
    while left:
        distribution = left.pop()
        try:
            needed = requires(distribution) or []
        except PackageNotFoundError:
            continue
        for text in needed:
            required = _normal(text)
            if required not in seen:
                seen.add(required)
                left.append(required)
    return any(_normal(owner) in seen for owner in owners)


def _normal(requirement: str) -> str:
    """Return the name that a requirement begins with, as packages are compared."""
    length = next((at for at, sign in enumerate(requirement) if not (sign.isalnum() or sign in "-_.")), None)
    return requirement[:length].replace("_", "-").replace(".", "-").lower()


def _closure(path: Path) -> list[Path]:
    """Return a file and the siblings that it imports, directly or not, in the order in which they are found."""
    folder = path.parent.parent if path.name == "__init__.py" else path.parent
    found: dict[Path, None] = {path: None}
    left = [path]
    while left:
        file = left.pop()
        if file.name == "__init__.py":
            found.update(dict.fromkeys(sorted(file.parent.rglob("*.py"))))
            continue
        for name in _imported(file):
            sibling = _sibling(folder, name)
            if sibling is not None and sibling not in found:
                found[sibling] = None
                left.append(sibling)
    return list(found)


def _imported(file: Path) -> list[str]:
    """Return the top names that a file imports; none where it can't be parsed."""
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    names: dict[str, None] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update((alias.name.partition(".")[0], None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level < 2:
            texts = [node.module] if node.module else [alias.name for alias in node.names]
            names.update((text.partition(".")[0], None) for text in texts)
    return list(names)
