"""``spikefront run``: search a task, and leave its front in MLflow."""

from __future__ import annotations

import inspect
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, TextIO, TypeVar, get_type_hints

from spikefront.commands.app import add_command, with_arguments
from spikefront.commands.options import existing
from spikefront.runners.engine.interruption import Interrupted, exit_code, interruption
from spikefront.runners.engine.settings import OPTIONS, SearchSettings
from spikefront.searchspace.errors import UsageError
from spikefront.searchspace.secrets import has_hidden, redact_address, redacted_command

if TYPE_CHECKING:
    from pathlib import Path

    from spikefront.commands.handle import Search
    from spikefront.results.store.connection import Store
    from spikefront.runners.engine.plan import SearchPlan
    from spikefront.runners.engine.search import SearchOutcome

P = ParamSpec("P")
R = TypeVar("R")


def _with_options_of(declaration: Callable[P, Any]) -> Callable[[Callable[[dict[str, Any]], R]], Callable[P, R]]:
    """Give a function of a mapping of options the signature that a dataclass declares them with."""

    def decorate(function: Callable[[dict[str, Any]], R]) -> Callable[P, R]:
        hints = get_type_hints(declaration)
        parameters = [
            parameter.replace(annotation=hints[name])
            for name, parameter in inspect.signature(declaration).parameters.items()
            if name in OPTIONS
        ]
        signature = inspect.Signature(parameters, return_annotation=inspect.signature(function).return_annotation)

        @wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            if len(args) > 1:
                raise UsageError(f"{function.__name__} takes the task without a name, and all else by name: trials=24")
            return function({**dict(zip(signature.parameters, args, strict=False)), **kwargs})

        call.__signature__ = signature  # type: ignore[attr-defined]
        call.__doc__ = with_arguments(function.__doc__ or "", OPTIONS)
        return call

    return decorate


@_with_options_of(SearchSettings)
def run(given: dict[str, Any]) -> Search:
    """Search a task, as ``spikefront run`` does, and return the search.

    Quantities are text with a unit or numbers in base units (nanojoules, seconds), paths text or ``Path``, and what
    can be several one value or a sequence. ``space`` also takes names to values, as the section of a study file does.

    Example:
        >>> search = run("digits", trials=24, space={"coding": ["sac", "latency"]}, max_energy="2uJ")  # doctest: +SKIP

    Raises:
        UsageError: before any trial starts, when anything asked for makes no sense.
    """
    from spikefront.commands.handle import Search
    from spikefront.results.store.connection import Store
    from spikefront.runners.engine.memory.resume import resumed_settings
    from spikefront.runners.engine.study_file import read_settings

    with interruption():
        settings = read_settings(given) if given.get("resume") is None else resumed_settings(given)
        store = Store(settings.tracking_uri, settings.experiment)
        settings = _in_any_folder(settings, store)
        try:
            settings, outcome = _search(settings, store)
        except Interrupted as interrupted:
            interrupted.go_on = f"go on: {_resume_command(settings)}" if settings.resume else ""
            raise
        search = Search(store, str(settings.name), settings, outcome)
        _keep_report(store, search.name, search.key, existing(settings.plugins_dir))
        return search


def _in_any_folder(settings: SearchSettings, store: Store) -> SearchSettings:
    """Return the settings with the whole path of a SQLite file, so that a resume elsewhere finds it."""
    if settings.tracking_uri is None or store.file is None:
        return settings
    return replace(settings, tracking_uri=store.uri)


def _search(settings: SearchSettings, store: Store) -> tuple[SearchSettings, SearchOutcome]:
    """Check everything, start Ray and what counts costs side by side, read the data meanwhile, and search."""
    from spikefront.results.store.reading import is_in_store
    from spikefront.results.store.recorder import MlflowRecorder
    from spikefront.runners.engine.proposing.counting_process import counting_process

    recorder = MlflowRecorder(store)  # checks that the store answers
    if store.file is None:
        store.open_for_writing()
    planned = _plan(settings)
    with planned.claim(partial(is_in_store, store)) as claim, ExitStack() as stack:
        settings = claim.settings
        if not settings.resume:
            _say_namesake(store, str(settings.name))
        from spikefront.runners.engine.placing.session import RaySession

        session = stack.enter_context(RaySession(settings, partial(_end_stuck, settings, sys.stdout)))
        counting = stack.enter_context(counting_process(settings))
        from spikefront.commands.printing import warn
        from spikefront.results.live import LiveView
        from spikefront.runners.engine.logging_thread import LoggerThread
        from spikefront.runners.engine.placing.data import share
        from spikefront.runners.engine.search import SearchRun
        from spikefront.searchspace import CallbackList

        data = planned.read_data()
        if planned.description:
            print(planned.description, file=sys.stderr)
        for said in filter(None, (planned.few_steps(data), planned.priors_left_out, planned.charged_otherwise)):
            warn(said)
        if store.file is not None:  # to import MLflow takes seconds, in which Ray starts
            store.open_for_writing()
        session.wait()
        shared = share(data, planned.task, settings.data_folder, plugins_dir=settings.plugin_folders)
        del data  # the driver, too, now reads what the processes of its node share
        view = LiveView(verbose=settings.verbose)
        callbacks = CallbackList(view, recorder, *map(LoggerThread, planned.loggers))
        outcome = SearchRun(planned).execute(shared, callbacks, counting, claim, session.watch)
        trust, decide = view.trust
        return settings, replace(outcome, missing=recorder.missing, trust=trust, decide=tuple(decide))


