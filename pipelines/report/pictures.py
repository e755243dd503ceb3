"""Pictures of training and search, grids of images, and the style that all pictures share.

Line charts are matplotlib figures. As SVG they are transparent, and their text and axes take the reader's light
or dark colours; everything else has colours that are legible on both.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib import colormaps, rc_context
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm, Colormap, ListedColormap, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter
from matplotlib.typing import RcKeyType
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from ..files import replacing
from .embedding import compact, uri, webp_uri

COLOURS = ("#3b82c4", "#d9822b", "#3a9a6b", "#9c6ade", "#d9534f")
INK = "#434b56"  # text and axes: becomes the SVG's current colour, and so no data may be drawn in it
INK_IN_THE_DARK = "#c3cad4"
TILE = 64  # pixels up to which the tiles of a grid are magnified
ABREAST = 3  # panels beside each other
DPI = 144  # of what is a raster inside an SVG: scatter plots of many points, heat maps
LARGEST = 128  # pixels above which they are reduced
MISSING = (214, 51, 132)  # the colour of pixels that are not known: no grey, and rare in photographs
SMALL_PANELS = 4  # beside each other below the curves of a training
READABLE = {  # what diagnostics are called where their names do not say it
    "active_units": "active units of the code",
    "classes_covered": "classes that samples cover",
    "distortion": "distortion, nats",
    "diversity": "diversity ÷ real",
    "generator_slope": "mean |∂L/∂d| of generator",
    "rate": "rate KL(q ‖ p), nats",
    "score_gap": "score d(real) − d(generated)",
}
TOGETHER = {  # diagnostics that share a panel: its title, and the name of each there
    "D_on_real": ("discriminator's mean D", "real"),
    "D_on_fake": ("discriminator's mean D", "generated"),
}
STYLE: dict[RcKeyType, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": INK,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.prop_cycle": f"cycler('color', {list(COLOURS)})",
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.size": 9.0,
    "grid.alpha": 0.3,
    "grid.color": "#8a93a0",
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "svg.fonttype": "none",  # text stays text, which is small
    "svg.hashsalt": "genera",  # the same numbers give the same bytes
    "text.color": INK,
    "text.parse_math": False,  # a dollar in the name of a column is a dollar
    "xtick.color": INK,
    "ytick.color": INK,
}


def image_grid(
    images: NDArray[Any],
    levels: int,
    columns: int,
    palette: ArrayLike | None = None,
    missing: NDArray[np.bool_] | None = None,
) -> bytes:
    """A PNG of images (N, C, H, W) of integers 0 … levels-1, row by row, each magnified by a whole number.

    They are grey (C = 1), RGB (C = 3) or, with a palette (levels, 3) of colours 0 … 255, its indices (C = 1). An image
    with a side above `LARGEST` is reduced by averaging. The gaps of one pixel between the tiles are transparent. Pixels
    that are `missing` (N, H, W) have a colour of their own. ValueError for other shapes or none at all.
    """
    canvas, side = _canvas(images, levels, columns, palette, missing)
    scale = max(1, TILE // side)
    file = io.BytesIO()
    picture = _picture(canvas.repeat(scale, axis=0).repeat(scale, axis=1))
    picture.save(file, "PNG", optimize=True)
    return file.getvalue()


def grid_uri(
    images: NDArray[Any],
    levels: int,
    columns: int,
    palette: ArrayLike | None = None,
    missing: NDArray[np.bool_] | None = None,
) -> str:
    """The grid of `image_grid` as the content of `<img src>`, not magnified: the page's style does that."""
    return webp_uri(_picture(_canvas(images, levels, columns, palette, missing)[0]))


