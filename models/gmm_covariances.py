"""The covariances Σ_k of a Gaussian mixture, in three shapes: what each makes of EM's sums, and its density.

None of them is ever laid out as a D×D matrix but the full one. With a low rank, y = μ_k + W_k z + σ_k ε, and the E step
has z (N, K, q) beside the responsibilities r (N, K), by M_k = W_kᵀ W_k + σ_k² I:

    E z = M⁻¹ Wᵀ (y-μ)        E zzᵀ = σ² M⁻¹ + Ez Ezᵀ
    [W μ] = [Σ_n r y Ezᵀ, Σ_n r y] [[Σ_n r Ezzᵀ, Σ_n r Ez], [Σ_n r Ezᵀ, Σ_n r]]⁻¹
    σ² = (Σ_n r y² - tr [W μ]ᵀ [Σ_n r y Ezᵀ, Σ_n r y]) / (D Σ_n r)

Ghahramani & Hinton, "The EM Algorithm for Mixtures of Factor Analyzers", 1996; Tipping & Bishop, 1999.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from .gmm_components import NOBODY, Sums
from .layers.normal import standard_normal_log_density
from .principal import leading_components


class Covariances(nn.Module, ABC):
    """Those of K Gaussians in D dimensions."""

    noise: int  # how many normal numbers a draw takes

    def log_normal(self, y: Tensor, means: Tensor) -> Tensor:
        """log N(y; μ_k, Σ_k) (N, K) of y (N, D) for means (K, D)."""
        return self.log_marginal(y[:, None] - means, slice(None))

    @abstractmethod
    def log_marginal(self, difference: Tensor, places: Tensor | slice) -> Tensor:
        """log N(y_c; μ_c, Σ_cc) (N, K) of differences y_c - μ_c (N, K, C) at C of the D places, in their precision."""

    @abstractmethod
    def deviation(self, k: int, z: Tensor) -> Tensor:
        """Σ_k^½ z (N, D), made of normal numbers z (N, `noise`)."""

    def start(self, y: Tensor, member: Tensor) -> None:
        """Begin with the clusters of y (N, D) that members (N, K) are 1 in, where the E step needs covariances."""
        return None

    @abstractmethod
    def sums(self, y: Tensor, r: Tensor, means: Tensor) -> Sums:
        """What the M step needs beside Σ_n r (K,) and Σ_n r y (K, D), in double."""

    @abstractmethod
    def maximise(self, weight: Tensor, first: Tensor, sums: Sums, floor: float) -> Tensor:
        """The M step from `weight` = Σ_n r, `first` = Σ_n r y and the others; returns the means (K, D)."""

    @abstractmethod
    def regression(self, k: int, difference: Tensor, places: Tensor) -> Tensor:
        """Σ_·c Σ_cc⁻¹ d (N, D) of differences d (N, C) at C of the D places of component k, in double."""

    @abstractmethod
    def numbers_of_sums(self) -> int:
        """How many numbers `sums` gives."""


class Diagonal(Covariances):
    """Σ_k = diag σ_k²: the logarithms of σ (K, D)."""

    def __init__(self, K: int, D: int) -> None:
        super().__init__()
        self.noise = D
        self.log_scale = nn.Parameter(torch.zeros(K, D))

    def log_marginal(self, difference: Tensor, places: Tensor | slice) -> Tensor:
        log_scale = self.log_scale[:, places].to(difference)
        return standard_normal_log_density(difference * torch.exp(-log_scale)) - log_scale.sum(1)

    def deviation(self, k: int, z: Tensor) -> Tensor:
        return self.log_scale[k].exp() * z

    def sums(self, y: Tensor, r: Tensor, means: Tensor) -> Sums:
        return {"second": r.T @ y.square()}

    def maximise(self, weight: Tensor, first: Tensor, sums: Sums, floor: float) -> Tensor:
        means = first / weight[:, None]
        variance = sums["second"] / weight[:, None] - means.square()
        self.log_scale.copy_(0.5 * (variance.clamp_min(0) + floor).log())
        return means

    def regression(self, k: int, difference: Tensor, places: Tensor) -> Tensor:
        """Numbers know nothing of each other."""
        return difference.new_zeros(len(difference), self.noise)

    def numbers_of_sums(self) -> int:
        return self.log_scale.numel()


class Full(Covariances):
    """Σ_k = L_k L_kᵀ: L (K, D, D) below the diagonal, and the logarithm of its diagonal (K, D)."""

    def __init__(self, K: int, D: int) -> None:
        super().__init__()
        self.noise = D
        self.log_scale = nn.Parameter(torch.zeros(K, D))
        self.factor = nn.Parameter(0.01 * torch.randn(K, D, D))

    def log_normal(self, y: Tensor, means: Tensor) -> Tensor:
        """The factors are there: none is computed anew, as the marginals' are."""
        difference = (y[:, None] - means).permute(1, 2, 0)
        tril = self.factor.tril(-1) + torch.diag_embed(self.log_scale.exp())
        white = torch.linalg.solve_triangular(tril, difference, upper=False).permute(2, 0, 1)
        return standard_normal_log_density(white) - self.log_scale.sum(1)

    def deviation(self, k: int, z: Tensor) -> Tensor:
        return z @ (self.factor[k].tril(-1) + self.log_scale[k].exp().diag()).T

    def sums(self, y: Tensor, r: Tensor, means: Tensor) -> Sums:
        return {"second": torch.stack([(y * each[:, None]).T @ y for each in r.T])}

    def maximise(self, weight: Tensor, first: Tensor, sums: Sums, floor: float) -> Tensor:
        means = first / weight[:, None]
        S = sums["second"] / weight[:, None, None] - means[:, :, None] * means[:, None]
        tril = torch.linalg.cholesky(S + floor * torch.eye(S.shape[1], dtype=S.dtype, device=S.device))
        self.factor.copy_(tril)
        self.log_scale.copy_(tril.diagonal(dim1=1, dim2=2).log())
        return means

    def log_marginal(self, difference: Tensor, places: Tensor | slice) -> Tensor:
        logs = []
        for k in range(len(self.factor)):
            rows = self._tril(k)[places].to(difference)
            tril = torch.linalg.cholesky(rows @ rows.T)
            white = torch.linalg.solve_triangular(tril, difference[:, k].T, upper=False).T
            logs.append(standard_normal_log_density(white) - tril.diagonal().log().sum())
        return torch.stack(logs, 1)

    def regression(self, k: int, difference: Tensor, places: Tensor) -> Tensor:
        tril = self._tril(k)
        rows = tril[places]
        solved = torch.cholesky_solve(difference.T, torch.linalg.cholesky(rows @ rows.T))
        return (tril @ (rows.T @ solved)).T

    def numbers_of_sums(self) -> int:
        return self.factor.numel()

    def _tril(self, k: int) -> Tensor:
        """L_k (D, D), in double."""
        return self.factor[k].double().tril(-1) + self.log_scale[k].double().exp().diag()


