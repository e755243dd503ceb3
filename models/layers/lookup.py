"""Sums of rows of a table that others ask for: what is computed once serves all who ask."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def sum_of_rows(table: Tensor, places: Tensor, wanted: Tensor) -> Tensor:
    """Σ_c table[places_nc] (N, K) of a table (P, K) over the places (N, C) that are wanted, bools (N, C)."""
    if not places.shape[1]:
        return table.new_zeros(len(places), table.shape[1])
    return F.embedding_bag(places, table.contiguous(), mode="sum", per_sample_weights=wanted.to(table))


def sum_into_rows(rows: int, places: Tensor, values: Tensor, wanted: Tensor) -> Tensor:
    """Its transpose: Σ_n values_n (rows, K), of values (N, K), for each of the places (N, C) that are wanted."""
    total = values.new_zeros(rows, values.shape[1])
    for place, there in zip(places.T, wanted.T, strict=True):
        total.index_add_(0, place, values * there[:, None])
    return total
