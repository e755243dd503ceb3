"""Entries that share their test examples are compared example by example, and block by block."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import ttest_rel

from pipelines.evaluation.metrics.distances import fid, kid
from pipelines.evaluation.metrics.intervals import fid_without, kid_without
from pipelines.evaluation.metrics.paired import Paired, margin
from pipelines.report.standings import BITS, FID, PAIRED, leaders


def of_features(real: np.ndarray, fake: np.ndarray) -> Paired:
    (fid_real, fid_fake), (kid_real, kid_fake) = fid_without(real, fake), kid_without(real, fake)
    return Paired.of({"fid_real": fid_real, "fid_fake": fid_fake, "kid_real": kid_real, "kid_fake": kid_fake})


def test_the_interval_of_a_difference_of_likelihoods_is_that_of_the_paired_test() -> None:
    rng = np.random.default_rng(0)
    shared = 10 * rng.normal(size=300)
    a, b = shared + rng.normal(size=300), shared + rng.normal(size=300) + 0.2
    reach = margin(Paired.of({"nll": a}), Paired.of({"nll": b}), "nll_nats")
    low, high = ttest_rel(a, b).confidence_interval(0.95)
    assert reach == pytest.approx((high - low) / 2)
    for other in (Paired.of({}), Paired.of({"nll": b[:200]})):
        assert margin(Paired.of({"nll": a}), other, "nll_nats") is None, "other examples, or none"
    assert margin(Paired.of({"nll": a}), Paired.of({"nll": b}), "memorisation") is None


@pytest.mark.parametrize(("name", "metric"), [("fid", fid), ("kid", kid)])
def test_about_95_per_cent_of_intervals_hold_the_difference(name: str, metric: object) -> None:
    """Two sets of samples and one of test examples, 150 times: 95 % ± 3.6 %, two standard errors of that."""
    found, differences = list[float](), list[float]()
    for seed in range(150):
        rng = np.random.default_rng(seed)
        real, one, two = rng.normal(size=(80, 4)), rng.normal(size=(120, 4)) + 0.5, rng.normal(size=(120, 4)) + 0.5
        differences.append(metric(real, one) - metric(real, two))  # type: ignore[operator]
        reach = margin(of_features(real, one), of_features(real, two), name)
        assert reach is not None
        found.append(reach)
    held = np.mean(np.abs(differences) <= found)  # the mean difference is 0
    assert 0.91 <= held <= 1.0


def test_rows_that_share_their_examples_are_level_by_them(tmp_path: Path) -> None:
    """PixelRNN and PixelCNN differed by 0.025 ± 0.008 bits, and each by ± 0.024 of its own."""
    rng = np.random.default_rng(0)
    hard = 100 + 20 * rng.normal(size=300)
    nats = {"a": hard, "b": hard + 1 + rng.normal(size=300), "c": hard + 0.05 + rng.normal(size=300)}
    rows = []
    for entry, nll in nats.items():
        Paired.of({"nll": nll}).save(tmp_path / f"{entry}.npz")
        mean, alone = nll.mean(), 1.96 * nll.std() / 300**0.5
        row = {"entry": entry, "nll_nats": mean, "nll_bits_per_dim": mean / 50}
        row |= {"nll_bits_per_dim_low": (mean - alone) / 50, "nll_bits_per_dim_high": (mean + alone) / 50}
        rows.append(row)
    assert [row["entry"] for row in leaders(rows, BITS)] == ["a", "c", "b"], "by their own intervals"
    paired = [{**row, PAIRED: Paired.load(tmp_path / f"{row['entry']}.npz")} for row in rows]
    assert [row["entry"] for row in leaders(paired, BITS)] == ["a", "c"]


def test_samples_are_told_apart_by_the_test_examples_that_they_share() -> None:
    rng = np.random.default_rng(1)
    real = rng.normal(size=(100, 4))
    near, far = rng.normal(size=(4000, 4)) + 0.3, rng.normal(size=(4000, 4)) + 0.4
    rows = []
    for entry, fake in (("near", near), ("far", far)):
        value = fid(real, fake)
        rows.append({"entry": entry, "fid": value, "fid_low": value - 0.4, "fid_high": value + 0.4})
    assert len(leaders(rows, FID)) == 2
    both = [{**row, PAIRED: of_features(real, fake)} for row, fake in zip(rows, (near, far), strict=True)]
    assert [row["entry"] for row in leaders(both, FID)] == ["near"]