def _say_namesake(store: Store, name: str) -> None:
    """Warn when the store has another search of this name."""
    from spikefront.commands.printing import warn
    from spikefront.results.store.reading import is_in_store

    if is_in_store(store, name):
        warn(
            f"{store.shown} has a search named {name!r} already, which stays as it is; by this name commands find the "
            "newest; another --name keeps them apart"
        )


def _plan(settings: SearchSettings) -> SearchPlan:
    from spikefront.commands.printing import warn
    from spikefront.plugins import load_registry
    from spikefront.runners.engine.plan import SearchPlan

    registry = load_registry(settings.plugin_folders)
    for problem in registry.lines:
        warn(problem)
    return SearchPlan(settings, registry)


def _keep_report(store: Store, search: str, key: str | None = None, plugins_dir: Sequence[Path] = ()) -> None:
    """Add the report to the search's run. A search that has ended well stays one whatever happens here."""
    from spikefront.commands.printing import warn
    from spikefront.results.report import keep_report

    try:
        keep_report(store, key or search, plugins_dir)
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        warn(f"the search has no report ({reason}); spikefront report {search}")


def _resume_command(settings: SearchSettings) -> str:
    """Return the command that resumes a search; a password, which its journal does not have, is to be filled in."""
    command = ["spikefront", "run", "--resume", str(settings.name)]
    if "folder" in settings.given:
        command += ["--folder", str(settings.folder)]
    if settings.tracking_uri is not None and has_hidden(redact_address(settings.tracking_uri)):
        command += ["--tracking-uri", settings.tracking_uri]
    return redacted_command(command)


def _end_stuck(settings: SearchSettings, out: TextIO, lost: str) -> NoReturn:
    """End this process, whose main thread waits for a Ray that is gone; the journal has all that is to be kept."""
    from spikefront.runners.engine.settings import has_begun

    with suppress(OSError, ValueError):
        if has_begun(settings.journal):
            ended = f"{settings.name}: broken off: {lost}"
            print(ended, f"go on: {_resume_command(settings)}", sep="\n", file=out, flush=True)
        else:
            print(f"spikefront: {lost}; run it again", file=sys.stderr, flush=True)
    os._exit(1)


def _print_outcome(search: Search) -> None:
    from spikefront.runners.engine.proposing.shares import line as shares_line

    outcome, settings = search.outcome, search.settings
    assert outcome is not None and settings is not None
    done, failed, stopped = (outcome.states.get(state, 0) for state in ("COMPLETE", "FAIL", "PRUNED"))
    where = [search.name]
    for name in ("tracking_uri", "experiment"):
        if name in settings.given:
            where += [OPTIONS[name].flag, getattr(settings, name)]
    command = ["spikefront", "pareto", "--search", *where]
    ended = f"{done} judged, {failed} failed, {stopped} stopped early, in {outcome.seconds:.0f} s"
    lines = [f"{search.name}: {outcome.reason}; {ended}", f"front: {redacted_command(command)}"]
    if settings.fair and outcome.shares:
        lines.append(shares_line(outcome.shares))
    if not settings.repeats:
        lines.append("by --time the same command ends with another front; by --trials alone it repeats")
    if outcome.trust:
        deciding = [*outcome.decide[:2], *where, *outcome.decide[2:]]
        lines.append(f"{outcome.trust}; decide: {redacted_command(deciding)}")
    resume = _resume_command(settings)
    if outcome.missing:
        lacks = f"MLflow lacks {len(outcome.missing)} records of this search, which its journal has"
        lines.append(f"{lacks}; to write them: {resume}")
    if not outcome.finished:
        lines.append(f"go on: {resume}")
    with suppress(OSError, ValueError):  # whoever read them is gone; the exit code is that of the search
        print(*lines, sep="\n", flush=True)
    if outcome.signal not in (0, signal.SIGINT):
        sys.exit(exit_code(outcome.signal))
    if outcome.judged == 0 or outcome.reason.startswith("broken off") or outcome.missing:
        sys.exit(1)


add_command(
    run,
    _print_outcome,
    OPTIONS,
    about="Search a task for its accuracy/energy front and leave it in MLflow.",
    example="run --task digits --set coding=sac,latency --set steps=4..8 --trials 24 --workers 2",
)
