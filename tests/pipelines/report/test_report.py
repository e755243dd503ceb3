"""The report's pictures decode, its table marks what it should, and its page needs nothing but itself."""

from __future__ import annotations

import base64
import csv
import io
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from rich.console import Console

from models.contract import Event
from pipelines.evaluation import shown as grid
from pipelines.report.comparison import COLUMNS, NAMES, cells, comparison, number, shown_columns
from pipelines.report.exhibits import Exhibit, Item, exhibit
from pipelines.report.page import Distillation, EntrySection, Report, Search, render
from pipelines.report.pictures import (
    data_uri,
    distillation_curve,
    image_grid,
    objective_against_parameters,
    rate_distortion,
    save_png,
    training_curves,
)
from pipelines.report.terminal import terminal_table

COLUMN = {column.name: column for column in COLUMNS}


def row(entry: str, **values: Any) -> dict[str, Any]:
    return {**dict.fromkeys(NAMES), "entry": entry, "model": entry, **values}


ROWS = [
    row("gmm", nll_bits_per_dim=2.4, nll_kind="exact", fid=9.0, recall=0.5, samples_per_s=1234567.0, sampling_passes=1),
    row(
        "vae", nll_bits_per_dim=1.9712, nll_kind="bound", nll_bound="IWAE, K=64", fid=5.0, recall=0.8, invertible=False
    ),
    row("gan", fid=float("nan"), recall=0.8, samples_per_s=98000.0, sampling_passes=64, parallel_sampling=True),
]


def history(*players: str) -> pd.DataFrame:
    """Training rows without an objective and validation rows without a loss, as history.csv has them."""
    steps = np.arange(10, 110, 10)
    validated = steps % 50 == 0
    losses = {name: np.where(validated, np.nan, 100.0 / steps) for name in ("loss", *players)}
    return pd.DataFrame({"step": steps, **losses, "objective": np.where(validated, 200.0 / steps, np.nan)})


def trials() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "trial": range(4),
            "kl_weight": [0.01, 0.1, 1.0, 10.0],
            "decoder": ["a", "b", "a", "b"],
            "objective": [3.0, 2.0, 1.0, np.nan],
            "stopped_early": [True, False, False, False],
            "rate": [30.0, 20.0, 10.0, np.nan],
            "distortion": [60.0, 70.0, 90.0, np.nan],
        }
    )


def page() -> str:
    images = Exhibit([Item(data_uri(image_grid(np.zeros((2, 1, 2, 2), int), 17, 2)), "A grid")], "Some images.", "grid")
    curve = training_curves(history(), "val_bits_per_dim")
    search = Search(4, 1, {"kl_weight": 0.25}, curve, rate_distortion(trials(), "kl_weight"))
    speeds, fids = (100.0, 1250.0), (0.5, 0.6)
    student = Distillation("vae", distillation_curve(history()), "bits/dim", 0.03, 1.85, 1.9, *speeds, *fids, rescues=2)
    sections = [
        EntrySection("gmm", "gmm", images, curve),
        EntrySection("vae", "vae", images, curve, search, notes=["<b>escaped</b>"]),
        EntrySection("gan", "gan", images, distillation=student),
    ]
    return render(Report("Title", "Some data.", ROWS, sections, {"commit": "abc123"}, data_page="data.html"))


def table_cells(html: str, entry: str) -> dict[str, str]:
    """The HTML of each cell in an entry's row of the summary."""
    line = re.search(rf'<tr data-entry="{entry}">.*?</tr>', html, re.DOTALL)
    assert line
    names = [column.name for column in shown_columns(ROWS)]
    return dict(zip(names, re.findall(r"<td[^>]*>.*?</td>", line[0], re.DOTALL), strict=True))


@pytest.mark.parametrize("channels", [1, 3])
def test_grid_shows_every_pixel_at_its_place(channels: int) -> None:
    images = np.random.default_rng(0).integers(0, 17, (5, channels, 8, 6))
    pixels = np.asarray(Image.open(io.BytesIO(image_grid(images, levels=17, columns=3))))
    scale = 8
    assert pixels.shape == ((2 * 9 - 1) * scale, (3 * 7 - 1) * scale, channels + 1)
    for index, image in enumerate(images):
        top, left = index // 3 * 9, index % 3 * 7
        for y, x in ((0, 0), (7, 5), (3, 2)):
            block = pixels[(top + y) * scale :, (left + x) * scale :][:scale, :scale]
            expected = [*np.rint(image[:, y, x] / 16 * 255), 255]
            assert (block == expected).all()
    assert (pixels[8 * scale : 9 * scale, :, -1] == 0).all(), "the gap is transparent"
    assert (pixels[9 * scale :, 14 * scale :, -1] == 0).all(), "and so is the place of the missing sixth image"


