"""How examples are shown, real ones and samples alike: images in a grid, tables as scatter plots, sounds as waves.

What an example is, the meta.json of the prepared data says (see `pipelines/prepared.py`); the axes are those of the
training data, so that pictures of real examples and of samples can be compared by eye.
"""

from __future__ import annotations

import base64
import io
import wave
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from matplotlib import colormaps, rc_context
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ..data.quantisation import decode
from ..evaluation.shown import CLIPS, UNLABELLED_CLIPS, as_columns, columns
from .pictures import COLOURS, INK, STYLE, data_uri, grid_uri, short
from .typed_pictures import MOST, marginals, pairs, written_rows

PAIRED = 6  # columns of a pair plot
BINS = 30
GREY = "#8a93a0"  # of real rows below samples, which may have the colours of their classes
COLOURED = 10  # classes that colours can tell apart
DENSE = 1000  # numbers above which a wave is drawn as a band
BAND = 250  # steps of the band, as many as a card has dots
QUIETEST = -80  # decibels
SPECTRUM = 256  # samples in a window of a spectrogram
FRAMES = 400  # of a spectrogram, about
SLOWEST = 3000  # samples per second: browsers play nothing slower

# Hard edges and one shade compress well: a third of the bytes.
DOTS: dict[str, Any] = {"linewidths": 0, "rasterized": True, "antialiased": False}

Meta = Mapping[str, Any]


@dataclass(frozen=True)
class Item:
    """One picture as the content of `<img src>`, what it shows in words, and maybe a sound (also as a URI)."""

    picture: str
    alt: str
    title: str = ""
    sound: str | None = None


@dataclass(frozen=True)
class Exhibit:
    """Pictures that belong together: one `grid` of pixels, one `plot`, or several `cards`; the caption says the units.

    A plot with a `wide` picture keeps its letters legible on a narrow screen, and is scrolled there. `heads` stand
    above a grid: each is a heading, and how many columns it spans; `sides` stand to the left of its rows. A row has at
    most `across` cards, if that is given. Rows of a table stand below the pictures, with the names of their `columns`.
    """

    items: Sequence[Item]
    caption: str
    layout: Literal["grid", "plot", "cards"] = "plot"
    wide: bool = False
    heads: Sequence[tuple[str, int]] = ()
    across: int | None = None
    sides: Sequence[str] = ()
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()


def exhibit(
    meta: Meta,
    x: NDArray[Any],
    labels: NDArray[Any] | None,
    what: str,
    levels: int | None = None,
    beside: NDArray[Any] | None = None,
) -> Exhibit:
    """Show examples x (n, *event) with labels (n,), if they have any; `what` they are begins the caption.

    `levels` replaces those of the meta, for data whose training split has others (`each_step`). Rows of a table are
    drawn over real ones that are `beside` them.
    """
    if not len(x):
        return Exhibit([], f"{what}: there are none.")
    if meta["kind"] == "image":
        return _images(meta, x, labels, what, levels or meta["levels"])
    if meta["kind"] == "table":
        return _typed(meta, x, what, beside)
    if meta["channels"] == "columns":
        return _table(meta, x, labels, what, beside)
    return _clips(meta, x, labels, what)


# Images


def _images(meta: Meta, x: NDArray[Any], labels: NDArray[Any] | None, what: str, levels: int) -> Exhibit:
    names, by_column = meta["class_names"], as_columns(labels)
    width = len(by_column) or columns(len(names))
    picture = grid_uri(x, levels, width, meta["palette"])
    order = "" if labels is None else ", ".join(names[label] for label in by_column or dict.fromkeys(labels.tolist()))
    about = f"; {'one class per column' if by_column else 'row by row the classes'}: {order}" if order else ""
    caption = f"{what}{about}. Each has {x.shape[2]}×{x.shape[3]} pixels."
    return Exhibit([Item(picture, f"Grid of {len(x)} images: {what}")], caption, "grid")


# Tables


