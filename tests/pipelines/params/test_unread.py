"""An option that is not read with the others as they are is refused, all of them in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.errors import UserError
from pipelines.params.reading import structured

from ..data.sources.reading import refusal

PARQUET = "Parquet has names and types of its own"
UNREAD: list[tuple[dict[str, Any], str]] = [
    ({"source": "parquet", "separator": ";"}, f"separator is not read: {PARQUET}"),
    (
        {"source": "parquet", "separator": ";", "decimal": ",", "encoding": "cp1252"},
        f"separator and decimal and encoding are not read: {PARQUET}",
    ),
    ({"source": "parquet", "header": False}, f"header is not read: {PARQUET}"),
    ({"source": "xlsx", "separator": ";"}, "separator is not read: a sheet of Excel"),
    ({"source": "csv", "path": "x.xlsx", "comment": "#"}, "comment is not read: a sheet of Excel"),
    ({"source": "csv", "sheet": "one"}, "sheet is not read: a text file has no sheets"),
    ({"source": "csv", "levels": 16, "bits": 4}, "levels and bits are not read: it is for images and sequences"),
    ({"source": "csv", "shape": [1, 8, 8], "types": False}, "types is not read: with data.shape"),
    ({"source": "csv", "shape": [1, 64], "palette": 4}, "palette is not read: it is for images"),
    ({"source": "csv", "types": False, "columns": {"a": "real"}}, "columns is not read: with data.types: false"),
    ({"source": "csv", "dequantise": {"a": 1.0}, "columns": {"a": "real"}}, "with data.dequantise columns have no"),
    ({"source": "csv", "rare": "drop"}, "rare is not read: there are no labels"),
    ({"source": "npy", "rare": "train"}, "rare is not read: there are no labels"),
    ({"source": "npz", "class_names": ["a", "b"]}, "class_names is not read: there are no labels"),
    ({"source": "npy", "shape": [1, 8, 8], "layout": "channels_last"}, "layout is not read: data.shape says"),
    ({"source": "npy", "shape": [1, 8, 8], "columns": ["a"]}, "columns is not read: data.shape says"),
    ({"source": "npy", "shape": [1, 64], "background": "white"}, "background is not read: data.shape says"),
    ({"source": "images", "labels": None, "rare": "drop"}, "rare is not read: there are no labels"),
    ({"source": "images", "crop": "none"}, "crop is not read: images keep their size"),
    ({"source": "audio", "labels": None, "rare": "drop"}, "rare is not read: there are no labels"),
    ({"source": "series", "column": "x", "path": "x.parquet", "separator": ";"}, f"separator is not read: {PARQUET}"),
    ({"source": "series", "column": "x", "path": "x.pq", "text_encoding": "cp1252"}, "text_encoding is not read"),
    ({"source": "series", "column": "x", "encoding": "mu_law"}, "encoding is not read: real numbers have no levels"),
]


@pytest.mark.parametrize(("given", "line"), UNREAD, ids=lambda value: str(value)[:60])
def test_options_that_are_not_read_are_refused(given: dict[str, Any], line: str) -> None:
    with pytest.raises(UserError) as caught:
        structured({"data": {"test_count": 0.1, **given}, "entries": {"m": {"model": "made"}}})
    (found,) = str(caught.value).splitlines()
    assert found.startswith("params.yaml: data: ") and line in found and found.endswith("; remove what is not read")


@pytest.mark.parametrize("given", [given for given, _ in UNREAD], ids=lambda value: str(value)[:60])
def test_options_that_say_what_holds_anyway_are_no_mistake(given: dict[str, Any]) -> None:
    """`genera params` prints them, and what it prints can be pasted."""
    needed = {key: given[key] for key in ("source", "column", "path") if key in given}
    params = structured({"data": {"test_count": 0.1, **needed}, "entries": {"m": {"model": "made"}}})
    dumped = params.data.model_dump(mode="json")
    assert structured({"data": dumped, "entries": {"m": {"model": "made"}}}).data == params.data


@pytest.mark.parametrize(
    ("shape", "given", "line"),
    [
        ((20, 8, 8), {"layout": "channels_last"}, "data.layout: is not read"),
        ((20, 8, 8), {"columns": ["a"]}, "data.columns: is not read"),
        ((20, 3, 8, 8), {"background": "white"}, "data.background: is not read"),
    ],
)
def test_what_only_the_file_can_tell(tmp_path: Path, shape: tuple[int, ...], given: dict[str, Any], line: str) -> None:
    np.save(tmp_path / "x.npy", np.zeros(shape, np.uint8))
    assert line in refusal(tmp_path, source="npy", path="x.npy", test_count=0.1, **given)
