"""Plot of a front: quality over energy, every comparable trial as a faint point."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from spikefront.searchspace import Front, Objective, Trial
from spikefront.searchspace.front import losses, nondominated

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#B8860B", "#56B4E9", "#7F7F7F", "#8A5CC2")
"""Okabe and Ito's palette, told apart by colour-blind readers; mid tones, legible on white and on black."""
_MARKERS: Final = "osD^vPX*>"
_INK: Final = "#4a4a4b"
"""Colour of text and lines."""


def draw(front: Front, quality: str, title: str = "") -> Figure:
    """Draw the front.

    Args:
        front: the comparable trials.
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
        across = front.across
        axes.set_xscale("log" if across.log else "linear")
        if front.trials:
            _draw_points(axes, front)
            _draw_steps(axes, front)
            _draw_legend(figure, axes)
        _label(axes, across, quality_label(quality, front.objectives[0]), title)
    return figure


def quality_label(quality: str, axis: Objective) -> str:
    """Return the label of an axis of quality: ``accuracy (validation)``, and where less is better, that.

    Args:
        quality: the task's own name for quality.
        axis: the objective.
    """
    return f"{quality} (validation)" + ("" if axis.maximize else ", less is better")


def position(trial: Trial, axis: Objective) -> float:
    """Return where a comparable trial lies on an axis: its value, not below the axis's floor."""
    value = trial.metrics[axis.metric]
    return value if axis.floor is None else max(value, axis.floor)


def _draw_points(axes: Axes, front: Front) -> None:
    members = {trial.number for trial in front.members}
    for index, (coding, own) in enumerate(front.by("coding").items()):
        looks, trials = look(index), own.trials.values()
        behind = _columns(front, [trial for trial in trials if trial.number not in members])
        ahead = _columns(front, [trial for trial in trials if trial.number in members])
        axes.plot(*behind, **looks, ls="", ms=4.5, alpha=0.3, mew=0, zorder=2)
        axes.plot(*ahead, **looks, ls="", ms=8, mec="white", mew=0.8, zorder=4, label=coding or "front")


def _columns(front: Front, trials: list[Trial]) -> list[list[float]]:
    return [[position(trial, axis) for trial in trials] for axis in (front.across, front.objectives[0])]


def look(index: int) -> dict[str, Any]:
    """Return colour and marker of the coding at this place; 72 of them differ, since 8 and 9 share no divisor."""
    return {"color": _COLOURS[index % len(_COLOURS)], "marker": _MARKERS[index % len(_MARKERS)]}


def _draw_steps(axes: Axes, front: Front) -> None:
    """Draw the best quality for each budget, or for each value to be reached; only what counts in this plane."""
    plane = (front.objectives[0], front.across)
    points = np.array([[position(trial, axis) for axis in plane] for trial in front.members])
    points = points[nondominated(losses(points, plane))]
    points = points[np.argsort(losses(points, plane)[:, 1])]
    limits = axes.get_xlim()
    x, y = [*points[:, 1], limits[0 if front.across.maximize else 1]], [*points[:, 0], points[-1, 0]]
    axes.step(x, y, where="post", color=_INK, lw=1.4, zorder=3)
    axes.set_xlim(limits)


def _draw_legend(figure: Figure, axes: Axes) -> None:
    from matplotlib.lines import Line2D

    handles, labels = axes.get_legend_handles_labels()
    faint = Line2D([], [], marker="o", ls="", ms=4.5, color=_INK, alpha=0.4, mew=0)
    figure.legend([*handles, faint], [*labels, "not on the front"], frameon=False, loc="outside right center")


def _label(axes: Axes, across: Objective, up: str, title: str) -> None:
    axes.set_xlabel(across.label)
    axes.set_ylabel(up)
    axes.set_title(title, loc="left", fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color=_INK, alpha=0.15, lw=0.6)
    axes.set_axisbelow(True)
