"""Whether a model has room in memory, told before it is trained: its weights, and what its training makes of them.

A training holds the weights themselves, those of the best validation, and their moving average if there is one; of each
player that is moved by gradient a gradient and the two moments of AdamW; and whatever the family says beside. That is
the least: activations grow with the batch, and are not counted.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

from torch import Tensor

from models.catalogue import check
from models.contract import Family, UnsuitableEvent

from ..device import device, memory_bytes
from .schema import Cluster, Loop

MOVED = 3  # a gradient and two moments
UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def room(cluster: Cluster) -> int | None:
    """The bytes that a training has here; None if it is made elsewhere, where its worker asks for itself."""
    return None if cluster.address or os.environ.get("RAY_ADDRESS") else memory_bytes(device())


def least_bytes(family: Family, loop: Loop) -> int:
    """What the training of a family takes at least, of one without weights on the meta device, too."""
    copies = 3 if loop.ema_decay else 2
    weights = _bytes(family.state_dict().values())
    moved = {
        id(parameter): parameter
        for player in family.players()
        if player.closed_form is None
        for parameter in player.module.parameters()
    }
    return copies * weights + MOVED * _bytes(moved.values()) + family.working_bytes


def lack_of_room(model: str, family: Family, loop: Loop, available: int | None) -> str | None:
    """Why a family cannot be trained with so many bytes, and what could, as a message; None if it fits."""
    if available is None or (needed := least_bytes(family, loop)) <= available:
        return None
    fitting = list(_fitting(model, family, loop, available, needed))
    advice = f"what fits: {', or '.join(fitting)}" if fitting else "make it smaller: fewer layers, or narrower ones"
    return f"needs {in_words(needed)} of memory to be trained, or more, and there are {in_words(available)}; {advice}"


def in_words(count: int) -> str:
    """Bytes for people: 18.6 GiB."""
    size, unit = float(count), 0
    while size >= 1024 and unit < len(UNITS) - 1:
        size, unit = size / 1024, unit + 1
    return f"{size:,.0f} {UNITS[unit]}" if unit == 0 else f"{size:,.1f} {UNITS[unit]}"


def _fitting(model: str, family: Family, loop: Loop, available: int, needed: int) -> Iterator[str]:
    """Those of a family's lighter configurations that do fit."""
    config = type(family).Config
    for options in family.lighter(available / needed):
        try:
            other = check(model, config(**{**asdict(family.config), **options}), family.event)
        except (UnsuitableEvent, ValueError):
            continue
        if least_bytes(other, loop) <= available:
            yield ", ".join(f"{key}: {_plain(value)}" for key, value in options.items())


def _plain(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(each.numel() * each.element_size() for each in tensors)
