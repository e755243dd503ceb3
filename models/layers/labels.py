"""Class labels as network inputs."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ..contract import UnsuitableEvent


def one_hot(labels: Tensor | None, classes: int) -> Tensor | None:
    """Labels (N,) as one-hot floats (N, classes); None for an unconditional model.

    Raises `UnsuitableEvent` when a conditional model is not given the labels.
    """
    if not classes:
        return None
    return F.one_hot(known(labels).long(), classes).to(torch.get_default_dtype())


def known(labels: Tensor | None) -> Tensor:
    """The labels that a conditional model cannot do without; raises `UnsuitableEvent` if there are none."""
    if labels is None:
        raise UnsuitableEvent("this model is conditional: give the labels")
    return labels


def append(x: Tensor, context: Tensor | None) -> Tensor:
    """x (N, D) with the context (N, C), if any, behind it."""
    return x if context is None else torch.cat([x, context.to(x.dtype)], 1)
