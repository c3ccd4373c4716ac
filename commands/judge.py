"""``spikefront judge``: one candidate trained and measured, or one exported network measured, outside of a search."""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

from spikefront.commands.app import add_command, door
from spikefront.commands.options import DataDir, Experiment, PluginsDir, TrackingUri, Verbose
from spikefront.commands.printing import Format, print_rows
from spikefront.runners.engine.settings import OPTIONS
from spikefront.searchspace.errors import OptionError, UsageError
from spikefront.searchspace.options import Option, options_of, path, text
from spikefront.searchspace.targets import check_target

if TYPE_CHECKING:
    import pandas as pd
    import torch

    from spikefront.plugins import EnergyModel, Registry, SearchData
    from spikefront.runners.deploy.model import Model
    from spikefront.runners.judging.judge import Judgement
    from spikefront.searchspace import Candidate, Narrowing
    from spikefront.searchspace.exits import Exit

FORMATS: Final[Mapping[str, str]] = {".pt": "torch", ".safetensors": "safetensors", ".nir": "nir", ".onnx": "onnx"}
"""Formats of exported networks by the ending of the file."""
_COLUMNS: Final = ("quality", "energy_nj", "energy_se_nj", "latency_steps", "parameters", "loss", "seconds")
_CANDIDATE: Final = "a candidate is a mapping of hyperparameter: value, such as steps: 6"


def _what(value: object) -> object:
    """Read what to judge: text names it, all else is it."""
    return text(value) if isinstance(value, (str, Path)) else value


def _model(value: object) -> object:
    """Read an energy model: text names it, all else is it."""
    return text(value) if isinstance(value, str) else value


@dataclass(frozen=True, slots=True)
class _Source:
    """Candidate in its flat form, and what is known where it came from."""

    flat: Mapping[str, object]
    energy_model: str = ""
    origin: str = ""
    stored: Mapping[str, float] = field(default_factory=dict)
    is_trial: bool = False
    file: Path | None = None
    """The exported file, whose network is trained already."""


@door
def judge(
    candidate: Annotated[
        Candidate | Mapping[str, object] | Path | str | None,
        Option("", _what, "WHAT", is_argument=True),
        "SEARCH/TRIAL, SEARCH/TRIAL@T, an MLflow run id, an exported .pt file, or a JSON or YAML file of a candidate",
    ] = None,
    *,
    search: Annotated[
        str | None, Option("Search", text), "Name of the search, where WHAT is the number of a trial"
    ] = None,
    space: Annotated[
        str | Sequence[str] | Mapping[str, object] | None,
        replace(OPTIONS["space"].option, group="What to judge", metavar="NAME=VALUE"),
        "Set a hyperparameter, or a setting of the energy model; repeatable",
    ] = None,
    energy_model: Annotated[
        str | EnergyModel | None,
        Option("What to judge", _model, shown="that of WHAT, or horowitz-45nm"),
        "Prices of operations, perhaps with settings: 'chip-table(node=14nm)'",
    ] = None,
    to: Annotated[Path | str | None, Option("Output", path, "FILE"), "JSON file to write the whole result to"] = None,
    export_to: Annotated[
        Path | str | None,
        Option("Output", path, "FILE", flag="--export"),
        "File to export the network to: .pt, .nir or .onnx",
    ] = None,
    data_dir: DataDir = None,
    plugins_dir: PluginsDir = (),
    tracking_uri: TrackingUri = None,
    experiment: Experiment = None,
    registry: Registry | None = None,
    data: SearchData | None = None,
    device: Any = None,
    ann_cache: Path | None = None,
    on_epoch: Callable[[int, dict[str, float]], None] | None = None,
) -> Judgement:
    """Train and measure one candidate in this process; an exported network is measured as it is.

    With ``space`` a stored candidate, also that of an exported file, is changed and trained anew. A trial of a search
    is trained in one thread, as workers do, so that it gives the numbers of the search. The last arguments are for
    Python alone: ``registry``, the plugins; ``data``, those of the task; ``device``, a GPU where there is one for what
    is stored, and else the CPU; ``ann_cache``, folder of the ANNs of conversion codings; ``on_epoch``, called with the
    epoch, from 1, and its metrics.

    Returns:
        Metrics, operations and network; ``to_json()`` writes them, ``spikefront.export`` exports the network.

    Raises:
        UsageError: for an unknown name, a value outside its range, a missing plugin, parts that do not go together, or
            missing data.
        FloatingPointError: when quality, energy or loss is no finite number after an epoch: its training diverged.
    """
    from spikefront.plugins import load_registry
    from spikefront.runners.judging import judge as judging
    from spikefront.runners.judging.training import device as any_device
    from spikefront.searchspace import Candidate
    from spikefront.searchspace.candidate import altered

    assert isinstance(plugins_dir, tuple)
    _check_targets(to, export_to)
    registry = registry or load_registry(plugins_dir)
    given = candidate.flat() if isinstance(candidate, Candidate) else candidate
    source = _found(given, search, tracking_uri, experiment)
    priced, changes = _split(_narrowings(space))
    flat = altered(source.flat, changes)
    if not flat:
        raise UsageError("name what to judge: SEARCH/TRIAL, a file, or hyperparameters: --set task=digits --set ...")
    model = _energy_model(energy_model or source.energy_model, priced, registry)
    if source.file is not None and not changes:
        found = _measured(source, model, registry, data, data_dir, device or any_device())
    else:
        with threads(1 if source.is_trial and not changes else None):
            found = judging.judge(
                registry.stored(flat) if source.origin or changes else candidate,  # type: ignore[arg-type]
                registry=registry,
                data=data,
                data_dir=None if data_dir is None else Path(data_dir),
                energy_model=model,
                device=device or (any_device() if source.origin else "cpu"),
                ann_cache=ann_cache,
                on_epoch=on_epoch,
            )
    found = replace(found, origin=source.origin, stored={} if changes else source.stored)
    if to is not None:
        Path(to).write_text(found.to_json(), encoding="utf-8")
    if export_to is not None:
        export_judged(found, Path(export_to), FORMATS[Path(export_to).suffix])
    return found


