"""The command line, derived from the signatures of Python functions."""

from __future__ import annotations

import importlib
import inspect
import os
import pkgutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Final, ParamSpec, TypeVar

import pluggy
import typer
from typer.core import TyperCommand, TyperGroup

from spikefront.commands.parameters import keyword, parameters_of
from spikefront.searchspace.errors import UnknownName, UsageError
from spikefront.searchspace.options import Declared, options_of

P = ParamSpec("P")
R = TypeVar("R")

hookimpl = pluggy.HookimplMarker("spikefront")
"""Marks ``register_commands(app)`` in a package or a plugin file; importing it loads nothing heavy."""

_hookspec = pluggy.HookspecMarker("spikefront")


class Hooks:
    """Hooks of the command line."""

    @_hookspec
    def register_commands(self, app: typer.Typer) -> None:
        """Register commands.

        Args:
            app: add commands to it, with ``@app.command()`` or ``spikefront.commands.app.command``.
        """


_manager = pluggy.PluginManager("spikefront")
_manager.add_hookspecs(Hooks)

COMMANDS_GROUP: Final = "spikefront.commands"
"""Group of entry points that name modules with commands, which are imported at every start of the command line."""
PLUGINS_VARIABLE: Final = "SPIKEFRONT_PLUGINS_DIR"


class GroupedCommand(TyperCommand):
    """A command whose help lists options under the heading of their group."""

    def format_options(self, ctx: Any, formatter: Any) -> None:  # Typer's own copies of Click's classes
        groups: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                heading = "Arguments" if parameter.param_type_name == "argument" else _heading(parameter)
                groups.setdefault(heading, []).append(record)
        for heading, records in groups.items():
            with formatter.section(heading):
                formatter.write_dl(records)


_NotUnderstood: Final[Any] = typer.BadParameter.__base__  # Typer's own copy of Click's UsageError


class OneLineGroup(TyperGroup):
    """A group of commands that says in one line, as everything else here does, what it did not understand."""

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        """Read the arguments of the group."""
        with _in_one_line(lambda: "spikefront"):
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: Any) -> Any:
        """Read the arguments of a command, and run it."""
        with _in_one_line(lambda: f"{ctx.command_path} {ctx.invoked_subcommand or ''}".strip()):
            return super().invoke(ctx)


@contextmanager
def _in_one_line(command: Callable[[], str]) -> Iterator[None]:
    """Raise ``UsageError`` for what Typer did not understand of a command's arguments."""
    try:
        yield
    except _NotUnderstood as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # not an error, but the help
            raise
        raise _usage_error(error, command()) from None


def _usage_error(error: Any, command: str) -> UsageError:
    command = error.ctx.command_path if error.ctx else command
    if type(error).__name__ == "NoSuchOption" and error.ctx:
        flags = [flag for parameter in error.ctx.command.params for flag in parameter.opts + parameter.secondary_opts]
        return UnknownName(f"option of {command}:", error.option_name, filter(lambda flag: flag[:1] == "-", flags))
    problem = error.format_message().rstrip(".").replace("Value error, ", "")
    return UsageError(f"{problem[:1].lower()}{problem[1:]}; see: {command} --help")


def _heading(parameter: object) -> str:
    return str(getattr(parameter, "rich_help_panel", None) or "Options")


def new_app(**more: Any) -> typer.Typer:
    """Return an empty Typer app with the manners of this command line: plain text, help without arguments."""
    return typer.Typer(
        cls=OneLineGroup, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None, **more
    )


app = new_app(
    name="spikefront",
    help="Find the spiking-network codings on the accuracy/energy Pareto front.",
    epilog="Example: spikefront run --task digits --trials 24, then: spikefront pareto",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        import spikefront

        print(f"spikefront {spikefront.__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    plugins_dir: Annotated[
        list[Path] | None,
        typer.Option("--plugins-dir", metavar="FOLDER", help="Folder with plugin files that define commands"),
    ] = None,
) -> None:
    """Find the spiking-network codings on the accuracy/energy Pareto front."""


