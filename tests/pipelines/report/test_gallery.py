"""The first screen: small pictures show what they should, entries stand the best first, the script gets the numbers."""

from __future__ import annotations

import base64
import io
import json
import re
from typing import Any

import numpy as np
import pytest
from matplotlib import rc_context
from matplotlib.figure import Figure
from PIL import Image

from pipelines.report.embedding import compact, webp_uri
from pipelines.report.gallery import choices, data, lines
from pipelines.report.glance import answers
from pipelines.report.pictures import STYLE
from pipelines.report.thumbnails import HEIGHT, legend, thumbnails
from pipelines.report.typed_pictures import strongest_pairs

from .test_browser import IMAGES, SOUNDS
from .test_verdicts import BOUND, EXACT, POOR, ROWS, SILENT

COLUMNS: list[dict[str, Any]] = [
    *({"name": name, "min": 0.0, "max": 1.0, "type": {"kind": "real"}} for name in "abc"),
    {"name": "d", "min": 0.0, "max": 1.0, "levels": 2, "type": {"kind": "category", "values": ["x", "y"]}},
]
TABLE = {"kind": "table", "channels": "columns", "columns": COLUMNS, "class_names": [], "levels": None}


def pixels(picture: str) -> np.ndarray:
    assert picture.startswith("data:image/webp;base64,")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(picture.partition(",")[2]))).convert("RGBA"))


def test_pixels_survive() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (9, 7, 4)).astype(np.uint8)
    assert (pixels(webp_uri(Image.fromarray(noise, "RGBA"))) == noise).all()


def test_a_compact_chart_says_and_shows_the_same() -> None:
    figure = Figure()
    axes = figure.subplots()
    axes.plot([0, 1, 2], [3.123456789, 1, 2], label="a curve")
    axes.scatter(range(3), range(3), rasterized=True)
    axes.set_xlabel("steps")
    plain = io.StringIO()
    with rc_context(STYLE):
        figure.savefig(plain, format="svg")
    small = compact(plain.getvalue())
    assert len(small) < 0.7 * len(plain.getvalue()) and small.startswith("<svg") and small.endswith("</svg>")
    before, after = (re.findall(r"<text[^>]*>([^<]*)", svg) for svg in (plain.getvalue(), small))
    assert before == after and "steps" in after
    assert "data:image/webp" in small and "data:image/png" not in small
    for name in re.findall(r'(?:href="|url\()#([^")]+)', small):
        assert f'id="{name}"' in small, "what is referred to is still there"


def test_images_stand_in_the_columns_of_their_classes() -> None:
    x = np.arange(6)[:, None, None, None].repeat(4, 2).repeat(4, 3)
    first, second = thumbnails(IMAGES, x, np.array([0, 1] * 3), "Samples of e")
    assert (
        first.heads == ["0", "1"] and first.across == 2 and first.alt == "Samples of e: 2 images, of the classes 0, 1"
    )
    assert pixels(first.picture).shape == (4, 9, 4)
    assert [int(pixels(tile.picture)[0, -1, 0]) for tile in (first, second)] == [round(k / 16 * 255) for k in (1, 3)]
    assert thumbnails(IMAGES, x, None, "Samples")[0].heads == [] and thumbnails(IMAGES, x[:0], None, "Samples") == []
    assert "a class in each column" in legend({**IMAGES})


def test_sounds_show_their_tones_and_lead_to_their_players() -> None:
    sine = np.sin(2 * np.pi * 1000 * np.arange(800) / 8000)
    levels = np.rint((sine + 1) / 2 * 255).astype(np.uint8)
    (tile,) = thumbnails({**SOUNDS, "encoding": "linear"}, levels[None, None], None, "Sounds")
    assert tile.sound == 1 and tile.heads == []
    bright = pixels(tile.picture)[..., :3].sum(2)
    from_below = len(bright) - 1 - bright.mean(1).argmax()
    assert abs(from_below / (len(bright) - 1) * 4000 - 1000) < 100


def test_tables_lay_samples_over_real_rows() -> None:
    real = np.random.default_rng(0).uniform(size=(200, 4))
    real[:, 1], real[:, 3] = real[:, 0], 1
    real[0, 2] = np.nan
    tiles = thumbnails(TABLE, np.full((50, 4), 1.0), None, "Samples of e", real)
    assert [list(tile.heads) for tile in tiles][:4] == [["a"], ["b"], ["c"], ["d"]] and len(tiles) == 6
    assert tiles[4].alt == "Samples of e over real rows: b against a"
    assert "area samples" in tiles[0].drawing and "line real" in tiles[0].drawing
    heights = [float(y) for _, y in re.findall(r"(\d+) (\d+)", re.findall(r'd="([^"]+)"', tiles[0].drawing)[0])]
    assert min(heights) == 1 and heights.count(1) == 2, "all samples lie in the last bin, which reaches to the top"
    assert max(heights) == HEIGHT - 1
    alone = thumbnails(TABLE, real, None, "Real")
    assert "samples" not in alone[0].drawing and "real rows" in legend(TABLE)


