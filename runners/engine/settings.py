"""Settings of a search: each option declared once."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, cast, get_args

from spikefront.runners.engine.machine import cores
from spikefront.runners.engine.values import as_word, epochs_set, is_address, read_narrowings, real_folders
from spikefront.searchspace.errors import OptionError, UnknownName, UsageError
from spikefront.searchspace.objectives import DEFAULT_ENERGY_MODEL, NO_LIMITS, Limits
from spikefront.searchspace.options import (
    Declared,
    Option,
    count,
    duration,
    energy,
    line,
    many,
    number,
    options_of,
    path,
    shares,
    switch,
    text,
    whole,
)
from spikefront.searchspace.targets import obstacle

if TYPE_CHECKING:
    from spikefront.searchspace import Narrowing

__all__ = ["NO_LIMITS", "OPTIONS", "Limits", "SearchSettings", "TellStopped", "cores"]

TellStopped = Literal["pruned", "partial"]
"""How a trial that was stopped early is reported to the sampler: as such, or with the values that it had reached."""

DEFAULT_TRIALS: Final = 24
_DECADE_S: Final = 3650 * 86_400.0  # Python's own clocks take no more than three centuries
_GPU_SHARE: Final = 1e-4  # Ray's finest share of a GPU
_LONGEST_NAME: Final = 200  # bytes, so that NAME.html and the like are names of files, too
_STOPPING: Final = ("silent", "halving")


@dataclass(frozen=True)
class SearchSettings:
    """All options of a search.

    Raises:
        OptionError: when a value makes no sense.
    """

    task: Annotated[str | None, Option("What to search")] = None
    """Task to search on; see: spikefront plugins --kind task."""
    _: KW_ONLY
    config: Annotated[Path | str | None, Option("What to search", path, study=False)] = None
    """YAML study file; flags override it."""
    space: Annotated[
        str | Sequence[str] | Mapping[str, object] | None,
        Option("What to search", read_narrowings, "NAME=VALUES", flag="--set", study=False),
    ] = None
    """Narrow the space: coding=gac,sac or neuron.*.threshold=0.5..1.0; repeatable."""
    epochs: Annotated[int | None, Option("What to search", whole)] = None
    """Epochs of each candidate; short for --set training.epochs=N."""
    objective: Annotated[str | Sequence[str], Option("What to search", many(text))] = ()
    """Objective besides quality and energy, such as latency or parameters; repeatable."""
    energy_model: Annotated[str, Option("What to search", text)] = DEFAULT_ENERGY_MODEL
    """Prices of operations; see: spikefront plugins --kind energy."""
    charge_encoder: Annotated[bool, Option("What to search", switch, both=True)] = True
    """Count the work of encoding as energy; papers leave it out."""

    trials: Annotated[
        int | None,
        Option("Budget", whole, changeable=True, shown=f"{DEFAULT_TRIALS}, or no limit with --time", least=1, most=1e9),
    ] = None
    """Candidates to judge."""
    time: Annotated[float | str | None, Option("Budget", duration, "DURATION", changeable=True, most=_DECADE_S)] = None
    """Stop after this long: 90s, 30m, 2h."""
    target_hypervolume: Annotated[float | None, Option("Budget", number, changeable=True)] = None
    """Stop when the front covers this share of the ideal, for example 0.9."""
    patience: Annotated[float | None, Option("Budget", number, changeable=True, shown="none")] = None
    """Stop when the last 20 finished trials added less than this share of the hypervolume, for example 0.01."""

    max_energy: Annotated[float | str | None, Option("Limits", energy, "ENERGY", least=1e-6, most=1e18)] = None
    """Prefer candidates that cost no more per sample: 500nJ, 2uJ."""
    max_latency: Annotated[float | None, Option("Limits", number, least=1, most=1e9)] = None
    """Prefer candidates that take no more time steps."""
    max_params: Annotated[float | str | None, Option("Limits", count, "COUNT", least=1, most=1e18)] = None
    """Prefer candidates with no more parameters: 20000, 100k."""
    min_quality: Annotated[float | None, Option("Limits", number)] = None
    """Prefer candidates that are at least as good."""

    sampler: Annotated[str, Option("How to search", text)] = "evolution"
    """Sampler that proposes candidates; see: spikefront plugins --kind sampler."""
    seed: Annotated[int, Option("How to search", whole)] = 0
    """Seed of the sampler and of every candidate."""
    priors: Annotated[bool, Option("How to search", switch, both=True)] = False
    """Begin with defaults and published settings."""
    from_: Annotated[str | None, Option("How to search", text, "SEARCH")] = None
    """Begin with the front of another search."""
    cost_aware: Annotated[bool, Option("How to search", switch)] = True
    """Begin with cheap candidates, and none that can't end in time."""
    fair: Annotated[bool, Option("How to search", switch)] = False
    """Give each coding the same compute, whatever one of its trials costs."""
    early_stopping: Annotated[bool, Option("How to search", switch)] = True
    """Stop trials that fall behind."""
    stopping: Annotated[str | Sequence[str], Option("How to search", many(text), shown=", ".join(_STOPPING))] = (
        _STOPPING
    )
    """Rule that stops trials early; repeatable; see: spikefront plugins --kind stopping."""
    rungs: Annotated[
        str | Sequence[float] | None, Option("How to search", shares, shown="0.05,0.15,0.45 for a reduction of 3")
    ] = None
    """Shares of the epochs at which trials are compared."""
    reduction: Annotated[int, Option("How to search", whole, least=2, most=100)] = 3
    """About one in this many goes on there."""
    cuts: Annotated[bool, Option("How to search", switch, both=True)] = True
    """Measure trained networks when stopped after fewer steps, too."""
    tell_stopped: Annotated[str, Option("How to search", text)] = "pruned"
    """How stopped trials are reported to the sampler: pruned, or partial (with their values)."""
    epoch_timeout: Annotated[
        float | str | None,
        Option("How to search", duration, "DURATION", changeable=True, shown="1h", most=_DECADE_S),
    ] = 3600.0
    """Longest an epoch may take; then it hangs."""

    workers: Annotated[
        int | None, Option("Where", whole, changeable=True, shown="number of cores", least=1, most=100_000)
    ] = None
    """Candidates at a time."""
    nice: Annotated[int, Option("Where", whole, changeable=True, least=0, most=19)] = 0
    """How far trials give way to other processes: 0 (as little as the command itself) to 19."""
    gpus_per_trial: Annotated[float, Option("Where", number, changeable=True, shown="none", least=0, most=10_000)] = 0.0
    """GPUs of one trial; 0.25 lets four share one, 2 train it together."""
    address: Annotated[str | None, Option("Where", text, changeable=True, shown="none")] = None
    """Existing Ray cluster, host:port or auto."""
    data_dir: Annotated[Path | str | None, Option("Where", path, changeable=True)] = None
    """Folder with data files."""
    plugins_dir: Annotated[
        Path | str | Sequence[Path | str],
        Option("Where", many(path), changeable=True, envvar="SPIKEFRONT_PLUGINS_DIR"),
    ] = ()
    """Folder with plugin files; repeatable."""
    name: Annotated[str | None, Option("Where", text, shown="task, date and time")] = None
    """Name of the search."""
    folder: Annotated[Path | str, Option("Where", path, changeable=True)] = Path("searches")
    """Folder of all searches."""
    resume: Annotated[str | None, Option("Where", text, "SEARCH", study=False)] = None
    """Go on with a search; budgets count from its start."""
    force: Annotated[bool, Option("Where", switch, study=False)] = False
    """Resume although plugins or the space have changed."""
    verbose: Annotated[bool, Option("Where", switch, study=False)] = False
    """Show where trials fail: the end of each traceback."""
    logger: Annotated[str | Sequence[str], Option("Where", many(text), changeable=True, shown="none")] = ()
    """Log each event there, too: jsonl, tensorboard, wandb; repeatable; see: spikefront plugins --kind logger."""
    tracking_uri: Annotated[
        str | None,
        Option("Where", line, changeable=True, shown="$MLFLOW_TRACKING_URI or sqlite:///mlflow.db", secret=True),
    ] = field(default=None, repr=False)
    """MLflow server or store."""
    experiment: Annotated[str | None, Option("Where", line, changeable=True, shown="MLflow's own")] = None
    """MLflow experiment."""

    sources: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)
    """Where options were given that come from neither the command line nor Python, by name."""

    given: tuple[str, ...] = field(default=(), init=False, repr=False, compare=False)
    """Names of the options that have another value than their default."""

    def __post_init__(self) -> None:
        for name, declared in OPTIONS.items():
            value = getattr(self, name)
            if value is not None:
                self._set(name, declared.checked(value, self.sources.get(name, "")))
        self._set("given", tuple(name for name, declared in OPTIONS.items() if getattr(self, name) != declared.default))
        self._fill()
        self._check()

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def _fill(self) -> None:
        """Set the defaults that depend on other options."""
        if self.trials is None and self.time is None:
            self._set("trials", DEFAULT_TRIALS)
        if self.workers is None:
            self._set("workers", cores())
        if self.name is None:
            self._set("name", self.resume or f"{as_word(self.task)}-{datetime.now():%Y%m%d-%H%M%S}")
        if self.epochs is not None and not self.sources.get(
            "epochs"
        ):  # that of a study file is among its space already
            self._set("space", epochs_set(self.narrowings, self.epochs, f"--epochs {self.epochs}"))
        self._set("plugins_dir", real_folders(cast("tuple[Path, ...]", self.plugins_dir)))

    def _check(self) -> None:
        if 0 < self.gpus_per_trial < _GPU_SHARE:
            raise self.error("gpus_per_trial", f"must be 0, or {_GPU_SHARE:g} or more")
        if self.gpus_per_trial > 1 and not float(self.gpus_per_trial).is_integer():
            low, high = math.floor(self.gpus_per_trial), math.ceil(self.gpus_per_trial)
            raise self.error(
                "gpus_per_trial", f": a fraction shares one GPU, several must be whole; take {low} or {high}"
            )
        stopped = get_args(TellStopped)
        self._require("tell_stopped", self.tell_stopped in stopped, f"is unknown; known: {', '.join(sorted(stopped))}")
        target = self.target_hypervolume
        self._require("target_hypervolume", target is None or 0 < target <= 1, "must be above 0, and 1 at most")
        is_counted = self.cost_aware or not self.fair
        self._require("cost_aware", is_counted, ": --fair needs the costs that it counts; leave one of them out")
        patience = self.patience
        self._require("patience", patience is None or 0 <= patience < 1, "must be 0 (for no such end) or more, below 1")
        self._require("seed", 0 <= self.seed < 2**32, "must be 0 or more, and below 2**32")
        self._check_name("name" if self.resume is None else "resume")
        if self.data_dir is not None and not os.path.exists(self.data_dir):
            raise self.error("data_dir", ": no such folder or file")
        self._require("from_", self.from_ is None or bool(self.from_.strip(" .")), "must be the name of a search")
        self._require("address", is_address(self.address), "must read HOST:PORT (Ray's is 6379 unless set), or auto")

    def _check_name(self, option: str) -> None:
        """Refuse what does not name a folder. A search of an earlier version may have any name that does."""
        name = str(getattr(self, option))
        is_name = bool(name.strip(" .")) and not set(name) & set("/\\'\"\n")
        self._require(option, is_name, "must be a name without slashes or quotes: it names a folder")
        if self.resume is None:
            self._require(option, name.isprintable(), "must have printable characters only: it names a folder")
            short = len(name.encode()) <= _LONGEST_NAME
            self._require(option, short, f"must be a name of {_LONGEST_NAME} bytes at most: it names a folder")

    def _require(self, name: str, holds: bool, problem: str) -> None:
        if not holds:
            raise self.error(name, problem)

    def error(self, name: str, problem: str) -> OptionError:
        """Return the error that says what is wrong with an option, in the words of the place where it was given."""
        value = getattr(self, name)
        given = OPTIONS[name].write(value) if isinstance(value, tuple) else value
        return OPTIONS[name].error(given, problem, self.sources.get(name, ""))

    def stored(self) -> dict[str, str]:
        """Return all options of the search as text, for the record."""
        found: dict[str, str] = {}
        for name, declared in OPTIONS.items():
            value = getattr(self, name)
            if declared.option.study and value not in (None, ()):
                found[declared.key] = declared.write(value)
        return found

    @property
    def directory(self) -> Path:
        """The search's own folder, which must not hold another search."""
        return Path(self.folder) / str(self.name)

    @property
    def journal(self) -> Path:
        """The file that holds the study: the truth about the search."""
        return self.directory / "journal.log"

    @property
    def weights(self) -> Path:
        """Folder of the trained weights; on a cluster, every node must see it."""
        return self.directory / "weights"

    @property
    def anns(self) -> Path:
        """Folder of the ANNs that conversion codings share: each is trained once."""
        return self.directory / "anns"

    @property
    def narrowings(self) -> tuple[Narrowing, ...]:
        """Narrowings of the space and of the parts of the search, one for each name."""
        return cast("tuple[Narrowing, ...]", self.space or ())

    @property
    def time_s(self) -> float | None:
        """Seconds after which no trial goes on, or None."""
        return cast("float | None", self.time)

    @property
    def repeats(self) -> bool:
        """Whether the same command gives the same front again; what depends on the time left does not."""
        return self.time is None

    @property
    def epoch_timeout_s(self) -> float | None:
        """Seconds after which an epoch, or the building of a candidate, is taken to hang; None for never.

        A conversion coding may take twice as long for each epoch of its ANN.
        """
        return cast("float | None", self.epoch_timeout)

    @property
    def worker_count(self) -> int:
        """Trials at a time; on a cluster, at most this many."""
        return cast(int, self.workers)

    @property
    def plugin_folders(self) -> tuple[Path, ...]:
        """Folders with loose plugin files, absolute."""
        return cast("tuple[Path, ...]", self.plugins_dir)

    @property
    def data_folder(self) -> Path | None:
        """Folder with the user's data files, or None."""
        return cast("Path | None", self.data_dir)

    @property
    def rung_shares(self) -> tuple[float, ...] | None:
        """Shares of a trial's epochs at which it is compared; None for the default."""
        return cast("tuple[float, ...] | None", self.rungs)

    @property
    def limits(self) -> Limits:
        """What candidates should keep to."""
        return Limits(
            max_energy_nj=cast("float | None", self.max_energy),
            max_latency_steps=self.max_latency,
            max_parameters=cast("float | None", self.max_params),
            min_quality=self.min_quality,
        )


