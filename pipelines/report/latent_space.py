"""How codes are shown: a map of them, and what is decoded along paths, single dimensions and directions of labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ..evaluation.latents import DEVIATIONS, SIDE, STRENGTHS, Latents
from ..evaluation.metrics.numerals import number
from .exhibits import COLOURED, Exhibit, Item, Meta, about_clips, clips, scatter
from .pictures import STYLE, data_uri, grid_uri

PRIOR = "#8a93a0"  # the colour of draws of the prior
LINEAR = "Linear interpolation: codes on the straight line between those of two test examples"
SPHERICAL = (
    "Spherical interpolation: the code of one test example turns evenly to that of another, its length is interpolated"
)


@dataclass(frozen=True)
class LatentSpace:
    """The block of an entry: what is shown of its codes, in words, and the exhibits."""

    about: str
    exhibits: Sequence[Exhibit]


def latent_space(meta: Meta, made: Latents, conditional: bool, lossless: bool = False) -> LatentSpace | None:
    """Show the codes of an entry; None if it has none. `conditional`: is the model given labels?

    `lossless`: do examples come back from their codes as they were?
    """
    if not int(made.length):
        return None
    length = int(made.length)
    about = f"The model gives each example a code of {length:,} number{'s' * (length > 1)}, and decodes codes "
    about += "back without loss." if lossless else "to expected examples, without the noise that samples have."
    if len(made.dimensions) and length == np.prod(meta["shape"]):
        about += " The code has as many numbers as an example, so one number of it changes little."
    if conditional:
        about += (
            " The model is given the label beside the code: paths join examples of one class, traversals keep the label"
            " of their example, and codes need not hold the class. So there are no directions from labels to show."
        )
    exhibits = [_map(meta, made)]
    if meta["kind"] == "image":
        exhibits += _pictures(meta, made, conditional)
    elif len(made.ends):
        exhibits += [
            _waves(meta, made, path, what) for path, what in ((made.linear, LINEAR), (made.spherical, SPHERICAL))
        ]
    return LatentSpace(about, exhibits)


# The map


def _map(meta: Meta, made: Latents) -> Exhibit:
    """The codes of test examples over draws of the prior."""
    length, names = int(made.length), meta["class_names"]
    coloured = 1 < len(names) <= COLOURED and (made.labels >= 0).all()
    principal = length > 2
    axes = [f"principal component {number}" if principal else f"z{number}" for number in (1, 2)]
    figure = latent_map(made, made.labels if coloured else None, names, axes)
    caption = f"Map of the latent space: the codes of {len(made.codes):,} test examples"
    caption += ", coloured by class" if coloured else ""
    if principal:
        shares = " and ".join(f"{share:.0%}" for share in made.explained)
        caption += f", along the first two principal components of the codes, which hold {shares} of their variance"
    elif length == 1:
        caption += "; they have a single number"
    caption += (
        f". Grey: {len(made.prior):,} draws of the prior N(0, I) in the same plane. Where grey lies alone, the model"
        " decodes codes that no example has; samples come from nowhere but the grey"
    )
    alt = f"Scatter plot of the codes of test examples and of draws of the prior, {axes[1]} against {axes[0]}"
    return Exhibit([Item(data_uri(figure), alt)], f"{caption}.")


@rc_context(STYLE)
def latent_map(made: Latents, labels: NDArray[Any] | None, names: Sequence[str], titles: Sequence[str]) -> Figure:
    """Points of the codes (N, 2), coloured by labels (N,) if they are given, over a cloud of draws of the prior."""
    figure = Figure(figsize=(5.6 if labels is not None else 4.6, 4.2), layout="constrained")
    axes = figure.subplots()
    axes.scatter(
        made.prior[:, 0], made.prior[:, 1], color=PRIOR, s=9, linewidths=0, alpha=0.4, rasterized=True, label="prior"
    )
    scatter(axes, made.codes[:, 0], made.codes[:, 1], labels, names, size=7)
    axes.set(xlabel=titles[0], ylabel=titles[1], aspect="equal", adjustable="datalim")
    if labels is not None:
        figure.legend(*axes.get_legend_handles_labels(), loc="outside right upper", markerscale=2)
    return figure


# Images


def _pictures(meta: Meta, made: Latents, conditional: bool) -> list[Exhibit]:
    """The decoded images, those of each kind in a grid; first what is as tall as the map, beside which it stands."""
    manifold, traversal = _manifold(meta, made, conditional), _traversal(meta, made)
    first, last = (manifold, traversal) if manifold else (traversal, [])
    return [*first, *_paths(meta, made), *last, *_directions(meta, made)]


def _manifold(meta: Meta, made: Latents, conditional: bool) -> list[Exhibit]:
    """The decoded grid over a plane of codes."""
    if not len(made.grid):
        return []
    of_class = f", given the class {meta['class_names'][made.start_label[0]]}" if conditional else ""
    caption = (
        f"Manifold: decoded codes at {SIDE}×{SIDE} quantiles of the prior N(0, 1)²{of_class}; z1 grows from left to"
        " right, z2 from the bottom to the top, as on the map."
    )
    return [_grid(meta, made.grid, SIDE, "decoded codes over the plane", caption, [])]


def _paths(meta: Meta, made: Latents) -> list[Exhibit]:
    """A row for each pair: an example, the path from its code to that of the other, the other example."""
    if not len(made.ends):
        return []
    pairs, heads = _pairs(made.end_labels, meta["class_names"]), [("real", 1), ("decoded", made.linear.shape[1])]
    exhibits = []
    for path, what in ((made.linear, LINEAR), (made.spherical, SPHERICAL)):
        rows = np.concatenate([made.ends[:, :1], path, made.ends[:, 1:]], 1)
        alt = f"{what.partition(':')[0]} between {len(path)} pairs of test images"
        exhibits.append(_grid(meta, rows, rows.shape[1], alt, f"{what}, decoded{pairs}.", [*heads, ("real", 1)]))
    return exhibits


def _traversal(meta: Meta, made: Latents) -> list[Exhibit]:
    """A row for each dimension."""
    if not len(made.dimensions):
        return []
    shown = zip(made.dimensions, made.spreads, strict=True)
    which = ", ".join(f"{dimension + 1} (σ = {number(float(spread), 2)})" for dimension, spread in shown)
    caption = (
        f"Traversal: one dimension of the code of one test example at a time, set from {DEVIATIONS[0]:g} to"
        f" {DEVIATIONS[-1]:g} standard deviations σ of the test codes from their mean. Row by row the dimensions whose"
        f" codes vary most, of {int(made.length):,}: {which}."
    )
    heads = [(f"{value:+g} σ" if value else "mean", 1) for value in DEVIATIONS]
    alt = f"Traversal of {len(made.dimensions)} dimensions of a code"
    return [_grid(meta, made.traversal, len(DEVIATIONS), alt, caption, heads)]


def _directions(meta: Meta, made: Latents) -> list[Exhibit]:
    """A row for each example: itself, and its code moved towards another class."""
    if not len(made.from_to):
        return []
    names = meta["class_names"]
    rows = np.concatenate([made.moved[:, None], made.directions], 1)
    which = ", ".join(f"{names[start]} → {names[end]}" for start, end in made.from_to)
    caption = (
        "Directions from labels: the code of a test example, moved by multiples of the difference between the mean"
        " codes of two classes of the training split; at 0 it is the reconstruction. The model has never seen a label."
        f" Row by row: {which}."
    )
    heads = [("real", 1), *((f"{value:+g}" if value else "0", 1) for value in STRENGTHS)]
    alt = f"Images of {len(rows)} classes, moved towards other classes"
    return [_grid(meta, rows, rows.shape[1], alt, caption, heads)]


def _grid(
    meta: Meta, images: NDArray[Any], width: int, alt: str, caption: str, heads: Sequence[tuple[str, int]]
) -> Exhibit:
    """Images (…, C, H, W) in rows of `width`; decoded levels lie between integers, the indices of a palette do not."""
    flat = images.reshape(-1, *meta["shape"]).astype(np.float32)
    if meta["palette"] is not None:
        flat = np.rint(flat).astype(np.int64)
    picture = grid_uri(flat, meta["levels"], width, meta["palette"])
    return Exhibit([Item(picture, f"Grid: {alt}")], caption, "grid", heads=heads)


def _pairs(labels: NDArray[np.int64], names: Sequence[str]) -> str:
    """The classes of pairs (P, 2), if they have any, as the end of a sentence."""
    if (labels < 0).any():
        return ""
    heading = "Classes" if len(labels) == 1 else "Classes, row by row"
    return f". {heading}: " + ", ".join(f"{names[start]} → {names[end]}" for start, end in labels)


# Sequences


def _waves(meta: Meta, made: Latents, path: NDArray[Any], what: str) -> Exhibit:
    """A card for each step of the path (P, S, 1, T) between pairs of sequences, the real ones at its ends."""
    rows = np.concatenate([made.ends[:, :1], path, made.ends[:, 1:]], 1)
    rows = np.rint(rows.astype(np.float32)).astype(np.uint8)
    steps = path.shape[1]
    titles = ["real", *(f"{step / (steps - 1):.0%} of the way" for step in range(steps)), "real"] * len(path)
    flat = rows.reshape(-1, *rows.shape[2:])
    items = clips(meta, flat, titles, what.partition(":")[0])
    pairs = _pairs(made.end_labels, meta["class_names"])
    return Exhibit(items, f"{what}, decoded{pairs}. Each card shows {about_clips(meta, flat)}.", "cards", across=3)