def export_judged(
    found: Judgement, to: Path, format: str, exit: Exit | None = None, reader: str | None = None
) -> Model:
    """Write the network of a judged candidate into a file, with its model card, and return it ready for use.

    Raises:
        UsageError: for an unknown format, a file that can't be written, or a network that the format can't express.
    """
    from spikefront.runners.deploy.description import describe
    from spikefront.runners.deploy.export import check_target, export_model
    from spikefront.runners.deploy.model import Model

    check_target(to, format, exit, reader)
    assert found.registry is not None and found.data is not None and found.energy_model is not None
    description = describe(
        found.candidate,
        found.data,
        found.registry,
        metrics=found.metrics,
        energy_model=str(found.energy_model),
        exit=exit,
    )
    model = Model(description, found.network.state_dict(), found.registry)
    return export_model(model, to, format, registry=found.registry, data=found.data, reader=reader)


def _check_targets(to: Path | str | None, export_to: Path | str | None) -> None:
    """Refuse files that can't be written, before anything is trained."""
    if to is not None:
        check_target(to)
    if export_to is None:
        return
    if Path(export_to).suffix not in FORMATS:
        raise OptionError("export_to", str(export_to), f"must end in {', '.join(FORMATS)}", flag="--export")
    check_target(export_to, "--export", beside=".card.md")
    if to is not None and Path(to) == Path(export_to):
        raise OptionError("export_to", str(export_to), "is the file of --to, too; name another", flag="--export")


def _narrowings(space: object) -> tuple[Narrowing, ...]:
    found: tuple[Narrowing, ...] = OPTIONS["space"].read(space) if space else ()
    return found


def _split(narrowings: Sequence[Narrowing]) -> tuple[list[Narrowing], list[Narrowing]]:
    """Return settings of the energy model, and those of the candidate."""
    priced = [narrowing for narrowing in narrowings if narrowing.pattern.startswith("energy.")]
    return priced, [narrowing for narrowing in narrowings if narrowing not in priced]


def _energy_model(given: str | EnergyModel, priced: Sequence[Narrowing], registry: Registry) -> EnergyModel:
    from spikefront.runners.engine.parts import set_energy_model
    from spikefront.searchspace.configured import name_of
    from spikefront.searchspace.objectives import DEFAULT_ENERGY_MODEL

    if isinstance(given, str):
        registry.need("energy", name_of(given or DEFAULT_ENERGY_MODEL))
        given = registry.energy_model(given or DEFAULT_ENERGY_MODEL)
    return set_energy_model(given, priced)


def _found(
    what: Mapping[str, object] | Path | str | None, search: str | None, uri: str | None, experiment: str | None
) -> _Source:
    """Return the candidate that is named."""
    from spikefront.commands.handle import trial_of

    if what is None or isinstance(what, Mapping):
        return _Source(what or {})
    file, run = Path(what), trial_of(str(what), search)
    if file.is_file() and run == str(what):
        return _in_network(file) if zipfile.is_zipfile(file) else _in_file(file)
    if file.suffix in (*FORMATS, ".json", ".yaml", ".yml"):
        raise UsageError(f"{file}: no such file")
    if "/" not in run and not (len(run) == 32 and run.isalnum()):
        raise UsageError(f"{run!r} is neither a file, nor SEARCH/TRIAL such as digits-1/23, nor an MLflow run id")
    return _in_store(run, uri, experiment)