def test_grid_refuses_what_is_no_image() -> None:
    with pytest.raises(ValueError, match=r"\(4, 2, 8, 8\)"):
        image_grid(np.zeros((4, 2, 8, 8), int), levels=2, columns=2)


def test_charts_leave_out_blanks() -> None:
    loss, objective = training_curves(history("generator_loss", "discriminator_loss"), "val_fid").axes
    assert [line.get_label() for line in loss.lines] == ["generator", "discriminator"]
    assert [len(line.get_xdata()) for line in (*loss.lines, *objective.lines)] == [8, 8, 2]  # type: ignore[arg-type]
    (single, _) = training_curves(history("model_loss"), "val_bits_per_dim").axes
    assert [line.get_label() for line in single.lines] == ["loss"]
    (points, _) = rate_distortion(trials(), "kl_weight").axes
    assert sum(len(dots.get_offsets()) for dots in points.collections) == 3  # type: ignore[arg-type]


def test_charts_show_what_else_was_measured() -> None:
    measured = {"classes_covered": [3.0, 9.0], "D_on_real": [0.5, 0.9], "some_number": [1, 2], "D_on_fake": [0.5, 0.1]}
    rows = history("generator_loss", "discriminator_loss")
    for name, values in measured.items():
        rows[name] = np.nan
        rows.loc[rows["objective"].notna(), name] = values
    rows["blank"] = np.nan
    _, _, covered, both, plain = training_curves(rows, "val_fid").axes
    assert [axes.get_title() for axes in (covered, both, plain)] == [
        "classes that samples cover",
        "discriminator's mean D",
        "some number",
    ]
    assert [line.get_label() for line in both.lines] == ["real", "generated"]
    assert list(covered.lines[0].get_xdata()) == [50, 100] and list(covered.lines[0].get_ydata()) == [3, 9]


def test_search_picture_marks_stopped_and_best() -> None:
    weight, decoder = objective_against_parameters(trials(), ["kl_weight", "decoder"], "val_bits_per_dim").axes
    finished, stopped, best = (np.asarray(dots.get_offsets()).tolist() for dots in weight.collections)
    assert finished == [[0.1, 2.0], [1.0, 1.0]]
    assert stopped == [[0.01, 3.0]]
    assert best == [[1.0, 1.0]]
    assert (weight.get_xscale(), decoder.get_xscale()) == ("log", "linear")


def test_pictures_are_saved_and_inlined(tmp_path: Path) -> None:
    figure = distillation_curve(history())
    save_png(figure, tmp_path / "curve.png")
    with Image.open(tmp_path / "curve.png") as picture:
        assert picture.convert("RGB").getpixel((0, 0)) == (255, 255, 255)
    kind, content = data_uri(figure).split(",")
    assert kind == "data:image/svg+xml;base64"
    svg = base64.b64decode(content).decode()
    assert "prefers-color-scheme:dark" in svg and "currentColor" in svg
    again = [data_uri(distillation_curve(history())) for _ in range(2)]
    assert again[0] == again[1], "the same numbers give the same bytes"


@pytest.mark.parametrize(
    ("name", "values", "best"),
    [
        ("fid", [3.0, 1.0, 2.0], [1]),
        ("recall", [0.1, 0.9, 0.2], [1]),
        ("recall", [0.9, None, 0.9, 0.2], [0, 2]),
        ("fid", [1.2341, 1.2342, 2.0], [0, 1]),  # alike to the reader
        ("fid", [float("nan"), 5.0, 4.0], [2]),
        ("fid", [None, 5.0], []),
        ("fid", [5.0, 5.0], []),
        ("parameters", [1, 2], []),
        ("kid", [-0.001, 0.0], [0]),
    ],
)
def test_best_of_a_column(name: str, values: list[float | None], best: list[int]) -> None:
    shown = cells([row("e", **{name: value}) for value in values], COLUMN[name])
    assert [index for index, cell in enumerate(shown) if cell.best] == best


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.2345, "1.23"), (0.9, "0.900"), (123.4, "123"), (1234567.0, "1,230,000"), (12345, "12,345"), (0.0, "0.00")],
)
def test_numbers_for_people(value: float, text: str) -> None:
    assert number(value) == text