def _typed(meta: Meta, x: NDArray[Any], what: str, beside: NDArray[Any] | None) -> Exhibit:
    """Each column's distribution, and some rows as they would stand in a file."""
    names, rows = written_rows(meta, x)
    picture = data_uri(marginals(meta, x, beside))
    columns = len(meta["columns"])
    first = "each column" if columns <= MOST else f"the first {MOST} of {columns} columns"
    caption = f"{what}: the distribution of {first} in {len(x):,} rows, over the range of the training data;"
    if beside is not None:
        caption += f" as a line that of {len(beside):,} real rows of the test split;"
    caption += f" {len(rows)} of the rows as they would stand in a file; a gap is blank."
    items = [Item(picture, f"A histogram of {first}: {what}")]
    below = None if beside is None else pairs(meta, x, beside)
    if below is not None:
        caption += " Below the distributions the pairs of columns that hang together most: samples in blue, on them in"
        caption += " orange real rows."
        items.append(Item(data_uri(below), f"Scatter plots of pairs of columns: {what}"))
    return Exhibit(items, caption, wide=True, columns=names, rows=rows)


def _table(meta: Meta, x: NDArray[Any], labels: NDArray[Any] | None, what: str, beside: NDArray[Any] | None) -> Exhibit:
    paired = meta["columns"][:PAIRED]
    finite = np.isfinite(x[:, : len(paired)]).all(1)
    points = x[finite, : len(paired)]
    colours = labels[finite] if labels is not None and 1 < len(meta["class_names"]) <= COLOURED else None
    low, high = ([column[end] for column in paired] for end in ("min", "max"))
    outside = ((x[:, : len(paired)] < low) | (x[:, : len(paired)] > high)).mean(0)
    figure = _pair_plot(paired, points, colours, meta["class_names"], beside)
    names = ", ".join(column["name"] for column in paired)
    whole = len(meta["columns"])
    first = f"the first {len(paired)} of {whole} columns" if whole > len(paired) else "the columns"
    caption = f"{what}: {first} ({names}) in the data's own units, {len(x):,} examples"
    caption += (
        ". On the diagonal the histogram of each column, below it each pair of columns" if len(paired) > 1 else ""
    )
    caption += "" if beside is None else f"; grey, and as a line, {len(beside):,} real rows of the test split"
    caption += ". The axes span the training data"
    if outside.max(initial=0) > 0:
        caption += f"; up to {outside.max():.1%} of a column's values lie outside"
    if not finite.all():
        caption += f"; not finite: {(~finite).sum()} of the examples"
    return Exhibit([Item(data_uri(figure), f"Pair plot of {names}: {what}")], f"{caption}.", wide=len(paired) > 2)


@rc_context(STYLE)
def _pair_plot(
    about: Sequence[Mapping[str, Any]],
    x: NDArray[Any],
    labels: NDArray[Any] | None,
    names: Sequence[str],
    beside: NDArray[Any] | None,
) -> Figure:
    """Histograms of columns (n, D) on the diagonal, a scatter plot of each pair below it, over rows `beside` (m, D)."""
    count = len(about)
    side = 3.2 if count == 1 else 1.5
    figure = Figure(figsize=(side * count + 0.6, (side if count > 1 else 2.6) * count + 0.4), layout="constrained")
    panels = figure.subplots(count, count, squeeze=False, sharex="col")
    limits = [_span(column["min"], column["max"]) for column in about]
    for row in range(count):
        for column in range(count):
            axes = panels[row, column]
            if column > row:
                axes.set_visible(False)
            elif column == row:
                edges = np.linspace(about[row]["min"], about[row]["max"], BINS + 1)
                bins = edges if edges[-1] > edges[0] else np.linspace(*limits[row], BINS + 1)
                axes.hist(x[:, row], bins, density=True, color=COLOURS[0])
                if beside is not None:
                    axes.hist(beside[:, row], bins, density=True, color=INK, histtype="step", linewidth=1.0)
                axes.set(xlim=limits[row], yticks=[])
            else:
                if beside is not None:
                    axes.scatter(beside[:, column], beside[:, row], color=GREY, **DOTS, s=2.5)
                scatter(axes, x[:, column], x[:, row], labels, names)
                axes.set(xlim=limits[column], ylim=limits[row])
                axes.tick_params(labelleft=column == 0)
            axes.locator_params(nbins=4)
            axes.tick_params(labelsize=7)
            if row == count - 1:
                axes.set_xlabel(short(about[column]["name"]))
            if column == 0 and row:
                axes.set_ylabel(short(about[row]["name"]))
    if labels is not None and count > 1:
        handles, texts = panels[1, 0].get_legend_handles_labels()
        figure.legend(handles, texts, loc="upper right", markerscale=4)
    return figure


