"""The affine autoregressive block, which MAF and IAF are stacks of.

Kingma et al., "Improving Variational Inference with Inverse Autoregressive Flow", 2016 (arXiv:1606.04934).
Papamakarios et al., "Masked Autoregressive Flow for Density Estimation", 2017 (arXiv:1705.07057).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..autoregressive.masked import MaskedMLP
from ..normal import bounded
from .inversion import AutoregressiveBijection, Inversion


class AutoregressiveAffine(AutoregressiveBijection):
    """The bijection w = f(v) with, for each dimension i in order,

        w_i = (v_i - μ_i(v_<i)) exp(-α_i(v_<i)),      log |det dw/dv| = -Σ_i α_i

    α is kept inside ±log 1000 by a smooth clip.
    """

    def transform(self, v: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """w and log dw/dv (N, …) of v (N, …) and h = (μ, α) (N, …, 2)."""
        mu, alpha = h.unbind(-1)
        alpha = bounded(alpha)
        return (v - mu) * torch.exp(-alpha), -alpha

    def invert(self, w: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """v and log dw/dv (N, …) of w (N, …) and h = (μ, α) (N, …, 2)."""
        mu, alpha = h.unbind(-1)
        alpha = bounded(alpha)
        return torch.addcmul(mu, w, torch.exp(alpha)), -alpha


def affine_made(
    order: Tensor, hidden: Sequence[int], context: int = 0, inversion: Inversion = "auto"
) -> AutoregressiveAffine:
    """A block whose network is a MADE."""
    return AutoregressiveAffine(MaskedMLP([order], hidden, outputs=2, context=context), order, inversion)
