"""``spikefront export``: a trained network of a front as a file."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

from spikefront.commands.app import add_command, door
from spikefront.commands.options import DataDir, Experiment, PluginsDir, TrackingUri
from spikefront.searchspace.options import Option, options_of, path, text

if TYPE_CHECKING:
    from spikefront.runners.deploy.model import Model
    from spikefront.runners.judging.judge import Judgement
    from spikefront.searchspace.exits import Exit


def _exit(value: object) -> object:
    from spikefront.searchspace.exits import Exit

    return value if isinstance(value, Exit) else Exit.parse(str(text(value)))


@door
def export(
    run: Annotated[
        str | Judgement,
        Option("", lambda run: run if hasattr(run, "network") else text(run), "RUN", is_argument=True),
        "Member of a front: SEARCH/TRIAL, SEARCH/TRIAL@T for a point, or an MLflow run id",
    ],
    to: Annotated[
        Path | str,
        Option("Output", path, "FILE"),
        "File to write, of mlflow a folder; its model card goes to FILE.card.md",
    ],
    *,
    search: Annotated[
        str | None, Option("Search", text), "Name of the search, where RUN is the number of a trial"
    ] = None,
    format: Annotated[
        str, Option("Output", text, aliases=("form",)), "torch, safetensors, mlflow, nir, onnx or neurobench"
    ] = "torch",
    for_: Annotated[
        str | None,
        Option("Output", text, "READER"),
        "Whom a NIR file is for, where readers disagree: spikingjelly, snntorch, norse or sinabs",
    ] = None,
    exit: Annotated[
        Exit | str | None,
        Option("Output", _exit, "RULE:THRESHOLD"),
        "Stop early, sample by sample: max:0.9, entropy:0.2 or gap:1.5; spikefront exits shows what that gives",
    ] = None,
    data_dir: DataDir = None,
    plugins_dir: PluginsDir = (),
    tracking_uri: TrackingUri = None,
    experiment: Experiment = None,
) -> Model:
    """Export a member of a front, as ``spikefront export`` does, or what ``judge`` returned; return it ready for use.

    Raises:
        UsageError: when there is no such member, or the format can't express it.
    """
    from spikefront.commands.handle import trial_of
    from spikefront.commands.judge import export_judged
    from spikefront.commands.printing import warnings_in_one_line
    from spikefront.plugins import load_registry
    from spikefront.results.named_trials import fetch_member
    from spikefront.results.store.connection import Store
    from spikefront.runners.deploy.description import Origin
    from spikefront.runners.deploy.export import check_target, export_trained

    assert not isinstance(exit, str)
    if not isinstance(run, str):
        return export_judged(run, Path(to), format, exit, for_)
    check_target(Path(to), format, exit, for_)
    with TemporaryDirectory() as folder, warnings_in_one_line():
        member = fetch_member(Store(tracking_uri, experiment), trial_of(run, search), Path(folder))
        trial = member.trial
        return export_trained(
            Path(to),
            format,
            candidate=trial.candidate,
            weights=member.weights,
            registry=load_registry(_folders(plugins_dir)),
            metrics=trial.metrics,
            plugins=member.plugins,
            energy_model=member.energy_model,
            origin=Origin(member.search, trial.name, trial.run_id, member.commit),
            confirmation=member.confirmed,
            data_dir=None if data_dir is None else Path(data_dir),
            exit=exit,
            reader=for_,
        )


def _folders(plugins_dir: object) -> tuple[Path, ...]:
    assert isinstance(plugins_dir, tuple)
    return plugins_dir


def _export(**given: Any) -> None:
    export(**given)
    print(f"{given['to']}\n{given['to']}.card.md")


add_command(
    _export,
    None,
    options_of(export),
    about="Write a trained network of a front into a file, with its model card.",
    example="export digits-1/23 --to net.pt",
    name="export",
)