def scatter(
    axes: Axes,
    x: NDArray[Any],
    y: NDArray[Any],
    labels: NDArray[Any] | None,
    names: Sequence[str],
    size: float = 2.5,
) -> None:
    """Points (n,) of a size in square points, coloured by their labels (n,), if any, with texts for a legend."""
    style: dict[str, Any] = {"s": size, **DOTS}
    if labels is None:
        axes.scatter(x, y, color=COLOURS[0], **style)
        return
    shuffled = np.random.default_rng(0).permutation(len(x))  # so that no class covers all others
    few = len(names) <= len(COLOURS)
    palette = np.array(COLOURS if few else [to_hex(colour) for colour in colormaps["tab10"](range(COLOURED))])
    axes.scatter(x[shuffled], y[shuffled], color=palette[labels[shuffled]].tolist(), **style)
    for label, name in enumerate(names):
        axes.scatter([], [], color=palette[label], label=short(name), s=3)


# Sounds and series


def _clips(meta: Meta, x: NDArray[Any], labels: NDArray[Any] | None, what: str) -> Exhibit:
    """Waves, and for sounds their spectrograms and players: one of each class that x begins with, or a few."""
    labelled = labels is not None and len(meta["class_names"]) > 1
    x = x[: min(CLIPS, len(meta["class_names"])) if labelled else UNLABELLED_CLIPS]
    names = meta["class_names"]
    titles = [names[labels[number]] if labelled and labels is not None else f"{number + 1}" for number in range(len(x))]
    count = "one per class" if labelled else f"{len(x)} of them"
    return Exhibit(clips(meta, x, titles, what), f"{what}, {count}: {about_clips(meta, x)}.", "cards")


def clips(
    meta: Meta, x: NDArray[Any], titles: Sequence[str], what: str, known: NDArray[np.bool_] | None = None
) -> list[Item]:
    """A wave of each of the examples x (n, *event), for sounds with a spectrogram and a player.

    Where steps are `known` (T,), or are not, the rest being drawn by a model, the known ones are shaded.
    """
    amplitudes, unit, limits = amplitude(meta, x.reshape(len(x), -1))
    rate = meta["sample_rate"]
    sounds = bool(meta["channels"] == "audio" and rate)
    items = []
    for number, (title, signal) in enumerate(zip(titles, amplitudes, strict=True), start=1):
        picture = wave_picture(signal, rate, unit, limits, sounds, known)
        alt = f"Waveform{' and spectrogram' if sounds else ''} of example {number} ({title}): {what}"
        items.append(Item(data_uri(picture), alt, title, wav_uri(signal, rate) if sounds else None))
    return items


def about_clips(meta: Meta, x: NDArray[Any]) -> str:
    """What the pictures of `clips` show, as a part of a sentence."""
    _, unit, _ = amplitude(meta, x[:0])
    rate, length = meta["sample_rate"], x[0].size
    about = f"{unit} against {f'time in seconds ({rate:,} samples per second)' if rate else 'steps'}"
    if length > DENSE:
        about += ", a band from the lowest to the highest of neighbouring samples"
    if meta["channels"] == "audio" and rate and length >= SPECTRUM // 8:
        about += (
            f". Below it the spectrogram, frequency in Hz: the brighter, the louder, from {QUIETEST} dB to that of "
            "a full-scale sine (0 dB)"
        )
    return about


