"""Shapes, trends and coverage are those of SDMetrics, which data owners know."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipelines.evaluation.tables.column_shapes import column_shapes
from pipelines.evaluation.tables.pair_trends import pair_trends
from pipelines.evaluation.tables.value_coverage import value_coverage

from .customers import KINDS, customers, shuffled

pytest.importorskip("sdmetrics", reason="sdmetrics is not installed: `uv sync --group bench`")

SDTYPES = {"number": "numerical", "category": "categorical", "date": "datetime"}
METADATA = {"columns": {name: {"sdtype": SDTYPES[kind]} for name, kind in KINDS.items()}}
REAL = customers(700, 0)
TABLES = {"fresh": customers(500, 1), "shuffled": shuffled(REAL, 2), "small": customers(40, 3)}


def judged(real: pd.DataFrame, fake: pd.DataFrame) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from sdmetrics.reports.single_table import QualityReport

        report = QualityReport()
        report.generate(real, fake, METADATA, verbose=False)
    return report


@pytest.mark.parametrize("fake", TABLES.values(), ids=TABLES)
def test_shapes_are_those_of_the_report(fake: pd.DataFrame) -> None:
    report, shapes = judged(REAL, fake), column_shapes(REAL, fake, KINDS)
    details = report.get_details("Column Shapes").set_index("Column")["Score"]
    assert shapes.score == pytest.approx(details.to_dict(), abs=1e-6)
    properties = report.get_properties().set_index("Property")["Score"]
    assert shapes.mean == pytest.approx(properties["Column Shapes"], abs=1e-6)


@pytest.mark.parametrize("fake", TABLES.values(), ids=TABLES)
def test_trends_of_pairs_that_go_together_are_those_of_the_report(fake: pd.DataFrame) -> None:
    report, trends = judged(REAL, fake), pair_trends(REAL, fake, KINDS)
    details = report.get_details("Column Pair Trends")
    counted = details[details["Meets Threshold?"].fillna(False)]
    theirs = dict(zip(zip(counted["Column 1"], counted["Column 2"], strict=True), counted["Score"], strict=True))
    ours = {(pair.first, pair.second): pair.score for pair in trends.pairs if pair.associated}
    assert ours == pytest.approx(theirs, abs=1e-6)
    properties = report.get_properties().set_index("Property")["Score"]
    assert trends.associated_mean == pytest.approx(properties["Column Pair Trends"], abs=1e-6)


def test_trends_of_all_pairs_are_those_without_thresholds() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from sdmetrics.reports.single_table._properties import ColumnPairTrends

        theirs = ColumnPairTrends().get_score(REAL.copy(), TABLES["fresh"].copy(), METADATA)
    assert pair_trends(REAL, TABLES["fresh"], KINDS).mean == pytest.approx(theirs, abs=1e-6)


def test_strengths_of_real_pairs_are_theirs() -> None:
    details = judged(REAL, TABLES["fresh"]).get_details("Column Pair Trends")
    theirs = details["Real Correlation"].abs().fillna(details["Real Association"])
    ours = [pair.real for pair in pair_trends(REAL, TABLES["fresh"], KINDS).pairs]
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_coverage_is_theirs() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from sdmetrics.single_column import CategoryCoverage, RangeCoverage
    fake = TABLES["small"]
    by_kind = {"category": CategoryCoverage, "number": RangeCoverage, "date": RangeCoverage}
    theirs = {name: by_kind[kind].compute(REAL[name], fake[name]) for name, kind in KINDS.items()}
    assert value_coverage(REAL, fake, KINDS).covered == pytest.approx(theirs, abs=1e-6)
