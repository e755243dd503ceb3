"""What codes are worth: how much of the examples they keep, and whether the prior reaches where no code is."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from models.contract import Event

from .probe import raw_numbers


def reconstruction_rmse(x: Tensor, decoded: Tensor, event: Event) -> float:
    """Root mean squared error of what was decoded of the codes of x ÷ that of the mean example, (N, *event) both.

    0 is perfect, 1 no better than the mean. Columns of vectors that vary count alike, whatever their units; where
    levels are names, a name is 1 where it stands and 0 elsewhere. NaN or infinite where examples do not differ.
    """
    y, made = raw_numbers(x, event), raw_numbers(decoded, event)
    if event.levels is None:
        unit = y.std(0)
        varying = unit > 0
        y, made = y[:, varying] / unit[varying], made[:, varying] / unit[varying]
    return ((made - y).square().mean() / (y - y.mean(0)).square().mean()).sqrt().item()


def prior_gap(codes: Tensor, prior: Tensor) -> float:
    """Mean distance from draws of the prior to the nearest of the codes ÷ that from codes to the nearest other one.

    Both (N, L). It is about 1 where the codes have the prior's distribution, and more where the prior has draws that no
    code is near to: holes. NaN or infinite where codes do not differ.
    """
    exact = "donot_use_mm_for_euclid_dist"
    between = torch.cdist(prior, codes, compute_mode=exact).amin(1).mean()
    within = torch.cdist(codes, codes, compute_mode=exact).fill_diagonal_(math.inf).amin(1).mean()
    return (between / within).item()
