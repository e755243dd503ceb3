"""What samples are made of: one row of uniform numbers for each, however a batch is split.

A row of a single draw from the CPU's generator is the whole randomness of a sample. So a seed gives the same samples on
every device, all at once or one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..noise import uniform_rows


@dataclass(frozen=True)
class Draw:
    """The randomness of n samples: normal noise z (n, L), uniform numbers u (n, U), and labels (n,), if any."""

    z: Tensor
    u: Tensor
    labels: Tensor | None


def draw(
    n: int,
    normal: int,
    labels: Tensor | None,
    shares: Sequence[float] | Tensor,
    temperature: float,
    generator: torch.Generator | None,
    like: Tensor,
    uniform: int = 0,
) -> Draw:
    """`normal` numbers of N(0, T²) for each of n samples, `uniform` ones on (0, 1), and labels of these `shares`.

    The shares are those of all samples, or (n, C), of each its own. The numbers come to the device of `like`, a weight
    of the network; z also in its precision, u in float64.
    """
    rows = uniform_rows(n, normal + uniform + 1, generator)
    z = (torch.special.ndtri(rows[:, :normal]) * temperature).to(like)
    chosen = chosen_labels(labels, shares, rows[:, -1])
    return Draw(z, rows[:, normal:-1].to(like.device), None if chosen is None else chosen.to(like.device))


def chosen_labels(labels: Tensor | None, shares: Sequence[float] | Tensor, u: Tensor) -> Tensor | None:
    """The labels to sample with: those given, else drawn with p(y) = `shares` by the uniform numbers u (n,).

    None where there are no shares: an unconditional model has no labels. Shares (n, C) are of each sample its own.
    """
    if len(shares) == 0:
        return None
    return categorical(torch.as_tensor(shares, dtype=u.dtype, device=u.device), u) if labels is None else labels


def categorical(p: Tensor, u: Tensor) -> Tensor:
    """The categories (…) that uniform numbers u (…) draw of probabilities p (…, K), by the distribution function."""
    return (u[..., None] > p.cumsum(-1)[..., :-1]).sum(-1)
