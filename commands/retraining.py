"""What commands share that train members of a front again: options, settings, checks and the cost."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Final

from spikefront.searchspace.errors import OptionError
from spikefront.searchspace.options import Option, number, text, whole
from spikefront.searchspace.units import format_duration

if TYPE_CHECKING:
    from spikefront.plugins import Registry
    from spikefront.results.searches import StoredSearch
    from spikefront.runners.engine.settings import SearchSettings
    from spikefront.searchspace.trial import Trial

Workers = Annotated[int | None, Option("How", whole, shown="number of cores"), "Trainings at a time"]
GpusPerTraining = Annotated[
    float, Option("How", number, aliases=("gpus",), shown="none"), "GPUs of one training; 0.25 lets four share one"
]
Address = Annotated[str | None, Option("How", text), "Existing Ray cluster, host:port or auto"]

MOST_SEEDS: Final = 1000


def retraining_settings(search: StoredSearch, *, gpus_per_training: float, **options: object) -> SearchSettings:
    """Return the settings with which members of a search that has ended are trained again.

    Args:
        search: the search.
        gpus_per_training: GPUs of one training.
        options: others of ``SearchSettings``, by name.

    Raises:
        OptionError: when one makes no sense, or the search's folder can't be written.
    """
    from spikefront.runners.engine.settings import check_folder

    settings = training_settings(
        name=search.name, energy_model=search.energy_model, gpus_per_training=gpus_per_training, **options
    )
    check_folder(settings)
    return settings


def training_settings(*, name: str, gpus_per_training: float, **options: object) -> SearchSettings:
    """Return the settings of trainings outside of a search.

    Args:
        name: what they are for.
        gpus_per_training: GPUs of one training.
        options: others of ``SearchSettings``, by name.

    Raises:
        OptionError: when one makes no sense.
    """
    from spikefront.runners.engine.settings import SearchSettings

    try:
        return SearchSettings(name=name, gpus_per_trial=gpus_per_training, **options)  # type: ignore[arg-type]
    except OptionError as error:
        if error.option == "gpus_per_trial":  # its name here is another
            raise OptionError("gpus_per_training", error.value, error.problem) from None
        raise


def checked_registry(settings: SearchSettings, members: Sequence[Trial]) -> Registry:
    """Return the plugins, with which members of a front can be trained again.

    Raises:
        UsageError: when one is missing, or they don't go together any more.
    """
    from spikefront.plugins import load_registry
    from spikefront.searchspace.configured import name_of

    registry = load_registry(settings.plugin_folders)
    registry.need("energy", name_of(settings.energy_model))
    for trial in members:
        registry.refuse(registry.stored(trial.candidate))
    return registry


def counted(number: int, what: str) -> str:
    """Return a number of things in words: ``1 member``, ``2 members``."""
    return f"{number} {what}{'s' * (number != 1)}"


def trainings_of(pairs: Sequence[tuple[str, int]]) -> list[tuple[int, int]]:
    """Return the trainings that repeats of trials and their points take: numbers of trials, and seeds."""
    from spikefront.searchspace.trial import read_name

    return list(dict.fromkeys((read_name(name)[0], seed) for name, seed in pairs))


def announce(trainings: str, pairs: Sequence[tuple[int, int]], members: Sequence[Trial], registry: Registry) -> None:
    """Print to stderr which trainings are to come, and how long those of members take by what the search measured.

    Args:
        trainings: the beginning of the sentence.
        pairs: trainings, as ``trainings_of`` has them; one that stands there twice is made twice.
        members: the trials and points.
        registry: their plugins.
    """
    each = {trial.number: _seconds(trial, registry) for trial in members}
    total = sum(each[trial] for trial, _ in pairs)
    took = f", about {format_duration(total)} of training by what the search took" if total >= 1 else ""
    print(trainings + took, file=sys.stderr, flush=True)


def _seconds(trial: Trial, registry: Registry) -> float:
    """Return how long the training of a trial took; 0 where that was not measured."""
    from spikefront.plugins.bases.conversion import Conversion

    candidate = registry.stored(trial.candidate)
    is_one = issubclass(registry.get("coding", candidate.coding.name), Conversion)  # its epochs are measured as one
    return trial.metrics.get("seconds", 0.0) * (1 if is_one else candidate.training.schedule.epochs)
