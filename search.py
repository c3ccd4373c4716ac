"""The command line: parses, joins the rooms, prints. Nothing heavy is imported before a verb runs."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spikefront.found import Format, FormatOption, PluginsOption, TrackingOption, print_rows
from spikefront.found import app as found
from spikefront.results.report.verb import app as report

if TYPE_CHECKING:
    from spikefront.plugins import Registry
    from spikefront.runners.engine.search import SearchOutcome
    from spikefront.runners.engine.settings import SearchSettings
    from spikefront.searchspace import Narrowing, Space, Value

app = typer.Typer(
    help="Find the spiking-network codings on the accuracy/energy Pareto front.",
    epilog="Example: spikefront run --task digits --trials 24, then: spikefront pareto",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(found)
app.add_typer(report)


SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="NAME=VALUES", help="Narrow the space: coding=gac,sac or neuron.*.threshold=0.5..1.0"
    ),
]


def main() -> None:
    """Run the command line. Exit codes: 0 done, 1 failed, 2 usage."""
    try:
        app()
    except ValueError as error:
        from spikefront.searchspace import UsageError

        if not isinstance(error, UsageError):
            raise
        print(f"spikefront: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:  # before the first trial; a search that runs takes Ctrl-C itself
        print("spikefront: interrupted", file=sys.stderr)
        sys.exit(1)


@app.command(
    "run",
    epilog="Example: spikefront run --task digits --set coding=sac,latency --set steps=4..8 --trials 24 --workers 2",
)
def run_command(
    task: Annotated[str | None, typer.Option(help="Task to search on; see: spikefront plugins --kind task")] = None,
    config: Annotated[Path | None, typer.Option(help="YAML study file; flags override it")] = None,
    set_: SetOption = None,
    trials: Annotated[
        int | None, typer.Option(help="Candidates to judge  [default: 24, or no limit with --time]")
    ] = None,
    time: Annotated[str | None, typer.Option(metavar="DURATION", help="Stop after this long: 90s, 30m, 2h")] = None,
    epochs: Annotated[
        int | None, typer.Option(help="Epochs of each candidate; short for --set training.epochs=N")
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Candidates at a time  [default: number of cores]")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the sampler and of every candidate  [default: 0]")] = None,
    sampler: Annotated[str | None, typer.Option(help="tpe, nsga2, gp or random  [default: tpe]")] = None,
    objective: Annotated[
        list[str] | None, typer.Option(help="Objective besides quality and energy: latency (time steps); repeatable")
    ] = None,
    max_energy: Annotated[
        str | None, typer.Option(metavar="ENERGY", help="Prefer candidates that cost no more per sample: 500nJ, 2uJ")
    ] = None,
    max_latency: Annotated[float | None, typer.Option(help="Prefer candidates that take no more time steps")] = None,
    max_params: Annotated[
        str | None, typer.Option(metavar="COUNT", help="Prefer candidates with no more parameters: 20000, 100k")
    ] = None,
    min_quality: Annotated[float | None, typer.Option(help="Prefer candidates that are at least as good")] = None,
    target_hypervolume: Annotated[
        float | None, typer.Option(help="Stop when the front covers this share of the ideal, for example 0.9")
    ] = None,
    priors: Annotated[
        bool | None, typer.Option(help="Begin with defaults and published settings  [default: no]")
    ] = None,
    from_: Annotated[
        str | None, typer.Option("--from", metavar="SEARCH", help="Begin with the front of another search")
    ] = None,
    cost_aware: Annotated[
        bool | None, typer.Option(help="Begin with cheap candidates, and none that can't end in time  [default: yes]")
    ] = None,
    early_stopping: Annotated[bool | None, typer.Option(help="Stop trials that fall behind  [default: yes]")] = None,
    rungs: Annotated[
        str | None, typer.Option(help="Shares of the epochs at which trials are compared  [default: 0.15,0.45]")
    ] = None,
    reduction: Annotated[int | None, typer.Option(help="About one in this many goes on there  [default: 3]")] = None,
    tell_stopped: Annotated[
        str | None,
        typer.Option(help="What the sampler hears of stopped trials: pruned, or partial (values)  [default: pruned]"),
    ] = None,
    epoch_timeout: Annotated[
        str | None, typer.Option(metavar="DURATION", help="Longest an epoch may take; then it hangs  [default: 1h]")
    ] = None,
    gpus_per_trial: Annotated[
        float | None, typer.Option(help="GPUs of one trial; 0.25 lets four share one, 2 train it together")
    ] = None,
    address: Annotated[
        str | None, typer.Option(help="Existing Ray cluster, host:port or auto  [default: none]")
    ] = None,
    energy_model: Annotated[str | None, typer.Option(help="Prices of operations  [default: horowitz-45nm]")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Folder with data files")] = None,
    plugins_dir: PluginsOption = None,
    name: Annotated[str | None, typer.Option(help="Name of the search  [default: task, date and time]")] = None,
    folder: Annotated[Path | None, typer.Option(help="Folder of all searches  [default: searches]")] = None,
    resume: Annotated[
        str | None, typer.Option(metavar="NAME", help="Go on with a search; budgets count from its start")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Resume although plugins or the space have changed")] = False,
    tracking_uri: TrackingOption = None,
    experiment: Annotated[str | None, typer.Option(help="MLflow experiment  [default: MLflow's own]")] = None,
) -> None:
    """Search a task for its accuracy/energy front and leave it in MLflow."""
    apart = ("config", "set_", "flags", "resume", "force", "apart")
    flags: dict[str, Any] = {key: value for key, value in locals().items() if key not in apart}
    if resume is None:
        from spikefront.searchspace import read_asked

        asked = read_asked(config, flags, set_ or ())
    else:
        asked = _asked_before(resume, flags, config is not None or bool(set_))
    outcome, search = _search(*asked, resume=resume is not None, force=force)
    _say_outcome(outcome, search, asked[0])


def run(
    task: str | None = None, *, config: Path | None = None, narrow: Sequence[str] = (), **options: Any
) -> tuple[SearchOutcome, str]:
    """Search a task, as ``spikefront run`` does.

    Args:
        task: name of the task.
        config: YAML study file; ``options`` override it.
        narrow: narrowings of the space, each ``NAME=VALUES`` as after ``--set``.
        options: the flags of ``spikefront run``, dashes as underscores: ``trials=24, workers=2``.

    Returns:
        How the search ended, and its name.

    Raises:
        UsageError: before any trial starts, when anything asked for makes no sense.
    """
    from spikefront.searchspace import read_asked

    return _search(*read_asked(config, {"task": task, **options}, narrow))


def _asked_before(name: str, flags: Mapping[str, Any], narrowed: bool) -> tuple[dict[str, Any], list[Narrowing]]:
    """Read what was asked of a search when it began, and let the flags that were given override it."""
    from spikefront.runners.engine.memory.journal import read_attributes
    from spikefront.runners.engine.memory.resume import options_of
    from spikefront.searchspace import UsageError

    if narrowed:
        raise UsageError("--resume goes on with the space that was asked for first; leave --set and --config out")
    given = {key: value for key, value in flags.items() if value is not None}
    kept = read_attributes(given.get("folder", Path("searches")) / name)["search"]
    return options_of(kept, {**given, "name": name})


def _search(
    options: dict[str, Any], narrowings: list[Narrowing], *, resume: bool = False, force: bool = False
) -> tuple[SearchOutcome, str]:
    from spikefront.results.listeners import Listeners
    from spikefront.results.live import LiveView
    from spikefront.results.store.recorder import MlflowStore, check_store
    from spikefront.runners.engine.memory.journal import read_attributes
    from spikefront.runners.engine.memory.resume import about, refuse_changed
    from spikefront.runners.engine.placing.session import RaySession
    from spikefront.runners.engine.proposing.counting_process import counting_process
    from spikefront.runners.engine.proposing.start import first_answers
    from spikefront.runners.engine.settings import check_folder, read_settings, refuse_taken

    name = options.get("name") or f"{options['task']}-{datetime.now():%Y%m%d-%H%M%S}"
    settings = read_settings(options, name, resume=resume)
    if not resume:
        refuse_taken(settings)
    check_folder(settings.folder)
    check_store(options.get("tracking_uri"))
    registry, space = _space(options["task"], narrowings, settings.plugin_dirs, settings.seed)
    registry.get("energy", settings.energy_model)
    default = space.default()
    task = registry.get("task", space.task)(default.task.config)
    kept = about({**options, "name": name}, narrowings, registry, space)
    if resume and not force:
        refuse_changed(read_attributes(settings.folder)["search"], registry, space)
    if not resume:
        first_answers(settings, space, None)  # refuses a --from that is not there before anything is begun
    with RaySession(settings) as session, counting_process(settings) as counting:
        # both start in the background; what follows is done meanwhile
        from spikefront.plugins import ArrayTask
        from spikefront.runners.engine.placing.data import share
        from spikefront.runners.engine.search import run_search
        from spikefront.runners.judging.augmentation import refuse_misfit

        read = task.search_data(settings.data_dir, default.steps)
        if isinstance(task, ArrayTask):
            print(task.describe(), file=sys.stderr)
        refuse_misfit(default.training.schedule, task, tuple(task.prepare(read.train.inputs[:1]).shape[1:]))
        store = MlflowStore(tracking_uri=options.get("tracking_uri"), experiment=options.get("experiment"))
        session.wait()
        data = share(read, type(task), settings.data_dir)
        del read  # the driver, too, now reads what the processes of its node share
        record = _record(options, narrowings, settings)
        outcome = run_search(settings, space, registry, data, Listeners(store, LiveView()), record, kept, counting)
    _keep_report(name, options)
    return outcome, name


def _record(options: Mapping[str, Any], narrowings: Sequence[Narrowing], settings: SearchSettings) -> dict[str, Value]:
    """Return what a search runs with, as text by option: as it was asked for, and the defaults of all else."""
    from spikefront.runners.engine.halving import rung_shares
    from spikefront.searchspace import OPTIONS
    from spikefront.searchspace.units import format_duration

    runs_with = {key: getattr(settings, key, None) for key in OPTIONS} | {"folder": settings.folder.parent}
    runs_with["rungs"] = ",".join(f"{share:g}" for share in settings.rungs or rung_shares(reduction=settings.reduction))
    if settings.epoch_timeout_s is not None:
        runs_with["epoch_timeout"] = format_duration(settings.epoch_timeout_s)
    record: dict[str, Value] = {key: str(value) for key, value in runs_with.items() if value is not None}
    record |= {key: str(value) for key, value in options.items()}
    return {**record, "space": "; ".join(map(str, narrowings)) or "whole"}


def _keep_report(search: str, options: Mapping[str, Any]) -> None:
    """Leave the report beside the search's run. A search that has ended well stays one whatever happens here."""
    from spikefront.results.report import keep_report

    try:
        keep_report(search, tracking_uri=options.get("tracking_uri"), experiment=options.get("experiment"))
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        print(f"spikefront: warning: the search has no report ({reason}); spikefront report {search}", file=sys.stderr)


