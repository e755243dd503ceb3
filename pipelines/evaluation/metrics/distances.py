"""Distances between a set of real and a set of generated examples, in feature vectors (N, F).

FID: Heusel et al., 2017 (arXiv:1706.08500). KID: Bińkowski et al., 2018 (arXiv:1801.01401). Precision and recall:
Kynkäänniemi et al., 2019 (arXiv:1904.06991). Density and coverage: Naeem et al., 2020 (arXiv:2002.09797).
"""

from __future__ import annotations

import numpy as np

from .threads import one_thread


@one_thread()
def fid(real: np.ndarray, fake: np.ndarray) -> float:
    """Fréchet distance of two Gaussians, ‖μ₁ - μ₂‖² + tr(Σ₁ + Σ₂ - 2 (Σ₁ Σ₂)^½).

    With any R for which Rᵀ R = Σ, tr (Σ₁Σ₂)^½ is the sum of the singular values of R₁ R₂ᵀ, and tr Σ = Σ_ij R_ij².
    """
    real, fake = real.astype(np.float64), fake.astype(np.float64)
    difference = real.mean(0) - fake.mean(0)
    first, second = _root(real), _root(fake)
    cross = np.linalg.svd(first @ second.T, compute_uv=False).sum()
    return float(difference @ difference + np.square(first).sum() + np.square(second).sum() - 2 * cross)


def _root(x: np.ndarray) -> np.ndarray:
    """A root R of the covariance Rᵀ R of features (N, F): (F, F), or (N, F) where those are fewer rows."""
    if len(x) < x.shape[1]:
        return (x - x.mean(0)) / (len(x) - 1) ** 0.5
    values, vectors = np.linalg.eigh(np.atleast_2d(np.cov(x, rowvar=False)))
    return (vectors * np.sqrt(values.clip(0))).T


@one_thread()
def kid(real: np.ndarray, fake: np.ndarray) -> float:
    """Unbiased squared maximum mean discrepancy with the kernel (x·y/F + 1)³."""
    from sklearn.metrics.pairwise import polynomial_kernel  # takes a second, which no training needs

    real, fake = real.astype(np.float64), fake.astype(np.float64)
    n, m = len(real), len(fake)

    def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return polynomial_kernel(a, b, degree=3, coef0=1)

    within_real, within_fake = kernel(real, real), kernel(fake, fake)
    terms = (within_real.sum() - np.trace(within_real)) / (n * (n - 1))
    terms += (within_fake.sum() - np.trace(within_fake)) / (m * (m - 1))
    return float(terms - 2 * kernel(real, fake).mean())


@one_thread()
def prdc(real: np.ndarray, fake: np.ndarray, neighbours: int) -> dict[str, float]:
    """Precision, recall, density and coverage with balls that reach to the k-th nearest neighbour."""
    from sklearn.metrics import pairwise_distances

    real_radius, fake_radius = _radii(real, neighbours), _radii(fake, neighbours)
    distance = pairwise_distances(real, fake)
    in_real_ball = distance < real_radius[:, None]
    return {
        "precision": float(in_real_ball.any(0).mean()),
        "recall": float((distance < fake_radius[None]).any(1).mean()),
        "density": float(in_real_ball.sum(0).mean() / neighbours),
        "coverage": float((distance.min(1) < real_radius).mean()),
    }


def _radii(x: np.ndarray, neighbours: int) -> np.ndarray:
    """Distance of each point to its k-th nearest other one."""
    from sklearn.neighbors import NearestNeighbors

    distances, _ = NearestNeighbors(n_neighbors=neighbours + 1).fit(x).kneighbors(x)
    return distances[:, -1]