def test_csv_round_trip() -> None:
    rows = [{**line, "seed": 3} for line in ROWS]
    text = comparison(rows)
    assert text.splitlines()[0] == ",".join([*NAMES, "seed"])
    strings = list(csv.DictReader(io.StringIO(text)))
    assert strings[2]["fid"] == strings[2]["nll_kind"] == strings[0]["invertible"] == ""
    assert strings[1]["invertible"] == "false"
    for line, back in zip(rows, pd.read_csv(io.StringIO(text)).to_dict("records"), strict=True):
        for key, value in line.items():
            blank = value is None or (isinstance(value, float) and math.isnan(value))
            assert pd.isna(back[key]) if blank else back[key] == value


def test_terminal_table_leaves_out_what_nobody_measured() -> None:
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(terminal_table(ROWS, console.width))
    text = console.export_text()
    assert "≤ 1.971" in text and "1,230,000" in text and "FID" in text
    assert "KID" not in text


def test_page_is_self_contained() -> None:
    html = page()
    addresses = re.findall(r"""(?:src|href)\s*=\s*["']([^"']*)|url\(([^)]*)""", html)
    others = [address for pair in addresses for address in pair if not address.startswith(("data:", "#"))]
    assert [address for address in others if address] == ["data.html"], "the page about the data lies beside it"
    assert "@import" not in html
    for kind, content in re.findall(r'src="data:image/(png|webp|svg\+xml);base64,([^"]+)"', html):
        picture = base64.b64decode(content)
        if kind != "svg+xml":
            Image.open(io.BytesIO(picture)).verify()
        else:
            assert not re.search(r"""href\s*=\s*["'](?!#|data:)|url\((?!#)""", picture.decode())
    images = re.findall(r"<img [^>]*>", html)
    assert len(images) == 3 + 2 + 2 + 1
    assert all(re.search(r'alt="[^"]+"', image) for image in images)


def test_page_shows_every_entry_and_marks_bounds() -> None:
    html = page()
    for entry in ("gmm", "vae", "gan"):
        assert f'id="entry-{entry}"' in html
    nll = {entry: table_cells(html, entry)["nll_bits_per_dim"] for entry in ("gmm", "vae", "gan")}
    assert "2.400" in nll["gmm"] and "≤" not in nll["gmm"]
    assert "≤ 1.971" in nll["vae"] and 'title="IWAE, K=64"' in nll["vae"] and "best" in nll["vae"]
    blank = table_cells(html, "gan")
    assert re.sub(r"<[^>]*>", "", nll["gan"] + blank["fid"] + blank["invertible"]) == ""
    assert "yes" in blank["parallel_sampling"]
    assert "1 pass<" in table_cells(html, "gmm")["samples_per_s"]
    assert "64 passes<" in blank["samples_per_s"]
    assert '<p class="warning"><strong>Watch out:</strong> &lt;b&gt;escaped' in html


def test_what_fids_can_be_compared_with_depends_on_the_features() -> None:
    meta = {"kind": "image", "channels": "grey", "levels": 2, "class_names": [], "palette": None}
    shown = exhibit(meta, np.zeros((1, 1, 2, 2), np.uint8), None, "Samples")
    sections = [EntrySection("vae", "vae", shown)]
    for features, text in (
        ("classifier:abc", "They are not comparable with published FIDs"),
        ("inception:abc", "as published FIDs do"),
    ):
        assert text in render(Report("Title", "Data.", [row("vae", fid=1.0, fid_features=features)], sections))


def test_page_compares_the_student_with_its_teacher() -> None:
    html = page()
    assert "<td>0.5</td><td>0.6</td><td>1.20×</td>" in html.replace("0.500", "0.5").replace("0.600", "0.6")
    assert "half the learning rate</small></th><td></td><td></td><td>2</td>" in html
    assert "Two-sample test" not in html
    assert "12.5×" in html and "+0.050<small>between the bounds" in html
    assert "<td>≤ 1.850</td><td>1.900</td>" in html, "the teacher, vae, has a bound; the student has none"


