"""Noise that makes integers continuous, drawn from a distribution that the model learns along with the density.

Any q(u | x) on the unit cube gives a lower bound, of which uniform noise is the plain case:

    log P(x) ≥ E_q [log p(x + u) - log q(u | x)],      u = δ + (1 - 2δ) σ(g(ε; x)),  ε ~ N(0, I)

Uniform noise asks the density to be flat inside each bin, which smooth flows are not; a learnt q gives it what it
likes, and the bound is tighter. g is a stack of affine couplings: half of the numbers are shifted and scaled by a
network of the other half and of x, of images a convolutional one and the colours of a checkerboard. Ho et al.,
"Flow++", 2019 (arXiv:1902.00275).
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...contract import Event
from ...noise import Noise
from ..inputs import fixed_units
from ..normal import bounded, standard_normal_log_density
from ..units import Dequantised, Units, centred
from .couplings import residual_network, vector_network

Dequantisation = Literal["uniform", "variational"]
COUPLINGS = 2
HIDDEN = 128  # of the networks of other data than images
CHANNELS, BLOCKS = 32, 1  # of those of images
MARGIN = 1e-4  # δ keeps x + u off the next integer, to which it could be rounded


class VariationallyDequantised(Dequantised):
    """Integers made continuous by learnt noise; with u = 1/2 where no noise is given."""

    bound = "variationally dequantised"
    even: Tensor

    def __init__(self, event: Event, alpha: float | None = None) -> None:
        super().__init__(event, alpha)
        # Their last layers start at zero, and so does q, which then does not depend on x.
        self.networks = nn.ModuleList(self._network() for _ in range(COUPLINGS))
        places = torch.arange(event.dimensions).view(event.shape)
        if event.kind == "image":
            places = (torch.arange(event.shape[1])[:, None] + torch.arange(event.shape[2])).expand(event.shape)
        self.register_buffer("even", places % 2 == 0, persistent=False)

    def _network(self) -> nn.Module:
        """From a half of the noise and x to shift and log scale."""
        if self.event.kind == "image":
            return residual_network(2 * self.event.shape[0], 2 * self.event.shape[0], CHANNELS, BLOCKS, classes=0)
        D = self.event.dimensions
        return vector_network(2 * D, 2 * D, [HIDDEN], classes=0)

    def within_bins(self, x: Tensor, noise: Noise | None) -> tuple[Tensor, Tensor]:
        if noise is None:
            return super().within_bins(x, None)
        g = noise.normal(*self.event.shape).to(torch.get_default_dtype())
        log_q = standard_normal_log_density(g.flatten(1))
        c = centred(x, self.event)
        if self.event.kind != "image":
            g, c = g.flatten(1), c.flatten(1)
        for i, network in enumerate(self.networks):
            moved = (self.even if i % 2 == 0 else ~self.even).view(g.shape[1:])
            shift, log_scale = network(torch.cat([g * ~moved, c], 1), None).to(g.dtype).chunk(2, 1)
            log_scale = torch.where(moved, bounded(log_scale), 0.0)
            g = g * torch.exp(log_scale) + torch.where(moved, shift, 0.0)
            log_q = log_q - log_scale.flatten(1).sum(1)
        g = g.flatten(1)
        # du/dg = (1 - 2δ) σ(g) σ(-g)
        log_q = log_q - (F.logsigmoid(g) + F.logsigmoid(-g) + math.log1p(-2 * MARGIN)).sum(1)
        return MARGIN + (1 - 2 * MARGIN) * torch.sigmoid(g), log_q


def real_units(event: Event, alpha: float | None, dequantisation: Dequantisation) -> Units:
    """The bijection of a flow from an event's units to real numbers."""
    if event.levels is not None and dequantisation == "variational":
        return VariationallyDequantised(event, alpha)
    return fixed_units(event, alpha)
