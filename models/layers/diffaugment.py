"""Differentiable augmentation: what a discriminator sees of small data is changed, real and generated alike.

Images are made brighter or darker, shifted, and a square of them is cut out. Since generated images are changed as real
ones are, and gradients go through, the generator does not learn the changes.

Zhao et al., "Differentiable Augmentation for Data-Efficient GAN Training", 2020 (arXiv:2006.10738).
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..noise import Noise

BRIGHTNESS = 0.5  # at most, on the scale -1 … 1
SHIFT = 1 / 8  # of the sides, at most; zeros come in
CUT = 1 / 2  # of the sides: the square that is cut out


def changed(x: Tensor, noise: Noise) -> Tensor:
    """Images (N, C, H, W) on the scale -1 … 1, each with a brightness, a shift and a hole of its own."""
    u = noise.uniform(5).to(x)
    x = x + BRIGHTNESS * (2 * u[:, 0] - 1).view(-1, 1, 1, 1)
    for axis, by in ((2, u[:, 1]), (3, u[:, 2])):
        x = _shifted(x, axis, by)
    return x * ~_holes(x, u[:, 3], u[:, 4])


def _shifted(x: Tensor, axis: int, u: Tensor) -> Tensor:
    """x (N, C, H, W), each moved along an axis by -s … s pixels that u (N,) in 0 … 1 says, s an eighth of the side."""
    side = x.shape[axis]
    most = max(1, round(side * SHIFT))
    places = torch.arange(side, device=x.device) + ((2 * most + 1) * u).long()[:, None] - most
    shape = (len(x), 1, -1, 1) if axis == 2 else (len(x), 1, 1, -1)
    inside = ((places >= 0) & (places < side)).view(shape)
    return x.gather(axis, places.clamp(0, side - 1).view(shape).expand(x.shape)) * inside


def _holes(x: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """Where the square of each image is (N, 1, H, W), around a place that u and v (N,) in 0 … 1 say."""
    height, width = x.shape[2:]
    rows = (torch.arange(height, device=x.device) - u[:, None] * height).abs() < height * CUT / 2
    columns = (torch.arange(width, device=x.device) - v[:, None] * width).abs() < width * CUT / 2
    return rows[:, None, :, None] & columns[:, None, None, :]