def test_pairs_are_those_that_hang_together() -> None:
    x = np.random.default_rng(0).normal(size=(300, 4))
    x[:, 2] = 0.1 * x[:, 2] - x[:, 0]
    x[5, 0] = np.nan
    assert strongest_pairs(COLUMNS, x, 1) == [(0, 2)] and len(strongest_pairs(COLUMNS, x, 9)) == 3, "names are left out"
    assert strongest_pairs(COLUMNS[:1], x, 9) == []


def test_the_best_stand_first_and_the_unmeasured_last() -> None:
    rows = [{"model": "m", **row} for row in (POOR, BOUND, {**SILENT, "fid": None}, EXACT)]
    metrics = choices(rows)
    assert [metric.name for metric in metrics] == ["fid", "nll_bits_per_dim", "samples_per_s"]
    assert [line.entry for line in lines(rows, metrics)] == ["slow", "blurry", "made", "gan"]
    assert [line.entry for line in lines(rows, metrics[1:])] == ["slow", "blurry", "made", "gan"]
    assert [line.entry for line in lines(rows, metrics[2:])] == ["blurry", "gan", "slow", "made"]
    assert [cell.text for cell in lines(rows, metrics)[1].numbers] == ["0.390", "≤ 1.856", "300,000"]


@pytest.mark.parametrize(
    ("row", "names"),
    [
        ({"nll_nats": 1.0, "two_sample_auc": 0.6}, ["nll_nats", "two_sample_auc"]),
        ({"two_sample_auc": 0.6, "samples_per_s": 1.0}, ["two_sample_auc", "samples_per_s"]),
        ({"fid": 1.0, "nll_nats": 1.0, "two_sample_auc": 0.6}, ["fid", "nll_nats"]),
        ({}, []),
    ],
)
def test_what_stands_in_where_there_is_no_fid(row: dict[str, Any], names: list[str]) -> None:
    rows = [{"entry": "e", "model": "m", **row}]
    assert [metric.name for metric in choices(rows)] == names
    assert [line.entry for line in lines(rows, choices(rows))] == ["e"]


def test_the_script_gets_every_number_once_and_as_it_is() -> None:
    rows = [{**EXACT, "entry": "</script>", "fid": float("inf")}, BOUND]
    text = str(data(rows, {"blurry": "slow"}))
    assert "</" not in text
    known = json.loads(text)
    first, second = known["entries"]
    assert first["entry"] == "</script>" and "fid" not in first["values"], "what is not finite is not drawn"
    assert second["values"]["nll_bits_per_dim"] == 1.856 and second["ends"]["nll_bits_per_dim"] == [1.83, 1.88]
    assert second["texts"]["nll_bits_per_dim"] == "≤ 1.856 bits/dim" and second["bounds"] == ["nll_bits_per_dim"]
    assert second["teacher"] == "slow" and first["teacher"] is None
    assert known["metrics"]["nll_bits_per_dim"] == {
        **{"title": "NLL", "unit": "bits/dim", "better": "lower", "drawn": True}
    }
    assert not known["metrics"]["fid"]["drawn"], "a single point is no picture"


def test_short_answers_are_a_number_and_a_sentence() -> None:
    found = {answer.question: (answer.number, answer.sentence) for answer in answers(ROWS, {})}
    assert list(found.values()) == [
        ("300,000 samples/s", "`blurry`, in 1 sequential pass; 1 other is within a tenth of it."),
        ("1.764 bits/dim", "`slow`, an exact value."),
        ("FID 0.260", "`slow`; 1 other is level with it."),
        ("energy score 0.700", "`slow`, where the mean example has 1."),
        ("1 of 2", "`blurry`."),
        ("10.0 s", "`blurry`, with FID 0.390; 2 that cost more are better."),
    ]
    best_is_bound = answers([{**BOUND, "nll_bits_per_dim": 1.5}, EXACT], {})[1]
    assert best_is_bound.number == "≤ 1.500 bits/dim" and "may be lower" in best_is_bound.sentence
