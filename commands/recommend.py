"""``spikefront recommend``: which coding is the best within a budget, and how surely."""

from __future__ import annotations

import math
import sys
import time as clock
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from spikefront.commands.app import command
from spikefront.commands.options import DataDir, Experiment, Folder, PluginsDir, SearchName, TrackingUri
from spikefront.commands.printing import Format, print_rows
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
from spikefront.results.recommendation import PER_CODING
from spikefront.searchspace.errors import OptionError
from spikefront.searchspace.options import Option, duration, energy, number, text, whole
from spikefront.searchspace.secrets import redact, redacted_command

if TYPE_CHECKING:
    from spikefront.results.recommendation.answer import Recommendation
    from spikefront.results.recommendation.recommending import Recommending
    from spikefront.results.searches import StoredSearch
    from spikefront.runners.engine.settings import SearchSettings

TEST_SEEDS: Final = 3
_MOST_CANDIDATES: Final = 20
_MOST_TRAININGS: Final = 100_000


def _print(found: Recommendation, format_: Format) -> None:
    """Print a row for each coding, then the answer: below a table, on stderr beside any other format."""
    print_rows(found.table, format_)
    print(found.text, file=sys.stdout if format_ is Format.table else sys.stderr)


@command(
    _print,
    about="Find which coding is the best within a budget, and how surely, by further trainings.",
    example="recommend digits-1 --max-energy 100nJ --workers 2",
    formats=True,
)
def recommend(
    search: SearchName = None,
    *,
    max_energy: Annotated[
        float | str | None,
        Option("Budget of a network", energy, "ENERGY", shown="the answer for each"),
        "Most energy per sample: 100nJ, 2uJ",
    ] = None,
    max_latency: Annotated[float | None, Option("Budget of a network", number), "Most time steps"] = None,
    min_quality: Annotated[
        float | None, Option("Budget of a network", number), "Least quality, for example 0.9"
    ] = None,
    trainings: Annotated[
        int | None,
        Option("How", whole, shown="5 for each candidate, and those for the test split"),
        "Most trainings, with those of earlier calls",
    ] = None,
    time: Annotated[
        float | str | None, Option("How", duration, "DURATION"), "Begin no training after this long: 30m"
    ] = None,
    candidates: Annotated[
        int | None,
        Option("How", whole, shown=f"{PER_CODING} within a budget, else 1 for each of several"),
        "Candidates of each coding, the best in the search",
    ] = None,
    test_seeds: Annotated[
        int, Option("How", whole), "Trainings of the best and its rivals for the test split; 0 leaves it unread"
    ] = TEST_SEEDS,
    equivalent: Annotated[
        float | None,
        Option("How", number, shown="the error of the validation split, where quality is an accuracy"),
        "Leads in quality below this count as none",
    ] = None,
    register: Annotated[
        str | None,
        Option("Output", text, "MODEL"),
        "Register the best one's network in MLflow under this name, with the alias champion",
    ] = None,
    workers: Workers = None,
    gpus_per_training: GpusPerTraining = 0.0,
    address: Address = None,
    data_dir: DataDir = None,
    plugins_dir: PluginsDir = (),
    folder: Folder = Path("searches"),
    tracking_uri: TrackingUri = None,
    experiment: Experiment = None,
) -> Recommendation:
    """Find which coding is the best within a budget, and how surely.

    The best candidates of each coding within the budget, by their validation quality in the search, are trained under
    fresh seeds, the same for all. After three each, seeds go where they decide most, until one coding is the best
    surely, or the trainings are used up. The test split is read at the end, for the best and its rivals. Results are
    stored in MLflow at once, and are not measured again when it is called again. Without an energy budget the answer is
    given for each.

    Returns:
        The answer, as sentences, and as a record with a table and a picture.

    Raises:
        UsageError: before any training starts, when an option makes no sense, or no candidate keeps to the budget.
    """
    from spikefront.results.recommendation.recommending import Recommending
    from spikefront.results.store.connection import Store
    from spikefront.results.store.registered import check_model_name
    from spikefront.searchspace.objectives import Limits

    assert not isinstance(max_energy, str) and not isinstance(time, str)
    _check(trainings, candidates, test_seeds, equivalent, max_latency)
    if register is not None:
        check_model_name(register)
    known = Recommending(
        Store(tracking_uri, experiment),
        search,
        Limits(max_energy_nj=max_energy, max_latency_steps=max_latency, min_quality=min_quality),
        per_coding=candidates,
        trainings=trainings,
        test_seeds=test_seeds,
        delta=equivalent,
    )
    settings = retraining_settings(
        known.search,
        folder=folder,
        workers=workers,
        gpus_per_training=gpus_per_training,
        address=address,
        data_dir=data_dir,
        plugins_dir=plugins_dir,
    )
    _train(known, settings, time)
    found = known.conclude(_where(tracking_uri, experiment))
    if register is not None:
        _register(known.search, found, settings, register)
    return found


