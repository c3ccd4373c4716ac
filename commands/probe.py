"""``spikefront probe``: how much a task needs time and order."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Final

from spikefront.commands.app import command
from spikefront.commands.options import DataDir, Experiment, PluginsDir, TrackingUri
from spikefront.commands.printing import Format, print_rows
from spikefront.commands.retraining import MOST_SEEDS, Address, GpusPerTraining, Workers, counted, training_settings
from spikefront.runners.engine.settings import OPTIONS
from spikefront.searchspace.errors import OptionError, UsageError
from spikefront.searchspace.options import Option, named, number, text, whole

if TYPE_CHECKING:
    from spikefront.plugins import Registry
    from spikefront.results.searches import StoredSearch
    from spikefront.results.store.connection import Store
    from spikefront.results.temporal import Measured, TemporalProbe
    from spikefront.runners.engine.settings import SearchSettings
    from spikefront.searchspace import Candidate, Narrowing
    from spikefront.searchspace.records import Repeat
    from spikefront.searchspace.temporal import Variant

DEFAULT_SEEDS: Final = 5
_MOST_EPOCHS: Final = 10_000
_COLUMNS: Final = ("variant", "network", "quality", "costs", "95 % interval", "seeds")


def _print(found: TemporalProbe, format_: Format) -> None:
    """Print a row for each variant, then the answer: below a table, on stderr beside any other format."""
    is_table = format_ is Format.table
    frame = found.table
    if is_table:
        interval = [
            f"{low:.4f} to {high:.4f}" if low == low else ""
            for low, high in zip(frame["costs_low"], frame["costs_high"], strict=True)
        ]
        frame = frame.assign(**{"95 % interval": interval})[list(_COLUMNS)]
    print_rows(frame, format_)
    print(found.text, file=sys.stdout if is_table else sys.stderr)


@command(
    _print,
    about="Measure how much a task needs time and order: the same network without them, over several seeds.",
    example="probe mnist1d --seeds 5 --workers 2",
    formats=True,
)
def probe(
    task: Annotated[
        str, Option("", text, "TASK", is_argument=True), "Task to probe; see: spikefront plugins --kind task"
    ],
    *,
    space: Annotated[
        str | Sequence[str] | Mapping[str, object] | None,
        replace(OPTIONS["space"].option, group="What to train", metavar="NAME=VALUE"),
        "Set a hyperparameter of the network or its training; repeatable",
    ] = None,
    epochs: Annotated[
        int | None,
        Option("What to train", whole, shown="15, on sequences 40"),
        "Epochs of each training; short for --set training.epochs=N",
    ] = None,
    seeds: Annotated[int, Option("How", whole), "Trainings of each variant"] = DEFAULT_SEEDS,
    equivalent: Annotated[
        float | None,
        Option("How", number, shown="2 % of what lies between chance and the best possible"),
        "Differences in quality below this count as none",
    ] = None,
    workers: Workers = None,
    gpus_per_training: GpusPerTraining = 0.0,
    address: Address = None,
    data_dir: DataDir = None,
    plugins_dir: PluginsDir = (),
    search: Annotated[
        str | None, Option("Where", named, "SEARCH"), "Search on the task, whose report is to have the answer"
    ] = None,
    tracking_uri: TrackingUri = None,
    experiment: Experiment = None,
) -> TemporalProbe:
    """Measure how much a task needs time and order.

    One network is trained as it is, with its points in one other order (``shuffle``), in a new one for each sample
    (``shuffle-each``), all summed into each (``sum``), read out at the last step only (``last``), without state
    (``NoTD``) and without the gradient through time (``SDBP``), under the same seeds. A task needs order where
    ``shuffle-each`` surely costs quality, and so does ``NoTD`` where that is blind to order, and time where ``sum``
    does, on the validation split. Without ``space`` the
    network has ``direct`` coding, LIF neurons and the backbone of the task's layout: ``convnet`` for images and
    events, else ``mlp``.

    With ``search`` the answer is kept in MLflow, as ``probed.json`` of that search, and its report has it.

    Returns:
        The answer, as sentences, with a table and the quality of each training.

    Raises:
        UsageError: before any training starts, for a search that is not there or is on another task, for an unknown
            name, a value outside its range, parts that do not go together, or missing data; when no training of the
            whole network came to its end.
    """
    from spikefront.plugins import load_registry
    from spikefront.results.store.connection import Store
    from spikefront.results.temporal import conclude, keep_probe

    assert isinstance(plugins_dir, tuple)
    if not 2 <= seeds <= MOST_SEEDS:
        raise OptionError("seeds", seeds, f"must be from 2 to {MOST_SEEDS}; 5 give a useful interval")
    if epochs is not None and not 1 <= epochs <= _MOST_EPOCHS:
        raise OptionError("epochs", epochs, f"must be from 1 to {_MOST_EPOCHS}")
    if equivalent is not None and not 0 <= equivalent < float("inf"):
        raise OptionError("equivalent", equivalent, "must be 0 or more, in the unit of quality")
    registry = load_registry(plugins_dir)
    narrowings: Sequence[Narrowing] = OPTIONS["space"].read(space) if space else ()
    candidate = _candidate(task, narrowings, epochs, registry)
    settings = training_settings(
        name="probe",
        gpus_per_training=gpus_per_training,
        workers=workers,
        address=address,
        data_dir=data_dir,
        plugins_dir=plugins_dir,
    )
    kept = None if search is None else _search_on(task, search, Store(tracking_uri, experiment))
    found = conclude(_measured(candidate, seeds, settings, registry, equivalent))
    if kept is not None:
        keep_probe(kept, found)
    return found


def _search_on(task: str, name: str, store: Store) -> StoredSearch:
    """Return a search on the task.

    Raises:
        UsageError: when there is none of that name, or it is on another task.
    """
    from spikefront.results.searches import StoredSearch

    found = StoredSearch.open(store, name)
    if found.task != task:
        raise UsageError(f"search {name} is on task {found.task}, not {task}")
    return found


def _candidate(task: str, narrowings: Sequence[Narrowing], epochs: int | None, registry: Registry) -> Candidate:
    """Return what is trained."""
    from spikefront.runners.judging.temporal import default_settings, refuse_unprobed
    from spikefront.searchspace import from_flat
    from spikefront.searchspace.candidate import altered, typed

    flat = altered(default_settings(task, registry), narrowings)
    if flat["task"] != task:
        raise UsageError(f"{task} and --set task={flat['task']} are two different ones; give one of them")
    if epochs is not None:
        if given := [each.source for each in narrowings if each.pattern == "training.epochs"]:
            raise UsageError(f"--epochs {epochs} and {given[0]}: give one of them")
        flat["training.epochs"] = epochs
    candidate = from_flat(typed(flat, registry), registry)
    refuse_unprobed(candidate, registry)
    registry.refuse(candidate)
    return candidate


def _measured(
    candidate: Candidate, seeds: int, settings: SearchSettings, registry: Registry, equivalent: float | None
) -> Measured:
    """Make all trainings, and print how each ended."""
    from spikefront.results.temporal import Measured
    from spikefront.runners.engine.repeats import Repeating, Round
    from spikefront.runners.judging.temporal import (
        CHANCE,
        is_blind_without_state,
        judge_variant,
        left_out,
        trained_variants,
    )
    from spikefront.searchspace.temporal import Variant

    task, variants = registry.task(candidate), trained_variants(candidate, registry)
    epochs = candidate.training.schedule.epochs
    asked = f"{counted(len(variants), 'variant')} x {counted(seeds, 'seed')}, {counted(epochs, 'epoch')} each"
    print(f"probe of {candidate}: {asked}", file=sys.stderr, flush=True)
    made: list[Repeat] = []
    with Repeating({"": candidate.flat()}, settings) as repeating:
        for variant in variants:
            say = _saying(variant, task.quality, made, len(variants) * seeds)
            pairs = [("", candidate.seed + number) for number in range(seeds)]
            repeating.run(Round("search", partial(judge_variant, variant=variant), pairs, say))
            if variant is Variant.FULL and not any(repeat.metrics for repeat in made):
                raise UsageError(f"no training of {candidate} came to its end: {made[0].reason}")
    ended = [
        (variants[number // seeds], repeat.seed, repeat.metrics) for number, repeat in enumerate(made) if repeat.metrics
    ]
    return Measured(
        task=task.name,
        candidate=candidate.flat(),
        quality=task.quality,
        maximize=task.maximize,
        chance=ended[0][2][CHANCE],
        best=task.best_quality,
        is_static=task.inputs == "static",
        values={
            variant: {seed: metrics["quality"] for of, seed, metrics in ended if of is variant} for variant in variants
        },
        left_out=left_out(candidate, registry),
        blind=is_blind_without_state(candidate, registry),
        equivalent=equivalent,
    )


def _saying(variant: Variant, quality: str, made: list[Repeat], wanted: int) -> Callable[[Any], None]:
    """Return what takes the repeats of a variant, and prints how each ended."""
    from spikefront.searchspace.units import format_quality

    def say(repeat: Repeat) -> None:
        made.append(repeat)
        ended = f"{quality} {format_quality(repeat.metrics['quality'])}" if repeat.metrics else f"FAIL: {repeat.reason}"
        print(f"{len(made)} of {wanted}: {variant}, seed {repeat.seed}: {ended}", file=sys.stderr, flush=True)

    return say
