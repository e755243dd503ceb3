"""How completions are shown: what is known, what a model draws in place of the rest, and what is really there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..evaluation.completions import Completions
from .exhibits import Exhibit, Item, Meta, about_clips, clips
from .pictures import grid_uri

EXACT = "Exact: drawn from p(missing | known)"
APPROXIMATE = "Approximate: not quite drawn from p(missing | known); "


@dataclass(frozen=True)
class Completed:
    """The block of an entry: what completions are, and an exhibit for each mask."""

    about: str
    exhibits: Sequence[Exhibit]


def completed(meta: Meta, made: Completions, labels_drawn: bool, approximation: str = "") -> Completed | None:
    """Show the completions of an entry; None if it has none.

    `labels_drawn` says whether the model draws labels, too, and `approximation` how it draws where it is not exact.
    """
    if not len(made.masks):
        return None
    about = "Part of an example of the test split is taken away, and the model draws what is missing, several times."
    if labels_drawn:
        about += " It is not given the label, but draws one first, from what is known."
    about += " Missing pixels are pink." if meta["kind"] == "image" else " The known part is shaded."
    show = _images if meta["kind"] == "image" else _sequences
    return Completed(about, [show(meta, made, mask, approximation) for mask in range(len(made.masks))])


def _images(meta: Meta, made: Completions, mask: int, approximation: str) -> Exhibit:
    """A row for each example: what is known, the completions, the example itself."""
    name, (examples, each) = str(made.masks[mask]), made.drawn.shape[1:3]
    rows = np.concatenate([made.x[:, None], made.drawn[mask], made.x[:, None]], 1)  # (E, 1 + S + 1, C, H, W)
    missing = np.zeros((*rows.shape[:2], *rows.shape[3:]), np.bool_)
    missing[:, 0] = ~made.known[mask][0]
    picture = grid_uri(
        rows.reshape(-1, *rows.shape[2:]),
        meta["levels"],
        rows.shape[1],
        meta["palette"],
        missing.reshape(-1, *missing.shape[2:]),
    )
    alt = f"Grid of {examples} rows, {name}: what is known, {each} completions, and the real image"
    heads = [("known", 1), ("completions", each), ("real", 1)]
    return Exhibit([Item(picture, alt)], _caption(made, mask, approximation), "grid", heads=heads)


def _sequences(meta: Meta, made: Completions, mask: int, approximation: str) -> Exhibit:
    """For each example a card with the example itself, and one for each completion."""
    name, each = str(made.masks[mask]), made.drawn.shape[2]
    rows = np.concatenate([made.x[:, None], made.drawn[mask]], 1)  # (E, 1 + S, 1, T)
    kinds = ["real", *(f"completion {number}" for number in range(1, each + 1))]
    titles = [f"{title}, {kind}" for title in _titles(meta, made.labels) for kind in kinds]
    flat = rows.reshape(-1, *rows.shape[2:])
    items = clips(meta, flat, titles, f"{name}, the known part shaded", made.known[mask][0])
    return Exhibit(
        items,
        f"{_caption(made, mask, approximation)} Each card shows {about_clips(meta, flat)}.",
        "cards",
        across=len(kinds),
    )


def _titles(meta: Meta, labels: NDArray[np.int64]) -> list[str]:
    """What the examples are called: after their class, if they have one."""
    return [f"{number}" if label < 0 else meta["class_names"][label] for number, label in enumerate(labels, start=1)]


def _caption(made: Completions, mask: int, approximation: str) -> str:
    """The mask, and whether its completions are exact."""
    name = str(made.masks[mask])
    return f"{name.capitalize()}. {EXACT if made.exact[mask] else APPROXIMATE + approximation}."