def _register(search: StoredSearch, found: Recommendation, settings: SearchSettings, model: str) -> None:
    """Register the network that is recommended, as the search trained it; what keeps it from that is a warning."""
    from tempfile import TemporaryDirectory

    from spikefront.commands.export import export
    from spikefront.commands.printing import warn, warnings_in_one_line
    from spikefront.results.store.registered import CHAMPION, register_model

    name = f"{search.run_id}/{found.trial}"
    try:
        with TemporaryDirectory() as folder, warnings_in_one_line():
            made = Path(folder) / "model"
            exported = export(
                name,
                made,
                format="mlflow",
                data_dir=settings.data_dir,
                plugins_dir=settings.plugins_dir,
                tracking_uri=search.store.uri,
                experiment=search.store.experiment,
            )
            described = exported.description
            version = register_model(search.store, described.origin.run_id, made, model, found.text)
    except Exception as error:  # the answer stands, whatever MLflow or a plugin raises
        reason = redact(" ".join(str(error).split()))[:300]
        warn(f"trial {found.trial} of {search.name} is not registered as {model!r}: {reason}")
        return
    print(f"registered: models:/{model}@{CHAMPION} is version {version}, trial {found.trial}", file=sys.stderr)


def _where(tracking_uri: str | None, experiment: str | None) -> str:
    """Return the options of the store as a command has them, without a password."""
    given = {"--tracking-uri": tracking_uri, "--experiment": experiment}
    words = [word for flag, value in given.items() if value is not None for word in (flag, value)]
    return f" {redacted_command(words)}" if words else ""


def _check(
    trainings: int | None,
    candidates: int | None,
    test_seeds: int,
    equivalent: float | None,
    max_latency: float | None,
) -> None:
    """Raise ``OptionError`` for options that make no sense whatever the search is."""
    for name, value, least, most in (
        ("trainings", trainings, 1, _MOST_TRAININGS),
        ("candidates", candidates, 1, _MOST_CANDIDATES),
        ("test_seeds", test_seeds, 0, MOST_SEEDS),
    ):
        if value is not None and not least <= value <= most:
            raise OptionError(name, value, f"must be from {least} to {most}")
    if equivalent is not None and not 0 <= equivalent < math.inf:
        raise OptionError("equivalent", equivalent, "must be 0 or more, in the unit of quality")
    if max_latency is not None and not max_latency > 0:
        raise OptionError("max_latency", max_latency, "must be above 0, in time steps")


def _train(known: Recommending, settings: SearchSettings, time: float | None) -> None:
    """Train what the answer needs, and print how each training ended."""
    trained = known.chosen
    registry = checked_registry(settings, trained)
    first = known.start()
    if not first and not known.next(settings.worker_count) and not known.to_test():
        return
    from spikefront.runners.engine.repeats import Repeating, Round
    from spikefront.runners.judging.confirm import judge_by_sample, judge_for_good

    began = clock.monotonic()
    until = None if time is None else began + time
    codings = len({trial.coding for trial in trained})
    head = f"{counted(len(trained), 'candidate')} of {counted(codings, 'coding')}, at most "
    head += f"{counted(known.left(), 'training')} more"
    announce(head, trainings_of(first), trained, registry)
    flats = {trial.name: trial.candidate for trial in known.candidates}
    take, take_test = known.record("validation"), known.record("test")
    with Repeating(flats, settings) as repeating:
        while pairs := known.start() or known.next(settings.worker_count):
            if until is not None and not known.has_time(clock.monotonic() - began, time or 0.0):
                break
            repeating.run(Round("search", judge_by_sample, pairs, take, until))
        repeating.run(Round("confirm", judge_for_good, known.to_test(), take_test, until))
