"""Noise does not depend on how a batch is split."""

from __future__ import annotations

import pytest
import torch

from models.layers.draws import chosen_labels
from models.layers.workers import GlobalBatchNorm
from models.noise import Noise, normal_rows, uniform_rows


@pytest.mark.parametrize("draw", ["normal", "uniform"])
def test_workers_see_their_rows_of_the_global_noise(draw: str) -> None:
    whole = getattr(Noise(torch.Generator().manual_seed(5), 6), draw)(3, 2)
    parts = [getattr(Noise(torch.Generator().manual_seed(5), 2, start, 6), draw)(3, 2) for start in (0, 2, 4)]
    assert torch.equal(whole, torch.cat(parts))


def test_integers_are_shared_too() -> None:
    whole = Noise(torch.Generator().manual_seed(5), 6).integers(10)
    assert torch.equal(whole[4:], Noise(torch.Generator().manual_seed(5), 2, 4, 6).integers(10))


@pytest.mark.parametrize("rows", [uniform_rows, normal_rows])
@pytest.mark.parametrize("width", [1, 3, 16, 65])
def test_rows_are_the_same_one_by_one(rows: object, width: int) -> None:
    assert callable(rows)
    whole = rows(5, width, torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(0)
    assert torch.equal(whole, torch.cat([rows(1, width, generator) for _ in range(5)]))


def test_normal_rows_are_standard_normal() -> None:
    z = normal_rows(100_000, 2, torch.Generator().manual_seed(0))
    assert z.isfinite().all()
    assert z.mean().item() == pytest.approx(0, abs=0.01) and z.std().item() == pytest.approx(1, abs=0.01)


def test_labels_are_drawn_by_their_shares() -> None:
    u = torch.linspace(0, 1, 1002, dtype=torch.float64)[1:-1]
    even = chosen_labels(None, (0.1,) * 10, u)
    assert even is not None and even.bincount().tolist() == [100] * 10
    uneven = chosen_labels(None, (0.95, 0.0, 0.05), u)
    assert uneven is not None and uneven.bincount().tolist() == [950, 0, 50]
    assert chosen_labels(None, (), u) is None


def test_batch_norm_is_that_of_torch_on_one_worker() -> None:
    ours, theirs = GlobalBatchNorm(3), torch.nn.BatchNorm2d(3)
    x = torch.randn(8, 3, 4, 4) * 2 + 5
    torch.testing.assert_close(ours(x), theirs(x), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(ours.running_mean, theirs.running_mean)
    torch.testing.assert_close(ours.running_var, theirs.running_var)
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x), atol=1e-5, rtol=1e-5)
