"""The picture of quality against sampling speed: a labelled point for each entry, and the Pareto front.

Up and right is better: the axis of quality is turned. It is drawn twice, for wide screens and for phones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter
from matplotlib.transforms import Bbox
from numpy.typing import NDArray

from ..evaluation.metrics.metric_catalogue import Metric
from .pictures import COLOURS, INK, STYLE, short
from .standings import SPEED, Row, interval, quality, undominated, value_of
from .verdicts import in_words

WIDE, NARROW = (8.6, 4.6), (4.3, 5.0)  # inches
AROUND = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1))  # where a label may stand
FURTHER = (6.0, 14.0, 24.0, 36.0)  # points from its point
LEADING = 10.0  # from this distance on a line joins them
LETTERS = 24


@dataclass(frozen=True)
class Tradeoff:
    """The picture for `wide` and `narrow` screens, what it shows in words, what its `axes` are, and its caption."""

    wide: Figure
    narrow: Figure
    alt: str
    axes: str
    caption: str


@dataclass(frozen=True)
class Point:
    """An entry: its speed, its quality, of which less is better, and whether that is but a bound."""

    name: str
    speed: float
    quality: float
    bound: bool
    first: bool  # on the Pareto front
    interval: tuple[float, float] | None = None  # 95 %, of the quality


def tradeoff(rows: Sequence[Row], teachers: Mapping[str, str]) -> Tradeoff | None:
    """The picture of the rows that have both numbers; None if fewer than two have. `teachers` of students."""
    measure = quality(rows)
    known = [(row, value_of(row, SPEED.name), value_of(row, measure.name)) for row in rows]
    costs = {str(row["entry"]): (-speed, value) for row, speed, value in known if speed and value is not None}
    if len(costs) < 2:
        return None
    front = undominated(costs)
    bounds = {str(row["entry"]) for row in rows if measure.unit and row.get("nll_kind") == "bound"}
    intervals = {str(row["entry"]): interval(row, measure.name) for row in rows}
    points = [
        Point(name, -cost[0], cost[1], name in bounds, name in front, intervals[name]) for name, cost in costs.items()
    ]
    return Tradeoff(
        _figure(points, measure, teachers, WIDE),
        _figure(points, measure, teachers, NARROW),
        _alt(points, measure),
        _axes(measure),
        _caption(points, any(name in costs and teacher in costs for name, teacher in teachers.items())),
    )


def _alt(points: Sequence[Point], measure: Metric) -> str:
    """All that the picture shows, in words."""
    first = sorted((point for point in points if point.first), key=lambda point: -point.speed)
    rest = sorted((point for point in points if not point.first), key=lambda point: -point.speed)
    said = f"Scatter plot of {measure.title} against samples per second of {len(points)} entries."
    said += f" On the Pareto front, from the fastest to the best: {_listed(first, measure)}."
    return f"{said} Behind it: {_listed(rest, measure)}." if rest else said


def _listed(points: Sequence[Point], measure: Metric) -> str:
    return in_words([_said(point, measure) for point in points])


def _said(point: Point, measure: Metric) -> str:
    value = measure.text(point.quality)
    return f"{point.name} ({SPEED.text(point.speed)}, {measure.title} {'≤ ' if point.bound else ''}{value})"


def _axes(measure: Metric) -> str:
    unit = f"in {measure.unit}, of test examples" if measure.unit else "in the features that the head of the page names"
    words = f"Quality ({measure.title}, {unit}; less is better, so the axis is turned) against speed (samples per"
    return f"{words} second in the largest batch that was timed, logarithmic)."


def _caption(points: Sequence[Point], taught: bool) -> str:
    caption = "Up and to the right is better. Orange: the Pareto front, the entries that no other one beats in both;"
    caption += " blue: the rest."
    if any(point.bound for point in points):
        caption += " Hollow: only an upper bound on the NLL is known, the true value may lie higher up."
    if any(point.interval for point in points):
        caption += " Thin bars: 95 % intervals; entries whose bars reach each other's points may be equally good."
    return f"{caption} Dotted: from a teacher to its student." if taught else caption


@rc_context(STYLE)
def _figure(points: Sequence[Point], measure: Metric, teachers: Mapping[str, str], size: tuple[float, float]) -> Figure:
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots()
    front = sorted((point for point in points if point.first), key=lambda point: point.speed)
    axes.plot([point.speed for point in front], [point.quality for point in front], color=COLOURS[1], alpha=0.5)
    for point in points:
        colour = COLOURS[1] if point.first else COLOURS[0]
        if point.interval:
            axes.vlines(point.speed, *point.interval, color=colour, alpha=0.35, linewidth=1.2)
        face = "none" if point.bound else colour
        axes.scatter(point.speed, point.quality, s=46, facecolors=face, edgecolors=colour, linewidths=1.4, zorder=3)
    _join(axes, points, teachers)
    _scale(axes, points)
    axes.set(xlabel="samples per second →  faster", ylabel=f"{measure.title} {measure.unit}".strip() + "  better →")
    _label(figure, axes, points)
    return figure


def _scale(axes: Axes, points: Sequence[Point]) -> None:
    """Speeds are logarithmic, and so is a quality that ranges over more than a decade; better is up."""
    speeds, qualities = ([getattr(point, name) for point in points] for name in ("speed", "quality"))
    axes.set_xscale("log")
    axes.set_xlim(min(speeds) / 2, max(speeds) * 2)
    axes.xaxis.set_minor_formatter(NullFormatter())
    if np.log10(max(speeds) / min(speeds)) < 2:
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}" if min(speeds) >= 1 else "{x:g}"))
    ends = [end for point in points for end in point.interval or ()]
    low, high = min(qualities), max(qualities)
    if low > 0 and high > 10 * low:
        low = min([low, *(end for end in ends if end > low / 4)])  # what reaches towards 0 would take all the room
        high = max([high, *ends])
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
        margin = (high / low) ** 0.08
        axes.set_ylim(high * margin, low / margin)
    else:
        low, high = min([low, *ends]), max([high, *ends])
        spread = 0.1 * (high - low) or 0.5
        axes.set_ylim(high + spread, low - spread)


def _join(axes: Axes, points: Sequence[Point], teachers: Mapping[str, str]) -> None:
    """A dotted line from each teacher to its student."""
    places = {point.name: (point.speed, point.quality) for point in points}
    for student, teacher in teachers.items():
        if student in places and teacher in places:
            (x0, y0), (x1, y1) = places[teacher], places[student]
            axes.plot([x0, x1], [y0, y1], ":", color="#8a93a0", linewidth=1.2)


def _label(figure: Figure, axes: Axes, points: Sequence[Point]) -> None:
    """Put each name where it covers no point and no other name, the most crowded points first."""
    figure.draw_without_rendering()  # the axes get their place
    scale = figure.dpi / 72
    places = axes.transData.transform([(point.speed, point.quality) for point in points])
    frame = axes.get_window_extent()
    taken = [_around(place, 4.5 * scale) for place in places]
    taken += [_around(place, scale) for place in _along(axes, 3 * scale)]
    apart = np.linalg.norm(places[:, None] - places[None], axis=-1)
    for number in np.argsort(np.sort(apart, 1)[:, :4].sum(1), kind="stable"):
        name, centre = short(points[number].name, LETTERS), places[number]
        text = axes.text(0, 0, name, fontsize=8.5)
        size = text.get_window_extent().size
        text.remove()
        options = list(_options(centre, size, scale))
        costs = [_cost(box, taken, frame, scale) + float(np.hypot(*offset)) for offset, box in options]
        offset, box = options[int(np.argmin(costs))]
        taken.append(box)
        far = np.abs(offset).max() >= LEADING
        label = axes.annotate(
            name,
            (points[number].speed, points[number].quality),
            offset,
            textcoords="offset points",
            fontsize=8.5,
            ha="left" if offset[0] > 0 else "right" if offset[0] < 0 else "center",
            va="center",
            color=INK,
            arrowprops={"arrowstyle": "-", "color": "#8a93a0", "linewidth": 0.6, "shrinkB": 4} if far else None,
        )
        label.set_in_layout(False)


def _around(place: Any, half: float) -> Bbox:
    """A square around a place (2,) in pixels."""
    return Bbox([place - half, place + half])


def _along(axes: Axes, step: float) -> Iterator[NDArray[np.float64]]:
    """Places (2,) in pixels along the lines, a step apart: no name should lie on them."""
    for line in axes.lines:
        corners = axes.transData.transform(line.get_xydata())
        for start, end in pairwise(corners):
            yield from np.linspace(start, end, 2 + int(np.hypot(*(end - start)) / step))


def _options(centre: Any, size: Any, scale: float) -> Iterator[tuple[tuple[float, float], Bbox]]:
    """Where a label of a size in pixels may stand around a centre: its offset in points, and its box."""
    for distance in FURTHER:
        for right, up in AROUND:
            x, y = centre + np.array([right, up]) * distance * scale
            left = x if right > 0 else x - size[0] if right < 0 else x - size[0] / 2
            yield (right * distance, up * distance), Bbox.from_bounds(left, y - size[1] / 2, *size)


def _cost(box: Bbox, taken: Sequence[Bbox], frame: Bbox, scale: float) -> float:
    """How bad a place is: what it covers or loses, in square points."""
    covered = _common(box, np.array([other.extents for other in taken])).sum()
    outside = box.width * box.height - _common(box, np.array([frame.extents]))[0]
    return float(10 * covered + 20 * outside) / scale**2


def _common(box: Bbox, others: NDArray[np.float64]) -> NDArray[np.float64]:
    """The area that a box shares with each of the others, (n, 4) as their left, lower, right and upper edges."""
    sides = np.minimum(box.max, others[:, 2:]) - np.maximum(box.min, others[:, :2])
    return np.maximum(sides, 0).prod(1)
