"""What a user asks of a search."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, get_args

from spikefront.searchspace import UnknownName, UsageError
from spikefront.searchspace.units import parse_count, parse_duration, parse_energy, parse_shares

SamplerName = Literal["tpe", "nsga2", "gp", "random"]
SAMPLERS: Final[tuple[str, ...]] = get_args(SamplerName)
TellStopped = Literal["pruned", "partial"]
"""What a sampler is told of a trial that was stopped early: that it was, or the values that it had reached."""

DEFAULT_TRIALS: Final = 24


def cores() -> int:
    """Return the processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True, slots=True)
class Limits:
    """What a candidate should keep to; the sampler learns to prefer those that do.

    Attributes:
        max_energy_nj: energy per sample, in nanojoules.
        max_latency_steps: time steps to the output.
        max_parameters: learnt parameters.
        min_quality: quality on the validation split.
    """

    max_energy_nj: float | None = None
    max_latency_steps: float | None = None
    max_parameters: float | None = None
    min_quality: float | None = None

    def violations(self, metrics: Mapping[str, float], maximize: bool = True) -> dict[str, float]:
        """Return how far each limit is overstepped, 0 or less where it is kept.

        Energy, latency and parameters are compared by the logarithm of their ratio to the limit: one scale for all.

        Args:
            metrics: what was measured.
            maximize: whether more quality is better; ``min_quality`` is else the most that is allowed.
        """
        found = {}
        for metric in ("energy_nj", "latency_steps", "parameters"):
            limit = getattr(self, f"max_{metric}")
            if limit is not None:
                found[metric] = math.log10(max(metrics[metric], 1e-9) / limit)
        if self.min_quality is not None:
            found["quality"] = (self.min_quality - metrics["quality"]) * (1 if maximize else -1)
        return found


NO_LIMITS: Final = Limits()


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """How to search; what is searched is the ``Space``.

    Attributes:
        name: the search's name: its folder, its Optuna study, its MLflow tag.
        folder: the search's own folder, which must not hold another search.
        trials: trials to judge, or None when only the time is limited.
        time_s: seconds after which no trial goes on, or None.
        workers: trials at a time; on a cluster, at most this many.
        seed: seed of the sampler.
        sampler: which Optuna sampler proposes candidates.
        latency_objective: whether latency, in time steps, is a third objective.
        gpus_per_trial: GPUs of one trial; a fraction shares one.
        address: an existing Ray cluster, or None for this machine.
        energy_model: name of the plugin that prices operations.
        data_dir: where the user keeps data.
        plugin_dirs: folders with loose plugin files.
        priors: whether the first candidates are each coding's defaults and published settings.
        begin_from: name of a search in the same folder whose front is judged first, or None.
        cost_aware: whether cheap candidates come first, and none is begun that can't end in time.
        limits: what candidates should keep to.
        early_stopping: whether trials that are behind, silent or saturated are stopped before their last epoch.
        rungs: shares of a trial's epochs at which it is compared; None for the default.
        reduction: at each of them about one in this many goes on.
        epoch_timeout_s: seconds after which an epoch, or the building of a candidate, is taken to hang, so that its
            trial fails; a conversion coding may take twice as long for each epoch of its ANN. None for never.
        tell_stopped: what the sampler is told of a trial that was stopped early.
        target_hypervolume: hypervolume of the front, in (0, 1], at which the search ends, or None.
        resume: whether to go on with the search that is in the folder; ``trials`` and ``time_s`` count from its start.

    Raises:
        UsageError: when a value makes no sense.
    """

    name: str
    folder: Path
    trials: int | None = 24
    time_s: float | None = None
    workers: int = 1
    seed: int = 0
    sampler: str = "tpe"
    latency_objective: bool = False
    gpus_per_trial: float = 0.0
    address: str | None = None
    energy_model: str = "horowitz-45nm"
    data_dir: Path | None = None
    plugin_dirs: tuple[Path, ...] = ()
    priors: bool = False
    begin_from: str | None = None
    cost_aware: bool = True
    limits: Limits = NO_LIMITS
    early_stopping: bool = True
    rungs: tuple[float, ...] | None = None
    reduction: int = 3
    epoch_timeout_s: float | None = 3600.0
    tell_stopped: TellStopped = "pruned"
    target_hypervolume: float | None = None
    resume: bool = False

    def __post_init__(self) -> None:
        for flag, value in (("--trials", self.trials), ("--time", self.time_s), ("--workers", self.workers)):
            if value is not None and value <= 0:
                raise UsageError(f"{flag} {value:g} must be above 0")
        if self.trials is None and self.time_s is None:
            raise UsageError("a search needs an end: give --trials, --time, or both")
        if not 0 <= self.gpus_per_trial < math.inf:
            raise UsageError(f"--gpus-per-trial {self.gpus_per_trial:g} must be 0 or more")
        if self.epoch_timeout_s is not None and not self.epoch_timeout_s > 0:
            raise UsageError(f"--epoch-timeout {self.epoch_timeout_s:g} must be above 0: seconds for one epoch")
        if self.sampler not in SAMPLERS:
            raise UnknownName("sampler", self.sampler, SAMPLERS)
        if self.tell_stopped not in get_args(TellStopped):
            raise UnknownName("--tell-stopped", self.tell_stopped, get_args(TellStopped))
        if self.target_hypervolume is not None and not 0 < self.target_hypervolume <= 1:
            raise UsageError(f"--target-hypervolume {self.target_hypervolume:g} must be above 0, and 1 at most")
        if not 0 <= self.seed < 2**32:
            raise UsageError(f"--seed {self.seed} must be 0 or more, and below 2**32")
        if not self.name.strip(" .") or set(self.name) & set("/\\'\"\n"):
            raise UsageError(f"--name {self.name!r} must be a name without slashes or quotes: it names a folder")

    @property
    def journal(self) -> Path:
        """The file that holds the study: the truth about the search."""
        return self.folder / "journal.log"

    @property
    def weights(self) -> Path:
        """Folder of the trained weights; on a cluster, every node must see it."""
        return self.folder / "weights"

    @property
    def anns(self) -> Path:
        """Folder of the ANNs that conversion codings share: each is trained once."""
        return self.folder / "anns"