def _in_store(run: str, uri: str | None, experiment: str | None) -> _Source:
    from spikefront.results.named_trials import fetch_trial
    from spikefront.results.store.connection import Store

    search, trial = fetch_trial(Store(uri, experiment), run)
    origin = f"{search.name}/{trial.name}"
    return _Source(trial.candidate, search.energy_model, origin, trial.metrics, is_trial=True)


def _in_network(file: Path) -> _Source:
    from spikefront.runners.deploy.description import Description
    from spikefront.runners.deploy.torch_file import read_archive

    content, _ = read_archive(file)
    try:
        description = Description.from_json(content)
    except (ValueError, TypeError) as error:
        raise UsageError(f"{file} has a description that this spikefront can't read: {error}") from error
    return _Source(description.candidate, description.energy_model, str(file), description.metrics, file=file)


def _in_file(file: Path) -> _Source:
    """Read a candidate, or what ``to_json`` wrote of one."""
    from spikefront.runners.engine.study_file import read_study_file

    flat = {key: value for key, (value, _) in read_study_file(file, _CANDIDATE).items()}
    candidate, metrics = flat.get("candidate"), flat.get("metrics")
    if not isinstance(candidate, dict):
        return _Source(flat, origin=str(file))
    known = metrics.items() if isinstance(metrics, dict) else ()
    numbers = {name: value for name, value in known if isinstance(value, (int, float))}
    return _Source(candidate, str(flat.get("energy_model") or ""), str(file), numbers)


def _measured(
    source: _Source,
    model: EnergyModel,
    registry: Registry,
    data: SearchData | None,
    data_dir: Path | str | None,
    device: torch.device | str,
) -> Judgement:
    """Measure the network of an exported file on the validation split."""
    from spikefront.runners.deploy.model import load
    from spikefront.runners.judging.judge import Judgement
    from spikefront.runners.judging.measuring import measure, measuring_batch, silent_counts
    from spikefront.runners.judging.sampling import energy_error

    assert source.file is not None
    network = load(source.file, registry=registry, device=device)
    task = registry.task(network.candidate)
    data = data or task.search_data(None if data_dir is None else Path(data_dir), network.candidate.steps)
    batch = measuring_batch(task, data.validation, device)
    metrics, counts = measure(network.network, task, data.validation, batch, model)
    metrics |= energy_error(network.network, batch, model)
    silent = silent_counts(network.network, batch)
    return Judgement(
        network.candidate, metrics, (metrics,), counts, network.network, model, registry, data, silent=silent
    )


@contextmanager
def threads(number: int | None) -> Iterator[None]:
    """Context in which torch uses a number of threads; None for as many as before."""
    import torch

    before = torch.get_num_threads()
    if number is not None:
        torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def rows_of(found: Judgement) -> pd.DataFrame:
    """Return a row with all metrics, and one with those that were stored where the candidate came from."""
    import pandas as pd

    rows = [{"candidate": found.origin or str(found.candidate), **found.metrics}]
    if found.stored:
        rows.append({"candidate": "as stored", **{name: found.stored.get(name) for name in found.metrics}})
    return pd.DataFrame(rows)


def _print(found: Judgement, format_: Format) -> None:
    import pandas as pd

    frame = rows_of(found)
    if format_ is Format.table:  # csv and json have a row for the network as it was asked for; --to has the points
        points = [{"candidate": f"cut at {cut}", **metrics} for cut, metrics in found.points.items()]
        frame = pd.concat([frame, pd.DataFrame(points)]) if points else frame
        frame = frame[["candidate", *(name for name in _COLUMNS if name in frame)]]
    print_rows(frame, format_)


def _judge(*, verbose: Verbose = False, **given: Any) -> Judgement:
    from spikefront.commands.printing import warnings_in_one_line
    from spikefront.plugins import ContractError
    from spikefront.plugins.places import traceback_of
    from spikefront.searchspace.secrets import redact

    try:
        with warnings_in_one_line():
            return judge(**given, on_epoch=say_epoch)
    except (ContractError, FloatingPointError) as error:
        if verbose:
            sys.stderr.write(redact(traceback_of(error)))
        print(f"spikefront: {error}", file=sys.stderr)
        sys.exit(1)


def say_epoch(epoch: int, metrics: Mapping[str, float]) -> None:
    """Print quality and energy after an epoch to stderr."""
    from spikefront.searchspace.units import format_energy, format_quality

    measured = f"quality {format_quality(metrics['quality'])}, energy {format_energy(metrics['energy_nj'])}"
    print(f"epoch {epoch}: {measured}", file=sys.stderr)


add_command(
    _judge,
    _print,
    {**options_of(judge), **options_of(_judge)},
    about="Train and measure one candidate, or measure an exported network, outside of a search.",
    example="judge digits-1/23 --set training.epochs=30 --export net.pt",
    name="judge",
    formats=True,
)
