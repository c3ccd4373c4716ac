"""Draws the front: quality over energy, every completed trial as a faint point."""

from __future__ import annotations

import io
import re
from html import escape
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from spikefront.results.front import Scoreboard, Trial
from spikefront.searchspace import ENERGY, Objective
from spikefront.searchspace.front import losses, nondominated

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#B8860B", "#56B4E9", "#7F7F7F", "#8A5CC2")
"""Okabe and Ito's palette, told apart by colour-blind readers; mid tones, legible on white and on black."""
_MARKERS: Final = "osD^vPX*>"
_INK: Final = "#4a4a4b"
"""Colour of text and lines. An unusual value, so that ``svg`` finds it again."""


def draw(board: Scoreboard, quality: str, title: str = "") -> Figure:
    """Draw the front.

    Args:
        board: the completed trials.
        quality: the task's own name for quality, for example ``accuracy``.
        title: text above, or nothing.

    Returns:
        A figure of 8 by 5 inches on a transparent ground; save it with ``figure.savefig``.
    """
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(
        {
            "text.color": _INK,
            "axes.labelcolor": _INK,
            "axes.edgecolor": _INK,
            "xtick.color": _INK,
            "ytick.color": _INK,
            "font.size": 11,
        }
    ):
        figure = Figure(figsize=(8, 5), layout="constrained")
        figure.patch.set_alpha(0)
        axes = figure.add_subplot(facecolor="none")
        across = next((axis for axis in board.objectives if axis == ENERGY), board.objectives[-1])
        axes.set_xscale("log" if across.log else "linear")
        if board.trials:
            _draw_points(axes, board, across)
            _draw_steps(axes, board, across)
            _draw_legend(figure, axes)
        _label(axes, across, quality_label(quality, board.objectives[0]), title)
    return figure


def quality_label(quality: str, axis: Objective) -> str:
    """Return the label of an axis of quality: ``accuracy (validation)``, and where less is better, that.

    Args:
        quality: the task's own name for quality.
        axis: the objective.
    """
    return f"{quality} (validation)" + ("" if axis.maximize else ", less is better")


def _place(trial: Trial, across: Objective, up: Objective) -> tuple[float, float]:
    return trial.metrics[across.metric], trial.metrics[up.metric]


def _draw_points(axes: Axes, board: Scoreboard, across: Objective) -> None:
    front = {trial.number for trial in board.front}
    codings = sorted({str(trial.candidate.get("coding", "")) for trial in board.trials.values()})
    for index, coding in enumerate(codings):
        looks = look(index)
        mine = [trial for trial in board.trials.values() if str(trial.candidate.get("coding", "")) == coding]
        behind = [_place(trial, across, board.objectives[0]) for trial in mine if trial.number not in front]
        members = [_place(trial, across, board.objectives[0]) for trial in mine if trial.number in front]
        axes.plot(*_columns(behind), **looks, ls="", ms=4.5, alpha=0.3, mew=0, zorder=2)
        axes.plot(*_columns(members), **looks, ls="", ms=8, mec="white", mew=0.8, zorder=4, label=coding or "front")


def look(index: int) -> dict[str, Any]:
    """Return colour and marker of the coding at this place; 72 of them differ, since 8 and 9 share no divisor."""
    return {"color": _COLOURS[index % len(_COLOURS)], "marker": _MARKERS[index % len(_MARKERS)]}


def _columns(places: list[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [x for x, _ in places], [y for _, y in places]


def _draw_steps(axes: Axes, board: Scoreboard, across: Objective) -> None:
    """Draw what is reached for each budget. With more than two objectives, only what counts in this plane."""
    plane = (board.objectives[0], across)
    points = np.array([[trial.metrics[axis.metric] for axis in plane] for trial in board.front])
    points = points[nondominated(losses(points, plane))]
    points = points[np.argsort(points[:, 1])]
    right = axes.get_xlim()[1]
    x, y = [*points[:, 1], right], [*points[:, 0], points[-1, 0]]
    axes.step(x, y, where="post", color=_INK, lw=1.4, zorder=3)
    axes.set_xlim(right=right)


def _draw_legend(figure: Figure, axes: Axes) -> None:
    from matplotlib.lines import Line2D

    handles, labels = axes.get_legend_handles_labels()
    faint = Line2D([], [], marker="o", ls="", ms=4.5, color=_INK, alpha=0.4, mew=0)
    figure.legend([*handles, faint], [*labels, "not on the front"], frameon=False, loc="outside right center")


def _label(axes: Axes, across: Objective, up: str, title: str) -> None:
    axes.set_xlabel("energy per sample (nJ)" if across == ENERGY else across.metric.replace("_", " "))
    axes.set_ylabel(up)
    axes.set_title(title, loc="left", fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color=_INK, alpha=0.15, lw=0.6)
    axes.set_axisbelow(True)


def svg(figure: Figure, description: str) -> str:
    """Return a figure as one ``<svg>`` element to be put into a page.

    Text and lines take the page's own text colour, so that they are legible in dark and in print, and nothing in it
    refers to another address.

    Args:
        figure: as ``draw`` makes it.
        description: what a screen reader says.
    """
    import matplotlib

    text = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "spikefront", "svg.fonttype": "path"}):  # no fonts, same ids each time
        figure.savefig(text, format="svg", metadata={"Date": None})
    body = text.getvalue()
    body = body[body.index("<svg") :].replace(_INK, "currentColor")
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    return body.replace("<svg ", f'<svg role="img" aria-label="{escape(description)}" ', 1)
