"""TensorBoard's event files of a search: a run for each trial, and one for the search.

They are in the folder ``tensorboard`` of the search: ``tensorboard --logdir searches/digits-1/tensorboard``. The run of
a trial is named by its number and coding (``0012-sac``). It has the metrics of each epoch as scalars and, at its end,
the candidate and the metrics for the page HPARAMS, which compares the trials. The run ``search`` has the hypervolume
by the number of trials that were evaluated at full budget. A search that is resumed goes on in the same folder; trials
whose end a killed driver could not write are added.

The files are written by tensorboardX, which Ray Tune brings. To look at them needs TensorBoard: extra ``tensorboard``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from spikefront.plugins import Candidate, Logger, SearchInfo, Trial, TrialLogger, hookimpl

if TYPE_CHECKING:
    from pathlib import Path

    from tensorboardX import SummaryWriter

FOLDER: Final = "tensorboard"
_WHOLE: Final = ".whole"  # ends the name of the file with the end of a trial
_FLUSH_S: Final = 20  # seconds between two waits for the disk


class TensorBoard(TrialLogger):
    """TensorBoard's files in the search's folder: a run for each trial, with its hyperparameters."""

    name = "tensorboard"

    def begin(self, search: SearchInfo) -> None:
        self._folder = search.folder / FOLDER
        self._writers: dict[int, SummaryWriter] = {}
        drivers = len(list(self._folder.glob("search/*")))  # two files of one second would have one name
        self._course = _writer(self._folder / "search", f".{drivers + 1}")
        if not search.resumed:
            options = "\n".join(f"| {name} | {value} |" for name, value in search.options.items())
            self._course.add_text("options", f"| option | value |\n| --- | --- |\n{options}", 0)

    def search_started(self, search: SearchInfo) -> None:
        super().search_started(search)
        for step, hypervolume in enumerate(self.front.curve, 1):  # a killed driver may not have written all
            _add(self._course, {"hypervolume": hypervolume}, step)

    def is_logged(self, number: int) -> bool:
        return any(self._folder.glob(f"{number:04d}*/*{_WHOLE}"))

    def trial_started(self, number: int, candidate: Candidate, retry_of: int | None = None) -> None:
        super().trial_started(number, candidate, retry_of)
        self._writers[number] = _writer(self._folder / _run(self.running(number)))

    def epoch_ended(self, number: int, epoch: int, metrics: Mapping[str, float]) -> None:
        super().epoch_ended(number, epoch, metrics)
        _add(self._writers[number], metrics, epoch)

    def log(self, trial: Trial) -> None:
        from tensorboardX.summary import hparams

        known = {name: value for name, value in trial.metrics.items() if math.isfinite(value)}
        if (epochs := self._writers.pop(trial.number, None)) is not None:
            epochs.close()
        with _writer(self._folder / _run(trial), _WHOLE) as end:
            for summary in hparams({"state": trial.state, **trial.candidate}, known):
                end.file_writer.add_summary(summary)
            _add(end, known, trial.epoch)
            end.add_text("end", f"{trial.state} {trial.reason}".strip(), trial.epoch)
            if trial.traceback:
                end.add_text("traceback", f"```\n{trial.traceback}\n```", trial.epoch)
        if trial.state == "COMPLETE":
            _add(self._course, {"hypervolume": self.front.hypervolume}, len(self.front.curve))

    def search_ended(self, reason: str) -> None:
        self._course.add_text("end", reason, len(self.front.curve))
        for writer in (self._course, *self._writers.values()):
            writer.close()


def _run(trial: Trial) -> str:
    return f"{trial.number:04d}-{trial.coding}".rstrip("-")


def _writer(folder: Path, suffix: str = "") -> SummaryWriter:
    from tensorboardX import SummaryWriter

    return SummaryWriter(str(folder), flush_secs=_FLUSH_S, filename_suffix=suffix)


def _add(writer: SummaryWriter, metrics: Mapping[str, float], step: int) -> None:
    for name, value in metrics.items():
        if math.isfinite(value):
            writer.add_scalar(name, value, step)


@hookimpl
def register_loggers(register: Callable[[type[Logger]], None]) -> None:
    register(TensorBoard)
