"""Pages of reference: what Python code imports, by mkdocstrings, and every command with its options."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from stage import Stage

PACKAGE: Final = Path(__file__).parents[2] / "src/spikefront"


def write_reference(stage: Stage) -> None:
    """Write the pages ``reference/*.md``."""
    import spikefront.plugins
    import spikefront.plugins.contracts

    contracts = _exported(PACKAGE / "plugins/contracts/__init__.py")
    homes = {name: _home("spikefront.plugins", name) for name in spikefront.plugins.__all__}
    parts = [
        name
        for name, home in homes.items()
        if name not in contracts and not home.startswith(("spikefront.searchspace.", "optuna."))
    ]
    pages = {
        "python": ("Python", "spikefront", _exported(PACKAGE / "__init__.pyi")),
        "contracts": ("Contracts of plugins", "spikefront.plugins.contracts", contracts),
        "parts": ("Parts of plugins and networks", "spikefront.plugins", parts),
        "searchspace": ("Search space", "spikefront.searchspace", _exported(PACKAGE / "searchspace/__init__.pyi")),
    }
    for name, (title, module, names) in pages.items():
        shown = module.removesuffix(".contracts")
        how = f"```python\nfrom {shown} import {', '.join(names[:3])}  # and the others of this page\n```"
        homes = {each: _home(module, each) for each in names}
        foreign = [f"`{each}` is `{home}`." for each, home in homes.items() if not home.startswith("spikefront.")]
        own = dict.fromkeys(home for home in homes.values() if home.startswith("spikefront."))
        entries = [f"::: {path}\n" for path in own]
        text = "\n".join([f"# {title}", "", how, "", " ".join(foreign), "", *entries])
        stage.write(f"reference/{name}.md", text, at=f"docs/reference/{name}.md")
    stage.write("reference/commands.md", commands(), at="docs/reference/commands.md")


def _exported(file: Path) -> list[str]:
    """Return the names that an ``__init__`` imports, in its order."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    imports = (node for node in tree.body if isinstance(node, ast.ImportFrom) and node.module != "__future__")
    return [alias.asname or alias.name for node in imports for alias in node.names]


def _home(module: str, name: str) -> str:
    """Return where a public name is defined."""
    found = getattr(importlib.import_module(module), name)
    home = getattr(found, "__module__", None)
    if isinstance(home, str) and home.startswith("spikefront.") and getattr(found, "__qualname__", None) == name:
        return f"{home}.{name}"
    return _imported_from(module, name)


def _imported_from(module: str, name: str) -> str:
    """Return where a value, which does not name its module, is imported from."""
    if module.partition(".")[0] != "spikefront":
        return f"{module}.{name}"
    folder = PACKAGE.joinpath(*module.split(".")[1:])
    files = [folder / "__init__.pyi", folder / "__init__.py", folder.with_suffix(".py")]
    tree = ast.parse(next(file for file in files if file.is_file()).read_text(encoding="utf-8"))
    for node in tree.body:
        for alias in node.names if isinstance(node, ast.ImportFrom) else ():
            if isinstance(node, ast.ImportFrom) and (alias.asname or alias.name) == name:
                return _imported_from(f"{module}.{node.module}" if node.level else str(node.module), alias.name)
    return f"{module}.{name}"


def commands() -> str:
    """Return a page of all commands: what each does, an example, and its options under their headings."""
    from typer.main import get_command

    from spikefront.commands.app import load_commands

    lines = ["# Commands", "", "What `spikefront COMMAND --help` prints.", ""]
    lines += _command("spikefront", get_command(load_commands()))
    return "\n".join(lines)


def _command(name: str, command: Any) -> Iterator[str]:
    yield from [f"## {name}", "", *_help(command), ""] if name != "spikefront" else []
    groups: dict[str, list[Any]] = {}
    for parameter in command.params:
        if not getattr(parameter, "hidden", False) and parameter.name != "help":
            groups.setdefault(getattr(parameter, "rich_help_panel", None) or "Options", []).append(parameter)
    for heading, parameters in groups.items():
        yield from _options(heading, parameters)
    inside: Mapping[str, Any] = getattr(command, "commands", {})
    for each, below in inside.items():
        if not below.hidden:
            yield from _command(f"{name} {each}", below)


def _help(command: Any) -> list[str]:
    example = (command.epilog or "").removeprefix("Example: ")
    return [" ".join((command.help or "").split()), *(["", "```sh", example, "```"] if example else [])]


def _options(heading: str, parameters: Sequence[Any]) -> Iterator[str]:
    yield from [f"**{heading}**", "", "| option | what |", "| --- | --- |"]
    for parameter in parameters:
        names = [*parameter.opts, *parameter.secondary_opts]
        flags = parameter.param_type_name == "option"
        shown = ", ".join(f"`{each}`" for each in names) if flags else f"`{parameter.name.upper()}`"
        default = getattr(parameter, "show_default", None)
        told = f" Default: {default}." if isinstance(default, str) else ""
        yield f"| {shown} | {' '.join((parameter.help or '').split())}{told} |".replace("||", "|")
    yield ""
