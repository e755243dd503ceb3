"""What the first screen shows of real examples and of each entry's samples: a row of small pictures, alike in each row.

Of images two lines of a grid, of sounds a spectrogram of each, of series a wave of each. Of tables the distribution of
each of the first columns, and the pairs of columns that hang together most: samples in colour over real rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib import colormaps
from numpy.typing import NDArray
from PIL import Image

from ..data.tables.typed_rows import NAMED
from ..evaluation.shown import CLIPS, UNLABELLED_CLIPS, WIDEST, as_columns, columns
from .embedding import webp_uri
from .exhibits import QUIETEST, SPECTRUM, Meta, amplitude, spectrogram
from .pictures import grid_uri, short
from .typed_pictures import strongest_pairs

LINES = 2  # of a grid of images
MARGINALS, PAIRS = 6, 2  # of a table
BINS = 16
BARS = 8  # names with a bar of their own
POINTS = 150  # of a scatter plot
STEPS = 160  # of a wave
WIDTH, HEIGHT = 96, 60  # of a drawing, in its own units
SHADES = 32  # of a spectrogram

NOTHING = Markup("")

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Tile:
    """A small picture: the content of `<img src>`, or a drawing in the page's colours; and what it shows in words.

    `heads` stand above it in the row of real examples: one, or those of its columns. `across` examples are beside each
    other. `sound` is the place of the clip whose player it starts, counted from 1.
    """

    alt: str
    heads: Sequence[str] = ()
    picture: str = ""
    drawing: Markup = NOTHING
    sound: int = 0
    across: int = 1


def thumbnails(
    meta: Meta, x: NDArray[Any], labels: NDArray[Any] | None, whose: str, real: NDArray[Any] | None = None
) -> list[Tile]:
    """The row of examples x (n, *event) with labels (n,), if they have any; of a table over `real` rows (m, D)."""
    if not len(x):
        return []
    if meta["kind"] == "image":
        return _images(meta, x, labels, whose)
    if meta["kind"] == "table" or meta["channels"] == "columns":
        return _table(meta, x.astype(np.float64), whose, None if real is None else real.astype(np.float64))
    return _clips(meta, x, labels, whose)


def legend(meta: Meta) -> str:
    """What the rows show, in a sentence or two."""
    if meta["kind"] == "image":
        few = 1 < len(meta["class_names"]) <= WIDEST
        return f"As drawn, none picked{'; a class in each column' if few else ''}."
    if meta["kind"] == "table" or meta["channels"] == "columns":
        return "Blue: samples; the line and the orange dots: real rows of the test split."
    if meta["channels"] == "audio" and meta["sample_rate"]:
        return (
            "As drawn, none picked: low tones below, time to the right, the brighter the louder. Select one to hear it."
        )
    return "As drawn, none picked: each wave on the axis that holds all training data."


def _images(meta: Meta, x: NDArray[Any], labels: NDArray[Any] | None, whose: str) -> list[Tile]:
    names, by_column = meta["class_names"], as_columns(labels)
    width = len(by_column) or columns(len(names))
    heads = [short(names[label], 8) for label in by_column]
    lines = [x[first : first + width] for first in range(0, LINES * width, width)]
    order = f", of the classes {', '.join(heads)}" if heads else ""
    return [
        Tile(
            f"{whose}: {len(line)} images{order}",
            heads,
            grid_uri(line, meta["levels"], width, meta["palette"]),
            across=len(line),
        )
        for line in lines
        if len(line)
    ]


# Sounds and series


def _clips(meta: Meta, x: NDArray[Any], labels: NDArray[Any] | None, whose: str) -> list[Tile]:
    names = meta["class_names"]
    labelled = labels is not None and len(names) > 1
    x = x[: min(CLIPS, len(names)) if labelled else UNLABELLED_CLIPS]
    waves, _, limits = amplitude(meta, x.reshape(len(x), -1))
    audible = bool(meta["channels"] == "audio" and meta["sample_rate"])
    tiles = []
    for place, wave in enumerate(waves, start=1):
        heads = [short(names[labels[place - 1]], 12)] if labelled and labels is not None else []
        of = heads[0] if heads else f"example {place}"
        if audible and len(wave) >= SPECTRUM // 8:
            tiles.append(Tile(f"{whose}: spectrogram of {of}", heads, _spectrogram(wave), sound=place))
        else:
            tiles.append(Tile(f"{whose}: wave of {of}", heads, drawing=_wave(wave, limits), sound=audible * place))
    return tiles


def _spectrogram(wave: NDArray[np.float32]) -> str:
    """Low frequencies at the bottom, time to the right; the brighter, the louder."""
    shades = np.rint((spectrogram(wave)[::-1] / -QUIETEST + 1) * (SHADES - 1)) / (SHADES - 1)
    return webp_uri(Image.fromarray(np.uint8(np.rint(colormaps["magma"](np.clip(shades, 0, 1))[..., :3] * 255))))


def _wave(wave: NDArray[np.float32], limits: tuple[float, float]) -> Markup:
    steps = np.unique(np.linspace(0, len(wave) - 1, STEPS).astype(int))
    heights = _placed(wave[steps].astype(np.float64), *limits)
    along = steps / max(1, len(wave) - 1)
    return _drawing([("line samples", "M" + "L".join(_points(along, heights)))])


# Tables


def _table(meta: Meta, x: Numbers, whose: str, real: Numbers | None) -> list[Tile]:
    about = meta["columns"]
    over = " over real rows" if real is not None else ""
    tiles = [
        Tile(f"{whose}{over}: distribution of {about[d]['name']}", [short(about[d]["name"], 24)], drawing=drawing)
        for d, drawing in enumerate(_marginals(about[:MARGINALS], x, real))
    ]
    for a, b in strongest_pairs(about, x if real is None else real, PAIRS):
        names = f"{about[b]['name']} against {about[a]['name']}"
        heads = [f"{short(about[a]['name'], 14)} × {short(about[b]['name'], 14)}"]
        tiles.append(Tile(f"{whose}{over}: {names}", heads, drawing=_scatter(about, x, real, a, b)))
    return tiles


def _marginals(about: Sequence[Mapping[str, Any]], x: Numbers, real: Numbers | None) -> Iterator[Markup]:
    for d, column in enumerate(about):
        shares: Callable[[Numbers], Numbers] = _named(column, x if real is None else real, d)
        own, other = shares(x[:, d]), None if real is None else shares(real[:, d])
        top = max(own.max(initial=0), 0 if other is None else other.max(initial=0)) or 1
        layers = [("area samples" if real is not None else "area real", _stairs(own / top, closed=True))]
        layers += [] if other is None else [("line real", _stairs(other / top, closed=False))]
        yield _drawing(layers)


def _named(column: Mapping[str, Any], first: Numbers, d: int) -> Callable[[Numbers], Numbers]:
    """What counts the shares of values: of names, the most frequent ones; of numbers, those in even bins."""
    if _is_named(column):
        levels = column["levels"]
        counts = np.bincount(first[np.isfinite(first[:, d]), d].astype(int), minlength=levels)
        order = np.argsort(-counts, kind="stable")[:BARS]
        return lambda values: np.array([(values == level).mean() for level in order])
    low, high = column["min"], column["max"]
    edges = np.linspace(low, high if high > low else low + 1, min(BINS, int(column.get("levels") or BINS)) + 1)
    return lambda values: np.histogram(np.clip(values[np.isfinite(values)], low, edges[-1]), edges)[0] / len(values)


def _scatter(about: Sequence[Mapping[str, Any]], x: Numbers, real: Numbers | None, a: int, b: int) -> Markup:
    layers = []
    for rows, name in ((x, "dots samples"), (real, "dots real")) if real is not None else ((x, "dots real"),):
        if rows is not None:
            points = rows[np.isfinite(rows[:, (a, b)]).all(1)][:POINTS]
            places = [_placed(points[:, d], about[d]["min"], about[d]["max"]) for d in (a, b)]
            layers.append((name, "".join(f"M{point}h0" for point in _points(*places))))
    return _drawing(layers)


def _is_named(column: Mapping[str, Any]) -> bool:
    return column.get("type", {}).get("kind") in NAMED


# Drawings


def _drawing(layers: Sequence[tuple[str, str]]) -> Markup:
    """Paths with their classes, which the page's style gives its colours; the tile around them says what they show."""
    paths = Markup("").join(Markup('<path class="{}" d="{}"/>').format(name, path) for name, path in layers)
    return Markup('<svg viewBox="0 0 {} {}" preserveAspectRatio="none" aria-hidden="true">{}</svg>').format(
        WIDTH, HEIGHT, paths
    )


def _placed(values: Numbers, low: float, high: float) -> Numbers:
    """Where values stand between the ends of an axis, 0 … 1."""
    return np.clip((values - low) / ((high - low) or 1), 0, 1)


def _points(right: Numbers, up: Numbers) -> list[str]:
    """Places 0 … 1 in the units of a drawing."""
    return [f"{1 + x * (WIDTH - 2):.0f} {HEIGHT - 1 - y * (HEIGHT - 2):.0f}" for x, y in zip(right, up, strict=True)]


def _stairs(heights: Numbers, closed: bool) -> str:
    """A histogram of bars 0 … 1 high."""
    edges = np.linspace(0, 1, len(heights) + 1)
    corners = _points(np.repeat(edges, 2)[1:-1], np.repeat(heights, 2))
    if closed:
        corners = [*_points(edges[:1], np.zeros(1)), *corners, *_points(edges[-1:], np.zeros(1))]
    return "M" + "L".join(corners) + "Z" * closed