def door(function: Callable[P, R]) -> Callable[P, R]:
    """Return a function of the Python API whose options may be text with units or plain values.

    Raises:
        UnknownName: on a call with an option that the function does not have.
        OptionError: on a call with a value that makes no sense; the message names the Python argument.
    """
    signature = inspect.signature(function)

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        options = options_of(function)
        renamed = {alias: name for name, declared in options.items() for alias in declared.option.aliases}
        named = {renamed.get(name, name): value for name, value in kwargs.items()}
        for name in named.keys() - signature.parameters.keys():
            raise UnknownName("option", name, signature.parameters)
        try:
            given = signature.bind(*args, **named).arguments
        except TypeError as error:
            raise UsageError(f"{function.__name__}: {error}") from None
        for name, value in given.items():
            if name in options and value is not None:
                given[name] = options[name].checked(value)
        return function(**given)  # type: ignore[call-arg]

    call.__doc__ = with_arguments(function.__doc__ or "", options_of(function))
    return call


def with_arguments(text: str, options: Mapping[str, Declared]) -> str:
    """Return a docstring with a section about its arguments, which are documented where they are declared."""
    about, headings, rest = inspect.cleandoc(text).partition("\n\nReturns:")
    if not headings:
        about, headings, rest = inspect.cleandoc(text).partition("\n\nRaises:")
    lines = [f"    {option.name}: {_lowered(option.doc)}" for option in options.values()]
    return "\n".join([f"{about}\n\nArgs:", *lines]) + headings + rest


def _lowered(text: str) -> str:
    """Return text with a small first letter, unless it begins with an abbreviation."""
    return text if text[:2].isupper() or text[1:3].isupper() else text[:1].lower() + text[1:]