def test_page_of_vectors_speaks_of_nats_and_leaves_out_what_nobody_measured() -> None:
    x = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)
    columns = [{"name": f"<x{i}>", "mean": 0.0, "std": 1.0, "min": -3.0, "max": 3.0} for i in range(2)]
    meta = {"kind": "vector", "channels": "columns", "columns": columns, "class_names": [], "levels": None}
    shown = exhibit(meta, x, None, "Samples of maf")
    student = Distillation("maf", distillation_curve(history()), "nats", 0.03, -1.5, -1.25)
    rows = [row("maf", nll_nats=-1.5, nll_kind="exact", fid=1.0), row("iaf", nll_nats=-1.25, nll_kind="exact", fid=2.0)]
    sections = [
        EntrySection("maf", "maf", shown),
        EntrySection("iaf", "iaf", shown, distillation=student),
    ]
    html = re.sub(r'"data:[^"]*"', "", render(Report("Title", "Some data.", rows, sections)))
    assert "bits/dim" not in html and "KID" not in html and "<x0>" not in html
    assert "<dt>NLL</dt><dd>-1.500 nats (exact)</dd>" in html
    assert "+0.250<small>nats" in html
    assert 'href="data.html"' not in html


def test_real_waves_are_shown_once() -> None:
    waves = Exhibit([Item("data:,", "a wave", "<b>low</b>", "data:audio/wav;base64,")], "Waves.", "cards")
    html = render(Report("Title", "Data.", ROWS, [EntrySection("vae", "vae", waves)], real=waves))
    assert html.count("<audio ") == 2 and "<b>low" not in html
    assert "media-src data:" in html and 'id="real"' in html


def test_a_grid_has_a_class_per_column() -> None:
    event = Event((1, 2, 2), 17, 3)
    labels = np.array([2, 0, 1, 0, 2, 2, 1, 0])
    rows = grid.chosen(event, len(labels), labels).reshape(grid.ROWS, grid.columns(3))
    assert (labels[rows] == [0, 1, 2]).all()
    assert rows[:3].tolist() == [[1, 2, 0], [3, 6, 4], [7, 2, 5]], "a class with too few is repeated"
    assert (grid.column_labels(event).reshape(grid.ROWS, 3) == [0, 1, 2]).all()
    assert grid.as_columns(grid.column_labels(event)) == [0, 1, 2]
    assert grid.columns(1000) == grid.columns(0) == grid.ROWS


def test_a_class_without_examples_has_no_column() -> None:
    labels = np.array([2, 0, 0, 2])
    rows = grid.chosen(Event((1, 2, 2), 17, 3), len(labels), labels)
    assert grid.as_columns(labels[rows]) == [0, 2] and len(rows) == 2 * grid.ROWS
    assert sorted(grid.chosen(Event((5,), None, 3), len(labels), labels)) == [0, 1, 2, 3], "points are not repeated"


@pytest.mark.parametrize(
    ("shape", "classes", "count"),
    [
        ((1, 8, 8), 0, 64),
        ((1, 8, 8), 10, 80),
        ((1, 8, 8), 100, 64),
        ((1, 99), 0, 6),
        ((1, 99), 3, 3),
        ((1, 99), 40, 10),
    ],
)
def test_examples_are_spread_over_the_data(shape: tuple[int, ...], classes: int, count: int) -> None:
    event = Event(shape, 16, classes)
    assert len(grid.column_labels(event)) == count
    labels = np.sort(np.arange(40_000) % classes) if classes else None
    rows = grid.chosen(event, 40_000, labels)
    assert len(rows) == count
    if labels is None:
        assert rows[0] == 0 and rows[-1] >= 40_000 * (count - 1) // count
    else:
        assert (labels[rows] == grid.column_labels(event)).all()


def test_palette_images_have_its_colours_and_large_ones_are_reduced() -> None:
    palette = [[255, 0, 0], [0, 0, 255]]
    images = np.arange(2)[:, None, None, None].repeat(8, 2).repeat(8, 3)
    pixels = np.asarray(Image.open(io.BytesIO(image_grid(images, 2, 2, palette))))
    assert pixels[0, 0].tolist() == [255, 0, 0, 255] and pixels[0, -1].tolist() == [0, 0, 255, 255]
    stripes = np.tile([0, 2], (1, 3, 300, 150))
    pixels = np.asarray(Image.open(io.BytesIO(image_grid(stripes, 3, 1))))
    assert pixels.shape == (100, 100, 4) and pixels[..., 0].std() > 0 and abs(int(pixels[5, 5, 0]) - 85) in (0, 85)
