"""``spikefront exits``: what a trained network gains by stopping early, sample by sample, beside fixed steps."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Final

from spikefront.commands.app import command
from spikefront.commands.options import DataDir, Experiment, PluginsDir, TrackingUri
from spikefront.commands.printing import Conclusions, Format, print_rows
from spikefront.searchspace.errors import OptionError
from spikefront.searchspace.options import Option, number, path, switch, text

if TYPE_CHECKING:
    import pandas as pd

    from spikefront.plugins import EnergyModel, Registry, SearchData, Task
    from spikefront.runners.judging.exits import ExitCurves, ExitPoint
    from spikefront.runners.judging.judge import Judgement
    from spikefront.runners.judging.network import Network

_LEAST: Final = 0.0005  # share of the energy: what is less is written as 0.0 %
_SHOWN: Final = 12
"""Points of a curve that a table shows; csv and json have all."""


def _print(found: Conclusions, format_: Format) -> None:
    frame = found.frame
    if format_ is Format.table:
        frame = frame.groupby("curve", sort=False, group_keys=False)[list(frame.columns)].apply(_thinned)
    print_rows(frame, format_)
    if format_ in (Format.table, Format.markdown):
        print("\n".join(found.sentences))


@command(
    _print,
    about="Compare stopping early, sample by sample, with fixed numbers of steps, for one trained network.",
    example="exits digits-1/23 --to exits.png",
    formats=True,
)
def exits(
    what: Annotated[
        str | Judgement,
        Option("", lambda what: what if hasattr(what, "network") else text(what), "WHAT", is_argument=True),
        "Member of a front: SEARCH/TRIAL, or an MLflow run id; or an exported .pt file",
    ],
    *,
    search: Annotated[
        str | None, Option("Search", text), "Name of the search, where WHAT is the number of a trial"
    ] = None,
    tolerance: Annotated[
        float, Option("What to choose", number), "Quality that stopping early may cost, beside all steps"
    ] = 0.001,
    test: Annotated[
        bool, Option("What to choose", switch), "Read the test split, once, for what was chosen on the validation split"
    ] = False,
    to: Annotated[
        Path | str | None, Option("Output", path, "FILE"), "Picture to write: .png, .svg, .html, .csv or .json"
    ] = None,
    data_dir: DataDir = None,
    plugins_dir: PluginsDir = (),
    tracking_uri: TrackingUri = None,
    experiment: Experiment = None,
) -> Conclusions:
    """Compare early exits of a trained network of classes with fixed numbers of steps, as ``spikefront exits`` does.

    The exit is chosen on the validation split: of all thresholds of all rules whose quality is within ``tolerance`` of
    that of all steps, the one of least mean energy. So are the fixed steps beside it. In Python ``what`` can be what
    ``judge`` returned, too. ``spikefront export --exit`` writes a network with the exit that was chosen.

    Returns:
        ``frame``, a row for each number of steps and each threshold, and ``sentences``: what was chosen, and whether
        it beats fixed steps.

    Raises:
        UsageError: when there is no such member, or its network has no exits.
    """
    from spikefront.results.pictures.exits import exits_picture
    from spikefront.results.pictures.picture import check_picture
    from spikefront.runners.judging.exits import exit_curves, refuse_exits

    assert isinstance(plugins_dir, tuple)
    if tolerance < 0:
        raise OptionError("tolerance", tolerance, "must be 0 or more")
    if to is not None:
        check_picture(to)
    folder = None if data_dir is None else Path(data_dir)
    network, task, data, model, name = _found(what, search, folder, plugins_dir, tracking_uri, experiment)
    refuse_exits(network, task)
    held_out = task.test_data(folder, network.coding.steps) if test else None
    found = exit_curves(network, task, data.validation, model, tolerance=tolerance, test=held_out)
    frame = _rows(found)
    if to is not None:
        rows = [{**row, "threshold": str(row["threshold"])} for row in frame.to_dict(orient="records")]
        exits_picture(rows, name, task.quality).save(to)
    return Conclusions(frame, _sentences(found))


def _found(
    what: str | Judgement,
    search: str | None,
    data_dir: Path | None,
    plugins_dir: tuple[Path, ...],
    uri: str | None,
    experiment: str | None,
) -> tuple[Network, Task, SearchData, EnergyModel, str]:
    """Return the network that is named, its task and data, what prices it, and what it is called."""
    from spikefront.commands.handle import trial_of
    from spikefront.plugins import load_registry
    from spikefront.results.named_trials import fetch_member
    from spikefront.results.store.connection import Store
    from spikefront.runners.deploy.export import rebuilt
    from spikefront.runners.deploy.model import load

    if not isinstance(what, str):
        assert what.registry is not None and what.data is not None and what.energy_model is not None
        task = what.registry.task(what.candidate)
        return what.network, task, what.data, what.energy_model, what.origin or str(what.candidate)
    registry: Registry = load_registry(plugins_dir)
    if Path(what).is_file() and zipfile.is_zipfile(what):
        model = load(what, registry=registry)
        task = registry.task(model.candidate)
        data = task.search_data(data_dir, model.candidate.steps)
        return model.network, task, data, registry.energy_model(model.description.energy_model), what
    with TemporaryDirectory() as folder:
        member = fetch_member(Store(uri, experiment), trial_of(what, search), Path(folder))
        trial = member.trial
        model, data = rebuilt(
            trial.candidate,
            member.weights,
            registry,
            data_dir=data_dir,
            metrics=trial.metrics,
            plugins=member.plugins,
        )
    name = f"trial {trial.number} of {member.search}, {model.candidate.coding.name}"
    return model.network, registry.task(model.candidate), data, registry.energy_model(member.energy_model), name


def _rows(found: ExitCurves) -> pd.DataFrame:
    import pandas as pd

    from spikefront.results.pictures.exits import FIXED

    return pd.DataFrame(
        {
            "curve": FIXED if point.exit is None else point.exit.rule,
            "threshold": "" if point.exit is None else point.exit.threshold,
            "quality": point.quality,
            "energy_nj": point.energy_nj,
            "steps": point.steps,
            "latency_steps": point.latency_steps,
            "most_steps": point.most_steps,
            "chosen": point in (found.chosen, found.best_fixed),
        }
        for curve in (found.fixed, *found.exits.values())
        for point in curve
    )


def _thinned(rows: pd.DataFrame) -> pd.DataFrame:
    """Return evenly spaced rows of a curve, and what was chosen."""
    step = max(1, -(-len(rows) // _SHOWN))
    last = len(rows) - 1
    kept = [at for at in range(len(rows)) if at % step == 0 or at == last or rows["chosen"].iloc[at]]
    return rows.iloc[kept]


def _sentences(found: ExitCurves) -> Sequence[str]:
    whole, best, chosen = found.fixed[-1], found.best_fixed, found.chosen
    said = [f"All {whole.steps:g} steps: {_measured(whole)}."]
    if best != whole:
        said.append(f"Cheapest fixed steps within {found.tolerance:g} of that quality: {_measured(best)}.")
    else:
        said.append(f"No fewer steps are within {found.tolerance:g} of that quality.")
    if chosen is None:
        return [*said, f"No exit is within {found.tolerance:g} of that quality."]
    said.append(f"Cheapest exit within it: {chosen.exit}, {_measured(chosen)}; some samples take {chosen.most_steps}.")
    if abs(found.saves) < _LEAST:
        said.append("The exit takes the energy of the best fixed number of steps: it saves nothing.")
    elif found.saves > 0:
        said.append(f"The exit takes {found.saves:.1%} less energy than the best fixed number of steps.")
    else:
        said.append(f"Fixed steps are better: the exit takes {-found.saves:.1%} more energy than they do.")
    if found.tested:
        said.append(f"On the test split: {'; '.join(map(_measured, found.tested))}.")
    return said


def _measured(point: ExitPoint) -> str:
    from spikefront.searchspace.units import format_energy, format_quality

    steps = f"{point.steps:.2f} steps on average" if point.exit else f"{point.steps:g} steps"
    return f"{steps}, quality {format_quality(point.quality)}, {format_energy(point.energy_nj)} a sample"


__all__ = ["exits"]
