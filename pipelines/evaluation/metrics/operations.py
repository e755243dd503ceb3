"""What a family costs whatever the machine: floating-point operations, and operations in sequence.

Both are counted while the family runs. Operations in sequence are those of tensors that PyTorch is asked for, one after
the other: a machine that does each of them at once still has to wait for every one. If they grow with the dimensions D
of an example, sampling is sequential:

    growth = (operations for D' dimensions ÷ operations for D)^(1 / log₂(D' / D))

is 1 where their number is that of any D, and 2 where twice the dimensions need twice as many.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from models.catalogue import build
from models.contract import Batch, Event, Family, Player, UnsuitableEvent

PARALLEL = 1.5  # growth below which sampling is parallel: deeper networks of larger images have it a little above 1
SMALL = 64  # dimensions below which what does not grow would hide what does
LARGE = 1024  # dimensions above which an example of twice the size takes long


class _Operations(TorchDispatchMode):
    """Counts the operations of tensors, and the floating-point operations of those that PyTorch has a formula for.

    PyTorch's own counter watches modules too, by hooks that gradients of gradients do not survive.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = self.flops = 0

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        formula = flop_registry.get(func.overloadpacket)
        self.count += 1
        self.flops += formula(*args, **(kwargs or {}), out_val=out) if formula is not None else 0
        return out


def operations(call: Callable[[], object]) -> int:
    """How many operations of tensors a call does."""
    with _Operations() as counted:
        call()
    return counted.count


def flops(call: Callable[[], object]) -> int:
    """The floating-point operations of the products of matrices and the convolutions of a call.

    A multiplication and an addition count as two. Operations element by element are left out, as is usual.
    """
    with _Operations() as counted:
        call()
    return counted.flops


def training_flops(module: nn.Module, players: Sequence[Player], batch: Batch) -> float:
    """Floating-point operations of a training step per example of the batch, forward and backward, over all players.

    A player that does not move in each step counts in proportion. Weights of the module are left with gradients.
    """
    total = 0.0
    for player in players:
        if len(players) > 1:  # as in training, where only the moving player's weights ask for gradients
            module.requires_grad_(False)
            player.module.requires_grad_(True)
        total += flops(partial(_move, player, batch)) / player.every
    return total / len(batch.x)


def _move(player: Player, batch: Batch) -> None:
    if player.closed_form is not None:
        player.closed_form(batch)
    else:
        player.loss(batch).backward()


def sampling_growth(family: Family) -> float | None:
    """The growth of the operations that one sample needs with the dimensions; None where no two sizes can be had.

    Measured on untrained families of the same configuration, for examples of two sizes.
    """
    for sizes in pairs_of_sizes(family.event):
        try:
            counts = [_operations_of_a_sample(build_like(family, size)) for size in sizes]
        except UnsuitableEvent:
            continue
        return (counts[1] / counts[0]) ** (1 / math.log2(sizes[1].dimensions / sizes[0].dimensions))
    return None


def build_like(family: Family, event: Event) -> Family:
    """An untrained family of the same configuration for another event."""
    name = type(family).__module__.rpartition(".")[2]  # as in the catalogue
    return build(name, family.config, event).eval()


def pairs_of_sizes(event: Event) -> list[tuple[Event, Event]]:
    """Pairs of events with sides of one length and of twice that: of the event itself, or nearly so."""
    while event.dimensions < SMALL:
        event = scaled(event, 2)
    return [(scaled(event, 0.5), event)] if event.dimensions > LARGE else [(event, scaled(event, 2))]


def scaled(event: Event, factor: float) -> Event:
    """The event with longer or shorter sides; channels stay."""
    channels, sides = (event.shape[:1], event.shape[1:]) if event.kind != "vector" else ((), event.shape)
    return replace(event, shape=(*channels, *(int(factor * side) for side in sides)), columns=None)


def _operations_of_a_sample(family: Family) -> int:
    labels = torch.zeros(1, dtype=torch.long) if family.classes else None
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        return operations(lambda: family.sample(1, labels, generator=generator))
