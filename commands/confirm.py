"""``spikefront confirm``: members of a front retrained with several seeds and evaluated on the test split."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

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
    from spikefront.results.confirmations import Confirmations
    from spikefront.runners.engine.settings import SearchSettings

DEFAULT_SEEDS: Final = 5


@command(
    print_conclusions,
    about="Retrain the front with several seeds, evaluate it on the test split, and say who stays.",
    example="confirm --seeds 5 --workers 2",
    formats=True,
)
def confirm(
    search: SearchName = None,
    *,
    seeds: Annotated[int, Option("How", whole), "Trainings of each member"] = DEFAULT_SEEDS,
    selection_seeds: Annotated[
        int | None,
        Option("How", whole, shown="1, where members are trained"),
        "More trainings of each, on the training split alone: they tell the luck of selection from the gain of data",
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
    """Retrain the members of a front on training and validation split together, and evaluate them on the test split.

    This, and nothing before it, reads the test split. Results are stored in MLflow at once, and are not measured again
    when confirming is called again. A member stays on the front where its posterior probability of being there is 0.975
    or more, falls where it is 0.025 or less, and is undecided otherwise.

    Returns:
        A row for each member, cheapest first, and the conclusions, in sentences.

    Raises:
        UsageError: before any training starts, when an option makes no sense.
    """
    from spikefront.results.confirmations import Confirmations
    from spikefront.results.store.connection import Store

    if not 1 <= seeds <= MOST_SEEDS:
        raise OptionError("seeds", seeds, f"must be from 1 to {MOST_SEEDS}; 5 give a useful interval")
    if selection_seeds is not None and not 0 <= selection_seeds <= seeds:
        raise OptionError("selection_seeds", selection_seeds, f"must be from 0 to {seeds}, the seeds; 1 is enough")
    known = Confirmations(Store(tracking_uri, experiment), search)
    settings = retraining_settings(
        known.search,
        folder=folder,
        workers=workers,
        gpus_per_training=gpus_per_training,
        address=address,
        data_dir=data_dir,
        plugins_dir=plugins_dir,
    )
    first = int(known.search.options.get("seed", "0")) + 1  # selection has used the one before
    _repeat(known, settings, range(first, first + seeds), selection_seeds)
    return Conclusions(*known.conclude(range(first, first + seeds)))


def _repeat(known: Confirmations, settings: SearchSettings, seeds: Sequence[int], selection_seeds: int | None) -> None:
    """Make the repeats that are missing, and print how each ended."""
    registry = checked_registry(settings, known.members)
    missing = known.missing(seeds)
    few = int(bool(missing)) if selection_seeds is None else selection_seeds
    alone = known.missing(seeds[:few], alone=True)
    if not missing and not alone:
        return
    from spikefront.runners.engine.repeats import Round, repeat_all
    from spikefront.runners.judging.confirm import judge_for_good

    few_alone = trainings_of(alone)
    pairs = [*trainings_of(missing), *few_alone]
    note = f", {len(few_alone)} of them on the training split alone" if alone else ""
    wanted = f"{counted(len(pairs), 'training')} for {counted(len(known.members), 'member')}"
    announce(wanted + note, pairs, known.members, registry)
    take = known.record(len(missing) + len(alone))
    rounds = (
        Round("confirm", judge_for_good, missing, take),
        Round("alone", judge_for_good, alone, partial(take, alone=True)),
    )
    repeat_all({trial.name: trial.candidate for trial in known.members}, rounds, settings)
