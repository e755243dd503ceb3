"""Rows of a table as people read them: values in their own formats, and the distribution of each column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ..data.tables.typed_rows import NAMED, decode_rows
from .pictures import COLOURS, INK, STYLE, short

SHOWN = 8  # rows
MOST = 24  # columns with a picture
BARS = 12  # names with a bar of their own
BINS = 30
POINTS = 1000  # of a scatter plot
REAL = COLOURS[1]  # the colour of real rows that lie on samples
ACROSS = 4  # panels beside each other

Meta = Mapping[str, Any]


def written_rows(meta: Meta, x: NDArray[Any]) -> tuple[list[str], list[list[str]]]:
    """The heads and the cells of the first rows of x (n, D), as they would stand in a file; gaps are blank."""
    names = [column["name"] for column in meta["columns"]]
    frame = decode_rows(x[:SHOWN], names, [column["type"] for column in meta["columns"]])
    return names, [["" if _gap(value) else _text(value) for value in row] for row in frame.itertuples(index=False)]


@rc_context(STYLE)
def marginals(meta: Meta, x: NDArray[Any], beside: NDArray[Any] | None = None) -> Figure:
    """The distribution of each column in rows x (n, D), and as lines that in the rows `beside` (m, D)."""
    columns = meta["columns"][:MOST]
    down = -(-len(columns) // ACROSS)
    figure = Figure(figsize=(2.5 * min(ACROSS, len(columns)), 1.9 * down), layout="constrained")
    panels = figure.subplots(down, min(ACROSS, len(columns)), squeeze=False).ravel()
    for d, (axes, column) in enumerate(zip(panels, columns, strict=False)):
        other = None if beside is None else beside[:, d].astype(np.float64)
        drawn = _bars if column["type"]["kind"] in NAMED else _histogram
        drawn(axes, column, x[:, d].astype(np.float64), other)
        axes.set_title(short(column["name"]), fontsize=8.5)
        axes.tick_params(labelsize=7)
        axes.set_yticks([])
    for axes in panels[len(columns) :]:
        axes.set_visible(False)
    return figure


@rc_context(STYLE)
def pairs(meta: Meta, x: NDArray[Any], beside: NDArray[Any]) -> Figure | None:
    """The pairs of columns that hang together most: rows x (n, D), on them rows `beside` (m, D); None if none do.

    What lies outside the range of the training data is at its edge.
    """
    columns = meta["columns"]
    found = strongest_pairs(columns, beside.astype(np.float64), ACROSS)
    if not found:
        return None
    figure = Figure(figsize=(2.5 * len(found), 2.3), layout="constrained")
    panels = figure.subplots(1, len(found), squeeze=False)[0]
    style: dict[str, Any] = {"s": 5, "linewidths": 0, "rasterized": True, "antialiased": False}
    for axes, pair in zip(panels, found, strict=True):
        ends = [(columns[d]["min"], columns[d]["max"]) for d in pair]
        for rows, colour in ((x, COLOURS[0]), (beside, REAL)):
            points = rows[:, pair].astype(np.float64)
            points = points[np.isfinite(points).all(1)][:POINTS]
            axes.scatter(*(np.clip(points[:, k], *ends[k]) for k in (0, 1)), color=colour, **style)
        axes.set(xlabel=short(columns[pair[0]]["name"]), ylabel=short(columns[pair[1]]["name"]), xticks=[], yticks=[])
    return figure


def strongest_pairs(
    columns: Sequence[Mapping[str, Any]], rows: NDArray[np.float64], most: int
) -> list[tuple[int, int]]:
    """At most so many pairs of columns of numbers, the most strongly correlated in the rows (n, D) first."""
    several = [d for d, column in enumerate(columns[:MOST]) if _has_many_values(column)]
    strength = {pair: _correlation(rows[:, pair]) for pair in combinations(several, 2)}
    return sorted(strength, key=lambda pair: -strength[pair])[:most]


def _has_many_values(column: Mapping[str, Any]) -> bool:
    named = column.get("type", {}).get("kind") in NAMED
    return not named and (column.get("levels") or BARS + 1) > BARS and column["max"] > column["min"]


def _correlation(both: NDArray[np.float64]) -> float:
    """The size of the correlation of rows (n, 2), of those without a gap; nought where there are too few."""
    known = both[np.isfinite(both).all(1)]
    if len(known) < 3 or (known.std(0) == 0).any():
        return 0.0
    return float(np.abs(np.atleast_2d(np.corrcoef(known.T)))[0, 1])


def _bars(axes: Axes, column: Mapping[str, Any], x: NDArray[Any], beside: NDArray[Any] | None) -> None:
    """The shares of the most frequent names, of all others together, and of gaps."""
    K = column["levels"]
    shares = _shares(x, K)
    first = shares if beside is None else _shares(beside, K)
    order = np.argsort(-first[:K], kind="stable")[:BARS]
    rest = [float(each[:K].sum() - each[order].sum()) for each in (shares, first)]
    labels = [short(str(column["type"]["values"][k]), 10) for k in order]
    both = [[*each[order], *([other] if K > BARS else []), *([each[K]] if column["gaps"] else [])]
            for each, other in zip((shares, first), rest, strict=True)]  # fmt: skip
    labels += ["others"] * (K > BARS) + ["gap"] * (column["gaps"] > 0)
    places = np.arange(len(labels))
    axes.bar(places, both[0], color=COLOURS[0])
    if beside is not None:
        axes.step([-0.5, *(places + 0.5)], [both[1][0], *both[1]], color=INK, linewidth=1.2)
    axes.set_xticks(places, labels, rotation=60, ha="right", fontsize=6)


def _histogram(axes: Axes, column: Mapping[str, Any], x: NDArray[Any], beside: NDArray[Any] | None) -> None:
    """Densities of numbers over the range of the training data."""
    low, high = column["min"], column["max"]
    edges = np.linspace(low, high if high > low else low + 1, min(BINS, int(column.get("levels") or BINS)) + 1)
    for values, style in ((x, {"color": COLOURS[0]}), (beside, {"color": INK, "histtype": "step", "linewidth": 1.2})):
        there = None if values is None else values[np.isfinite(values)]
        if there is not None and len(there):
            axes.hist(np.clip(there, edges[0], edges[-1]), list(edges), density=True, **style)
    kind = column["type"]
    ends = decode_rows(np.array([[edges[0]], [edges[-1]]]), ["x"], [kind])["x"]
    axes.set_xticks([edges[0], edges[-1]], [_text(end) for end in ends], fontsize=6)


def _shares(x: NDArray[Any], levels: int) -> NDArray[np.float64]:
    """The share of each level, and of gaps, which comes last."""
    places = np.where(np.isnan(x), levels, x).astype(np.int64)
    return np.bincount(places, minlength=levels + 1) / max(1, len(x))


def _gap(value: Any) -> bool:
    return bool(pd.isna(value))


def _text(value: Any) -> str:
    if isinstance(value, float | np.floating):
        return f"{value:.6g}"
    return str(value).removesuffix(" 00:00:00")


def cells_of_types(columns: Sequence[Mapping[str, Any]], why: Sequence[str], allowed: Any) -> list[list[str]]:
    """A line for each column: its name, its type, what it may hold, its share of gaps, and what decided the type."""
    return [
        [
            column["name"],
            column["type"]["kind"],
            allowed(column["type"]),
            f"{column.get('gaps', 0):.1%}" if column.get("gaps") else "",
            reason,
        ]
        for column, reason in zip(columns, why, strict=True)
    ]