OPTIONS: Final[Mapping[str, Declared]] = options_of(SearchSettings)
"""The options of a search by name."""


def named_option(name: str, source: str = "") -> Declared:
    """Return an option by its name in Python, in a study file or, with ``narrow``, of an earlier version.

    Raises:
        UnknownName: when there is none of that name.
    """
    known = {key: declared for key, declared in OPTIONS.items() if declared.option.study or not source}
    found = {"from": "from_", "narrow": "space", "set": "space"}.get(name, name)
    if found not in known:
        where, more = (f"option in {source}:", ["space"]) if source else ("option", [])
        raise UnknownName(where, name, [*(declared.key for declared in known.values()), *more])
    return known[found]


def has_begun(journal: Path) -> bool:
    """Return whether a journal holds more than its first record, after which it says what is searched.

    Of a driver that died before that there is nothing to keep. Any other file belongs to the user, and stays.
    """
    if not os.path.lexists(journal):
        return False
    if not os.path.isfile(journal):
        return True
    content, first = journal.read_bytes(), b'{"op_code":0'
    return content.count(b"\n") > 1 or content[: len(first)] != first[: len(content)]


def refuse_taken(settings: SearchSettings) -> None:
    """Raise ``UsageError`` when the folder already holds a search."""
    if has_begun(settings.journal):
        raise UsageError(
            f"a search named {settings.name!r} is already in {settings.directory}; choose another --name, "
            f"or go on with it: --resume {settings.name}"
        )


def check_folder(settings: SearchSettings) -> None:
    """Raise ``OptionError`` when the search's folder can't be made or written; leave nothing."""
    if above := obstacle(settings.directory):
        raise settings.error("folder", f": {above} is not a folder that can be written; choose another")
