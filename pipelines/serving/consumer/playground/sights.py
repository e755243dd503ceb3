"""Examples as HTML: images with crisp pixels, sounds with players and waveforms, rows as tables."""

from __future__ import annotations

import base64
from collections.abc import Collection, Sequence
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from .opened import ROWS, Opened, as_frame

BINS = 240  # of a waveform's picture
FEW = 4  # images that are shown large
HEIGHT = 40  # of a waveform, in the units of its picture


def examples(
    opened: Opened,
    values: Any,
    captions: Sequence[str] | None = None,
    hidden: np.ndarray | None = None,
    marked: Collection[str] = (),
) -> str:
    """Examples (N, *event) or rows, with a caption each.

    What was `hidden` (*event) of sequences is shaded, columns that are `marked` are set off.
    """
    if opened.kind in ROWS:
        return table(as_frame(opened, values), captions, marked)
    levels = whole_levels(opened, values)
    if levels is None:
        return table(pd.DataFrame(np.asarray(values).reshape(len(values), -1)), captions)
    if opened.kind == "image":
        return _images(opened, levels, captions)
    return _sequences(opened, levels, captions, hidden)


def whole_levels(opened: Opened, values: Any) -> np.ndarray | None:
    """Examples as the integers that their data are, such as decoded ones, which are floats; None of other data."""
    top = opened.model.event.levels
    if top is None:
        return None
    return np.rint(np.nan_to_num(np.asarray(values, np.float64))).clip(0, top - 1).astype(np.uint8)


def data_uri(content: bytes, kind: str) -> str:
    """A file as an address that needs no server."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _images(opened: Opened, levels: np.ndarray, captions: Sequence[str] | None) -> str:
    files = opened.model.files(levels, "png")
    figures = []
    for place, file in enumerate(files):
        said = captions[place] if captions else ""
        alt = escape(said or f"Image {place + 1}", quote=True)
        caption = f"<figcaption>{escape(said)}</figcaption>" if said else ""
        figures.append(f'<figure><img src="{data_uri(file, "image/png")}" alt="{alt}">{caption}</figure>')
    few = " few" if len(files) <= FEW else ""
    return f'<div class="pictures{few}">{"".join(figures)}</div>'


def _sequences(opened: Opened, levels: np.ndarray, captions: Sequence[str] | None, hidden: np.ndarray | None) -> str:
    audible = bool(opened.model.data.get("sample_rate") and opened.model.data.get("encoding"))
    players = _players(opened.model.files(levels, "wav")) if audible else [""] * len(levels)
    figures = []
    for place, (x, player) in enumerate(zip(levels, players, strict=True)):
        said = captions[place] if captions else f"{'Sound' if audible else 'Series'} {place + 1}"
        picture = waveform(x[0], hidden, escape(said, quote=True))
        figures.append(f"<figure><figcaption>{escape(said)}</figcaption>{picture}{player}</figure>")
    return f'<div class="sequences">{"".join(figures)}</div>'


def _players(files: Sequence[bytes]) -> list[str]:
    return [
        f'<audio controls preload="metadata" src="{data_uri(file, "audio/wav")}" aria-label="Sound {place}"></audio>'
        for place, file in enumerate(files, 1)
    ]


def waveform(x: np.ndarray, hidden: np.ndarray | None, label: str) -> str:
    """A sequence (T,) as a picture: from the least to the largest value of each short time."""
    low, high = float(x.min()), float(x.max())
    y = HEIGHT * (1 - (x.astype(np.float64) - low) / max(high - low, 1e-9))
    parts = np.array_split(y, min(BINS, len(y)))
    step = len(parts) / BINS
    ends = [(part.min(), part.max()) for part in parts]
    points = "".join(f"{'L' if place else 'M'}{place / step:.2f} {a:.1f}V{b:.1f}" for place, (a, b) in enumerate(ends))
    shade = ""
    if hidden is not None:
        of_parts = [part.any() for part in np.array_split(hidden.reshape(-1), len(parts))]
        shade = "".join(
            f'<rect x="{place / step:.2f}" width="{1 / step:.2f}" height="{HEIGHT}"/>'
            for place, is_hidden in enumerate(of_parts)
            if is_hidden
        )
    view = f'viewBox="0 -2 {BINS} {HEIGHT + 4}" preserveAspectRatio="none"'
    return f'<svg class="wave" {view} role="img" aria-label="{label}">{shade}<path d="{points}"/></svg>'


def table(rows: pd.DataFrame, captions: Sequence[str] | None = None, marked: Collection[str] = ()) -> str:
    """Rows with the names of their columns; a gap is a dash."""
    first = "<th></th>" if captions else ""
    head = first + "".join(f'<th scope="col">{escape(str(name))}</th>' for name in rows.columns)
    body = []
    for place, row in enumerate(rows.itertuples(index=False)):
        cells = "".join(
            f"<td{' class=drawn' if str(name) in marked else ''}>{_cell(value)}</td>"
            for name, value in zip(rows.columns, row, strict=True)
        )
        body.append(f"<tr>{f'<th scope=row>{escape(captions[place])}</th>' if captions else ''}{cells}</tr>")
    rest = f"<tbody>{''.join(body)}</tbody>"
    return f'<div class="rows" tabindex="0"><table><thead><tr>{head}</tr></thead>{rest}</table></div>'


def _cell(value: Any) -> str:
    if pd.isna(value):
        return '<span class="gap">–</span>'
    return escape(f"{value:.6g}" if isinstance(value, float | np.floating) else str(value))


def answer(title: str, body: str, note: str = "") -> str:
    """What one model answered, under its title, with a sentence about it."""
    said = f'<p class="note">{escape(note)}</p>' if note else ""
    return f'<section class="answer"><h3>{escape(title)}</h3>{said}{body}</section>'


def side_by_side(answers: Sequence[str]) -> str:
    """Answers of several models beside each other, or below each other on a phone."""
    return f'<div class="answers">{"".join(answers)}</div>'


def refusal(sentence: str) -> str:
    """What cannot be done, as a sentence."""
    return f'<p class="refused" role="alert">{escape(sentence)}</p>'
