"""How samples are shown at several temperatures, and beside the training examples that are nearest to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from numpy.typing import NDArray

from .exhibits import BINS, COLOURED, Exhibit, Item, Meta, about_clips, clips, scatter
from .pictures import COLOURS, STYLE, data_uri, grid_uri, short
from .verdicts import ordinal

TEMPERED_CLIPS = 2  # at each temperature
CHAOS = "Below 1 samples keep to what is most likely and vary less, above 1 they dare more; 1 is the model as learnt"


def temperature_row(
    meta: Meta, temperatures: Sequence[float], x: NDArray[Any], labels: NDArray[Any] | None
) -> Exhibit | None:
    """Samples x (T, n, *event) of the same noise at each temperature, with labels (n,), if they have any.

    None where there are none.
    """
    if not x.size or meta["kind"] == "table":
        return None
    names = [f"{temperature:g}" for temperature in temperatures]
    classes = None if labels is None or not meta["class_names"] else [meta["class_names"][label] for label in labels]
    if meta["kind"] == "image":
        about = f"; the classes from left to right: {', '.join(classes)}" if classes else ""
        caption = f"The same noise in each column, drawn at the temperatures at the left{about}. {CHAOS}."
        alt = f"Grid of {x.shape[1]} samples at each of the temperatures {', '.join(names)}"
        return _grid(meta, x, names, alt, caption)
    if meta["channels"] == "columns":
        return _planes(meta, x, names, labels)
    x = x[:, :TEMPERED_CLIPS]  # of vectors that are series there are as many as points of a scatter plot
    kinds = classes[:TEMPERED_CLIPS] if classes else [str(number + 1) for number in range(x.shape[1])]
    titles = [f"temperature {name}, {kind}" for name in names for kind in kinds]
    flat = x.reshape(-1, *x.shape[2:])
    caption = f"The same noise, drawn at each temperature. {CHAOS}. Each card shows {about_clips(meta, flat)}."
    return Exhibit(clips(meta, flat, titles, "sample"), caption, "cards", across=max(2, x.shape[1]))


def nearest_neighbours(
    meta: Meta, samples: NDArray[Any], neighbours: NDArray[Any], distances: NDArray[np.float64]
) -> Exhibit | None:
    """Samples (S, *event) above their nearest training examples (S, B, *event), at distances (S, B) in features.

    None where there are none.
    """
    if not len(samples):
        return None
    count, each = neighbours.shape[:2]
    caption = (
        f"The {count} samples that lie nearest to a training example, of all that were measured, with their {each}"
        f" nearest training examples, in features. The distances to the nearest: {distances[:, 0].min():.3g} to"
        f" {distances[:, 0].max():.3g}; 0 is a copy. These are the worst cases, not typical ones"
    )
    ranks = ["nearest", *(ordinal(number) for number in range(2, each + 1))]
    rows = np.concatenate([samples[:, None], neighbours], 1)  # (S, 1 + B, *event)
    if meta["kind"] == "image":
        alt = f"Grid of {count} columns: a sample, below it the {each} training examples that are nearest to it"
        return _grid(meta, rows.swapaxes(0, 1), ["sample", *ranks], alt, f"{caption}.")
    kinds = ["sample", *(f"training example, {rank}" for rank in ranks)]
    titles = [f"{number}, {kind}" for number in range(1, count + 1) for kind in kinds]
    flat = rows.reshape(-1, *rows.shape[2:])
    items = clips(meta, flat, titles, "sample or training example")
    return Exhibit(items, f"{caption}. Each card shows {about_clips(meta, flat)}.", "cards", across=1 + each)


def _grid(meta: Meta, x: NDArray[Any], sides: Sequence[str], alt: str, caption: str) -> Exhibit:
    """Images (R, n, C, H, W) in rows with names."""
    picture = grid_uri(x.reshape(-1, *x.shape[2:]), meta["levels"], x.shape[1], meta["palette"])
    return Exhibit([Item(picture, alt)], caption, "grid", sides=sides)


def _planes(meta: Meta, x: NDArray[Any], names: Sequence[str], labels: NDArray[Any] | None) -> Exhibit:
    """The first two columns of a table at each temperature, or the histogram of its only one."""
    columns = meta["columns"][:2]
    figure = _plane_figure(meta, x, names, labels)
    what = " against ".join(column["name"] for column in reversed(columns))
    caption = f"The same noise at each temperature: {what}, in the data's own units, {x.shape[1]:,} examples each."
    alt = f"{'Scatter plots' if len(columns) > 1 else 'Histograms'} of samples at the temperatures {', '.join(names)}"
    if labels is not None and 1 < len(meta["class_names"]) <= COLOURED and len(columns) > 1:
        caption += " Coloured by class, as the real examples are."
    return Exhibit([Item(data_uri(figure), alt)], f"{caption} The axes span the training data. {CHAOS}.", wide=True)


@rc_context(STYLE)
def _plane_figure(meta: Meta, x: NDArray[Any], names: Sequence[str], labels: NDArray[Any] | None) -> Figure:
    """A panel for each of the temperatures of x (T, n, D)."""
    columns = meta["columns"][:2]
    coloured = labels if labels is not None and 1 < len(meta["class_names"]) <= COLOURED else None
    figure = Figure(figsize=(1.75 * len(names) + 0.6, 2.2), layout="constrained")
    panels = figure.subplots(1, len(names), squeeze=False, sharey=True)[0]
    for axes, name, points in zip(panels, names, x, strict=True):
        finite = np.isfinite(points[:, : len(columns)]).all(1)
        shown = points[finite]
        low, high = columns[0]["min"], columns[0]["max"]
        if len(columns) > 1:
            colours = None if coloured is None else coloured[finite]
            scatter(axes, shown[:, 0], shown[:, 1], colours, meta["class_names"], size=4)
            axes.set(ylim=(columns[1]["min"], columns[1]["max"]) if columns[1]["min"] < columns[1]["max"] else None)
        else:
            axes.hist(shown[:, 0], np.linspace(low, high if high > low else low + 1, BINS + 1), color=COLOURS[0])
        axes.set(xlim=(low, high) if high > low else None, xlabel=short(columns[0]["name"]))
        axes.set_title(name, fontsize=8.5)
        axes.locator_params(axis="x", nbins=3)
        axes.tick_params(labelsize=7)
    panels[0].set_ylabel(short(columns[1]["name"]) if len(columns) > 1 else "samples")
    return figure
