"""Pictures of a whole data set: the balance of its classes, histograms, correlations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter
from numpy.typing import ArrayLike, NDArray

from .pictures import COLOURS, STYLE, short
from .statistics import ColumnCounts, LevelCounts, ValueCounts

NAMED = 50  # classes and columns whose names are written
NUMBERED = 12  # columns whose correlations are written as numbers
UNEVEN = 50  # ratio of shares from which their axis is logarithmic
ACROSS = 4  # histograms side by side
CHANNELS = {"red": COLOURS[4], "green": COLOURS[2], "blue": COLOURS[0]}


@rc_context(STYLE)
def class_balance(counts: Mapping[str, Sequence[int]], names: Sequence[str]) -> Figure:
    """A panel per split with the count of examples of each class; the classes of one line are the same in all panels.

    `counts` has one number per class for each split. Many classes are not named.
    """
    classes, named = np.arange(len(names)), len(names) <= NAMED
    height = 0.8 + (0.2 * max(4, len(names)) if named else 3.2)
    figure = Figure(figsize=(9.0, height), layout="constrained")
    panels: NDArray[Any] = figure.subplots(1, len(counts), sharey=True, squeeze=False)[0]
    for axes, (split, values), colour in zip(panels, counts.items(), COLOURS, strict=False):
        axes.barh(classes, values, color=colour, height=0.8 if named else 1.0)
        axes.set(title=split, xlabel="examples", ylim=(len(names) - 0.5, -0.5))
        axes.locator_params(axis="x", nbins=4)
        axes.grid(visible=False, axis="y")
    if named:
        panels[0].set_yticks(classes, [short(name) for name in names])
    else:
        panels[0].set_ylabel("class")
    return figure


@rc_context(STYLE)
def level_histogram(levels: LevelCounts, channels: str, palette: ArrayLike | None, what: str) -> Figure:
    """The share of each level: bars, for RGB a line per channel, and for a palette bars in its colours."""
    figure = Figure(figsize=(6.4, 2.6), layout="constrained")
    axes = figure.subplots()
    shares = levels.shares
    places = np.arange(shares.shape[1])
    if channels == "rgb":
        for share, (name, colour) in zip(shares, CHANNELS.items(), strict=True):
            axes.stairs(share, np.append(places, len(places)) - 0.5, color=colour, label=name, linewidth=1.3)
        axes.legend()
    elif palette is not None:
        axes.bar(places, shares[0], color=np.asarray(palette) / 255, edgecolor="#8a93a0", linewidth=0.5, width=0.9)
    else:
        axes.bar(places, shares[0], color=COLOURS[0], width=0.9 if len(places) <= 64 else 1.0)
    axes.set(xlabel=what, ylabel="share of all")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _share_axis(axes, shares)
    return figure


@rc_context(STYLE)
def value_histogram(values: ValueCounts) -> Figure:
    """The share of all numbers of series that falls into each of even bins."""
    figure = Figure(figsize=(6.4, 2.6), layout="constrained")
    axes = figure.subplots()
    shares = values.counts / values.counts.sum()
    axes.stairs(shares, values.edges, fill=True, color=COLOURS[0])
    axes.set(xlabel="value", ylabel="share of all")
    _share_axis(axes, shares)
    return figure


@rc_context(STYLE)
def column_histograms(columns: ColumnCounts, names: Sequence[str]) -> Figure:
    """A small histogram of each named column, from its minimum to its maximum."""
    across, count = min(ACROSS, len(names)), len(names)
    down = -(-count // across)
    figure = Figure(figsize=(2.3 * across, 1.55 * down), layout="constrained")
    panels = np.ravel(figure.subplots(down, across, squeeze=False))
    for number, axes in enumerate(panels):
        if number >= count:
            axes.set_visible(False)
            continue
        axes.stairs(columns.counts[number], columns.edges[number], fill=True, color=COLOURS[0])
        axes.set_title(short(names[number], 24), fontsize=8)
        axes.set(yticks=[])
        axes.locator_params(axis="x", nbins=4)
        axes.tick_params(labelsize=7)
    return figure


@rc_context(STYLE)
def correlation_map(correlation: NDArray[np.float64], names: Sequence[str]) -> Figure:
    """A heat map of correlations (D, D), red for positive and blue for negative ones, with numbers where they fit."""
    count = len(names)
    side = max(3.0, min(8.0, 0.55 * count if count <= NUMBERED else 0.2 * count))
    figure = Figure(figsize=(side + 1.8, side + 0.8), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(correlation, cmap="RdBu_r", vmin=-1, vmax=1, interpolation="none")
    places = np.arange(count)
    size = 8 if count <= 30 else 6
    axes.set_xticks(places, [short(name) for name in names], rotation=90, fontsize=size)
    axes.set_yticks(places, [short(name) for name in names], fontsize=size)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    if count <= NUMBERED:
        for row in range(count):
            for column in range(count):
                value = correlation[row, column]
                colour = "#ffffff" if abs(value) > 0.6 else "#1c2430"
                text = "" if np.isnan(value) else f"{value:.2f}".replace("-0.00", "0.00")
                axes.text(column, row, text, ha="center", va="center", fontsize=7, color=colour)
    figure.colorbar(image, ax=axes, label="correlation", shrink=0.8, ticks=[-1, -0.5, 0, 0.5, 1])
    return figure


def hex_colours(palette: ArrayLike) -> list[str]:
    """Colours (N, 3) of 0 … 255 as #rrggbb."""
    return [to_hex(colour) for colour in np.asarray(palette) / 255]


def is_uneven(shares: NDArray[np.float64]) -> bool:
    """Do the shares that are not zero differ so much that only a logarithmic axis shows them all?"""
    some = shares[shares > 0]
    return bool(len(some) and some.max() > UNEVEN * np.median(some))


def _share_axis(axes: Axes, shares: NDArray[np.float64]) -> None:
    if is_uneven(shares):
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(numticks=6))
        axes.yaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_formatter(lambda share, _: f"{100 * share:.4g} %")
