"""What networks see of an example, whatever its kind, and the bijection to the real numbers that a density needs."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ..contract import Event
from .tables.table_numbers import TableNumbers, block_widths
from .tables.table_units import TableUnits
from .units import Dequantised, Standardised, Units, centred


def fixed_units(event: Event, alpha: float | None = None) -> Units:
    """The bijection for an event: `Dequantised` for integers (logit with `alpha`), `Standardised` for vectors."""
    if event.kind == "table":
        return TableUnits(event)
    return Standardised(event) if event.levels is None else Dequantised(event, alpha)


def standardiser(event: Event) -> Standardised | None:
    """What a network sees vectors through; None for integers, which need nothing learnt (see `network_input`)."""
    return Standardised(event) if event.levels is None else None


def lens(event: Event) -> Standardised | TableNumbers | None:
    """What a network sees vectors and rows of tables through; None for integers."""
    return TableNumbers(event) if event.kind == "table" else standardiser(event)


def input_channels(event: Event) -> int:
    """The length of the first axis of what `network_input` makes."""
    if event.kind == "table":
        return sum(block_widths(event.columns or ()))
    return event.shape[0] if event.ordered else event.shape[0] * (event.levels or 1)


def network_input(x: Tensor, event: Event, units: Standardised | TableNumbers | None) -> Tensor:
    """Examples (N, *event) as a network likes to see them: floats (N, channels, …) of about unit size.

    Vectors are standardised by `units`, integers centred; where levels are names, each channel becomes one channel
    per level, 1 where the level is there and 0 elsewhere.
    """
    if units is not None:
        return units.numbers(x)
    if event.ordered:
        return centred(x, event)
    assert event.levels is not None
    return F.one_hot(x.long(), event.levels).to(torch.get_default_dtype()).movedim(-1, 2).flatten(1, 2)


def number_input(x: Tensor, event: Event) -> Tensor:
    """Single numbers (N,) of an event as `network_input` shows them: (N, 1), or (N, K) for names.

    Integers are in the data's units, real ones already standardised.
    """
    if event.levels is None:
        return x[:, None]
    if event.ordered:
        return centred(x, event)[:, None]
    return F.one_hot(x.long(), event.levels).to(torch.get_default_dtype())