def read_settings(options: Mapping[str, Any], name: str, *, resume: bool) -> SearchSettings:
    """Return the settings of a search from the options of a study file or of the command line.

    Args:
        options: by the names of ``OPTIONS``; what is missing takes its default.
        name: the search's name.
        resume: whether it was begun before.

    Raises:
        UsageError: for a value that makes no sense.
    """
    for extra in options.get("objective", ()):
        if extra not in ("latency", "quality", "energy"):
            raise UnknownName("objective", extra, ("latency", "quality", "energy"))
    data_dir = options.get("data_dir")
    if data_dir is not None and not data_dir.exists():
        raise UsageError(f"--data-dir {data_dir}: no such folder or file")
    as_they_are = (
        "seed",
        "sampler",
        "gpus_per_trial",
        "address",
        "energy_model",
        "data_dir",
        "priors",
        "cost_aware",
        "early_stopping",
        "reduction",
        "tell_stopped",
        "target_hypervolume",
    )
    time_s = parse_duration(options["time"]) if "time" in options else None
    more: dict[str, Any] = {key: options[key] for key in as_they_are if key in options}
    if "epoch_timeout" in options:
        more["epoch_timeout_s"] = parse_duration(options["epoch_timeout"])
    return SearchSettings(
        name=name,
        folder=options.get("folder", Path("searches")) / name,
        trials=options.get("trials", DEFAULT_TRIALS if time_s is None else None),
        time_s=time_s,
        workers=options.get("workers", cores()),
        latency_objective="latency" in options.get("objective", ()),
        plugin_dirs=tuple(path.resolve() for path in options.get("plugins_dir", ())),
        begin_from=options.get("from"),
        limits=Limits(
            max_energy_nj=parse_energy(options["max_energy"]) if "max_energy" in options else None,
            max_latency_steps=options.get("max_latency"),
            max_parameters=parse_count(options["max_params"]) if "max_params" in options else None,
            min_quality=options.get("min_quality"),
        ),
        rungs=parse_shares(options["rungs"]) if "rungs" in options else None,
        resume=resume,
        **more,
    )


def has_begun(journal: Path) -> bool:
    """Say whether a journal holds more than the first record, after which it says what is searched.

    Of a driver that died before that there is nothing to keep. Any other file is somebody's, and stays.
    """
    if not journal.exists():
        return False
    content, first = journal.read_bytes(), b'{"op_code":0'
    return content.count(b"\n") > 1 or content[: len(first)] != first[: len(content)]


def refuse_taken(settings: SearchSettings) -> None:
    """Raise ``UsageError`` when the folder already holds a search."""
    if has_begun(settings.journal):
        raise UsageError(
            f"a search named {settings.name!r} is already in {settings.folder}; choose another --name, "
            f"or go on with it: --resume {settings.name}"
        )


def check_folder(folder: Path) -> None:
    """Raise ``UsageError`` when the search's folder can't be made; make nothing."""
    above = next(parent for parent in folder.absolute().parents if parent.exists())
    if not above.is_dir() or not os.access(above, os.W_OK):
        raise UsageError(f"--folder {folder.parent}: {above} is no folder that can be written; choose another")
