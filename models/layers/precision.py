"""What must not be computed in half precision."""

from __future__ import annotations

import torch
from torch import Tensor


def at_least_float32(x: Tensor) -> Tensor:
    """x in float32, or as it is if it is wider: for likelihoods, moments and scores, which are sums of many terms."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