def command(
    show: Callable[..., None] | None = None,
    *,
    about: str,
    example: str,
    name: str = "",
    to: typer.Typer = app,
    formats: bool = False,
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Make a function of the Python API a command, too, whose flags and help follow from its signature.

    Args:
        show: prints what the function returns; with ``formats`` it gets the format as well; None prints nothing.
        about: first line of the help.
        example: arguments of a command line, for the help.
        name: of the command; that of the function when empty.
        to: Typer app that the command is added to.
        formats: whether the command prints rows, and has ``--format``.
    """

    def register(function: Callable[P, R]) -> Callable[P, R]:
        through = door(function)
        add_command(
            through, show, options_of(function), about=about, example=example, name=name, to=to, formats=formats
        )
        return through

    return register


def add_command(
    function: Callable[..., Any],
    show: Callable[..., None] | None,
    options: Mapping[str, Declared],
    *,
    about: str,
    example: str,
    name: str = "",
    to: typer.Typer = app,
    formats: bool = False,
) -> None:
    """Add a command whose flags are some options, and that calls a function with those that are given."""

    def run(**flags: Any) -> None:
        format_ = flags.pop("format_", None)
        for option in [key for key in flags if key.startswith("flag_")]:
            _merge(flags, option.removeprefix("flag_"), flags.pop(option))
        given = {key: value for key, value in flags.items() if value not in (None, [])}
        if "resume" not in given:  # a resumed search has the folders that it began with
            given = {**_from_environment(options), **given}
        found = function(**given)
        if show is not None:
            show(found, format_) if formats else show(found)

    parameters = [one for declared in options.values() for one in parameters_of(declared)]
    if formats:
        from spikefront.commands.printing import Format

        note = Annotated[Format, typer.Option("--format", help="How to print rows", rich_help_panel="Output")]
        parameters.append(keyword("format_", note, Format.table))
    order = sorted(parameters, key=lambda one: one.default is not inspect.Parameter.empty)
    run.__signature__ = inspect.Signature(order)  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in order}
    run.__doc__ = about
    called = name or function.__name__.replace("_", "-")
    to.command(called, cls=GroupedCommand, short_help=about, epilog=f"Example: spikefront {example}")(run)


def _from_environment(options: Mapping[str, Declared]) -> dict[str, list[str]]:
    """Return the options whose variable is set; several folders are separated as in ``PATH``."""
    variables = {name: os.environ.get(declared.option.envvar, "") for name, declared in options.items()}
    return {name: text.split(os.pathsep) for name, text in variables.items() if options[name].option.envvar and text}


def _merge(flags: dict[str, Any], name: str, value: Any) -> None:
    """Use an option for what may also be given as an argument."""
    if value in (None, []):
        return
    if isinstance(flags[name], list):
        flags[name] = [*flags[name], *value]
    elif flags[name] not in (None, value):
        raise UsageError(f"{flags[name]} and --{name} {value} are two different ones; give one of them")
    else:
        flags[name] = value


# Finding commands

_FIRST: Final = (
    "run",
    "space",
    "plugins",
    "pareto",
    "compare",
    "report",
    "twin",
    "confirm",
    "export",
    "judge",
    "transfer",
)
"""Order in which the help lists the first commands; others follow by name."""


def load_commands(arguments: Sequence[str] = ()) -> typer.Typer:
    """Return the app with all commands: built-in ones, those of packages, and those of plugin files.

    A command of a package comes through an entry point in the group ``spikefront.commands``, one of a plugin file by
    ``--plugins-dir`` among the arguments or the environment variable ``SPIKEFRONT_PLUGINS_DIR``. One that can't be
    loaded costs a warning.
    """
    import spikefront.commands as package

    names = [module.name for module in pkgutil.iter_modules(package.__path__)]
    for name in sorted(names, key=lambda name: _FIRST.index(name) if name in _FIRST else len(_FIRST)):
        importlib.import_module(f"{package.__name__}.{name}")
    for source, load in _third_parties(arguments):
        if _manager.has_plugin(source):
            continue
        try:
            _manager.register(load(), name=source)
            others = [plugin for name, plugin in _manager.list_name_plugin() if name != source]
            _manager.subset_hook_caller("register_commands", others)(app=app)
        except (Exception, SystemExit) as error:  # a faulty package must not take the command line down
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            print(f"spikefront: warning: commands of {source} were not loaded: {reason}", file=sys.stderr)
    return app


def _third_parties(arguments: Sequence[str]) -> Iterator[tuple[str, Callable[[], Any]]]:
    if _packages_have_commands():
        from importlib.metadata import entry_points

        for point in entry_points(group=COMMANDS_GROUP):
            yield point.value, point.load
    for file in _plugin_files(arguments):
        from spikefront.plugins.loose import load_file

        yield str(file), lambda file=file: load_file(file)  # type: ignore[misc]


def _packages_have_commands() -> bool:
    """Return whether an installed package names commands; importing ``importlib.metadata`` to ask it takes 30 ms."""
    files = (file for folder in sys.path for file in Path(folder or ".").glob("*.*-info/entry_points.txt"))
    return any(COMMANDS_GROUP.encode() in file.read_bytes() for file in files)


def _plugin_files(arguments: Sequence[str]) -> Iterator[Path]:
    """Yield the plugin files that define commands; others are not imported for the command line's sake."""
    folders = os.environ.get(PLUGINS_VARIABLE, "").split(os.pathsep)
    for position, argument in enumerate(arguments):
        flag, equals, value = argument.partition("=")
        if flag == "--plugins-dir":
            folders.append(value if equals else "".join(arguments[position + 1 : position + 2]))
    for folder in filter(None, folders):
        with suppress(OSError, ValueError):  # what is wrong with the folder is said when its plugins are loaded
            for file in sorted(Path(folder).glob("*.py")):
                if file.is_file() and b"register_commands" in file.read_bytes():
                    yield file
