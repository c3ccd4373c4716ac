"""Picture of searches beside each other: their fronts, and their hypervolume over time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import altair as alt

from spikefront.results.pictures.front import Plane
from spikefront.results.pictures.looks import coding_scales
from spikefront.results.pictures.picture import Picture, data

if TYPE_CHECKING:
    from spikefront.results.compare import Course


def compared_picture(courses: Sequence[Course]) -> Picture:
    """Return the fronts of searches, and their hypervolume over time, side by side.

    A front's line joins what is reached for each budget, in the plane of quality and energy.
    """
    first = courses[0]
    members = [one for course in courses for one in course.front.members]
    plane = Plane(first.front.objectives, first.quality, first.front.across, members)
    scales = coding_scales([course.name for course in courses])
    marks = [{**plane.row(one), "coding": course.name} for course in courses for one in course.front.members]
    lines = [row for course in courses for row in plane.steps(course.front.members, coding=course.name)]
    times = []
    for course in courses:
        last = max(course.seconds, *course.ends, 0.0)
        ends = [0.0, *course.ends, last]
        values = [0.0, *course.hypervolume, course.after_trials(len(course.ends))]
        times += [
            {"coding": course.name, "x": float(x), "y": float(y), "at": at}
            for at, (x, y) in enumerate(zip(ends, values, strict=True))
        ]
    step: dict[str, Any] = {"interpolate": "step-after", "strokeWidth": 1.6}
    fronts = alt.layer(
        alt.Chart(data(lines))
        .mark_line(**step)
        .encode(**plane.channels, color=scales["color"], order=alt.Order("at:Q")),
        alt.Chart(data(marks)).mark_point(filled=True, size=70).encode(**plane.channels, **scales),
    ).properties(width=420, height=320, title="fronts")
    over_time = alt.Chart(data(times)).mark_line(**step)
    over_time = over_time.encode(
        x=alt.X("x:Q", title="time from the start (s)"),
        y=alt.Y("y:Q", title="hypervolume"),
        color=scales["color"],
        order=alt.Order("at:Q"),
    ).properties(width=420, height=320, title="hypervolume over time")
    told = f"Fronts, and hypervolume over time, of {', '.join(course.name for course in courses)}"
    return Picture(alt.hconcat(fronts, over_time), told, [*marks, *times])