def _space(
    task: str, narrowings: Iterable[Narrowing], plugin_dirs: Sequence[Path], seed: int = 0
) -> tuple[Registry, Space]:
    from spikefront.searchspace import Space

    registry = _registry(plugin_dirs)
    registry.get("task", task)  # says so when a plugin of that name is broken
    for narrowing in narrowings:
        if narrowing.pattern in ("coding", "neuron", "backbone"):
            for name in narrowing.values:
                registry.get(narrowing.pattern, name)
    return registry, Space(registry, task, narrowings, seed)


def _registry(plugin_dirs: Sequence[Path]) -> Registry:
    from spikefront.plugins import load_registry

    registry = load_registry(plugin_dirs)
    for problem in registry.problems.values():
        print(f"spikefront: warning: {problem}", file=sys.stderr)
    return registry


def _say_outcome(outcome: SearchOutcome, search: str, options: Mapping[str, Any]) -> None:
    done, failed, stopped = (outcome.states.get(state, 0) for state in ("COMPLETE", "FAIL", "PRUNED"))
    command = ["spikefront", "pareto", "--search", search]
    for flag in ("tracking_uri", "experiment"):
        if flag in options:
            command += [f"--{flag.replace('_', '-')}", options[flag]]
    ended = f"{done} judged, {failed} failed, {stopped} stopped early, in {outcome.seconds:.0f} s"
    print(f"{search}: {outcome.reason}; {ended}\nfront: {shlex.join(command)}")
    if not outcome.finished:
        where = ["--folder", str(options["folder"])] if "folder" in options else []
        print(f"go on: {shlex.join(['spikefront', 'run', '--resume', search, *where])}")
    if outcome.judged == 0 or outcome.reason.startswith("broken off"):
        sys.exit(1)