def _canvas(
    images: NDArray[Any], levels: int, columns: int, palette: ArrayLike | None, missing: NDArray[np.bool_] | None
) -> tuple[NDArray[np.uint8], int]:
    """The pixels (H, W, C + 1) of a grid, the last of them opacity, and the longer side of a tile."""
    if images.ndim != 4 or not len(images) or images.shape[1] not in ((1,) if palette is not None else (1, 3)):
        raise ValueError(f"a grid shows (N, 1, H, W) or (N, 3, H, W) with N > 0, not {images.shape}")
    tiles = _colours(images, levels, palette)
    if missing is not None:
        tiles = np.where(missing[..., None], np.array(MISSING, np.uint8), tiles)
    tiles = _reduced(tiles)
    count, height, width, channels = tiles.shape
    rows, columns = -(-count // columns), min(count, columns)
    canvas = np.zeros((rows * (height + 1) - 1, columns * (width + 1) - 1, channels + 1), np.uint8)
    for index, tile in enumerate(tiles):
        top, left = (index // columns) * (height + 1), (index % columns) * (width + 1)
        canvas[top : top + height, left : left + width, :channels] = tile
        canvas[top : top + height, left : left + width, channels] = 255
    return canvas, max(height, width)


def _picture(canvas: NDArray[np.uint8]) -> Image.Image:
    """Pixels (H, W, 2 or 4), grey or in colours, as a picture."""
    return Image.fromarray(canvas, "LA" if canvas.shape[2] == 2 else "RGBA")


def _colours(images: NDArray[Any], levels: int, palette: ArrayLike | None) -> NDArray[np.uint8]:
    """Images (N, C, H, W) of levels or indices as (N, H, W, C) of 0 … 255."""
    if palette is not None:
        return np.asarray(palette, np.uint8)[images[:, 0]]
    return np.rint(images.transpose(0, 2, 3, 1) * (255 / (levels - 1))).astype(np.uint8)


def _reduced(tiles: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Tiles (N, H, W, C) whose blocks of k×k pixels became one, with the smallest k that makes them small enough."""
    count, height, width, channels = tiles.shape
    k = -(-max(height, width) // LARGEST)
    if k == 1:
        return tiles
    rows, columns = max(1, height // k), max(1, width // k)  # what fills no block is cut off
    blocks = tiles[:, : rows * k, : columns * k].reshape(count, rows, -1, columns, min(k, width), channels)
    return np.rint(blocks.mean((2, 4))).astype(np.uint8)


@rc_context(STYLE)
def training_curves(history: pd.DataFrame, objective_name: str) -> Figure:
    """Two panels against the step: the training losses of the players, and the objective on validation data.

    `history` has the columns step, loss, objective and, with several players, <player>_loss. Any others are what else
    was measured at each validation, the state of the training: they have small panels below. Rows where a column is
    blank are left out of its curve.
    """
    measured = diagnostics(history)
    rows = -(-len(measured) // SMALL_PANELS)
    figure = Figure(figsize=(8.4, 2.8 + 1.6 * rows), layout="constrained")
    places = figure.add_gridspec(1 + rows, SMALL_PANELS, height_ratios=[2.8] + [1.6] * rows)
    half = SMALL_PANELS // 2
    left, right = figure.add_subplot(places[0, :half]), figure.add_subplot(places[0, half:])
    players = [str(column) for column in history.columns if str(column).endswith("_loss")]
    for column in players if len(players) > 1 else ["loss"]:
        _curve(left, history, column, column.removesuffix("_loss"))
    if len(players) > 1:
        left.legend()
    left.set(xlabel="step", ylabel="training loss")
    _curve(right, history, "objective", objective_name, marker=".")
    right.set(xlabel="step", ylabel=f"{objective_name} (validation)")
    for place, (title, columns) in enumerate(measured.items()):
        axes = figure.add_subplot(places[1 + place // SMALL_PANELS, place % SMALL_PANELS])
        for column in columns:
            _curve(axes, history, column, TOGETHER.get(column, ("", column))[1])
        if len(columns) > 1:
            axes.legend(fontsize=7)
        axes.set_title(short(title, 28), fontsize=8)
        axes.tick_params(labelsize=7)
        axes.locator_params(axis="x", nbins=3)
    return figure


def diagnostics(history: pd.DataFrame) -> dict[str, list[str]]:
    """The columns of a training's history that are neither losses nor its objective, by the titles of their panels."""
    usual = ("step", "loss", "objective")
    titles: dict[str, list[str]] = {}
    for name in map(str, history.columns):
        if name in usual or name.endswith("_loss") or not history[name].notna().any():
            continue
        title = TOGETHER[name][0] if name in TOGETHER else READABLE.get(name, name.replace("_", " "))
        titles.setdefault(title, []).append(name)
    return titles


@rc_context(STYLE)
def distillation_curve(history: pd.DataFrame) -> Figure:
    """KL(student ‖ teacher) against the step: the column objective of a student's history, with its standard error."""
    figure, (axes,) = _panels(1)
    if "standard_error" in history:
        reach = 2 * history["standard_error"]
        low = (history["objective"] - reach).clip(lower=0.1 * history["objective"].min())  # the axis may be logarithmic
        axes.fill_between(history["step"], low, history["objective"] + reach, color=COLOURS[0], alpha=0.25, linewidth=0)
    _curve(axes, history, "objective", "KL", marker=".")
    axes.set(xlabel="step", ylabel="KL(student ‖ teacher)\nin nats per dimension")
    return figure


@rc_context(STYLE)
def objective_against_parameters(trials: pd.DataFrame, parameters: Sequence[str], objective_name: str) -> Figure:
    """One panel per searched parameter: the objective that each trial reached, the lowest marked as the best.

    `trials` has one row per trial, with the columns objective, stopped_early and the parameters. Trials without
    an objective are left out. Values that are no numbers stand side by side.
    """
    figure, panels = _panels(len(parameters))
    trials = trials.dropna(subset=["objective"])
    stopped = trials["stopped_early"].astype(bool)
    for axes, parameter in zip(panels, parameters, strict=True):
        places, names = _places(trials[parameter])
        for kind, marker, label in ((~stopped, "o", "finished"), (stopped, "x", "stopped early")):
            axes.scatter(places[kind], trials.loc[kind, "objective"], s=28, marker=marker, label=label)
        best = trials.nsmallest(1, "objective").index
        axes.scatter(
            places[best],
            trials.loc[best, "objective"],
            s=150,
            facecolors="none",
            edgecolors=COLOURS[4],
            linewidths=1.6,
            label="best",
        )
        axes.set(xlabel=parameter)
        if names:
            crowded = sum(len(short(name)) for name in names) > 36
            slant: dict[str, Any] = {"rotation": 25, "ha": "right", "rotation_mode": "anchor"} if crowded else {}
            axes.set_xticks(range(len(names)), [short(name) for name in names], **slant)
            axes.set_xlim(-0.5, len(names) - 0.5)
        else:
            _rescale(axes, "x", places)
        _rescale(axes, "y", trials["objective"])
    for axes in panels[::ABREAST]:
        axes.set_ylabel(f"{objective_name} (validation)")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=3)
    return figure


@rc_context(STYLE)
def rate_distortion(trials: pd.DataFrame, *colours: str) -> Figure:
    """The distortion of each trial against its rate, in nats per example: a panel for each column that colours them.

    Trials that were stopped early are crosses: they are younger, and lie higher for that alone.
    """
    figure, panels = _panels(len(colours))
    for axes, colour in zip(panels, colours, strict=True):
        known = trials.dropna(subset=["rate", "distortion", colour])
        values, names = _places(known[colour])
        norm, palette = _scale(values, names)
        stopped = known["stopped_early"].astype(bool)
        for kind, marker, label in ((~stopped, "o", "finished"), (stopped, "X", "stopped early")):
            chosen = known[kind]
            if len(chosen):
                axes.scatter(
                    chosen["rate"],
                    chosen["distortion"],
                    c=values[kind],
                    norm=norm,
                    cmap=palette,
                    s=50,
                    marker=marker,
                    edgecolors="#8a93a0",
                    label=label,
                )
        axes.set(xlabel="rate KL(q(z|x) ‖ p(z)) in nats", ylabel="distortion −E log p(x|z)\nin nats")
        bar = figure.colorbar(ScalarMappable(norm=norm, cmap=palette), ax=axes, label=colour)
        if names:
            bar.set_ticks(range(len(names)), labels=[short(name) for name in names])
        else:
            _rescale(bar.ax, "y", values)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=2)
    return figure


def _scale(values: pd.Series[Any], names: Sequence[str]) -> tuple[Normalize, Colormap]:
    """Which colour a value has: a shade by its size, or one of its own for each name."""
    if names:
        edges = np.arange(len(names) + 1) - 0.5
        palette = ListedColormap(COLOURS[: len(names)]) if len(names) <= len(COLOURS) else colormaps["tab20"]
        return BoundaryNorm(edges, len(names)), palette
    low, high = values.min(), values.max()
    return LogNorm(low, high) if _decades(values) else Normalize(low, high), colormaps["plasma"]


def _places(values: pd.Series[Any]) -> tuple[pd.Series[Any], list[str]]:
    """Where values stand on an axis: at themselves, or at 0, 1, … in the order of their names."""
    if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
        return values, []
    words = values.map(lambda value: str(value).lower() if isinstance(value, bool) else str(value))
    names = sorted(set(words))
    return words.map(names.index), names


def save_png(figure: Figure, path: Path) -> None:
    """Write a figure as a PNG on white, whole or not at all."""
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=144, facecolor="white")


