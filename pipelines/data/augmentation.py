"""Images that could as well have been: mirrored, or shifted by a few pixels, anew in each step of a training."""

from __future__ import annotations

import torch
from torch import Tensor

from models.noise import Noise


def augmented(x: Tensor, flip: bool, shift: int, noise: Noise) -> Tensor:
    """Images (N, C, H, W), half of them mirrored, shifted by up to so many pixels; edges go on outwards."""
    if flip:
        mirrored = noise.uniform().to(x.device) < 0.5
        x = torch.where(mirrored.view(-1, 1, 1, 1), x.flip(3), x)
    if shift:
        for axis in (2, 3):
            by = noise.integers(2 * shift + 1).to(x.device) - shift
            places = (torch.arange(x.shape[axis], device=x.device) + by[:, None]).clamp(0, x.shape[axis] - 1)
            shape = (len(x), 1, -1, 1) if axis == 2 else (len(x), 1, 1, -1)
            x = x.gather(axis, places.view(shape).expand(x.shape))
    return x
