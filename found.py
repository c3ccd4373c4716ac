"""The verbs about what was found: they ask MLflow, and judge, compare and export what is on a front."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from spikefront.results.options import (
    DataOption,
    ExperimentOption,
    Format,
    FormatOption,
    PluginsOption,
    SearchOption,
    TrackingOption,
)
from spikefront.results.verbs import app as verbs
from spikefront.results.verbs import print_rows, show, warnings_in_one_line

if TYPE_CHECKING:
    import pandas as pd

    from spikefront.results.confirmations import Confirmations
    from spikefront.runners.deploy.model import Model
    from spikefront.runners.engine.settings import SearchSettings

__all__ = ["Format", "FormatOption", "PluginsOption", "TrackingOption", "app", "print_rows"]
"""What the rest of the command line is made of, too."""

app = typer.Typer()

DEFAULT_SEEDS: Final = 5


@app.command("pareto", epilog="Example: spikefront pareto --min-quality 0.95 --max-energy 200nJ --format csv")
def pareto_command(
    search: SearchOption = None,
    min_quality: Annotated[float | None, typer.Option(help="Leave out what is worse, for example 0.95")] = None,
    max_energy: Annotated[
        str | None, typer.Option(metavar="ENERGY", help="Leave out what costs more: 500nJ, 2uJ")
    ] = None,
    max_latency: Annotated[float | None, typer.Option(help="Leave out what takes more time steps")] = None,
    coding: Annotated[list[str] | None, typer.Option(help="Leave out all other codings; repeatable")] = None,
    order: Annotated[str, typer.Option(help="What comes first: energy, quality or latency")] = "energy",
    knee: Annotated[
        bool, typer.Option("--knee", help="Only the knee: beyond it each gain in quality costs much")
    ] = False,
    per_coding: Annotated[bool, typer.Option("--per-coding", help="The front of each coding by itself")] = False,
    format_: FormatOption = Format.table,
    tracking_uri: TrackingOption = None,
    experiment: ExperimentOption = None,
) -> None:
    """Print the front of a search."""
    frame = pareto(
        search,
        min_quality=min_quality,
        max_energy=max_energy,
        max_latency=max_latency,
        coding=coding or (),
        order=order,
        knee=knee,
        per_coding=per_coding,
        tracking_uri=tracking_uri,
        experiment=experiment,
    )
    print_rows(frame, format_)


def pareto(
    search: str | None = None,
    *,
    min_quality: float | None = None,
    max_energy: str | float | None = None,
    max_latency: float | None = None,
    coding: Sequence[str] = (),
    order: Any = "energy",
    knee: bool = False,
    per_coding: bool = False,
    tracking_uri: str | None = None,
    experiment: str | None = None,
) -> pd.DataFrame:
    """Return the front of a search as a DataFrame.

    Args:
        search: name of the search; None for the newest.
        min_quality: leave out what is worse.
        max_energy: leave out what costs more: nanojoules, or text with a unit such as ``"2uJ"``.
        max_latency: leave out what takes more time steps.
        coding: names of codings; leave out all others.
        order: what comes first: ``energy`` (the cheapest), ``quality`` (the best) or ``latency`` (the quickest).
        knee: leave only the knee, the member farthest from the line between the front's extremes.
        per_coding: the front of each coding by itself.
        tracking_uri: MLflow server or store.
        experiment: MLflow experiment.

    Raises:
        UsageError: when there is no such search, or the store does not answer.
    """
    from spikefront.results.queries import pareto as query
    from spikefront.searchspace import UsageError
    from spikefront.searchspace.units import parse_energy

    if min_quality is not None and not math.isfinite(min_quality):
        raise UsageError(f"--min-quality {min_quality:g} must be a finite number, for example 0.95")
    return query(
        search,
        min_quality=min_quality,
        max_energy_nj=parse_energy(max_energy) if isinstance(max_energy, str) else max_energy,
        max_latency=max_latency,
        coding=coding,
        order=order,
        knee=knee,
        per_coding=per_coding,
        tracking_uri=tracking_uri,
        experiment=experiment,
    )


@app.command("confirm", epilog="Example: spikefront confirm --seeds 5 --workers 2")
def confirm_command(
    search: SearchOption = None,
    seeds: Annotated[int, typer.Option(help="Trainings of each member")] = DEFAULT_SEEDS,
    workers: Annotated[int | None, typer.Option(help="Trainings at a time  [default: number of cores]")] = None,
    gpus: Annotated[
        float, typer.Option("--gpus-per-training", help="GPUs of one training; 0.25 lets four share one")
    ] = 0,
    address: Annotated[str | None, typer.Option(help="Existing Ray cluster, host:port or auto")] = None,
    data_dir: DataOption = None,
    plugins_dir: PluginsOption = None,
    folder: Annotated[Path, typer.Option(help="Folder of all searches")] = Path("searches"),
    format_: FormatOption = Format.table,
    tracking_uri: TrackingOption = None,
    experiment: ExperimentOption = None,
) -> None:
    """Train the members of a front anew under several seeds, and measure them on the test split."""
    frame, said = confirm(
        search,
        seeds=seeds,
        workers=workers,
        gpus=gpus,
        address=address,
        data_dir=data_dir,
        plugins_dir=plugins_dir or (),
        folder=folder,
        tracking_uri=tracking_uri,
        experiment=experiment,
    )
    show(frame, said, format_)


def confirm(
    search: str | None = None,
    *,
    seeds: int = DEFAULT_SEEDS,
    workers: int | None = None,
    gpus: float = 0.0,
    address: str | None = None,
    data_dir: Path | None = None,
    plugins_dir: Sequence[Path] = (),
    folder: Path = Path("searches"),
    tracking_uri: str | None = None,
    experiment: str | None = None,
) -> tuple[pd.DataFrame, list[str]]:
    """Train the members of a front anew, on training and validation split together, and measure them on the test split.

    This, and nothing before it, reads the test split. What was measured is kept in MLflow at once, and not measured
    again when confirming is called again.

    Args:
        search: name of the search, which has ended; None for the newest.
        seeds: how many trainings each member gets, under seeds that the search did not use.
        workers: trainings at a time; None for the number of cores.
        gpus: GPUs of one training.
        address: existing Ray cluster, or None for this machine.
        data_dir: folder with data files.
        plugins_dir: folders with loose plugin files, as the search was given them.
        folder: folder of all searches; ANNs of conversion codings are kept there.
        tracking_uri: MLflow server or store.
        experiment: MLflow experiment.

    Returns:
        A row for each member, cheapest first, and what confirming has shown, in sentences.

    Raises:
        UsageError: before any training starts, when anything asked for makes no sense.
    """
    from spikefront.results.confirmations import Confirmations
    from spikefront.runners.engine.settings import SearchSettings, cores
    from spikefront.searchspace import UsageError

    if not 1 <= seeds <= 1000:
        raise UsageError(f"--seeds {seeds} must be from 1 to 1000; 5 give an interval that says something")
    kept = Confirmations(search, tracking_uri, experiment)
    settings = SearchSettings(
        kept.search,
        folder / kept.search,
        workers=workers or cores(),
        gpus_per_trial=gpus,
        address=address,
        energy_model=kept.options.get("energy_model", "horowitz-45nm"),
        data_dir=data_dir,
        plugin_dirs=tuple(path.resolve() for path in plugins_dir),
    )
    first = int(kept.options.get("seed", "0")) + 1  # selection has used the one before
    _repeat(kept, settings, range(first, first + seeds))
    return kept.conclude(range(first, first + seeds))


def _repeat(kept: Confirmations, settings: SearchSettings, seeds: Sequence[int]) -> None:
    """Make the repeats that are missing, and say of each how it went."""
    from spikefront.plugins import load_registry
    from spikefront.runners.engine.confirm import repeat_all
    from spikefront.runners.engine.placing.data import share
    from spikefront.runners.engine.placing.session import RaySession
    from spikefront.runners.judging.confirm import confirmation_data
    from spikefront.searchspace import from_flat

    registry = load_registry(settings.plugin_dirs)
    members = {trial: from_flat(flat, registry) for trial, flat in kept.candidates.items()}
    for candidate in members.values():
        registry.refuse(candidate)
    done = kept.known(seeds)
    if len(done) == len(members) * len(seeds):
        return
    first = next(iter(members.values()))
    task = registry.get("task", first.task.name)(first.task.config)
    with RaySession(settings) as session:
        data = confirmation_data(task, settings.data_dir, first.steps)
        session.wait()
        shared = share(data, type(task), settings.data_dir, confirming=True)
        del data  # the driver, too, has no copy beside that of its node then
        repeat_all(
            kept.candidates,
            seeds,
            shared,
            plugin_dirs=settings.plugin_dirs,
            energy_model=settings.energy_model,
            ann_cache=settings.anns.resolve(),
            gpus=settings.gpus_per_trial,
            done=done,
            on_repeat=kept.keep(len(members) * len(seeds) - len(done)),
        )


@app.command("twin", epilog="Example: spikefront twin --search digits-1")
def twin_command(
    search: SearchOption = None,
    data_dir: DataOption = None,
    plugins_dir: PluginsOption = None,
    folder: Annotated[Path, typer.Option(help="Folder of all searches")] = Path("searches"),
    format_: FormatOption = Format.table,
    tracking_uri: TrackingOption = None,
    experiment: ExperimentOption = None,
) -> None:
    """Hold the members of a front against the ANNs of their backbones, at full precision and at few bits."""
    frame, said = twin(
        search,
        data_dir=data_dir,
        plugins_dir=plugins_dir or (),
        folder=folder,
        tracking_uri=tracking_uri,
        experiment=experiment,
    )
    show(frame, said, format_)


def twin(
    search: str | None = None,
    *,
    data_dir: Path | None = None,
    plugins_dir: Sequence[Path] = (),
    folder: Path = Path("searches"),
    tracking_uri: str | None = None,
    experiment: str | None = None,
) -> tuple[pd.DataFrame, list[str]]:
    """Train the ANN of each member's backbone, and the network of few bits made of it, and compare on the same split.

    What was compared is kept in MLflow at once, and not trained again; the report shows it.

    Args:
        search: name of the search, which has ended; None for the newest.
        data_dir: folder with data files.
        plugins_dir: folders with loose plugin files, as the search was given them.
        folder: folder of all searches; ANNs of conversion codings are found there, and further ones kept.
        tracking_uri: MLflow server or store.
        experiment: MLflow experiment.

    Returns:
        A row for each member, cheapest first, and what comparing has shown, in sentences.

    Raises:
        UsageError: before any training starts, when anything asked for makes no sense.
    """
    from spikefront.results.twins import Twins
    from spikefront.runners.engine.settings import SearchSettings
    from spikefront.runners.judging.twins import compare_all

    kept = Twins(search, tracking_uri, experiment)
    compare_all(
        kept.missing(),
        plugin_dirs=tuple(plugins_dir),
        energy_model=kept.options.get("energy_model", "horowitz-45nm"),
        data_dir=data_dir,
        ann_cache=SearchSettings(kept.search, folder / kept.search).anns.resolve(),
        on_comparison=kept.keep(),
    )
    return kept.conclude()


@app.command("export", epilog="Example: spikefront export digits-1/23 --to net.pt")
def export_command(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Member of a front: SEARCH/TRIAL, or an MLflow run id")],
    to: Annotated[Path, typer.Option(metavar="FILE", help="File to write; its model card goes to FILE.card.md")],
    format_: Annotated[str, typer.Option("--format", help="torch, nir or onnx")] = "torch",
    data_dir: DataOption = None,
    plugins_dir: PluginsOption = None,
    tracking_uri: TrackingOption = None,
    experiment: ExperimentOption = None,
) -> None:
    """Write a trained network of a front into a file, with its model card."""
    with warnings_in_one_line():
        export(
            run,
            to,
            form=format_,
            data_dir=data_dir,
            plugins_dir=plugins_dir or (),
            tracking_uri=tracking_uri,
            experiment=experiment,
        )
    print(f"{to}\n{to}.card.md")


def export(
    run: str,
    to: str | Path,
    *,
    form: str = "torch",
    data_dir: Path | None = None,
    plugins_dir: Sequence[Path] = (),
    tracking_uri: str | None = None,
    experiment: str | None = None,
) -> Model:
    """Export a member of a front, as ``spikefront export`` does, and return it ready for use.

    Args:
        run: name of the search and number of the trial, ``digits-1/23``, or an MLflow run id.
        to: file to write; its model card goes beside it.
        form: ``torch``, ``nir`` or ``onnx``.
        data_dir: folder with data files.
        plugins_dir: folders with loose plugin files.
        tracking_uri: MLflow server or store.
        experiment: MLflow experiment.

    Raises:
        UsageError: when there is no such member, or the format can't express it.
    """
    from spikefront.plugins import load_registry
    from spikefront.results.members import fetch_member
    from spikefront.runners.deploy.description import Confirmation, Origin
    from spikefront.runners.deploy.export import check_target, export_trained

    check_target(Path(to), form)
    with TemporaryDirectory() as folder:
        member = fetch_member(run, Path(folder), tracking_uri, experiment)
        known = dict(member.confirmed or {})
        return export_trained(
            Path(to),
            form,
            candidate=member.candidate,
            weights=member.weights,
            registry=load_registry(plugins_dir),
            metrics=member.metrics,
            plugins=member.plugins,
            energy_model=member.energy_model,
            origin=Origin(member.search, str(member.trial), member.run_id, member.commit),
            confirmation=Confirmation(int(known.pop("seeds")), **known) if known else None,
            data_dir=data_dir,
        )


app.add_typer(verbs)