@app.command("plugins", epilog="Example: spikefront plugins --kind coding --plugins-dir my_plugins")
def plugins_command(
    kind: Annotated[str | None, typer.Option(help="coding, neuron, backbone, task or energy")] = None,
    plugins_dir: PluginsOption = None,
    format_: FormatOption = Format.table,
) -> None:
    """List the plugins that were found."""
    import pandas as pd

    from spikefront.plugins import KINDS
    from spikefront.searchspace import UnknownName, fields_of

    if kind is not None and kind not in KINDS:
        raise UnknownName("kind", kind, KINDS)
    registry = _registry(plugins_dir or ())
    rows = [
        {
            "kind": each,
            "name": name,
            "what": entry.summary,
            "hyperparameters": ", ".join(field.name for field in fields_of(entry.plugin.Config)),
            "version": entry.version,
        }
        for each, entries in registry.entries.items()
        if kind in (None, each)
        for name, entry in sorted(entries.items())
    ]
    print_rows(pd.DataFrame(rows), format_)


@app.command("space", epilog="Example: spikefront space --task digits --set coding=latency --set steps=4")
def space_command(
    task: Annotated[str | None, typer.Option(help="Task to search on")] = None,
    config: Annotated[Path | None, typer.Option(help="YAML study file")] = None,
    set_: SetOption = None,
    plugins_dir: PluginsOption = None,
    pinned: Annotated[bool, typer.Option("--pinned", help="Also list what is held at one value")] = False,
    format_: FormatOption = Format.table,
) -> None:
    """Print what a search would search: each hyperparameter, its range and when it exists."""
    import pandas as pd

    from spikefront.searchspace import read_asked

    options, narrowings = read_asked(config, {"task": task, "plugins_dir": plugins_dir}, set_ or ())
    _, space = _space(options["task"], narrowings, options.get("plugins_dir", ()))
    rows = [row for row in space.rows() if row.searched or pinned]
    table = [{"name": r.name, "range": r.domain, "default": r.default, "active": r.active, "what": r.doc} for r in rows]
    print_rows(pd.DataFrame(table), format_)
    searched = sum(row.searched for row in rows)
    print(f"{searched} hyperparameters searched on task {space.task}", file=sys.stderr)


if __name__ == "__main__":
    main()
