"""``spikefront confirm``: members of a front retrained with several seeds and evaluated on the test split."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from spikefront.commands.app import command
from spikefront.commands.options import DataDir, Experiment, Folder, PluginsDir, SearchName, TrackingUri
from spikefront.commands.printing import Conclusions, print_conclusions
from spikefront.searchspace.errors import OptionError
from spikefront.searchspace.options import Option, number, text, whole

if TYPE_CHECKING:
    from spikefront.results.confirmations import Confirmations
    from spikefront.runners.engine.settings import SearchSettings

DEFAULT_SEEDS: Final = 5
_MOST_SEEDS: Final = 1000


@command(
    print_conclusions,
    about="Retrain the front with several seeds and evaluate it on the test split.",
    example="confirm --seeds 5 --workers 2",
    formats=True,
)
def confirm(
    search: SearchName = None,
    *,
    seeds: Annotated[int, Option("How", whole), "Trainings of each member"] = DEFAULT_SEEDS,
    workers: Annotated[int | None, Option("How", whole, shown="number of cores"), "Trainings at a time"] = None,
    gpus_per_training: Annotated[
        float, Option("How", number, aliases=("gpus",), shown="none"), "GPUs of one training; 0.25 lets four share one"
    ] = 0.0,
    address: Annotated[str | None, Option("How", text), "Existing Ray cluster, host:port or auto"] = None,
    data_dir: DataDir = None,
    plugins_dir: PluginsDir = (),
    folder: Folder = Path("searches"),
    tracking_uri: TrackingUri = None,
    experiment: Experiment = None,
) -> Conclusions:
    """Retrain the members of a front on training and validation split together, and evaluate them on the test split.

    This, and nothing before it, reads the test split. Results are stored in MLflow at once, and are not measured again
    when confirming is called again.

    Returns:
        A row for each member, cheapest first, and the conclusions, in sentences.

    Raises:
        UsageError: before any training starts, when an option makes no sense.
    """
    from spikefront.results.confirmations import Confirmations
    from spikefront.results.store.connection import Store
    from spikefront.runners.engine.settings import SearchSettings, check_folder

    if not 1 <= seeds <= _MOST_SEEDS:
        raise OptionError("seeds", seeds, f"must be from 1 to {_MOST_SEEDS}; 5 give a useful interval")
    known = Confirmations(Store(tracking_uri, experiment), search)
    try:
        settings = SearchSettings(
            name=known.search.name,
            folder=folder,
            workers=workers,
            gpus_per_trial=gpus_per_training,
            address=address,
            energy_model=known.search.energy_model,
            data_dir=data_dir,
            plugins_dir=plugins_dir,
        )
    except OptionError as error:
        if error.option == "gpus_per_trial":  # its name here is another
            raise OptionError("gpus_per_training", error.value, error.problem) from None
        raise
    check_folder(settings)
    first = int(known.search.options.get("seed", "0")) + 1  # selection has used the one before
    _repeat(known, settings, range(first, first + seeds))
    return Conclusions(*known.conclude(range(first, first + seeds)))


def _repeat(known: Confirmations, settings: SearchSettings, seeds: Sequence[int]) -> None:
    """Make the repeats that are missing, and print how each ended."""
    from spikefront.plugins import load_registry
    from spikefront.runners.engine.confirm import repeat_all
    from spikefront.runners.engine.placing.data import share
    from spikefront.runners.engine.placing.session import RaySession
    from spikefront.runners.judging.confirm import confirmation_data
    from spikefront.searchspace.configured import name_of

    registry = load_registry(settings.plugin_folders)
    registry.need("energy", name_of(settings.energy_model))
    candidates = {trial.number: trial.candidate for trial in known.members}
    members = {number: registry.stored(flat) for number, flat in candidates.items()}
    for candidate in members.values():
        registry.refuse(candidate)
    done = known.known(seeds)
    if len(done) == len(members) * len(seeds):
        return
    first = next(iter(members.values()))
    task = registry.task(first)
    with RaySession(settings) as session:
        data = confirmation_data(task, settings.data_folder, first.steps)
        session.wait()
        shared = share(data, task, settings.data_folder, confirming=True, plugins_dir=settings.plugin_folders)
        del data  # the driver, too, has no copy beside that of its node then
        repeat_all(
            candidates,
            seeds,
            shared,
            plugins_dir=settings.plugin_folders,
            energy_model=settings.energy_model,
            ann_cache=settings.anns.resolve(),
            gpus=settings.gpus_per_trial,
            done=done,
            on_repeat=known.record(len(members) * len(seeds) - len(done)),
        )
