"""Live view of a search on stderr: a display on a terminal, one plain line for each trial elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO

from spikefront.results.recommendation.trust import deciding, tries, trust
from spikefront.results.store.schema import ERROR_FILE
from spikefront.searchspace import Callbacks, Candidate, Front, SearchInfo, State, Trial, Value
from spikefront.searchspace.front import spread
from spikefront.searchspace.units import format_duration

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

_ROWS: Final = 10
_LINES: Final = 12  # of a traceback
_LONGEST_WAIT_S: Final = 30.0  # of a trial's line for those of earlier trials
_ENDINGS: Final = {"COMPLETE": "done", "PRUNED": "pruned", "FAIL": "failed"}
_PARTS: Final = ("coding", "neuron", "backbone")


class LiveView(Callbacks):
    """Display of a search: counts of trials, the front by its objectives, hypervolume, time left.

    Args:
        stream: text stream to write to; None means stderr.
        clock: monotonic clock, in seconds.
        verbose: whether to show the end of the traceback of a trial that failed.
    """

    def __init__(
        self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic, verbose: bool = False
    ) -> None:
        self._verbose = verbose
        self._stream = stream or sys.stderr
        self._clock = clock
        self._started = clock()
        self._search: SearchInfo | None = None
        self._front = Front(())
        self._running: dict[int, Mapping[str, Value]] = {}
        self._untold: dict[
            int, tuple[Trial, float]
        ] = {}  # that have ended, and when: their line waits for earlier ones
        self._points: dict[int, Mapping[int, Mapping[str, float]]] = {}  # of trials that are about to end
        self._ended: Counter[str] = Counter()
        self._tries: list[Trial] = []
        self._before = 0  # trials that ended before the search was resumed
        self._live: Live | None = None
        self._lock = threading.Lock()  # rich draws from a thread of its own

    def search_started(self, search: SearchInfo) -> None:
        """Start the display."""
        self._search = search
        self._front = Front(search.objectives)
        self._started = self._clock()
        for trial in search.earlier or ():
            if not trial.again:
                self._ended[trial.state] += 1
                self._tries.append(trial)
                self._front.add(trial)
        self._before = self._ended.total()
        if self._stream.isatty():
            from rich.console import Console
            from rich.live import Live

            console = Console(file=self._stream)
            self._live = Live(console=console, get_renderable=self._render, refresh_per_second=4)
            self._live.start()
        else:  # the first trial may take hours to end
            how = "started" if search.earlier is None else f"resumed: {self._counts()}; {self._standing()}"
            self._print(f"search {search.name} on {search.task} {how}")

    def trial_started(self, number: int, candidate: Candidate, retry_of: int | None = None) -> None:
        """Count the trial as running."""
        with self._lock:
            self._running[number] = candidate.flat()

    def trial_raised(self, number: int, traceback: str) -> None:
        """Show the innermost frames, where that was asked for."""
        if self._verbose:
            lines = traceback.rstrip().splitlines()
            more = [f"  ... {len(lines) - _LINES} lines more in {ERROR_FILE}"] if len(lines) > _LINES else []
            self._print("\n".join([f"trial {number} failed:", *more, *(f"  {line}" for line in lines[-_LINES:])]))

    def points_measured(self, number: int, points: Mapping[int, Mapping[str, float]]) -> None:
        """Keep the points for the front that the trial's end is shown with."""
        self._points[number] = points

    def trial_ended(
        self, number: int, state: State, reason: str, metrics: Mapping[str, float], weights: Path | None
    ) -> None:
        """Count the trial, and show the front with it."""
        with self._lock:
            trial = Trial(number, state, self._running.pop(number, {}), dict(metrics), reason)
            trial = trial.with_points(self._points.pop(number, {}))
            self._ended[state] += 1
            self._tries.append(trial)
            self._untold[number] = (trial, self._clock())
        self._tell_due()

    def epoch_ended(self, number: int, epoch: int, metrics: Mapping[str, float]) -> None:
        """Print the lines that have waited long enough."""
        if self._untold:
            self._tell_due()

    def _tell_due(self) -> None:
        with self._lock:
            told = sorted(number for number in self._untold if self._is_due(number))
        self._tell(told)

    def _is_due(self, number: int) -> bool:
        """Return whether the line of a trial is to be printed.

        In a search that repeats, lines are in the order of the trials, but for a trial that takes very long.
        """
        is_in_order = self._live is None and self._search is not None and self._search.time_s is None
        if not is_in_order or all(number < other for other in self._running):
            return True
        return self._clock() - self._untold[number][1] >= _LONGEST_WAIT_S

    def _tell(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            trial, _ = self._untold.pop(number)
            with self._lock:
                self._front.add(trial)
            if self._live is None:
                self._print(self._line(trial))

    def search_ended(self, reason: str) -> None:
        """Leave the last state on the screen."""
        self._tell(sorted(self._untold))
        if self._live is not None:
            self._live.stop()
            self._live = None
        if self._search is not None:
            self._print(f"search {self._search.name} ended: {reason}; {self._counts()}; {self._standing()}")

    @property
    def trust(self) -> tuple[str, list[str]]:
        """How far the front can be trusted, in a sentence, and the beginning of the command that decides it."""
        by_coding = tries(self._tries)
        return (trust(by_coding), deciding(by_coding, self._front)) if self._front.members else ("", [])

    def _print(self, line: str) -> None:
        print(line, file=self._stream, flush=True)

    def _line(self, trial: Trial) -> str:
        ending = _ENDINGS.get(trial.state, trial.state) + (f" ({trial.reason})" if trial.reason else "")
        reached = zip(self._headings, self._values(trial), strict=True)
        parts = [f"trial {trial.number}", ending, *(f"{name} {value}" for name, value in reached if value)]
        if trial.coding:
            parts.append(f"coding {trial.coding}")
        return "  ".join([*parts, f"hv {self._front.hypervolume:.4f}"])

    @property
    def _headings(self) -> list[str]:
        quality = self._search.quality if self._search is not None else ""
        return [axis.heading(quality) for axis in self._front.objectives]

    def _values(self, trial: Trial) -> list[str]:
        """Return what a trial reached on each axis, as text; empty where that is missing."""
        return [axis.format(trial.metrics.get(axis.metric)) for axis in self._front.objectives]

    def _counts(self) -> str:
        asked = f" of {self._search.trials}" if self._search is not None and self._search.trials is not None else ""
        running = f", {len(self._running)} running" if self._running else ""
        others = "".join(f", {self._ended[s]} {_ENDINGS[s]}" for s in ("PRUNED", "FAIL") if self._ended[s])
        return f"{self._ended['COMPLETE']}{asked} trials done{running}{others}"

    def _standing(self) -> str:
        best = self._front.best
        reached = f"best {self._headings[0]} {self._values(best)[0]}, " if best else ""
        return f"{reached}{len(self._front.members)} on the front, hypervolume {self._front.hypervolume:.4f}"

    def time_left(self) -> float | None:
        """Estimate the seconds left, from the trials and from the time asked for; None when nothing is known."""
        if self._search is None:
            return None
        elapsed = self._clock() - self._started
        left = []
        if self._search.time_s is not None:
            left.append(self._search.time_s - elapsed)
        ended = self._ended.total()
        if self._search.trials is not None and ended:
            left.append(elapsed / max(1, ended - self._before) * (self._search.trials - ended))
        return max(0.0, min(left)) if left else None

    def _render(self) -> RenderableType:
        from rich.console import Group
        from rich.text import Text

        with self._lock:
            left = self.time_left()
            clock = f"{format_duration(self._clock() - self._started)} elapsed"
            clock += f", about {format_duration(left)} left" if left is not None else ""
            name = f"{self._search.name} on {self._search.task}" if self._search is not None else ""
            lines = [Text(name, style="bold"), Text(f"{self._counts()}; {clock}"), Text(self._standing())]
            return Group(*lines, self._table()) if self._front.members else Group(*lines)

    def _table(self) -> RenderableType:
        from rich import box
        from rich.table import Table

        front = self._front.members
        shown = spread(front, _ROWS)
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for name in ("trial", *self._headings, "steps"):
            table.add_column(name, justify="right")
        for name in _PARTS:
            table.add_column(name)
        for trial in shown:
            parts = (str(trial.candidate.get(name, "")) for name in _PARTS)
            table.add_row(trial.name, *self._values(trial), str(trial.steps), *parts)
        if len(shown) < len(front):
            table.caption = f"{len(shown)} of {len(front)} on the front"
        return table
