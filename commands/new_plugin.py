"""``spikefront new-plugin``: a package of your own around one plugin."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Final

from spikefront.commands.app import command
from spikefront.commands.options import KIND_NAMES, PluginsDir
from spikefront.searchspace.errors import OptionError, UnknownName, UsageError
from spikefront.searchspace.options import Option, path, text

if TYPE_CHECKING:
    from spikefront.plugins.scaffold import Package

_LONGEST: Final = 40  # characters of a name, after which files and classes are called
_NAME: Final = re.compile("[a-z][a-z0-9]*(-[a-z0-9]+)*")


def _show(made: tuple[Package, Path]) -> None:
    package, folder = made
    print(folder)
    for file in sorted(package.files):
        print(f"  {file}")
    print(f"next: cd {folder}; pip install --editable . --group test; pytest; {package.search} --trials 24")


@command(_show, about="Write a package around a new plugin, which works as it is.", example="new-plugin coding my-code")
def new_plugin(
    kind: Annotated[
        str,
        Option("", text, "KIND", is_argument=True),
        f"What it is: {', '.join(KIND_NAMES)}",
    ],
    name: Annotated[
        str,
        Option("", text, "NAME", is_argument=True),
        "What the plugin is called: words of small letters and digits, joined by -",
    ],
    *,
    to: Annotated[
        Path | str | None, Option("Output", path, "FOLDER", shown="spikefront-NAME"), "Folder to make and to write into"
    ] = None,
    plugins_dir: PluginsDir = (),
) -> tuple[Package, Path]:
    """Write a package around a plugin: a plugin file that works, its tests, and what installs and checks it.

    Returns:
        What was written, and its folder.

    Raises:
        UsageError: for an unknown kind, a name that no plugin may have or that is taken, or a folder that exists.
    """
    assert isinstance(plugins_dir, tuple)
    if kind not in KIND_NAMES:
        raise UnknownName("kind", kind, KIND_NAMES)
    _check_spelling(name)
    from spikefront.plugins import KINDS
    from spikefront.plugins.scaffold import Package

    package = Package(KINDS[kind], name)
    folder = Path(package.distribution if to is None else to)
    if folder.exists() or folder.is_symlink():
        raise OptionError("to", str(folder), "exists already; name another folder, or remove it")
    _refuse_taken(package, plugins_dir)
    _write(package.files, folder)
    return package, folder


def _check_spelling(name: str) -> None:
    """Raise ``UsageError`` for what is not a name of a plugin, before anything is imported that takes seconds."""
    if len(name) > _LONGEST:
        raise OptionError("name", name, f"is longer than {_LONGEST} characters; shorten it", flag="NAME")
    if _NAME.fullmatch(name) is None:
        apart = re.sub("(?<=[a-z0-9])(?=[A-Z])", "-", name).lower()
        near = "-".join(re.findall("[a-z0-9]+", apart)).lstrip("0123456789-")
        hint = f", such as {near}" if near else ""
        problem = f"must be words of small letters and digits, joined by -, that begin with a letter{hint}"
        raise OptionError("name", name, problem, flag="NAME")


def _refuse_taken(package: Package, plugins_dir: Sequence[Path]) -> None:
    """Raise ``UsageError`` for a name that can't be registered, and when there is such a package already."""
    from importlib.util import find_spec

    from spikefront.plugins import load_registry

    registry = load_registry(plugins_dir)
    if (line := registry.missing.get((package.kind.name, package.name))) is not None:
        raise OptionError("name", package.name, f": there is one already; {line}", flag="NAME")
    entry = registry.entries[package.kind.name].get(package.name)
    if entry is not None:
        raise OptionError("name", package.name, f"is a {package.kind} of {entry.origin}; choose another", flag="NAME")
    if find_spec(package.module) is not None:
        problem = f"would make a second package {package.distribution}, which is installed; choose another"
        raise OptionError("name", package.name, problem, flag="NAME")
    with TemporaryDirectory() as folder:
        file = Path(folder).resolve() / f"{package.module}.py"
        file.write_text(package.files[file.name], encoding="utf-8")
        problem = load_registry([file.parent], third_parties=False).problems.get(str(file), "")
    if problem:
        reason = problem.partition(" was not loaded: ")[2]
        raise OptionError("name", package.name, f": {reason}", flag="NAME")


def _write(files: Mapping[str, str], folder: Path) -> None:
    try:
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(content, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--to {folder} can't be written: {error.strerror}; choose another folder") from None
