"""Which columns a table shows: those in which something was measured, likelihoods of vectors in nats among them."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from pipelines.report.comparison import COLUMNS, NAMES, cells, shown_columns
from pipelines.report.terminal import terminal_table

COLUMN = {column.name: column for column in COLUMNS}
VECTORS: list[dict[str, Any]] = [
    {"entry": "maf", "model": "maf", "nll_nats": -3.25, "nll_kind": "exact", "fid": 0.5, "nll_bits_per_dim": None},
    {"entry": "vae", "model": "vae", "nll_nats": -4.0, "nll_kind": "bound", "nll_bound": "IWAE, K=8"},
    {"entry": "gan", "model": "gan", "nll_nats": float("nan"), "fid": 0.25},
]


def test_columns_of_which_nothing_was_measured_are_left_out() -> None:
    assert [column.name for column in shown_columns(VECTORS)] == ["nll_nats", "fid"]
    assert shown_columns([]) == []
    assert [column.name for column in shown_columns([{"nll_bits_per_dim": 1.0, "kid": 0.0}])] == [
        "nll_bits_per_dim",
        "kid",
    ]


def test_likelihoods_in_nats_are_marked_as_those_in_bits_are() -> None:
    maf, vae, gan = cells(VECTORS, COLUMN["nll_nats"])
    assert (maf.text, maf.note, maf.best) == ("-3.250", "exact", False)
    assert (vae.text, vae.note, vae.best) == ("≤ -4.000", "IWAE, K=8", True)
    assert gan.text == ""
    assert {"nll_nats", "nll_bound", "nll_kind"} <= set(NAMES)


def test_bounds_alone_have_no_best() -> None:
    rows = [{"nll_nats": value, "nll_kind": "bound", "nll_bound": "ELBO"} for value in (1.0, 2.0)]
    assert [cell.best for cell in cells(rows, COLUMN["nll_nats"])] == [False, False]
    rows.append({"nll_nats": 3.0, "nll_kind": "exact"})
    assert [cell.best for cell in cells(rows, COLUMN["nll_nats"])] == [True, False, False], "truly below 3"


def test_what_should_be_a_half_is_best_nearest_to_it() -> None:
    rows = [{"two_sample_auc": value} for value in (0.38, 0.55, 0.9)]
    assert [cell.best for cell in cells(rows, COLUMN["two_sample_auc"])] == [False, True, False]


def test_an_interval_that_ends_at_nought_reaches_to_its_longer_side() -> None:
    (cell,) = cells([{"fid": 0.5, "fid_low": 0.0, "fid_high": 1.5}], COLUMN["fid"])
    assert cell.note == "±\u00a01.0"


def test_the_terminal_table_has_a_line_per_shown_column() -> None:
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(terminal_table(VECTORS, console.width))
    text = console.export_text()
    assert "NLL nats" in text and "≤ -4.000" in text and "bits/dim" not in text and "Sampling" not in text


def test_entries_that_do_not_fit_beside_each_other_go_on_below() -> None:
    rows = [{"entry": f"entry{i}", "model": "maf", "nll_nats": float(i), "nll_kind": "exact"} for i in range(8)]
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(terminal_table(rows, console.width))
    text = console.export_text()
    assert text.count("NLL nats") == 2 and all(f"entry{i}" in text for i in range(8)) and "…" not in text
    assert text.count("★") == 2, "the best of all, and the legend"
