"""What stands in the sections of the page: tables of measurements, samples in rows, quality against speed."""

from __future__ import annotations

import base64
import io
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from pipelines.report.html import linked
from pipelines.report.measures import Measured, measures
from pipelines.report.sample_pictures import nearest_neighbours, temperature_row
from pipelines.report.tradeoff import tradeoff

IMAGES = {
    "kind": "image",
    "channels": "grey",
    "levels": 17,
    "palette": None,
    "class_names": ["0", "1"],
    "shape": [1, 4, 4],
}
WAVES = {
    **{"kind": "sequence", "channels": "series", "levels": 16, "encoding": None, "range": None, "sample_rate": None},
    **{"class_names": [], "shape": [1, 12]},
}
TABLE = {
    **{"kind": "vector", "channels": "columns", "levels": None, "class_names": [], "shape": [3]},
    "columns": [{"name": name, "min": -1.0, "max": 1.0} for name in "abc"],
}


def tables(**row: Any) -> dict[str, Measured]:
    return {table.title: table for table in measures({"entry": "e", **row})}


def test_tables_need_numbers() -> None:
    assert tables() == {} and tables(outliers={}, sampling_speed={}, nll_by_class={}) == {}


def test_abilities_are_backed_by_measurements() -> None:
    table = tables(
        nll_bits_per_dim=2.0,
        nll_kind="bound",
        nll_bound="IWAE, K=64",
        parallel_sampling=True,
        sampling_passes=1,
        sampling_growth=1.02,
        invertible=True,
        inversion_error=0.004,
        exact_likelihood=False,
        conditional=True,
        bayes_accuracy=0.97,
        latent=True,
        reconstruction_rmse=0.3,
        completion=True,
        completion_score=0.7,
        completion_error=0.9,
        completion_diversity=0.8,
    )["Abilities"]
    assert [tuple(row) for row in table.rows] == [
        (
            "Parallel sampling",
            "yes",
            "1 sequential pass for a batch; twice the dimensions need 1.02 times the operations in sequence",
        ),
        ("Invertible", "yes", "largest error after encoding and decoding: 0.0040 levels"),
        ("Exact likelihood", "no", "NLL ≤ 2.000 bits/dim, IWAE, K=64"),
        ("Latent codes", "yes", "reconstruction error 0.300 of the standard deviation"),
        (
            "Completion",
            "yes",
            "energy score 0.700; error 0.900; diversity 0.800 (that of the mean example is 1)",
        ),
        ("Conditional on labels", "yes", "tells the labels of test examples with accuracy 0.970 by Bayes' rule"),
    ]


def test_series_are_shown_at_each_temperature_but_not_all_of_them() -> None:
    nothing = dict.fromkeys(("levels", "sample_rate", "range", "encoding"))
    columns = [{"min": -3.0, "max": 3.0}] * 16
    meta = {"kind": "vector", "channels": "series", "class_names": [], "columns": columns, **nothing}
    x = np.random.default_rng(0).normal(size=(3, 500, 16)).astype(np.float32)
    shown = temperature_row(meta, [0.5, 1.0, 1.2], x, None)
    assert shown is not None and [item.title for item in shown.items] == [
        f"temperature {temperature}, {number}" for temperature in ("0.5", "1", "1.2") for number in (1, 2)
    ]


def test_the_known_failure_is_marked_and_explained() -> None:
    outliers = {
        "noise": {"nll": 9.0, "likelihood_auroc": 1.0, "typicality_auroc": 0.99},
        "flat": {"nll": 0.5, "likelihood_auroc": 0.01, "typicality_auroc": 0.98},
        "own": {"likelihood_auroc": 0.35},
        "faded": {"likelihood_auroc": 0.49, "typicality_auroc": 0.5},
    }
    table = tables(nll_bits_per_dim=2.0, nll_kind="exact", outliers=outliers)["Foreign data"]
    assert table.marked == [2, 3] and "known failure" in table.caption
    assert [row[-1] for row in table.rows] == [
        "",
        "noticed",
        "found likelier than test examples: the known failure; typicality notices",
        "found likelier than test examples: the known failure",
        "hardly noticed",
    ]
    assert table.rows[0][:2] == ("test examples", "2.000") and table.heads[1] == ("NLL", "bits/dim")
    honest = tables(nll_nats=1.0, nll_kind="bound", outliers={"noise": outliers["noise"]})["Foreign data"]
    assert honest.marked == [] and "known failure" not in honest.caption and honest.heads[1] == ("NLL", "nats, ≤")


def test_speeds_costs_and_classes() -> None:
    speeds = {"16": 100.0, "1": 10.0, "256": 1000.0}
    shown = tables(sampling_speed=speeds, scoring_speed={"1": 5.0}, speed_device="cpu", speed_threads=1)["Speed"]
    assert [tuple(row) for row in shown.rows] == [("1", "10.0", "5.00"), ("16", "100", ""), ("256", "1,000", "")]
    assert "on cpu with 1 thread." in shown.caption
    assert [len(row) for row in tables(sampling_speed=speeds)["Speed"].rows] == [2, 2, 2]
    cost = tables(train_seconds=1.5, train_steps=100, train_flops=2.5e9, parameters=12345)["Cost"]
    assert [row[1] for row in cost.rows] == ["1.50 s", "100", "2.5 GFLOP per example", "12,345"]
    few = tables(nll_nats=1.0, nll_by_class={"b": 2.0, "a": 1.0})["Likelihood by class"]
    assert [tuple(row) for row in few.rows] == [("a", "1.000"), ("b", "2.000")]
    many = tables(nll_nats=1.0, nll_by_class={f"{n}": float(n) for n in range(50)})["Likelihood by class"]
    assert len(many.rows) == 13 and [row[0] for row in many.rows][5:8] == ["5", "…", "44"]