class LowRank(Covariances):
    """Σ_k = W_k W_kᵀ + σ_k² I: W (K, D, q), and the logarithm of σ (K,)."""

    def __init__(self, K: int, D: int, rank: int) -> None:
        super().__init__()
        self.rank, self.noise = rank, rank + D
        self.log_scale = nn.Parameter(torch.zeros(K))
        self.factor = nn.Parameter(0.01 * torch.randn(K, D, rank))

    def log_marginal(self, difference: Tensor, places: Tensor | slice) -> Tensor:
        """(y-μ)ᵀ Σ⁻¹ (y-μ) = |y-μ-W Ez|² / σ² + |Ez|², two sums of squares, so that nothing cancels.

        The marginal covariance W_c W_cᵀ + σ² I has low rank, too.
        """
        D, log_variance = difference.shape[2], 2 * self.log_scale.to(difference)
        solve, tril = self._posterior(places)
        z = torch.einsum("nkd,kqd->nkq", difference, solve.to(difference))
        rest = difference - torch.einsum("nkq,kdq->nkd", z, self.factor[:, places].to(difference))
        squares = rest.square().sum(2) * torch.exp(-log_variance) + z.square().sum(2)
        log_det = 2 * tril.diagonal(dim1=1, dim2=2).log().sum(1).to(difference) + (D - self.rank) * log_variance
        return -0.5 * (squares + log_det + D * math.log(2 * math.pi))

    def deviation(self, k: int, z: Tensor) -> Tensor:
        return z[:, : self.rank] @ self.factor[k].T + self.log_scale[k].exp() * z[:, self.rank :]

    def start(self, y: Tensor, member: Tensor) -> None:
        """Principal components: W = U (λ - σ²)^½ by the q largest eigenvalues λ, and σ² the mean of the others."""
        for k, (factor, log_scale) in enumerate(zip(self.factor, self.log_scale, strict=True)):
            of_k = y[member[:, k] > 0]
            if len(of_k) < 2:
                continue
            of_k = of_k - of_k.mean(0)
            vectors = leading_components(of_k, min(self.rank, len(of_k)))
            eigenvalues = (of_k @ vectors).square().mean(0)
            others = of_k.square().mean(0).sum() - eigenvalues.sum()
            variance = (others / max(1, y.shape[1] - len(eigenvalues))).clamp_min(1e-6)
            factor.zero_()[:, : len(eigenvalues)] = vectors * (eigenvalues - variance).clamp_min(0).sqrt()
            log_scale.copy_(0.5 * variance.log())

    def sums(self, y: Tensor, r: Tensor, means: Tensor) -> Sums:
        solve, tril = self._posterior()
        z = torch.einsum("nkd,kqd->nkq", y[:, None] - means, solve)
        spread = (2 * self.log_scale.double()).exp()[:, None, None] * torch.cholesky_inverse(tril)
        weighted = r[:, :, None] * z
        return {
            "square": r.T @ y.square().sum(1),
            "z": weighted.sum(0),
            "zz": r.sum(0)[:, None, None] * spread + torch.einsum("nkq,nkp->kqp", weighted, z),
            "yz": torch.einsum("nd,nkq->kdq", y, weighted),
        }

    def maximise(self, weight: Tensor, first: Tensor, sums: Sums, floor: float) -> Tensor:
        left = torch.cat([sums["yz"], first[:, :, None]], 2)  # (K, D, q+1)
        some = NOBODY * torch.eye(self.rank, dtype=left.dtype, device=left.device)  # a component may have no examples
        top = torch.cat([sums["zz"] + some, sums["z"][:, :, None]], 2)
        bottom = torch.cat([sums["z"], weight[:, None]], 1)[:, None]
        moments = torch.cat([top, bottom], 1)
        found = torch.linalg.solve(moments, left.mT).mT  # [W μ]
        variance = (sums["square"] - (found * left).sum((1, 2))) / (weight * first.shape[1])
        self.factor.copy_(found[:, :, :-1])
        self.log_scale.copy_(0.5 * (variance.clamp_min(0) + floor).log())
        return found[:, :, -1]

    def regression(self, k: int, difference: Tensor, places: Tensor) -> Tensor:
        """W (W_cᵀ W_c + σ² I)⁻¹ W_cᵀ d at places that are not known; at others it is not asked for."""
        solve, _ = self._posterior(places)
        return difference @ solve[k].T @ self.factor[k].double().T

    def numbers_of_sums(self) -> int:
        K, D, q = self.factor.shape
        return K * (1 + q + q * q + D * q)

    def _posterior(self, places: Tensor | slice = slice(None)) -> tuple[Tensor, Tensor]:
        """M⁻¹ Wᵀ (K, q, D) and the Cholesky factor of M (K, q, q), in double: M may be ill-conditioned.

        Where some places alone are known, those of the rows of W there.
        """
        W = self.factor[:, places].double()
        noise = (2 * self.log_scale.double()).exp()[:, None, None] * torch.eye(self.rank, device=W.device)
        with torch.autocast(W.device.type, enabled=False):
            tril = torch.linalg.cholesky(W.mT @ W + noise)
            return torch.cholesky_solve(W.mT, tril), tril
