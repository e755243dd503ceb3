"""Distances between a set of real and a set of generated examples, in feature vectors (N, F).

FID: Heusel et al., 2017 (arXiv:1706.08500). KID: Bińkowski et al., 2018 (arXiv:1801.01401). Precision and recall:
Kynkäänniemi et al., 2019 (arXiv:1904.06991). Density and coverage: Naeem et al., 2020 (arXiv:2002.09797).
"""

from __future__ import annotations

import numpy as np
from sklearn.metrics import pairwise_distances
from sklearn.metrics.pairwise import polynomial_kernel
from sklearn.neighbors import NearestNeighbors


def fid(real: np.ndarray, fake: np.ndarray) -> float:
    """Fréchet distance of two Gaussians, ‖μ₁ - μ₂‖² + tr(Σ₁ + Σ₂ - 2 (Σ₁ Σ₂)^½).

    tr (Σ₁Σ₂)^½ is the sum of the square roots of the eigenvalues of Σ₁^½ Σ₂ Σ₁^½, which is symmetric.
    """
    real, fake = real.astype(np.float64), fake.astype(np.float64)
    difference = real.mean(0) - fake.mean(0)
    first, second = (np.atleast_2d(np.cov(features, rowvar=False)) for features in (real, fake))
    values, vectors = np.linalg.eigh(first)
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    cross = np.sqrt(np.linalg.eigvalsh(root @ second @ root).clip(0)).sum()
    return float(difference @ difference + np.trace(first) + np.trace(second) - 2 * cross)


def kid(real: np.ndarray, fake: np.ndarray) -> float:
    """Unbiased squared maximum mean discrepancy with the kernel (x·y/F + 1)³."""
    real, fake = real.astype(np.float64), fake.astype(np.float64)
    n, m = len(real), len(fake)

    def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return polynomial_kernel(a, b, degree=3, coef0=1)

    within_real, within_fake = kernel(real, real), kernel(fake, fake)
    terms = (within_real.sum() - np.trace(within_real)) / (n * (n - 1))
    terms += (within_fake.sum() - np.trace(within_fake)) / (m * (m - 1))
    return float(terms - 2 * kernel(real, fake).mean())


def prdc(real: np.ndarray, fake: np.ndarray, neighbours: int) -> dict[str, float]:
    """Precision, recall, density and coverage with balls that reach to the k-th nearest neighbour."""
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
    distances, _ = NearestNeighbors(n_neighbors=neighbours + 1).fit(x).kneighbors(x)
    return distances[:, -1]
