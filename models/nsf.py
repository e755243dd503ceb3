"""Neural spline flow: a masked autoregressive flow that bends each number by a spline in place of a line.

A stack of autoregressive transforms turns data into normal noise, as in a MAF. Each number goes through a monotonic
curve of K pieces whose shape is computed from the numbers before it, so a single block can make the several peaks and
the sharp edges of a density for which affine blocks would need many. The curve and its inverse are closed formulas.

A curve has knots (x_k, y_k) with slopes δ_k, k = 0 … K: x_k and y_k increase from -B to B, and δ_0 = δ_K = 1. Between
two knots it is a quotient of quadratic polynomials; outside of [-B, B] it is the identity. v, w (N, D) and the knots
(N, D, K+1), with x_k ≤ v < x_{k+1}, and so y_k ≤ w < y_{k+1}:

    s_k = (y_{k+1} - y_k) / (x_{k+1} - x_k),      ξ = (v - x_k) / (x_{k+1} - x_k),      q = δ_{k+1} + δ_k - 2 s_k

    w = y_k + (y_{k+1} - y_k) (s_k ξ² + δ_k ξ(1-ξ)) / (s_k + q ξ(1-ξ))

    dw/dv = s_k² (δ_{k+1} ξ² + 2 s_k ξ(1-ξ) + δ_k (1-ξ)²) / (s_k + q ξ(1-ξ))²

    log p(y) = log N(u; 0, I) + Σ_blocks Σ_i log dw_i/dv_i + Σ_maps Σ_i log U_ii

Backwards, ξ is a root of a ξ² + b ξ + c = 0. Both ways to write it are the same number, and the sign of b says in which
of them nothing cancels:

    a = (y_{k+1} - y_k) (s_k - δ_k) + (w - y_k) q,      b = (y_{k+1} - y_k) δ_k - (w - y_k) q,      c = -s_k (w - y_k)

    ξ = 2c / (-b - √(b² - 4ac)) = (-b + √(b² - 4ac)) / 2a        (the paper has the first, for any b)

A linear map w = L U v + b before each block and after the last one, triangular factors of a D × D matrix, brings into
[-B, B] what a spline would leave alone. With `batch_norm` each block is followed by an invertible batch normalisation,
and with `mixture_components` a last block has mixtures of Gaussians for conditionals, as in a MAF.

When to use it: for densities of vectors with several peaks or sharp edges, for which a `maf` needs many blocks. Its
networks have more outputs for each number.

Cost in sequential network passes, with M blocks and D dimensions, that of a MAF: `log_prob` and `encode` M, `sample`
and `decode` M·D, which on a CPU are D small steps of each block, with the arithmetic of one pass together, and on a GPU
as many passes as it takes until the numbers settle, at most D + 1 for each block.
Durkan, Bekasov, Murray & Papamakarios, "Neural Spline Flows", 2019 (arXiv:1906.04032); this is their RQ-NSF (AR).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass as validated
from torch import Tensor, nn
from torch.nn import functional as F

from .contract import STRICT
from .layers.autoregressive.masked import MaskedMLP, orders
from .layers.flows.autoregressive_flow import AutoregressiveFlowConfig
from .layers.flows.bijections import BatchNorm, Bijection, Composition
from .layers.flows.flow import Flow
from .layers.flows.inversion import AutoregressiveBijection, Inversion
from .layers.flows.mixture_transform import AutoregressiveMixture

LEAST = 1e-3  # of a bin's width and height, as a share of 2B, and of a slope


@validated(frozen=True, config=STRICT)
class NSFConfig(AutoregressiveFlowConfig):
    """Configuration of a neural spline flow: that of a MAF, and of its splines."""

    bins: int = Field(default=8, ge=2, le=256)
    """K, the pieces of each spline; the network of a block has 3K - 1 outputs for each dimension."""

    bound: float = Field(default=3.0, gt=0)
    """B: splines bend the numbers in [-B, B] and leave those outside as they are, so that far tails keep the shape of
    the normal base. At first in standard deviations of the data for vectors, and for integers in units of the logit,
    which `alpha` 0.05 keeps within ±2.95; the linear maps change the units."""

    linear: bool = True
    """Learn a linear map before each block and after the last one. Without them far outliers cost much likelihood; with
    them a block has D² more weights, for D numbers in an example."""


class NSF(Flow):
    """Blocks of splines whose single pass leads from the data to the noise."""

    Config = NSFConfig
    config: NSFConfig
    parallel_sampling = False

    def make_bijection(self) -> Bijection:
        config, D = self.config, self.event.dimensions
        turns = orders(D, config.blocks + bool(config.mixture_components), config.permutation, config.permutation_seed)
        hidden, context, inversion = config.hidden, self.classes, config.inversion
        parts: list[Bijection] = []
        for order in turns[: config.blocks]:
            if config.linear:
                parts.append(Linear(D))
            parts.append(AutoregressiveSpline(order, hidden, config.bins, config.bound, context, inversion))
            if config.batch_norm:
                parts.append(BatchNorm(D))
        if config.linear:
            parts.append(Linear(D))
        if config.mixture_components:
            parts.append(AutoregressiveMixture(turns[-1], hidden, config.mixture_components, context, inversion))
        return Composition(parts)


class Linear(Bijection):
    """The bijection w = L U v + b, with log |det dw/dv| = Σ log U_ii; at first it is the identity.

    L is lower triangular with ones on the diagonal, U upper triangular with a positive one. A single matrix (D, D)
    holds what is below and above their diagonals, times √D, so that sums of D terms change no faster than single ones,
    and the logarithm of U's diagonal.
    """

    def __init__(self, dimensions: int) -> None:
        super().__init__()
        self.factors = nn.Parameter(torch.zeros(dimensions, dimensions))
        self.bias = nn.Parameter(torch.zeros(dimensions))

    def forward(self, v: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        with torch.autocast(v.device.type, enabled=False):  # bfloat16 would blur all that goes through
            lower, upper = self._triangles()
            return v @ upper.T @ lower.T + self.bias, self._log_det().expand(len(v))

    def inverse(self, w: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        with torch.autocast(w.device.type, enabled=False):
            lower, upper = self._triangles()
            half = torch.linalg.solve_triangular(lower, (w - self.bias).T, upper=False, unitriangular=True)
            return torch.linalg.solve_triangular(upper, half, upper=True).T, -self._log_det().expand(len(w))

    def _triangles(self) -> tuple[Tensor, Tensor]:
        one = torch.eye(len(self.bias), dtype=self.bias.dtype, device=self.bias.device)
        sums = self.factors * len(one) ** -0.5
        return sums.tril(-1) + one, sums.triu(1) + one * self.factors.diagonal().exp()

    def _log_det(self) -> Tensor:
        return self.factors.diagonal().sum()


class AutoregressiveSpline(AutoregressiveBijection):
    """The bijection w = f(v) in which w_i is a spline of v_i with knots by a MADE of v_<i.

    Of its outputs, those for widths and heights are divided by the square root of the units that they are sums of, as
    in the authors' code: otherwise wide networks soon crowd the knots, and flat pieces cost digits of the inverse.
    """

    def __init__(
        self,
        order: Tensor,
        hidden: Sequence[int],
        bins: int,
        bound: float,
        context: int = 0,
        inversion: Inversion = "auto",
    ) -> None:
        made = MaskedMLP([order], hidden, outputs=3 * bins - 1, context=context)
        super().__init__(made, order, inversion)
        self.bins, self.bound = bins, bound
        self.share = hidden[-1] ** -0.5

    def transform(self, v: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """w and log dw/dv (N, …) of v (N, …) and outputs h (N, …, 3K - 1)."""
        return spline(v, self.knots(h))

    def invert(self, w: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """v and log dw/dv (N, …) of w (N, …) and outputs h (N, …, 3K - 1)."""
        return inverse_spline(w, self.knots(h))

    def knots(self, h: Tensor) -> Tensor:
        """The knots (3, N, …, K+1) by outputs h (N, …, 3K - 1)."""
        sizes, slopes = h[..., : 2 * self.bins], h[..., 2 * self.bins :]
        return spline_knots(torch.cat([sizes * self.share, slopes], -1), self.bins, self.bound)


def spline_knots(h: Tensor, bins: int, bound: float) -> Tensor:
    """The knots (3, …, K+1), x_k, y_k and δ_k, of any numbers h (…, 3K - 1); of zeros those of the identity."""
    widths, heights, slopes = h.split([bins, bins, bins - 1], -1)
    inner = LEAST + F.softplus(slopes + math.log(math.expm1(1 - LEAST)))
    return torch.stack([_places(widths, bound), _places(heights, bound), F.pad(inner, (1, 1), value=1.0)])


def _places(logits: Tensor, bound: float) -> Tensor:
    """K+1 places (…, K+1) from -B to B, at distances by a softmax of logits (…, K), none less than the least."""
    shares = LEAST + (1 - LEAST * logits.shape[-1]) * logits.softmax(-1)
    inner = bound * (2 * shares[..., :-1].cumsum(-1) - 1)
    end = torch.full_like(inner[..., :1], bound)
    return torch.cat([-end, inner, end], -1)


def spline(v: Tensor, knots: Tensor) -> tuple[Tensor, Tensor]:
    """w and log dw/dv (…) of v (…) by the curve through knots (3, …, K+1)."""
    inside, v_inside = _within(v, knots)
    piece = _piece(v_inside, knots, axis=0)
    xi = (v_inside - piece.x) / piece.width
    mixed = xi * (1 - xi)
    rise = (piece.s * xi.square() + piece.left * mixed) / (piece.s + piece.q * mixed)
    w = piece.y + piece.height * rise
    return torch.where(inside, w, v), torch.where(inside, _log_slope(xi, piece), 0.0)


def inverse_spline(w: Tensor, knots: Tensor) -> tuple[Tensor, Tensor]:
    """v and log dw/dv (…) of w (…) by the curve through knots (3, …, K+1)."""
    inside, w_inside = _within(w, knots)
    piece = _piece(w_inside, knots, axis=1)
    above = w_inside - piece.y
    a = piece.height * (piece.s - piece.left) + above * piece.q
    b = piece.height * piece.left - above * piece.q
    c = -piece.s * above
    root = (b.square() - 4 * a * c).clamp_min(0).sqrt()
    xi = torch.where(b < 0, root - b, 2 * c) / torch.where(b < 0, 2 * a, -b - root)
    xi = xi.clamp(0, 1)
    v = piece.x + piece.width * xi
    return torch.where(inside, v, w), torch.where(inside, _log_slope(xi, piece), 0.0)


class _Piece(NamedTuple):
    """The piece of its curve that each number (…) is on."""

    x: Tensor  # x_k
    y: Tensor  # y_k
    width: Tensor  # x_{k+1} - x_k
    height: Tensor  # y_{k+1} - y_k
    left: Tensor  # δ_k
    right: Tensor  # δ_{k+1}

    @property
    def s(self) -> Tensor:
        return self.height / self.width

    @property
    def q(self) -> Tensor:
        return self.right + self.left - 2 * self.s


def _within(numbers: Tensor, knots: Tensor) -> tuple[Tensor, Tensor]:
    """Which numbers (…) are bent, and the numbers with 0 in place of the others, where the formulas are safe."""
    inside = numbers.abs() <= knots[0, ..., -1]
    return inside, torch.where(inside, numbers, 0.0)


def _piece(numbers: Tensor, knots: Tensor, axis: int) -> _Piece:
    """The piece between two knots that numbers (…) within the bound are on, by x (axis 0) or by y (axis 1)."""
    k = (numbers[..., None] >= knots[axis, ..., 1:-1]).sum(-1, keepdim=True)
    ends = torch.cat([k, k + 1], -1).expand(3, *k.shape[:-1], 2)
    (x, y, left), (x_end, y_end, right) = (end.unbind(0) for end in knots.gather(-1, ends).unbind(-1))
    return _Piece(x, y, x_end - x, y_end - y, left, right)


def _log_slope(xi: Tensor, piece: _Piece) -> Tensor:
    """log dw/dv (…) at ξ (…)."""
    s, mixed = piece.s, xi * (1 - xi)
    up = piece.right * xi.square() + 2 * s * mixed + piece.left * (1 - xi).square()
    return 2 * s.log() + up.log() - 2 * (s + piece.q * mixed).log()
