"""Completions: which part of an example is taken away, and what a model draws in its place.

A mask says which numbers of an event are known (true) and which are missing; the channels of a pixel share its fate.
Vectors have no masks: their columns have no places, so no part of them is a natural one to take away.

Completions are drawn in a single batch for all masks: a model that draws one number after the other needs as many steps
for a hundred examples as for one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from models.contract import Completion, Event

from ..data.spread import spread
from .array_record import ArrayRecord

COMPLETED = {"image": 4, "sequence": 2, "vector": 0, "table": 0}  # examples of the test split
DRAWN = {"image": 4, "sequence": 2, "vector": 0, "table": 0}  # completions of each for each mask


@dataclass(frozen=True)
class Completions(ArrayRecord):
    """What was drawn, S completions of each of E examples for each of M masks.

    `masks` (M,) are their names and `known` (M, *event) the masks themselves; `exact` (M,) says whether the completions
    come from p(missing | known); `x` (E, *event) are the examples, `labels` (E,) theirs or -1, and `drawn`
    (M, E, S, *event) the completions, in the data's units.
    """

    masks: NDArray[np.str_]
    known: NDArray[np.bool_]
    exact: NDArray[np.bool_]
    x: NDArray[Any]
    labels: NDArray[np.int64]
    drawn: NDArray[Any]

    @classmethod
    def none(cls, event: Event) -> Completions:
        """Those of a model that cannot complete."""
        nothing = np.zeros((0, *event.shape), np.float32 if event.levels is None else np.uint8)
        return cls(
            masks=np.array([], np.str_),
            known=nothing.astype(np.bool_),
            exact=np.array([], np.bool_),
            x=nothing,
            labels=np.array([], np.int64),
            drawn=nothing[:, None, None],
        )


def masks(event: Event, seed: int) -> dict[str, NDArray[np.bool_]]:
    """What is known of an event, (*event) for each mask by its name; masks of too small an event are left out."""
    if event.kind == "image":
        _, height, width = event.shape
        made = _of_images(height, width, np.random.default_rng(seed))
    elif event.kind == "sequence":
        made = _of_sequences(event.shape[1])
    else:
        made = {}
    return {
        name: np.broadcast_to(known, event.shape).copy()
        for name, known in made.items()
        if known.any() and not known.all()
    }


def chosen(count: int, labels: NDArray[Any] | None, at_most: int) -> NDArray[np.int64]:
    """Rows of a split of `count` examples, evenly spread over it, and over its classes if there are labels (count,)."""
    order = np.arange(count) if labels is None else np.argsort(labels, kind="stable")
    return order[spread(count, at_most)]


def draw(
    family: Completion,
    known: Mapping[str, NDArray[np.bool_]],
    x: torch.Tensor,
    labels: torch.Tensor | None,
    each: int,
    seed: int,
) -> Completions:
    """`each` completions of examples x (E, *event) for each of the masks, by a seed; the model is given no labels."""
    flags = torch.from_numpy(np.stack(list(known.values()))).to(x.device)
    event = x.shape[1:]
    wide = (len(flags), len(x), each, *event)
    drawn = family.complete(
        x[None, :, None].expand(wide).reshape(-1, *event),
        flags[:, None, None].expand(wide).reshape(-1, *event),
        generator=torch.Generator().manual_seed(seed),
    )
    return Completions(
        masks=np.array(list(known)),
        known=flags.cpu().numpy(),
        exact=np.array([family.completes_exactly(mask) for mask in flags]),
        x=x.cpu().numpy(),
        labels=np.full(len(x), -1) if labels is None else labels.cpu().numpy().astype(np.int64),
        drawn=drawn.reshape(wide).cpu().numpy(),
    )


def _of_images(height: int, width: int, random: np.random.Generator) -> dict[str, NDArray[np.bool_]]:
    """Masks (H, W), which hold for every channel."""
    rows, columns = np.indices((height, width))
    top, left = height // 4, width // 4
    inside = (top <= rows) & (rows < height - top) & (left <= columns) & (columns < width - left)
    return {
        "top half known": rows < height // 2,
        "left half known": columns < width // 2,
        "centre missing": ~inside,
        "random half known": (random.permutation(height * width) < height * width // 2).reshape(height, width),
    }


def _of_sequences(length: int) -> dict[str, NDArray[np.bool_]]:
    """Masks (T,)."""
    steps = np.arange(length)
    return {
        "first half known": steps < length // 2,
        "gap in the middle": (steps < length * 3 // 8) | (steps >= length * 5 // 8),
    }
