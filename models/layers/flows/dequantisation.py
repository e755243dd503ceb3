"""Noise that makes integers continuous, drawn from a distribution that the model learns along with the density.

Any q(u | x) on the unit cube gives a lower bound, of which uniform noise is the plain case:

    log P(x) ≥ E_q [log p(x + u) - log q(u | x)],      u = δ + (1 - 2δ) σ(g(ε; x)),  ε ~ N(0, I)

Uniform noise asks the density to be flat inside each bin, which smooth flows are not; a learnt q gives it what it
likes, and the bound is tighter. g is a stack of affine couplings: half of the numbers are shifted and scaled by a
network of the other half and of x. Ho et al., "Flow++", 2019 (arXiv:1902.00275).
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...contract import Event
from ...noise import Noise
from ..normal import bounded, standard_normal_log_density
from ..units import Dequantised, Units, centred, fixed_units

Dequantisation = Literal["uniform", "variational"]
COUPLINGS = 2
WIDTH = 128
MARGIN = 1e-4  # δ keeps x + u off the next integer, to which it could be rounded


class VariationallyDequantised(Dequantised):
    """Integers made continuous by learnt noise; with u = 1/2 where no noise is given."""

    bound = "variationally dequantised, 1 draw"

    def __init__(self, event: Event, alpha: float | None = None) -> None:
        super().__init__(event, alpha)
        D = event.dimensions
        self.networks = nn.ModuleList(
            nn.Sequential(nn.Linear(2 * D, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 2 * D)) for _ in range(COUPLINGS)
        )
        with torch.no_grad():  # begin with a q that does not depend on x
            for network in self.networks:
                assert isinstance(network, nn.Sequential)
                last = network[-1]
                assert isinstance(last, nn.Linear)
                last.weight.mul_(0.01)
                last.bias.zero_()

    def within_bins(self, x: Tensor, noise: Noise | None) -> tuple[Tensor, Tensor]:
        if noise is None:
            return super().within_bins(x, None)
        g = noise.normal(self.event.dimensions).to(torch.get_default_dtype())
        log_q = standard_normal_log_density(g)
        c = centred(x, self.event).flatten(1)
        even = torch.arange(self.event.dimensions, device=x.device) % 2 == 0
        for i, network in enumerate(self.networks):
            moved = even if i % 2 == 0 else ~even
            shift, log_scale = network(torch.cat([g * ~moved, c], 1)).to(g.dtype).chunk(2, 1)
            log_scale = torch.where(moved, bounded(log_scale), 0.0)
            g = g * torch.exp(log_scale) + torch.where(moved, shift, 0.0)
            log_q = log_q - log_scale.sum(1)
        # du/dg = (1 - 2δ) σ(g) σ(-g)
        log_q = log_q - (F.logsigmoid(g) + F.logsigmoid(-g) + math.log1p(-2 * MARGIN)).sum(1)
        return MARGIN + (1 - 2 * MARGIN) * torch.sigmoid(g), log_q


def real_units(event: Event, alpha: float | None, dequantisation: Dequantisation) -> Units:
    """The bijection of a flow from an event's units to real numbers."""
    if event.levels is not None and dequantisation == "variational":
        return VariationallyDequantised(event, alpha)
    return fixed_units(event, alpha)
