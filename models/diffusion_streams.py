"""Endless noise for each row of a batch, made of one number of that row.

A sampler of many steps needs more noise than should be drawn at once. Here a row is given a seed, and its numbers are
a hash of the seed and of their position: whichever rows are computed together, on whichever device, they are the same.

The hash is SplitMix64 (Steele, Lea & Flood, "Fast Splittable Pseudorandom Number Generators", 2014): number i of a
stream is mix(seed + i γ), a bijection of 64 bits that passes the usual tests of randomness.
"""

from __future__ import annotations

import torch
from torch import Tensor

GAMMA = 0x9E3779B97F4A7C15 - 2**64  # as signed integers, which wrap around as unsigned ones do
FIRST = 0xBF58476D1CE4E5B9 - 2**64
SECOND = 0x94D049BB133111EB - 2**64


def seeds_of(u: Tensor) -> Tensor:
    """Seeds (n,) made of uniform numbers u (n,), of which float64 has 2^53."""
    return _mix((u.double() * 2**53).long())


def further_seeds(seeds: Tensor, count: int) -> Tensor:
    """Seeds (n, count): those given (n,), and more that are made of them, at positions before their streams."""
    more = -torch.arange(1, count, device=seeds.device)
    return torch.cat([seeds[:, None], _mix(seeds[:, None] + more * GAMMA)], 1)


def normal_stream(seeds: Tensor, block: int, width: int) -> Tensor:
    """Standard normal numbers (n, width), float64: the block of that number of the streams of the seeds (n,)."""
    position = torch.arange(1 + block * width, 1 + (block + 1) * width, device=seeds.device)
    bits = _mix(seeds[:, None] + position * GAMMA)
    # 52 bits and a half are a float64 exactly; of 53 the last would be rounded up, to a number without a quantile.
    return torch.special.ndtri((_shifted(bits, 12).double() + 0.5) * 2**-52)


def _mix(z: Tensor) -> Tensor:
    z = (z ^ _shifted(z, 30)) * FIRST
    z = (z ^ _shifted(z, 27)) * SECOND
    return z ^ _shifted(z, 31)


def _shifted(z: Tensor, places: int) -> Tensor:
    """The bits of z, shifted to the right, zeros coming in from the left."""
    return (z >> places) & ((1 << (64 - places)) - 1)
