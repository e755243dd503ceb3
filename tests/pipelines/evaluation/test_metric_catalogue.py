"""Every number is named once: pages, tables and docs are made of the catalogue, and timings are kept apart by it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pipelines.evaluation.metrics.metric_catalogue import GROUPS, METRICS, counterpart, metric_of
from pipelines.files import read_json
from pipelines.report.metric_lists import table, with_lists
from pipelines.report.numbers import numbers_in

ROOT = Path(__file__).parents[3]
COMMITTED = sorted((ROOT / "artifacts").rglob("metrics.json"))
SPOKEN_OF_TIME = re.compile(r"seconds|_per_s\b|speed|peak_mib|real_time")


def test_the_lists_of_the_docs_are_those_of_the_catalogue() -> None:
    """`python -m pipelines.report.metric_lists` writes them."""
    page = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    assert with_lists(page) == page
    assert all(f"`{name}`" in page for name in METRICS)
    assert [group for group in GROUPS if f"<!-- metrics: {group} -->" not in page] == []
    with pytest.raises(KeyError, match="nonsense"):
        table("nonsense")


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.parent.relative_to(ROOT).as_posix())
def test_no_committed_metric_is_a_timing(path: Path) -> None:
    for name, _ in numbers_in(read_json(path)):
        metric = metric_of(name)
        assert not (metric is not None and metric.timed) and not SPOKEN_OF_TIME.search(name), name


def test_what_is_measured_of_an_entry_is_in_the_catalogue() -> None:
    """But for what counts examples, or says where an interval ends."""
    evaluated = [path for path in COMMITTED if path.parent.parent.name == "evaluate"]
    counting = re.compile(r".*(_low|_high|examples.*|_samples|_references|_features|seed)")
    for path in evaluated:
        unnamed = {name for name, _ in numbers_in(read_json(path)) if metric_of(name) is None}
        assert {name for name in unnamed if not counting.fullmatch(name)} == set(), path


def test_patterns_find_their_names_and_counterparts() -> None:
    metric = metric_of("outliers.noise.likelihood_auroc")
    assert metric is METRICS["outliers.*.likelihood_auroc"]
    assert counterpart("outliers.noise.likelihood_auroc", metric, metric.examples) == "outliers.noise.examples"
    assert metric_of("nll_by_class_examples.3") is None and metric_of("seed") is None


def test_the_best_of_a_metric_is_in_its_direction() -> None:
    bits, speed, auc = METRICS["nll_bits_per_dim"], METRICS["samples_per_s"], METRICS["two_sample_auc"]
    assert bits.worse(2.0, 1.9) and speed.worse(1.0, 2.0) and auc.worse(0.2, 0.6) and not bits.worse(1.90001, 1.9)
    assert (bits.text(1.23456), speed.text(62556.0)) == ("1.235 bits/dim", "62,600 samples/s")
    assert bits.of({"nll_bits_per_dim": 2.0, "nll_kind": "bound"}) == "≤ 2.000 bits/dim"
