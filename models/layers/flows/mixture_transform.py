"""An autoregressive block whose conditionals are mixtures of Gaussians: MADE MoG as a bijection.

Each number is mapped to the standard normal number that has as much mass below it,

    w_i = Φ⁻¹(F_i(v_i)),      F_i(v) = Σ_k π_k Φ((v - μ_k) / σ_k),      π, μ, σ functions of v_<i

so that with a standard normal base the density of v_i given v_<i is the mixture itself:

    log N(w_i; 0, 1) + log dw_i/dv_i = log Σ_k π_k N(v_i; μ_k, σ_k²)

Papamakarios et al., "Masked Autoregressive Flow for Density Estimation", 2017 (arXiv:1705.07057), call a MAF with such
a block next to its base MAF MoG. An IAF turns noise into data, and its network sees the noise, so it has the other
direction of the same map next to the data:

    w_i = F_i⁻¹(Φ(v_i)),      π, μ, σ functions of v_<i,      so that w_i given v_<i has the mixture for density
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ..autoregressive.masked import MaskedMLP
from ..autoregressive.outputs import GaussianMixture
from ..normal import log_normal_density
from .bases import normal_quantile
from .inversion import AutoregressiveBijection, Inversion

NEWTON_STEPS = 100  # at most; about eight suffice
TOLERANCE = 1e-12  # of a step of Newton's method, beside the size of the number


class AutoregressiveMixture(AutoregressiveBijection):
    """The bijection of a MADE with mixtures of Gaussians for outputs. It computes in float64, for the tails."""

    def __init__(
        self,
        order: Tensor,
        hidden: Sequence[int],
        components: int,
        context: int = 0,
        inversion: Inversion = "auto",
    ) -> None:
        output = GaussianMixture(components)
        made = MaskedMLP([order], hidden, outputs=output.size, context=context)
        super().__init__(made, order, inversion)
        self.output = output
        with torch.no_grad():
            made.output_bias.copy_(output.start().repeat(len(order)))

    def transform(self, v: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """w (N, D) and log dw/dv (N, D) of v (N, D) and outputs h (N, D, 3K)."""
        w, log_slope = self._transform(v.double(), h.double())
        return w.to(v.dtype), log_slope.to(v.dtype)

    def _transform(self, v: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        below, above = self._masses(v, h)
        w = normal_quantile(below, above)
        return w, self.output.log_prob(h, v) - log_normal_density(w)

    def _masses(self, v: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """The mass of the mixture below and above v."""
        logits, mean, log_std = self.output.parameters(h)
        z = (v[..., None] - mean) * torch.exp(-log_std)
        weights = logits.softmax(-1)
        return (weights * _normal_mass(z)).sum(-1), (weights * _normal_mass(-z)).sum(-1)

    def invert(self, w: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """v (N, …) and log dw/dv (N, …) of w (N, …) and outputs h (N, …, 3K)."""
        h = h.double()
        v = self._quantile(w.double(), h)
        return v.to(w.dtype), self._transform(v, h)[1].to(w.dtype)

    @torch.no_grad()
    def _quantile(self, target: Tensor, h: Tensor) -> Tensor:
        """F⁻¹(Φ(target)), by Newton's method inside a bracket.

        The root lies between the least and the greatest of the components' own quantiles.
        """
        _, mean, log_std = self.output.parameters(h)
        quantiles = mean + torch.exp(log_std) * target[..., None]
        low, high = quantiles.amin(-1), quantiles.amax(-1)
        v = (low + high) / 2
        for _ in range(NEWTON_STEPS):
            found, log_slope = self._transform(v, h)
            error = found - target
            low, high = torch.where(error < 0, v, low), torch.where(error > 0, v, high)
            step = v - error * torch.exp(-log_slope)
            inside = (step > low) & (step < high)
            new = torch.where(inside, step, (low + high) / 2)
            moved, v = (new - v).abs(), new
            if (moved <= TOLERANCE * (1 + v.abs())).all():
                break
        return v


class AutoregressiveQuantile(AutoregressiveMixture):
    """The bijection whose outputs have mixtures of Gaussians for densities, given the inputs before: w = F⁻¹(Φ(v))."""

    def transform(self, v: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """w (N, D) and log dw/dv (N, D) of v (N, D) and outputs h (N, D, 3K)."""
        target, h = v.double(), h.double()
        root = self._quantile(target, h)
        found, log_slope = self._transform(root, h)
        # One more step of Newton's method, for its gradients: those of the implicit function.
        w = root - (found - target) * torch.exp(-log_slope).detach()
        return w.to(v.dtype), -self._transform(w, h)[1].to(v.dtype)

    def invert(self, w: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """v (N, …) and log dw/dv (N, …) of w (N, …) and outputs h (N, …, 3K)."""
        v, log_slope = self._transform(w.double(), h.double())
        return v.to(w.dtype), -log_slope.to(w.dtype)


def _normal_mass(z: Tensor) -> Tensor:
    """Φ(z), exact in the lower tail, which `torch.special.ndtr` rounds to multiples of 1e-16."""
    return 0.5 * torch.special.erfc(-z / math.sqrt(2))