def data_uri(picture: Figure | bytes) -> str:
    """A picture as the content of `<img src>`: a figure as SVG, bytes as the PNG that they are."""
    if isinstance(picture, bytes):
        return uri("image/png", picture)
    return uri("image/svg+xml", _svg(picture).encode())


@rc_context(STYLE)
def _svg(figure: Figure) -> str:
    file = io.StringIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # letters that matplotlib's font lacks: the browser has them
        figure.savefig(file, format="svg", facecolor="none", metadata={"Date": None}, dpi=DPI)
    ink = f"svg{{color:{INK}}}@media screen and (prefers-color-scheme:dark){{svg{{color:{INK_IN_THE_DARK}}}}}"
    svg = file.getvalue().replace(INK, "currentColor")
    return compact(svg.replace("<defs>", f"<style>{ink}</style><defs>", 1))


def short(name: str, letters: int = 18) -> str:
    """A name that fits beside an axis."""
    return name if len(name) <= letters else f"{name[: letters - 1]}…"


def _panels(count: int) -> tuple[Figure, list[Axes]]:
    """A figure with `count` panels, side by side as far as they are legible."""
    across, down = min(count, ABREAST), -(-count // ABREAST)
    figure = Figure(figsize=(4.2 * across, 2.8 * down), layout="constrained")
    return figure, [figure.add_subplot(down, across, place + 1) for place in range(count)]


def _curve(axes: Axes, history: pd.DataFrame, column: str, label: str, marker: str = "") -> None:
    known = history.dropna(subset=[column])
    axes.plot(known["step"], known[column], label=label, marker=marker)
    _rescale(axes, "y", known[column])


def _rescale(axes: Axes, which: Literal["x", "y"], values: pd.Series[Any]) -> None:
    """Make the axis of these values logarithmic if they range over more than a decade."""
    if _decades(values):
        axes.set(**{f"{which}scale": "log"})
        axis = axes.xaxis if which == "x" else axes.yaxis
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axis.set_minor_formatter(NullFormatter())


def _decades(values: pd.Series[Any]) -> bool:
    """Are these positive numbers that range over more than a decade?"""
    if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values) or values.empty:
        return False
    return bool(values.min() > 0 and values.max() > 10 * values.min())
