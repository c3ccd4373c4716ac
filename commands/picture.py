"""``spikefront picture``: what a member of a front does, drawn anew."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

from spikefront.commands.app import command
from spikefront.commands.options import DataDir, Experiment, PluginsDir, TrackingUri
from spikefront.searchspace.errors import OptionError
from spikefront.searchspace.options import Option, path, text, whole
from spikefront.searchspace.targets import obstacle


def _print(files: Sequence[Path]) -> None:
    for file in files:
        print(file)


def _check(folder: Path) -> None:
    if above := obstacle(folder):
        raise OptionError("to", folder, f": {above} is not a folder that can be written; choose another")


@command(
    _print,
    about="Draw what a member does: the spikes of a sample over time, and its outputs against what is true.",
    example="picture digits-1/23 --sample 17 --format svg",
)
def picture(
    run: Annotated[
        str,
        Option("", text, "RUN", is_argument=True),
        "Member of a front: SEARCH/TRIAL, SEARCH/TRIAL@T for a point, or an MLflow run id",
    ],
    *,
    search: Annotated[
        str | None, Option("Search", text), "Name of the search, where RUN is the number of a trial"
    ] = None,
    sample: Annotated[int, Option("What to draw", whole), "Sample of the validation split, from 0"] = 0,
    to: Annotated[Path | str | None, Option("Output", path, "FOLDER", shown="SEARCH-TRIAL"), "Folder to write"] = None,
    format: Annotated[str, Option("Output", text), "png, svg, html, csv (the data behind them) or json"] = "png",
    data_dir: DataDir = None,
    plugins_dir: PluginsDir = (),
    tracking_uri: TrackingUri = None,
    experiment: Experiment = None,
) -> list[Path]:
    """Draw what a member of a front does with a sample, and with the validation split; keep the data behind it.

    Its network is rebuilt with its weights. What it does goes to the trial's ``activity.json`` in MLflow, from where
    the report and ``search.plot`` take it; of a generation there is no matrix.

    Returns:
        The files: the raster, and the confusion matrix or predicted against true values.

    Raises:
        UsageError: when there is no such member or sample, it has no weights, or the files can't be written.
    """
    from spikefront.commands.handle import trial_of
    from spikefront.commands.printing import warnings_in_one_line
    from spikefront.plugins import load_registry
    from spikefront.results.named_trials import fetch_member
    from spikefront.results.pictures.activity import matrix_picture, raster_picture
    from spikefront.results.pictures.picture import FORMATS
    from spikefront.results.store.artifacts import keep_text
    from spikefront.results.store.connection import Store
    from spikefront.runners.deploy.export import rebuilt
    from spikefront.runners.judging.activity import activity_of
    from spikefront.searchspace.trial import ACTIVITY

    assert isinstance(plugins_dir, tuple)
    if f".{format}" not in FORMATS:
        raise OptionError("format", format, f"is none of {', '.join(FORMATS).replace('.', '')}")
    if sample < 0:
        raise OptionError("sample", sample, "must be 0 or more")
    if to is not None:
        _check(Path(to))
    store = Store(tracking_uri, experiment)
    with TemporaryDirectory() as scratch, warnings_in_one_line():
        member = fetch_member(store, trial_of(run, search), Path(scratch))
        trial = member.trial
        folder = Path(f"{member.search}-{trial.name}" if to is None else to)
        _check(folder)
        registry = load_registry(plugins_dir)
        model, data = rebuilt(
            trial.candidate,
            member.weights,
            registry,
            data_dir=None if data_dir is None else Path(data_dir),
            metrics=trial.metrics,
            plugins=member.plugins,
        )
        samples = len(data.validation)
        if sample >= samples:
            raise OptionError("sample", sample, f"is not in the validation split, which has 0 to {samples - 1}")
        task = registry.task(model.candidate)
        made = activity_of(model.network, task, data.validation, data.classes, sample)
    keep_text(store, trial.run_id, json.dumps(made.to_dict(), separators=(",", ":")), ACTIVITY)
    of = f"trial {trial.name}, {model.candidate.coding.name}"
    drawn = {"raster": raster_picture(made, of), "matrix": matrix_picture(made, of)}
    folder.mkdir(parents=True, exist_ok=True)
    return [each.save(folder / f"{name}.{format}") for name, each in drawn.items() if each is not None]
