"""``spikefront why``: why a trial did not learn."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from spikefront.commands.app import add_command, door
from spikefront.commands.options import DataDir, Experiment, PluginsDir, TrackingUri
from spikefront.commands.printing import Format, print_rows
from spikefront.searchspace.errors import OptionError, UsageError
from spikefront.searchspace.options import Option, options_of, path, text, whole

if TYPE_CHECKING:
    from spikefront.plugins import Registry, Task
    from spikefront.results.searches import StoredSearch
    from spikefront.results.why.explanation import Explanation
    from spikefront.runners.judging.watching import OnEpoch
    from spikefront.searchspace import Candidate, Trial
    from spikefront.searchspace.retraining import Retraining


@door
def why(
    run: Annotated[
        str, Option("", text, "TRIAL", is_argument=True), "Any trial of a search: SEARCH/TRIAL, or an MLflow run id"
    ],
    *,
    search: Annotated[
        str | None, Option("Search", text), "Name of the search, where TRIAL is the number of a trial"
    ] = None,
    epochs: Annotated[
        int | None,
        Option("How", whole, shown="up to the one at which it ended"),
        "Most epochs to train again; 0 for none",
    ] = None,
    picture: Annotated[
        Path | str | None,
        Option("Output", path, "FILE"),
        "Heat map of rates and gradient norms by layer and epoch: .png, .svg, .html, .csv or .json",
    ] = None,
    data_dir: DataDir = None,
    plugins_dir: PluginsDir = (),
    tracking_uri: TrackingUri = None,
    experiment: Experiment = None,
    registry: Registry | None = None,
    on_epoch: OnEpoch | None = None,
) -> Explanation:
    """Train a trial's candidate again, in this process and under its seed, and say why it did not learn.

    Firing rates and gradients of each layer, which a search does not store, are watched as it trains; whether it gave
    the metrics of the search again to the last digit is said. A trial that hung or lost its worker is not trained
    again unless ``epochs`` says so. ``registry`` and ``on_epoch`` are for Python alone: the plugins, and what is
    called with the epoch, from 1, and its metrics.

    Returns:
        The likely cause, the layers by epoch, and the settings that differ from the nearest trial that learnt.

    Raises:
        UsageError: when there is no such trial, it runs, a plugin or data are missing, or the picture can't be written.
    """
    from spikefront.commands.handle import trial_of
    from spikefront.plugins import load_registry
    from spikefront.results.named_trials import fetch_trial
    from spikefront.results.pictures.picture import check_picture
    from spikefront.results.store.connection import Store

    assert isinstance(plugins_dir, tuple)
    if epochs is not None and epochs < 0:
        raise OptionError("epochs", epochs, "must be 0 or more")
    if picture is not None:
        check_picture(picture)
    name = trial_of(re.sub(r"@\d+$", "", run), search)  # a point is of the training whose number it has
    if "/" not in name and not (len(name) == 32 and name.isalnum()):
        raise UsageError(f"{name!r} names no trial; give SEARCH/TRIAL such as digits-1/23, or an MLflow run id")
    found, trial = fetch_trial(Store(tracking_uri, experiment), name)
    if trial.state == "RUNNING":
        raise UsageError(f"trial {found.name}/{trial.number} still runs, or its driver died; ask when it has ended")
    if picture is not None and (reason := _left_out(trial, epochs)):
        raise UsageError(f"picture {picture}: trial {found.name}/{trial.number} is not trained again: {reason}")
    registry = registry or load_registry(plugins_dir)
    folder = None if data_dir is None else Path(data_dir)
    explained = _explained(found, trial, registry, folder, epochs, on_epoch or (lambda epoch, metrics: None))
    if picture is not None:
        explained.picture().save(picture)
    return explained


def _explained(
    search: StoredSearch, trial: Trial, registry: Registry, data_dir: Path | None, epochs: int | None, say: OnEpoch
) -> Explanation:
    from spikefront.results.store.reading import read_error
    from spikefront.results.why.causes import Case
    from spikefront.results.why.explanation import Explanation
    from spikefront.results.why.nearest import learnt_share, nearest_learnt

    candidate = registry.stored(trial.candidate)
    task: Task = registry.task(candidate)
    data = task.search_data(data_dir, candidate.steps)
    chance, best = task.chance_quality(data), task.best_quality
    curves = search.curves([trial], list(trial.metrics))[trial.name] if trial.metrics else {}
    ended = max(curves, default=0) + (trial.state == "FAIL")
    left_out = _left_out(trial, epochs)
    seen = None
    if not left_out:
        seen = _retrained(search, candidate, registry, data, ended if epochs is None else epochs, say)
    flat = candidate.flat()
    shares = [
        learnt_share(one.metrics["quality"], chance, best)
        for one in search.trials
        if one.state == "COMPLETE" and "quality" in one.metrics
    ]
    near = nearest_learnt(flat, search.trials, registry, chance=chance, best=best)
    case = Case(trial, flat, chance, best, max(shares, default=0.0), seen, near)
    stored = read_error(search.store, trial.run_id) if trial.state == "FAIL" else ""
    traceback = stored or (seen.traceback if seen else "")
    return Explanation(f"{search.name}/{trial.number}", case, curves, traceback, left_out)


def _left_out(trial: Trial, epochs: int | None) -> str:
    """Return why a trial is not trained again; empty where it is."""
    from spikefront.runners.failures import LOST_WORKER

    if epochs == 0:
        return "--epochs is 0"
    if epochs is None and (trial.reason == LOST_WORKER or "(--epoch-timeout)" in trial.reason):
        return "it would end this process, too; --epochs trains it all the same"
    return ""


def _retrained(
    search: StoredSearch, candidate: Candidate, registry: Registry, data: Any, epochs: int, say: OnEpoch
) -> Retraining:
    from spikefront.commands.judge import threads
    from spikefront.runners.judging.training import device
    from spikefront.runners.judging.watching import retrain
    from spikefront.searchspace.configured import name_of

    registry.need("energy", name_of(search.energy_model))
    with threads(1):  # as workers have
        return retrain(
            candidate,
            registry=registry,
            data=data,
            energy_model=registry.energy_model(search.energy_model),
            device=device(),
            epochs=max(1, epochs),
            on_epoch=say,
        )


def _print(found: Explanation, format_: Format) -> None:
    """Print the table and the answer; the answer goes to stderr beside rows for programs."""
    is_table = format_ is Format.table
    head, *rest = found.sentences()
    out = sys.stdout if is_table else sys.stderr
    print(head, file=out)
    if not is_table:
        print_rows(found.layers, format_)
    elif not found.layers.empty:
        print_rows(found.table(), format_)
    if is_table and not found.converted.empty:
        print_rows(found.converted, format_)
    for sentence in rest:
        print(sentence, file=out)
    if not found.differences.empty and found.cause.rule != "learnt":
        if is_table:
            print_rows(found.differences, format_)
        else:
            rows = found.differences.itertuples(index=False)
            print(
                "; ".join(f"{name}: {here or 'none'} here, {there or 'none'} there" for name, here, there in rows),
                file=out,
            )
    if found.traceback and found.cause.rule in ("exception", "NaN"):
        print(found.traceback.rstrip(), file=out)


def _why(**given: Any) -> Explanation:
    from spikefront.commands.judge import say_epoch
    from spikefront.commands.printing import warnings_in_one_line

    with warnings_in_one_line():
        return why(**given, on_epoch=say_epoch)


add_command(
    _why,
    _print,
    options_of(why),
    about="Say why a trial did not learn: its layers by epoch, the likely cause, and the nearest that learnt.",
    example="why digits-1/23 --picture why.png",
    name="why",
    formats=True,
)
