"""Shows a search while it runs, on stderr: a live display on a terminal, one plain line for each trial elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO

from spikefront.results.front import Scoreboard, Trial, format_quality, spread
from spikefront.searchspace import Candidate, SearchInfo, Value
from spikefront.searchspace.units import format_duration, format_energy

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

_ROWS: Final = 10
_ENDINGS: Final = {"COMPLETE": "done", "PRUNED": "pruned", "FAIL": "failed"}


class LiveView:
    """A listener that shows how the search goes.

    Args:
        stream: where to; None means stderr.
        clock: seconds that only grow.
    """

    def __init__(self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream or sys.stderr
        self._clock = clock
        self._started = clock()
        self._search: SearchInfo | None = None
        self._board = Scoreboard(())
        self._running: dict[int, Mapping[str, Value]] = {}
        self._ended: Counter[str] = Counter()
        self._before = 0  # trials that ended before the search was resumed
        self._live: Live | None = None
        self._lock = threading.Lock()  # rich draws from a thread of its own

    def search_started(self, search: SearchInfo) -> None:
        """Start the display."""
        self._search = search
        self._board = Scoreboard(search.objectives)
        self._started = self._clock()
        for trial in search.earlier or ():
            if not trial.again:
                self._ended[trial.state] += 1
                self._board.add(Trial(trial.number, trial.metrics, trial.candidate), trial.state)
        self._before = self._ended.total()
        if self._stream.isatty():
            from rich.console import Console
            from rich.live import Live

            console = Console(file=self._stream)
            self._live = Live(console=console, get_renderable=self._render, refresh_per_second=4)
            self._live.start()
        else:  # the first trial may take hours to end
            how = "started" if search.earlier is None else f"resumed: {self._counts()}; {self._standing()}"
            print(f"search {search.name} on {search.task} {how}", file=self._stream, flush=True)

    def trial_started(self, number: int, candidate: Candidate, retry_of: int | None = None) -> None:
        """Count the trial as running."""
        with self._lock:
            self._running[number] = candidate.flat()

    def epoch_ended(self, number: int, epoch: int, metrics: Mapping[str, float]) -> None:
        """Show nothing: epochs come too fast to be read."""

    def trial_ended(
        self, number: int, state: str, reason: str, metrics: Mapping[str, float], weights: Path | None
    ) -> None:
        """Count the trial, and show the front with it."""
        with self._lock:
            trial = Trial(number, dict(metrics), self._running.pop(number, {}))
            self._ended[state] += 1
            self._board.add(trial, state)
        if self._live is None:
            self._print(self._line(trial, state, reason))

    def search_ended(self, reason: str) -> None:
        """Leave the last state on the screen."""
        if self._live is not None:
            self._live.stop()
            self._live = None
        if self._search is not None:
            self._print(f"search {self._search.name} ended: {reason}; {self._counts()}; {self._standing()}")

    def _print(self, line: str) -> None:
        print(line, file=self._stream, flush=True)

    def _line(self, trial: Trial, state: str, reason: str) -> str:
        parts = [f"trial {trial.number}", _ENDINGS.get(state, state) + (f" ({reason})" if reason else "")]
        if "quality" in trial.metrics:
            parts.append(f"{self._quality} {format_quality(trial.metrics['quality'])}")
        if "energy_nj" in trial.metrics:
            parts.append(f"energy {format_energy(trial.metrics['energy_nj'])}")
        if "coding" in trial.candidate:
            parts.append(f"coding {trial.candidate['coding']}")
        return "  ".join([*parts, f"hv {self._board.hypervolume:.4f}"])

    @property
    def _quality(self) -> str:
        return self._search.quality if self._search is not None else "quality"

    def _counts(self) -> str:
        asked = f" of {self._search.trials}" if self._search is not None and self._search.trials is not None else ""
        running = f", {len(self._running)} running" if self._running else ""
        others = "".join(f", {self._ended[s]} {_ENDINGS[s]}" for s in ("PRUNED", "FAIL") if self._ended[s])
        return f"{self._ended['COMPLETE']}{asked} trials done{running}{others}"

    def _standing(self) -> str:
        best = self._board.best
        told = (
            f"best {self._quality} {format_quality(best.metrics['quality'])}, "
            if best and "quality" in best.metrics
            else ""
        )
        return f"{told}{len(self._board.front)} on the front, hypervolume {self._board.hypervolume:.4f}"

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
            return Group(*lines, self._table()) if self._board.front else Group(*lines)

    def _table(self) -> RenderableType:
        from rich import box
        from rich.table import Table

        front = self._board.front
        shown = spread(front, _ROWS)
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for name in ("trial", self._quality, "energy", "steps"):
            table.add_column(name, justify="right")
        for name in ("coding", "neuron", "backbone"):
            table.add_column(name)
        for trial in shown:
            table.add_row(*_cells(trial))
        if len(shown) < len(front):
            table.caption = f"{len(shown)} of {len(front)} on the front"
        return table


def _cells(trial: Trial) -> list[str]:
    metrics, flat = trial.metrics, trial.candidate
    return [
        str(trial.number),
        format_quality(metrics["quality"]) if "quality" in metrics else "",
        format_energy(metrics["energy_nj"]) if "energy_nj" in metrics else "",
        str(flat.get("steps", "")),
        *(str(flat.get(name, "")) for name in ("coding", "neuron", "backbone")),
    ]
