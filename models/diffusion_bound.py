"""The terms of the variational bound, in nats; the equations are in `diffusion.py`."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .diffusion_schedule import Schedule
from .layers.bins import log_gaussian_bin
from .layers.normal import log_normal_density


def prior(schedule: Schedule, x_0: Tensor) -> Tensor:
    """L_T (N,) of x_0 (N, *event)."""
    alpha_bar = float(schedule.alpha_bar[-1])
    return 0.5 * (alpha_bar * (x_0.square() - 1) - math.log1p(-alpha_bar)).flatten(1).sum(1)


def cost(schedule: Schedule, levels: int | None, x_0: Tensor, guess: Tensor, t: Tensor, s: Tensor) -> Tensor:
    """The cost of a step from t to s (N, *event) that takes the guess x̂_0 for x_0: a KL, or L_0 at s = 0."""
    shape = -1, *[1] * (x_0.dim() - 1)
    last, (_, std) = s.view(shape) == 0, schedule.scales(t, x_0)
    weight = schedule.weight(t, s.clamp_min(1)).to(x_0).view(shape)
    decoded = log_decoder(levels, x_0, torch.where(last, guess, x_0), std)  # other guesses may be anywhere
    return torch.where(last, -decoded, weight * (x_0 - guess).square())


def log_decoder(levels: int | None, x_0: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """log p(x | x_1) of each number: of the bin of an integer, or of a standardised real one."""
    if levels is None:
        return log_normal_density((x_0 - mean) / std) - std.log()
    half = levels / 2  # from levels on the scale -1 … 1 to their numbers
    level, centre = (half * (x_0 + 1) - 0.5).round(), half * (mean + 1) - 0.5
    return log_gaussian_bin(level, centre, half * std, levels)
