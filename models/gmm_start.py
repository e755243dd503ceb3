"""Where a mixture begins: the clusters that k-means finds.

Lloyd, "Least Squares Quantization in PCM", 1982; seeds by k-means++, Arthur & Vassilvitskii, 2007.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

LLOYD_STEPS = 30


def k_means(y: Tensor, clusters: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Which of K clusters points y (N, P) are members of, 1 or 0 (N, K), and the clusters' centres (K, P)."""
    centres = y[torch.randint(len(y), (1,), generator=generator)]
    for _ in range(1, clusters):
        squared_distance = torch.cdist(y, centres).amin(1).square().cpu()
        if squared_distance.sum() == 0:  # fewer distinct examples than components: repeat one
            squared_distance = torch.ones_like(squared_distance)
        centres = torch.cat([centres, y[torch.multinomial(squared_distance, 1, generator=generator)]])
    for _ in range(LLOYD_STEPS):
        member = F.one_hot(torch.cdist(y, centres).argmin(1), len(centres)).to(y.dtype)
        centres = torch.where(member.sum(0)[:, None] > 0, member.T @ y / member.sum(0)[:, None], centres)
    return member, centres
