"""Parameters of commands: what Typer needs to know of an option that a function declares."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final

import typer

from spikefront.commands.completion import completion_of
from spikefront.searchspace.options import Declared, number, path, switch, whole

_REPEATED: Final = "read_all"
"""Name of what ``many`` returns."""

_KINDS: Final[Mapping[object, type]] = {switch: bool}  # all else is text, which the option reads itself
_METAVARS: Final[Mapping[object, str]] = {whole: "INTEGER", number: "NUMBER", path: "PATH"}


def parameters_of(declared: Declared) -> Iterator[inspect.Parameter]:
    """Yield what Typer needs to know of an option: its parameter, and for an argument that of its flag, too."""
    option, required = declared.option, declared.default is inspect.Parameter.empty
    kind: Any = _KINDS.get(option.read, str)
    metavar = None if kind is bool else option.metavar or _METAVARS.get(option.read, "TEXT")
    if getattr(option.read, "__name__", "") == _REPEATED or option.flag == "--set":
        kind = list[kind]  # a type at run time, which Typer reads
    help_text = re.sub(r"(?<!\.)\.$", "", declared.doc) + _shown_default(declared)
    group, offered = option.group or None, completion_of(option.metavar)
    if not option.is_argument:
        flag = declared.flag
        if kind is bool:
            flag = flag if declared.default is False and not option.both else f"{flag}/--no-{flag.removeprefix('--')}"
        note = typer.Option(flag, help=help_text, metavar=metavar, rich_help_panel=group, autocompletion=offered)
        annotation: Any = Annotated[kind if required else kind | None, note]
        yield keyword(declared.name, annotation, inspect.Parameter.empty if required else None)
        return
    argument = typer.Argument(help=help_text, metavar=metavar, autocompletion=offered)
    if required:
        yield keyword(declared.name, Annotated[kind, argument], inspect.Parameter.empty)
        return
    yield keyword(declared.name, Annotated[kind | None, argument], None)
    if option.argument_flag:
        also = typer.Option(
            option.argument_flag,
            help="The same, as an option",
            metavar="NAME",
            rich_help_panel=group,
            autocompletion=offered,
        )
        yield keyword(f"flag_{declared.name}", Annotated[kind | None, also], None)


def _shown_default(declared: Declared) -> str:
    default = declared.option.shown or declared.default
    if default in (None, (), "", inspect.Parameter.empty) or (default is False and not declared.option.both):
        return ""
    if isinstance(default, tuple):
        default = ", ".join(map(str, default))
    if isinstance(default, bool):
        default = "yes" if default else "no"
    return f"  [default: {default:g}]" if isinstance(default, float) else f"  [default: {default}]"


def keyword(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    """Return a parameter that is given by its name."""
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