def test_temperatures_have_a_row_each() -> None:
    x = np.stack([np.full((2, 1, 4, 4), level) for level in (0, 8, 16)])
    shown = temperature_row(IMAGES, [0.5, 1.0, 1.2], x, np.array([0, 1]))
    assert shown and list(shown.sides) == ["0.5", "1", "1.2"] and "from left to right: 0, 1" in shown.caption
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(shown.items[0].picture.partition(",")[2]))))
    assert [int(pixels[row, 0, 0]) for row in (0, len(pixels) // 2, -1)] == [0, 128, 255]
    assert temperature_row(IMAGES, [], x[:0], None) is None
    waves = temperature_row(WAVES, [0.5, 1.0], np.zeros((2, 2, 1, 12), np.uint8), None)
    assert waves and [item.title for item in waves.items][::2] == ["temperature 0.5, 1", "temperature 1, 1"]
    plane = temperature_row(TABLE, [0.5, 1.0], np.zeros((2, 5, 3), np.float32), None)
    assert plane and "b against a" in plane.caption


def test_neighbours_stand_below_their_samples() -> None:
    samples, near = np.full((2, 1, 4, 4), 16), np.zeros((2, 3, 1, 4, 4), int)
    shown = nearest_neighbours(IMAGES, samples, near, np.array([[0.0, 1, 2], [0.5, 1, 2]]))
    assert shown and list(shown.sides) == ["sample", "nearest", "2nd", "3rd"] and "0 to 0.5" in shown.caption
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(shown.items[0].picture.partition(",")[2]))))
    assert pixels[0, 0, 0] == 255 and pixels[-1, 0, 0] == 0
    waves = nearest_neighbours(WAVES, np.zeros((1, 1, 12)), np.zeros((1, 2, 1, 12)), np.zeros((1, 2)))
    assert waves and [item.title for item in waves.items][1] == "1, training example, nearest" and waves.across == 3
    assert nearest_neighbours(IMAGES, samples[:0], near[:0], np.zeros((0, 3))) is None


def crowd() -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    return [
        {"entry": f"an_entry_{n}", "fid": float(rng.uniform(0.3, 0.5)), "samples_per_s": float(10 ** rng.uniform(3, 4))}
        for n in range(12)
    ]


@pytest.mark.parametrize("which", ["wide", "narrow"])
def test_labels_of_a_crowd_do_not_overlap(which: str) -> None:
    shown = tradeoff(crowd(), {})
    assert shown
    figure: Figure = getattr(shown, which)
    figure.draw_without_rendering()  # type: ignore[no-untyped-call]
    (axes,) = figure.axes
    boxes = [Text.get_window_extent(text) for text in axes.texts]  # without the line to its point
    assert len(boxes) == 12
    assert not [pair for pair in combinations(boxes, 2) if pair[0].overlaps(pair[1])]
    frame = axes.get_window_extent()
    assert all(frame.x0 - 2 <= box.x0 and box.x1 <= frame.x1 + 2 for box in boxes)


def test_the_front_is_marked_and_told() -> None:
    rows = [
        {"entry": "fast", "fid": 5.0, "samples_per_s": 1000.0},
        {"entry": "good", "fid": 0.3, "samples_per_s": 10.0},
        {"entry": "behind", "fid": 6.0, "samples_per_s": 900.0},
        {"entry": "unmeasured", "fid": None, "samples_per_s": 1.0},
    ]
    shown = tradeoff(rows, {"behind": "good"})
    assert shown and shown.alt == (
        "Scatter plot of FID against samples per second of 3 entries. On the Pareto front, from the fastest to the"
        " best: fast (1,000 samples/s, FID 5.00) and good (10.0 samples/s, FID 0.300)."
        " Behind it: behind (900 samples/s, FID 6.00)."
    )
    assert "Dotted" in shown.caption and shown.wide.axes[0].get_yscale() == "log"
    low, high = shown.wide.axes[0].get_ylim()
    assert low > high, "better is up"
    assert tradeoff(rows[:1], {}) is None and tradeoff([], {}) is None


def test_likelihood_stands_in_where_there_is_no_fid() -> None:
    rows = [
        {"entry": "a", "nll_nats": -1.0, "nll_kind": "exact", "samples_per_s": 10.0},
        {"entry": "b", "nll_nats": 1.0, "nll_kind": "bound", "samples_per_s": 20.0},
    ]
    shown = tradeoff(rows, {})
    assert shown and "b (20.0 samples/s, NLL ≤ 1.000 nats)" in shown.alt and "Hollow" in shown.caption


def test_names_become_links_and_nothing_else_is_let_through() -> None:
    assert linked("`a<b` is < `c`.") == '<a href="#entry-a&lt;b">a&lt;b</a> is &lt; <a href="#entry-c">c</a>.'