def amplitude(meta: Meta, x: NDArray[Any]) -> tuple[NDArray[np.float32], str, tuple[float, float]]:
    """What the numbers x (n, T) stand for, what that is called, and the axis that holds all training data."""
    bounds = meta["range"]
    if meta["levels"] is None:
        low, high = min(column["min"] for column in meta["columns"]), max(column["max"] for column in meta["columns"])
        return x.astype(np.float32), "value", _span(low, high)
    if meta["encoding"] is None or bounds is None:
        return x.astype(np.float32), "level", _span(0, meta["levels"] - 1)
    name = "amplitude" if meta["channels"] == "audio" else "value"
    return decode(x, meta["levels"], meta["encoding"], *bounds), name, _span(*bounds)


@rc_context(STYLE)
def wave_picture(
    signal: NDArray[np.float32],
    rate: int | None,
    unit: str,
    limits: tuple[float, float],
    sound: bool,
    known: NDArray[np.bool_] | None = None,
) -> Figure:
    """A wave (T,) against seconds or steps, what is `known` (T,) of it shaded; below it the spectrogram of a sound."""
    spectral = sound and len(signal) >= SPECTRUM // 8
    figure = Figure(figsize=(3.6, 2.9 if spectral else 1.6), layout="constrained")
    panels = figure.subplots(2 if spectral else 1, 1, sharex=True, squeeze=False)[:, 0]
    end = len(signal) / (rate or 1)
    if len(signal) > DENSE:
        starts = np.arange(BAND) * len(signal) // BAND
        low, high = (pick.reduceat(signal, starts) for pick in (np.minimum, np.maximum))
        panels[0].fill_between(starts / (rate or 1), low, high, color=COLOURS[0], linewidth=0.6)
    else:
        panels[0].plot(np.arange(len(signal)) / (rate or 1), signal, linewidth=0.9)
    panels[0].set(ylim=limits, ylabel=unit, xlim=(0, end if rate else max(1, len(signal) - 1)))
    if known is not None:
        edges = np.flatnonzero(np.diff(known, prepend=False, append=False)).reshape(-1, 2) / (rate or 1)
        for first, after in edges:
            panels[0].axvspan(first, after, color=COLOURS[1], alpha=0.25, linewidth=0)
    if spectral and rate:
        picture = panels[1].imshow(
            spectrogram(signal),
            extent=(0, end, 0, rate / 2),
            aspect="auto",
            origin="lower",
            cmap="magma",
            vmin=QUIETEST,
            vmax=0,
            interpolation="none",
        )
        picture.set_rasterized(True)
        panels[1].set(ylabel="Hz")
        panels[1].grid(visible=False)
    panels[-1].set_xlabel("s" if rate else "step")
    figure.align_ylabels(panels)
    return figure


def spectrogram(signal: NDArray[np.float32]) -> NDArray[np.float64]:
    """Decibels (frequencies, frames) of a wave (T,), in Hann windows; a sine of amplitude 1 has 0 dB."""
    size = min(SPECTRUM, 1 << (len(signal).bit_length() - 3))
    hop = max(size // 4, len(signal) // FRAMES)
    window = np.hanning(size)
    frames = np.lib.stride_tricks.sliding_window_view(signal, size)[::hop]
    power = np.abs(np.fft.rfft(frames * window)) / (window.sum() / 2)
    return 20 * np.log10(np.maximum(power, 10 ** (QUIETEST / 20))).T


def wav_uri(signal: NDArray[np.float32], rate: int) -> str:
    """A wave (T,) of amplitudes -1 … 1 as a WAV of 16 bits, as the content of `<audio src>`.

    One that is too slow for browsers is resampled to a rate that is a multiple of its own.
    """
    if rate < SLOWEST:
        factor = -(-SLOWEST // rate)
        between = np.fft.irfft(np.fft.rfft(signal), len(signal) * factor) * factor
        signal, rate = between.astype(np.float32), rate * factor
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(rate)
        writer.writeframes((np.clip(signal, -1, 1) * 32767).round().astype("<i2").tobytes())
    return f"data:audio/wav;base64,{base64.b64encode(file.getvalue()).decode()}"


def _span(low: float, high: float) -> tuple[float, float]:
    """An axis from `low` to `high` with a margin."""
    margin = 0.05 * (high - low) or 0.5
    return low - margin, high + margin
