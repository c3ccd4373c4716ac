"""``spikefront twin``: members of a front against ANNs of the same backbones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from spikefront.commands.app import command
from spikefront.commands.options import DataDir, Experiment, Folder, PluginsDir, SearchName, TrackingUri
from spikefront.commands.printing import Conclusions, print_conclusions
from spikefront.commands.retraining import (
    MOST_SEEDS,
    Address,
    GpusPerTraining,
    Workers,
    announce,
    checked_registry,
    counted,
    retraining_settings,
    trainings_of,
)
from spikefront.searchspace.errors import OptionError
from spikefront.searchspace.options import Option, whole

if TYPE_CHECKING:
    from spikefront.results.twins import Twins
    from spikefront.runners.engine.placing.data import Purpose
    from spikefront.runners.engine.settings import SearchSettings


@command(
    print_conclusions,
    about="Compare front members with ANNs of the same backbone, full-precision and quantised.",
    example="twin digits-1",
    formats=True,
)
def twin(
    search: SearchName = None,
    *,
    seeds: Annotated[
        int | None,
        Option("How", whole, shown="those of the confirmation, or else 3"),
        "Seeds under which both are trained",
    ] = None,
    workers: Workers = None,
    gpus_per_training: GpusPerTraining = 0.0,
    address: Address = None,
    data_dir: DataDir = None,
    plugins_dir: PluginsDir = (),
    folder: Folder = Path("searches"),
    tracking_uri: TrackingUri = None,
    experiment: Experiment = None,
) -> Conclusions:
    """Train the ANN of each member's backbone and a quantised network made of it, and compare under the same seeds.

    A front that was confirmed is compared on the test split, with the repeats of its confirmation. Of another one,
    members and twins are trained under the same fresh seeds, and compared on the validation split. Results are stored
    in MLflow at once, and are not trained again; the report shows them.

    Returns:
        A row for each member, cheapest first, and the conclusions, in sentences.

    Raises:
        UsageError: before any training starts, when an option makes no sense.
    """
    from spikefront.results.store.connection import Store
    from spikefront.results.twins import Twins
    from spikefront.runners.judging.twins import break_even_rate

    if seeds is not None and not 1 <= seeds <= MOST_SEEDS:
        raise OptionError("seeds", seeds, f"must be from 1 to {MOST_SEEDS}; a test takes 2 or more")
    known = Twins(Store(tracking_uri, experiment), search, seeds)
    settings = retraining_settings(
        known.search,
        folder=folder,
        workers=workers,
        gpus_per_training=gpus_per_training,
        address=address,
        data_dir=data_dir,
        plugins_dir=plugins_dir,
    )
    _train(known, settings)
    return Conclusions(*known.conclude(break_even_rate))


def _train(known: Twins, settings: SearchSettings) -> None:
    """Train what is missing, and print how each training ended."""
    if not any(known.missing()):
        return
    from spikefront.runners.engine.repeats import Round, repeat_all
    from spikefront.runners.judging.confirm import judge_for_good
    from spikefront.runners.judging.twins import judge_twins_under, why_no_twin

    registry = checked_registry(settings, known.members)
    for trial in known.members:
        if reason := why_no_twin(registry.stored(trial.candidate), registry):
            known.has_none(trial.name, reason)
    members, twins = known.missing()
    if not members and not twins:
        return
    trained = trainings_of(members)
    head = f"{counted(len(trainings_of(twins)), 'training')} of both twins"
    head += f" and {len(trained)} of members" if members else ""
    announce(f"{head}, {known.split} split", trained, known.members, registry)
    take = known.record(len(members) + len(twins))
    purpose: Purpose = "confirm" if known.split == "test" else "search"
    rounds = (Round(purpose, judge_for_good, members, take), Round(purpose, judge_twins_under, twins, take))
    repeat_all({trial.name: trial.candidate for trial in known.members}, rounds, settings)
