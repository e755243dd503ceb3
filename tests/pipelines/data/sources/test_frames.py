"""Files as people have them: read with all their digits, or refused in one line that says what to write."""

from __future__ import annotations

import bz2
import gzip
import lzma
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pydantic import ValidationError

from pipelines.data.sources import frames
from pipelines.data.sources.frames import TableFile, Texts, sentences, table_files
from pipelines.errors import UserError
from pipelines.params.table_sections import Table

WRITE = "write under data in params.yaml: "


def write(path: Path, content: str | bytes, encoding: str = "utf-8") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
    return path


def options(**given: Any) -> Table:
    return Table.model_validate({"source": "csv", "path": "x", **given})


def read(path: Path, texts: Texts = (), **given: Any) -> pd.DataFrame:
    """All columns of a file."""
    file = TableFile(path, options(**given))
    return pd.concat([frame for frame, _ in file.frames(file.header, texts)], ignore_index=True)


def columns(path: Path, texts: Texts = (), **given: Any) -> dict[str, list[Any]]:
    """All columns of a file as lists, None for what is missing."""
    frame = read(path, texts, **given).astype(object)
    return {name: [None if pd.isna(value) else value for value in frame[name]] for name in frame}


def refusal(path: Path, **given: Any) -> str:
    with pytest.raises(UserError) as caught:
        read(path, **given)
    (line,) = str(caught.value).splitlines()
    assert str(path) in line
    return line.replace(str(path), path.name)


def said(path: Path, **given: Any) -> list[str]:
    files = table_files(path, options(**given))
    for file in files:
        list(file.frames(file.header))
    return sentences(files)


@pytest.fixture(params=[1 << 16, 2], ids=["one chunk", "many chunks"], autouse=True)
def chunks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "CHUNK_ROWS", request.param)


# What separates cells


@pytest.mark.parametrize(
    ("text", "given"),
    [
        ("a,b\n1,x\n2,y\n", {}),
        ("a;b\n1;x\n2;y\n", {"separator": ";"}),
        ("a\tb\n1\tx\n2\ty\n", {"separator": "\t"}),
        ("a\tb\n1\tx\n2\ty\n", {"separator": r"\t"}),
        ("a|b\n1|x\n2|y\n", {"separator": "|"}),
        ("a, b\n1, x\n2, y\n", {"separator": ", "}),
        ("a, b\n1, x\n2, y\n", {}),
        ("a , b\n1 , x \n 2 ,y\t\n", {}),
        ("a  |  b\n1  |  x\n2  |  y\n", {"separator": " | "}),
        ("a::b\n1::x\n2::y\n", {"separator": "::"}),
        ("a || b\n1 || x\n2 || y\n", {"separator": "||"}),
        ('a::b\n1::"x"\n2::y\n', {"separator": "::"}),
        ("a b\n1 x\n2 y\n", {"separator": " "}),
        ("a   b\n 1   x\n2 \t y\n", {"separator": r"\s+"}),
        ("a,b\r\n1,x\r\n2,y\r\n", {}),
        ("a,b\r1,x\r2,y\r", {}),
        ("a,b\n1,x\n2,y", {}),
        ("\n\na,b\n\n1,x\n2,y\n\n", {}),
        ("sep=;\na;b\n1;x\n2;y\n", {}),
        ("SEP=;\r\na;b\r\n1;x\r\n2;y\r\n", {"separator": ";"}),
        ("\ufeffsep=\t\na\tb\n1\tx\n2\ty\n", {}),
        ("sep=,\na,b\n1,x\n2,y\n", {}),
        ('"a","b"\n"1","x"\n"2","y"\n', {}),
        ("# made by hand\na,b\n# and more\n1,x\n  # even here\n2,y\n#", {"comment": "#"}),
        ("% made by hand\r\na,b\r\n1,x\r\n2,y\r\n", {"comment": "%"}),
        ("1,x\n2,y\n", {"header": ["a", "b"]}),
        ("1::x\n2::y\n", {"header": ["a", "b"], "separator": "::"}),
        ("1  x\n2  y\n", {"header": ["a", "b"], "separator": r"\s+"}),
        ("sep=;\n1;x\n2;y\n", {"header": ["a", "b"]}),
    ],
)
def test_cells_are_separated(tmp_path: Path, text: str, given: dict[str, Any]) -> None:
    assert columns(write(tmp_path / "x.csv", text), **given) == {"a": [1, 2], "b": ["x", "y"]}


def test_blanks_within_quotation_marks_and_between_words_are_kept(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", 'a,b\n" x",New York\n"u,v", "say ""hi"""\n')
    assert columns(path) == {"a": [" x", "u,v"], "b": ["New York", 'say "hi"']}
    assert said(path) == []


def test_an_empty_cell_between_blanks_is_missing(tmp_path: Path) -> None:
    assert columns(write(tmp_path / "x.csv", "a, b\n1, ?\n2, \n3, 4\n"), missing_values=["?"])["b"] == [None, None, 4]
    path = write(tmp_path / "y.csv", "a,b\nx ,? \ny ,1 \n")
    assert columns(path, missing_values=["?"]) == {"a": ["x", "y"], "b": [None, 1]}


def test_an_empty_cell_between_single_blanks_is_one(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", "a b c\n1  3\n")
    assert columns(path, separator=" ") == {"a": [1], "b": [None], "c": [3]}


def test_blanks_behind_values_are_counted(tmp_path: Path) -> None:
    assert said(write(tmp_path / "x.csv", "a,b\nx ,1\ny\t,2\nz,3\n")) == [
        "Cells with blanks at their end, which were left out: 2."
    ]


def test_a_separator_of_several_characters_may_stand_within_quotation_marks(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", 'a::b\n"u::v\n::w"::1\nx::2\n')
    assert columns(path, separator="::") == {"a": ["u::v\n::w", "x"], "b": [1, 2]}


@pytest.mark.parametrize(
    ("text", "given", "line"),
    [
        ("a;b\n1;2\n3;4\n", {}, "separator: ';'"),
        ("a;b\n1,5;2\n3,5;4,5\n", {}, "separator: ';'"),
        ("a\tb\n1\t2\n", {}, r'separator: "\t"'),
        ("a|b\n1|2\n", {}, "separator: '|'"),
        ("a b\n1 2\n3 4\n", {}, r"separator: '\s+'"),
        ("a,b\n1,2\n", {"separator": ";"}, "separator: ','"),
        ("a,b\n1,2\n", {"separator": "\t"}, "separator: ','"),
        ("a\tb\n1,2\t2\n", {}, r'separator: "\t"'),
    ],
)
def test_a_wrong_separator_is_recognised(tmp_path: Path, text: str, given: dict[str, Any], line: str) -> None:
    found = refusal(write(tmp_path / "x.csv", text), **given)
    assert found.startswith("x.csv: ") and found.endswith(WRITE + line)


@pytest.mark.parametrize("text", ["a\n1\n2\n", "words\nthe sea\nnew york\n", 'a\n"x;y"\nz\n', "a;b\nx\ny\n"])
def test_a_single_column_is_no_mistake(tmp_path: Path, text: str) -> None:
    assert len(columns(write(tmp_path / "x.csv", text))) == 1


def test_blank_lines_of_a_single_column_are_counted(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", "a\n1\n\n2\n \n")
    assert columns(path) == {"a": [1, 2]} and said(path) == ["Blank lines that were passed over: 2."]


def test_two_words_about_the_separator(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", "sep=;\na;b\n1;2\n")
    assert "its first line says 'sep=;', and data.separator '|': remove one" in refusal(path, separator="|")
    assert said(path) == ["The first line says what separates cells, and was followed: sep=;."]


def test_comments_are_counted_and_only_whole_lines(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", "# one\na,b\n1,#ff0000\n# two\n2,x#y\n")
    assert columns(path, comment="#") == {"a": [1, 2], "b": ["#ff0000", "x#y"]}
    assert said(path, comment="#") == ["Lines that begin with #, and were passed over as comments: 2."]


# Names


def test_files_without_a_line_of_names(tmp_path: Path) -> None:
    path = write(tmp_path / "iris.data", "5.1,3.5,setosa\n4.9,3.0,setosa\n")
    assert refusal(path) == (
        "iris.data: its first line seems to hold values, not the names of columns (5.1, 3.5, setosa):"
        f" {WRITE}header: false, or header: [the names]; or header: true if they are names"
    )
    assert columns(path, header=False) == {
        "column_1": [5.1, 4.9],
        "column_2": [3.5, 3.0],
        "column_3": ["setosa", "setosa"],
    }
    assert said(path, header=False) == ["The file has no line with names: its columns are called column_1 to column_3."]
    assert columns(path, header=["length", 'the "width"', "a, b"])['the "width"'] == [3.5, 3.0]
    assert refusal(path, header=["a", "b"]) == (
        "params.yaml: data.header: 2 names, but the first line of iris.data has 3 cells: 5.1, 3.5, setosa"
    )


@pytest.mark.parametrize(
    "text",
    [
        "39, State-gov, 77516\n50, Private, 83311\n38, State-gov, 215646\n",  # Adult
        "0,0,1\n1,0,1\n",
        "1e-3,2\n1,3\n",
    ],
)
def test_values_in_the_place_of_names(tmp_path: Path, text: str) -> None:
    assert "its first line seems to hold values" in refusal(write(tmp_path / "x.csv", text))
    assert len(read(write(tmp_path / "x.csv", text), header=False)) == text.count("\n")


@pytest.mark.parametrize(
    "text", ["0,1,2\n5.5,1,2\n", "country,2019,2020\nItaly,1,2\n", "yes,no\nyes,\n,no\n", "b,1\na,5\nb,6\n"[2:]]
)
def test_names_that_are_numbers(tmp_path: Path, text: str) -> None:
    path = write(tmp_path / "x.csv", text)
    try:
        assert list(read(path)) == text.splitlines()[0].split(",")
    except UserError:
        assert text.startswith("1"), "a single cell of a single line is told by nothing else"


@pytest.mark.parametrize("header", [False, ["x", "y"]])
def test_names_in_the_place_of_values(tmp_path: Path, header: bool | list[str]) -> None:
    path = write(tmp_path / "x.csv", "a,b\n1,u\n2,v\n")
    assert refusal(path, header=header) == (
        "x.csv: its first line seems to hold the names of columns (a, b), not values: remove data.header, or that line"
    )
    for text in ("u,v\nw,x\n", "?,u\n1,v\n", ",u\n1,v\n", "1,u\n2,v\n"):
        assert len(read(write(path, text), header=header, missing_values=["?"])) == 2


def test_unnamed_columns_are_called_as_pandas_calls_them(tmp_path: Path) -> None:
    assert list(read(write(tmp_path / "x.csv", ",a,\n0,1,2\n"))) == ["Unnamed: 0", "a", "Unnamed: 2"]


@pytest.mark.parametrize(("names", "which"), [("a,b,a", "column 'a' stands"), ("a,b,a,b", "columns 'a', 'b' stand")])
def test_all_names_that_stand_there_twice_are_named(tmp_path: Path, names: str, which: str) -> None:
    row = ",".join("1" for _ in names.split(","))
    line = refusal(write(tmp_path / "x.csv", f"{names}\n{row}\n"))
    assert line == f"x.csv: {which} there twice; rename one"


def test_names_that_come_again_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", "a,b\n1,2\n3,4\na,b\n5,6\n")
    assert refusal(path) == (
        "x.csv: row 3 repeats the names of the columns, as when files were put together: remove those lines"
    )
    assert columns(write(tmp_path / "y.csv", "a,b\na,2\nx,b\n"))["a"] == ["a", "x"]
    assert columns(write(tmp_path / "z.csv", "word\nword\nname\n"))["word"] == ["word", "name"]


# Numbers


@pytest.mark.parametrize(
    ("cells", "given", "numbers"),
    [
        (["1,5", "2", "-0,25"], {"decimal": ","}, [1.5, 2, -0.25]),
        (["1.234,5", "2", "1.234.567"], {"decimal": ",", "thousands": "."}, [1234.5, 2, 1234567]),
        (["1,234.5", "2", "1,234,567"], {"thousands": ","}, [1234.5, 2, 1234567]),
        (["1'234.5", "2", "1’234"], {"thousands": "'"}, [1234.5, 2, 1234]),
        (["1 234,5", "2", "1\xa0234", "1\u202f234"], {"decimal": ",", "thousands": " "}, [1234.5, 2, 1234, 1234]),
        (["1e3", "+2", ".5"], {}, [1000, 2, 0.5]),
        (["1,5e3", "+2", ",5"], {"decimal": ","}, [1500, 2, 0.5]),
        (["9007199254740993", "1"], {}, [9007199254740993, 1]),
        (["0.1234567890123456", "1"], {}, [0.1234567890123456, 1]),
    ],
)
def test_numbers_are_read_as_they_are_meant(
    tmp_path: Path, cells: list[str], given: dict[str, Any], numbers: list[float]
) -> None:
    path = write(tmp_path / "x.csv", "a;b\n" + "".join(f"{cell};{cell}\n" for cell in cells))
    assert columns(path, separator=";", **given) == {"a": numbers, "b": numbers}
    assert columns(path, "all", separator=";", **given)["a"] == cells


@pytest.mark.parametrize("cell", ["01.02.2020", "1.2.3", "12.34.567", "1,5,6", "1.5", "0x10", "1_000", "5 €"])
def test_what_only_resembles_a_number_stays_a_text(tmp_path: Path, cell: str) -> None:
    path = write(tmp_path / "x.csv", f"a;b\n{cell};1\n{cell};2\n")
    assert columns(path, separator=";", decimal=",", thousands=".")["a"] == [cell, cell]


@pytest.mark.parametrize(
    ("cells", "line"),
    [
        (["1,5", "2"], "decimal: ','"),
        (["1,234", "12,5"], "decimal: ','"),
        (["1.234,5", "2,5"], "decimal: ',', thousands: '.'"),
        (["1.234.567", "2"], "decimal: ',', thousands: '.'"),
        (["1,234,567", "2.5"], "thousands: ','"),
        (["1'234.5", "2"], 'thousands: "\'"'),
        (["1 234,5", "2,5"], "decimal: ',', thousands: ' '"),
    ],
)
def test_numbers_that_are_written_otherwise_are_recognised_all_at_once(
    tmp_path: Path, cells: list[str], line: str
) -> None:
    path = write(tmp_path / "x.csv", "a;t;b\n" + "".join(f"{cell};t;{cell}\n" for cell in cells))
    assert refusal(path, separator=";") == (
        f"x.csv: columns 'a', 'b': {cells[0]!r} is a number if you {WRITE}{line}; or, if they are texts, decimal: '.'"
    )
    assert columns(path, separator=";", decimal=".")["a"] == cells
    assert columns(path, separator=";", categorical={"a": "codes", "b": "codes"})["b"] == cells


def test_thousands_between_commas(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", 'a,b\n"1,234",2\n"5",3\n')
    assert refusal(path).endswith("thousands: ','; or, if they are texts, decimal: '.'")
    assert columns(path, thousands=",") == {"a": [1234, 5], "b": [2, 3]}


@pytest.mark.parametrize("cells", [["2020-01-02", "x"], ["030 123 456", "1"], ["1,2,3", "4"], ["10.0.0.1", "1"], ["a"]])
def test_texts_are_not_taken_for_numbers(tmp_path: Path, cells: list[str]) -> None:
    path = write(tmp_path / "x.csv", "a;b\n" + "".join(f"{cell};1\n" for cell in cells))
    assert set(columns(path, separator=";", **{})["a"]) <= {*cells, 1, 4}


def test_booleans_with_a_gap_are_booleans(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", "a,b,c\nTrue,true,True\nFalse,,x\n,FALSE,False\n")
    found = columns(path)
    assert found["a"] == [True, False, None] and found["b"] == [True, None, False]
    assert columns(path, "all")["a"] == ["True", "False", None]


def test_texts_keep_every_character(tmp_path: Path) -> None:
    text = "id,flag,day,money,word\n00123,True,2020-01-02,$1,NA\n7,False,2020-01-03,$2,nan\n1.50,,x,,?\n"
    path = write(tmp_path / "x.csv", text)
    assert columns(path, "all", missing_values=["?"]) == {
        "id": ["00123", "7", "1.50"],
        "flag": ["True", "False", None],
        "day": ["2020-01-02", "2020-01-03", "x"],
        "money": ["$1", "$2", None],
        "word": ["NA", None, None],
    }
    some = read(path, ["id"])
    assert some["id"].tolist() == ["00123", "7", "1.50"]


def test_columns_come_in_the_order_that_is_wanted(tmp_path: Path) -> None:
    file = TableFile(write(tmp_path / "x.csv", "a,b,c\n1,2,3\n4,5,6\n7,8,9\n"), options())
    chunks = list(file.frames(["c", "a"]))
    assert [list(frame) for frame, _ in chunks] == [["c", "a"]] * len(chunks)
    assert all(frame.index[0] == 0 for frame, _ in chunks)
    assert [share for _, share in chunks] == sorted(share for _, share in chunks) and chunks[-1][1] == 1
    with pytest.raises(UserError, match="has no column d, e; there are: a, b, c"):
        list(file.frames(["a", "d", "e"]))


# Encodings


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252", "latin-1", "utf-32"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    path = write(tmp_path / "x.csv", "größe,name\n1,ö\n2,é\n", encoding)
    given = {} if encoding.startswith("utf-8") else {"encoding": encoding}
    assert columns(path, **given) == {"größe": [1, 2], "name": ["ö", "é"]}


def test_a_mark_of_utf_16_is_left_out_whoever_declares_it(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", "\ufeffa,b\n1,2\n", "utf-16-le")
    assert columns(path, encoding="utf-16-le") == {"a": [1], "b": [2]}


@pytest.mark.parametrize("place", ["header", "excluded", "late"])
def test_an_encoding_that_is_not_utf_8_is_named(tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "CHUNK_ROWS", 10_000)
    rows = [f"{row:020},x" for row in range(20_000 if place == "late" else 5)]
    rows[-1 if place == "late" else 1] += "" if place == "header" else "größe"
    name = "größe" if place == "header" else "b"
    path = write(tmp_path / "x.csv", "\n".join([f"a,{name}", *rows]), "cp1252")
    line = {"header": 1, "excluded": 3, "late": 20_001}[place]
    word = "größe" if place == "header" else "xgröße"
    assert refusal(path) == (
        f"x.csv: line {line}, byte 0xf6: is no utf-8; in cp1252 it reads {word!r}: if that is right,"
        f" {WRITE}encoding: cp1252"
    )
    assert len(read(path, encoding="cp1252")) == len(rows)


@pytest.mark.parametrize(
    ("text", "encoding", "line"),
    [
        ("a,b\n1,ö\n", "utf-16", "encoding: utf-16"),
        ("größe,b\n1,2\n", "utf-16-le", "encoding: utf-16-le"),
        ("a,b\n1,5 €\n", "cp1252", "encoding: cp1252"),
        ("a,b\n1,Łódź\n", "cp1250", "encoding: cp1250"),
        ("a,b\n1,\x98\n", "latin-1", "encoding: latin-1"),
        ("a,b\n1,Москва\n", "cp1251", "encoding: cp1251"),
        ("a,Fläche m²\n1,2\n", "cp1252", "encoding: cp1252"),
        ("a,b\n1,Paweł\n", "cp1250", "encoding: cp1250"),
    ],
)
def test_the_likely_encoding_is_named(tmp_path: Path, text: str, encoding: str, line: str) -> None:
    assert refusal(write(tmp_path / "x.csv", text, encoding)).endswith(WRITE + line)


def test_utf_16_without_a_mark(tmp_path: Path) -> None:
    for encoding in ("utf-16-le", "utf-16-be"):
        path = write(tmp_path / "x.csv", "a,b\n1,2\n", encoding)
        assert refusal(path) == f"x.csv: holds zero bytes: {WRITE}encoding: {encoding}"
        assert refusal(path, encoding="utf-16").endswith(
            f"is no utf-16: in params.yaml, data.encoding: write {encoding}"
        )
    path = write(tmp_path / "x.csv", "a,b\n1,ö\n")
    assert refusal(path, encoding="utf-16").endswith("is no utf-16: in params.yaml, data.encoding: remove that line")
    assert refusal(write(path, b"a,b\n1,\x00\n")).endswith("holds zero bytes, so it is no text, or a damaged one")


def test_utf_8_that_is_declared_otherwise(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", "größe,b\n1,2\n")
    assert refusal(path, encoding="cp1252") == "x.csv: is UTF-8, not cp1252 ('größe'): remove data.encoding"
    bom = write(tmp_path / "y.csv", "a,b\n1,2\n", "utf-8-sig")
    assert refusal(bom, encoding="latin-1").startswith("y.csv: is UTF-8, not latin-1")


# Compressed files


def as_zip(path: Path, members: dict[str, str]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def zstd(content: bytes) -> bytes:
    return pa.compress(content, codec="zstd", asbytes=True)


@pytest.mark.parametrize(
    ("ending", "pack"), [(".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress), (".zst", zstd)]
)
@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
def test_compressed_files(tmp_path: Path, ending: str, pack: Callable[[bytes], bytes], encoding: str) -> None:
    text = "größe;b\n" + "".join(f"{row},5;x\n" for row in range(100))
    path = write(tmp_path / f"x.csv{ending}", pack(text.encode(encoding)))
    found = columns(path, separator=";", decimal=",", encoding=encoding)
    assert found == {"größe": [row + 0.5 for row in range(100)], "b": ["x"] * 100}
    write(path, pack(text.encode(encoding))[:-12])
    assert "is no table, or a damaged one" in refusal(path, separator=";", decimal=",", encoding=encoding)
    write(path, text, encoding)
    assert refusal(path, separator=";").endswith("file: rename it to x.csv")


def test_a_zip_has_one_member(tmp_path: Path) -> None:
    path = as_zip(tmp_path / "x.csv.zip", {"folder/": "", "folder/x.csv": "a,b\n1,2\n", "__MACOSX/._x.csv": "?"})
    assert columns(path) == {"a": [1], "b": [2]}
    several = as_zip(tmp_path / "y.zip", {"1.csv": "a\n1\n", "2.csv": "a\n1\n"})
    line = "must hold one file, and holds 1.csv, 2.csv: unpack it, and name one in data.path"
    assert refusal(several) == f"y.zip: {line}"
    assert "holds nothing" in refusal(as_zip(tmp_path / "z.zip", {}))
    page = as_zip(tmp_path / "page.zip", {"x.csv": "<!DOCTYPE html><html></html>"})
    assert "is a web page" in refusal(page)


# What is no table


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("x.csv", gzip.compress(b"a,b\n1,2\n", mtime=0), "x.csv: is compressed by gzip: rename it to x.csv.gz"),
        (
            "x.csv.bz2",
            gzip.compress(b"a\n1\n", mtime=0),
            "x.csv.bz2: is compressed by gzip, no bzip2 file: rename it to x.csv.gz",
        ),
        ("x.csv", b"version https://git-lfs.github.com/spec/v1\noid sha256:4d\n", "fetch it: git lfs pull"),
        ("x.csv", b"<!DOCTYPE html>\n<html><body>Sign in</body></html>", "x.csv: is a web page (HTML), perhaps of"),
        ("x.csv", b"  <html lang='en'>", "is a web page (HTML)"),
        ("x.csv", b"\xef\xbb\xbf<?xml version='1.0'?><a/>", "is an XML file"),
        ("x.csv", b'{"a": 1}\n{"a": 2}\n', "is a JSON file"),
        ("x.csv", b'[{"a": 1}]', "is a JSON file"),
        ("x.csv", b"%PDF-1.7", "is a PDF file"),
        ("x.csv", b"\x93NUMPY\x01\x00", "source: npy"),
        ("x.csv", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "save it as .xlsx without one"),
        ("x.csv", b"", "x.csv: is empty"),
        ("x.csv", b"\n\n\n", "x.csv: is empty"),
        ("x.csv", b"\xef\xbb\xbf", "x.csv: is empty"),
        ("x.csv.gz", gzip.compress(b"", mtime=0), "x.csv.gz: is empty"),
        ("x.csv.gz", b"", "x.csv.gz: is empty"),
        ("x.csv.zip", b"", "x.csv.zip: is empty"),
        ("x.csv", b'a,b\n1,"2\n3,4\n', "EOF inside string"),
    ],
)
def test_what_is_no_table_is_named(tmp_path: Path, name: str, content: bytes, line: str) -> None:
    assert line in refusal(write(tmp_path / name, content))


def test_parquet_and_csv_under_each_others_names(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": [1, 2]})
    frame.to_parquet(tmp_path / "x.csv")
    assert refusal(tmp_path / "x.csv") == f"x.csv: is a Parquet file: {WRITE}source: parquet"
    path = write(tmp_path / "x.parquet", "a,b\n1,2\n")
    assert refusal(path, source="parquet") == f"x.parquet: is text, no Parquet file: {WRITE}source: csv"
    path = write(tmp_path / "y.parquet", b"")
    assert refusal(path, source="parquet") == "y.parquet: is empty"
    path = write(tmp_path / "z.parquet", b"version https://git-lfs.github.com/spec/v1\n")
    assert refusal(path, source="parquet").endswith("fetch it: git lfs pull")
    path = write(tmp_path / "x.xlsx", "a,b\n1,2\n")
    assert refusal(path) == f"x.xlsx: is text, no Excel file: {WRITE}source: csv, and rename it to x.csv"


def test_all_lines_with_too_many_cells_are_named(tmp_path: Path) -> None:
    rows = ["1,2"] * 30
    rows[4], rows[20], rows[29] = "1,2,3", "1,2,3,4", "1,,,"
    path = write(tmp_path / "x.csv", "\n".join(["a,b", *rows]))
    assert refusal(path) == (
        "x.csv: lines 6, 22, 31 have more cells than the 2 columns (the first has 3): put cells that hold a separator"
        " into quotation marks, or mend the lines"
    )
    path = write(tmp_path / "y.csv", "\n".join(["# by hand", "", *rows]))
    assert "lines 7, 23, 32 have" in refusal(path, header=["a", "b"], comment="#")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a,b\nr1,1,2\nr2,3,4\n", "as R writes it: give that column a name in the first line"),
        ("a,b\n1,2,\n3,4,\n", "a separator stands at the end of each line"),
        ("a,b\n1,2,3,4\n3,4\n", "mend that line, or the names in the first"),
    ],
)
def test_a_first_row_that_is_too_wide_is_explained(tmp_path: Path, text: str, why: str) -> None:
    line = refusal(write(tmp_path / "x.csv", text))
    assert line.startswith("x.csv: line 2 has ") and why in line


def test_files_without_rows(tmp_path: Path) -> None:
    file = TableFile(write(tmp_path / "x.csv", "a,b\n"), options())
    assert file.header == ["a", "b"] and list(file.frames(["a"])) == []
    assert sentences([file]) == ["Files without rows: 1."]


# Parquet


def parquet(path: Path, **arrays: Any) -> Path:
    table = pa.table(arrays)
    pa.parquet.write_table(table, path)
    return path


@pytest.mark.parametrize(
    ("index", "header", "left_out"),
    [
        (lambda frame: frame.sample(frac=1, random_state=0), ["a", "b"], 1),
        (lambda frame: frame[frame.a != 1], ["a", "b"], 1),
        (lambda frame: frame.set_index(pd.date_range("2020", periods=4)), ["a", "b"], 1),
        (lambda frame: frame.set_index(pd.Index([3, 1, 5, 6], name="id")), ["a", "b", "id"], 0),
        (lambda frame: frame.set_index(pd.RangeIndex(4, name="id")), ["a", "b"], 1),
        (lambda frame: frame.set_index(pd.date_range("2020", periods=4, name="day")), ["a", "b", "day"], 0),
        (lambda frame: frame.set_index([pd.Index([1, 2, 3, 4]), pd.Index(list("uvwx"))]), ["a", "b"], 2),
        (lambda frame: frame, ["a", "b"], 0),
    ],
)
def test_an_index_of_pandas(tmp_path: Path, index: Any, header: list[str], left_out: int) -> None:
    frame = index(pd.DataFrame({"a": range(4), "b": list("uvwx")}))
    frame.to_parquet(tmp_path / "x.parquet")
    found = columns(tmp_path / "x.parquet", source="parquet")
    assert list(found) == header and found["a"] == frame.a.tolist() and found["b"] == frame.b.tolist()
    decisions = said(tmp_path / "x.parquet", source="parquet")
    assert len(decisions) == left_out and all("was left out" in line for line in decisions)


def test_types_of_warehouses(tmp_path: Path) -> None:
    from datetime import date, datetime, time, timedelta
    from decimal import Decimal

    moment = datetime(2020, 1, 2, 3, 4, 5)
    path = parquet(
        tmp_path / "x.parquet",
        decimal=pa.array([Decimal("1.25"), None], pa.decimal128(38, 2)),
        exact=pa.array([Decimal("12345678901234567890.12"), Decimal("0.10")], pa.decimal128(38, 2)),
        spark=pa.array([Decimal("1.1"), None], pa.decimal128(38, 18)),
        plain=pa.array([moment, None], pa.timestamp("us")),
        zoned=pa.array([moment, None], pa.timestamp("us", "Europe/Berlin")),
        utc=pa.array([moment, None], pa.timestamp("ns", "UTC")),
        day=pa.array([date(2020, 1, 2), None], pa.date32()),
        day64=pa.array([date(2020, 1, 2), None], pa.date64()),
        clock=pa.array([time(1, 0, 0, 500_000), None], pa.time64("us")),
        clock32=pa.array([time(1, 0, 0), None], pa.time32("ms")),
        wait=pa.array([timedelta(minutes=1), None], pa.duration("ms")),
        whole=pa.array([2**63 - 1, None], pa.int64()),
        unsigned=pa.array([2**64 - 1, None], pa.uint64()),
        flag=pa.array([True, None], pa.bool_()),
        text=pa.array(["00123", None], pa.large_string()),
        view=pa.array(["x", None], pa.string_view()),
        kind=pa.array(["u", None]).dictionary_encode(),
        price=pa.array([Decimal("1.5"), None], pa.decimal128(5, 1)).dictionary_encode(),
        half=pa.array(np.array([0.5, 1], np.float16)),
        nothing=pa.array([None, None], pa.null()),
    )
    found = read(path, source="parquet")
    kinds = {name: str(kind) for name, kind in found.dtypes.items()}
    for name in ("decimal", "spark", "exact", "clock", "clock32", "wait", "price", "nothing"):
        assert kinds[name] == "float64"
    for name in ("plain", "zoned", "utc", "day", "day64"):
        assert kinds[name].startswith("datetime64[") and "UTC" not in kinds[name]
        assert found[name].iloc[0] == (pd.Timestamp("2020-01-02") if "day" in name else pd.Timestamp(moment))
    assert (kinds["whole"], kinds["unsigned"], kinds["flag"]) == ("Int64", "UInt64", "boolean")
    assert all(kinds[name] == "str" for name in ("text", "view", "kind"))
    first = found.iloc[0]
    assert first["whole"] == 2**63 - 1 and first["unsigned"] == 2**64 - 1 and first["text"] == "00123"
    assert (first["decimal"], first["clock"], first["clock32"], first["wait"], first["price"]) == (
        1.25,
        3600.5,
        3600,
        60,
        1.5,
    )
    assert all(pd.isna(value) for name, value in found.iloc[1].items() if name not in ("exact", "half"))
    assert sorted(said(path, source="parquet")) == [
        "Column clock32: times of the day were read as seconds.",
        "Column clock: times of the day were read as seconds.",
        "Column exact: decimals with more digits than a float64 keeps, which were rounded: 1.",
        "Column wait: durations were read as seconds.",
        "Column zoned: times of the zone Europe/Berlin were read as UTC.",
    ]


def test_types_are_the_same_in_every_chunk(tmp_path: Path) -> None:
    path = parquet(tmp_path / "x.parquet", a=pa.array([1, 2, 3, None, 5]), b=pa.array([True, False, True, True, None]))
    file = TableFile(path, options(source="parquet"))
    kinds = {tuple(map(str, frame.dtypes)) for frame, _ in file.frames(["a", "b"])}
    assert kinds == {("Int64", "boolean")}


def test_cells_that_are_no_single_values_are_refused_all_at_once(tmp_path: Path) -> None:
    path = parquet(
        tmp_path / "x.parquet",
        a=[1, 2],
        tags=pa.array([["u"], []]),
        place=pa.array([{"x": 1}, {"x": 2}]),
        **{"raw bytes": pa.array([b"u", b"v"])},
    )
    line = refusal(path, source="parquet")
    assert line.startswith("x.parquet: holds lists, structs or bytes, not single values, in tags (list<")
    assert line.endswith(f"{WRITE}exclude: [tags, place, raw bytes]")
    file = TableFile(path, options(source="parquet"))
    assert [frame["a"].tolist() for frame, _ in file.frames(["a"])] == [[1, 2]]


def test_declared_texts_and_numbers_are_missing_in_parquet(tmp_path: Path) -> None:
    path = parquet(tmp_path / "x.parquet", a=[1, -999, 3], b=["u", "?", "-999"], c=[1.0, -999.0, float("nan")])
    found = columns(path, source="parquet", missing_values=["?", "-999"])
    assert found == {"a": [1, None, 3], "b": ["u", None, None], "c": [1, None, None]}


def test_a_folder_of_spark(tmp_path: Path) -> None:
    folder = tmp_path / "x"
    for year, city in (("2020", "New%20York"), ("2021", "Rome"), ("2021", "__HIVE_DEFAULT_PARTITION__")):
        place = folder / f"year={year}" / f"city={city}"
        place.mkdir(parents=True)
        parquet(place / "part-00000-c000.snappy.parquet", a=[1, 2])
        pd.DataFrame({"a": pd.Series([], dtype="int64")}).to_parquet(place / "part-00001.parquet")
        write(place / ".part-00000.parquet.crc", b"?")
    write(folder / "_SUCCESS", b"")
    write(folder / "_temporary" / "0" / "part-00000.parquet", b"?")
    files = table_files(folder, options(source="parquet"))
    assert len(files) == 6 and {tuple(file.header) for file in files} == {("a", "year", "city")}
    found = pd.concat([frame for file in files for frame, _ in file.frames(file.header)])
    assert sorted(found["year"]) == [2020, 2020, 2021, 2021, 2021, 2021]
    assert found["city"].fillna("-").value_counts().to_dict() == {"New York": 2, "Rome": 2, "-": 2}
    only = pd.concat([frame for file in files for frame, _ in file.frames(["year"], ["year"])])
    assert list(only) == ["year"] and set(only["year"]) == {"2020", "2021"} and len(only) == 6
    assert set(sentences(files)) == {
        "Column year was read from the names of the folders year=….",
        "Files without rows: 3.",
        "Files that were passed over, as their names or their folders' begin with an underscore: 1.",
    }


def test_a_folder_of_csv_files_of_all_kinds(tmp_path: Path) -> None:
    for number, pack in enumerate((bytes, gzip.compress, bz2.compress, zstd)):
        write(tmp_path / "x" / f"{number}.csv{('', '.gz', '.bz2', '.zst')[number]}", pack(b"a,b\n%d,2\n" % number))
    as_zip(tmp_path / "x" / "4.csv.zip", {"x.csv": "a,b\n4,2\n"})
    files = table_files(tmp_path / "x", options())
    assert [frame["a"].tolist() for file in files for frame, _ in file.frames(["a"])] == [[0], [1], [2], [3], [4]]


# Excel


def excel(path: Path, *sheets: list[list[Any]], titles: tuple[str, ...] = ("first", "second")) -> Path:
    openpyxl = pytest.importorskip("openpyxl", reason="uv sync --extra xlsx")
    book = openpyxl.Workbook()
    book.remove(book.active)
    for title, rows in zip(titles, sheets, strict=False):
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


def test_a_sheet_of_excel(tmp_path: Path) -> None:
    from datetime import datetime

    rows = [
        ["n", "x", "word", "flag", "day", "code", "gap"],
        [1, 0.1, "ö ", True, datetime(2020, 1, 2), "007", None],
        [],
        [2, 3.0, "x", False, datetime(2020, 1, 2, 3, 4), "008", "?"],
        [3, 1e-7, None, None, None, "009", 5],
    ]
    path = excel(tmp_path / "x.xlsx", rows)
    expected = {
        "n": [1, 2, 3],
        "x": [0.1, 3, 1e-7],
        "word": ["ö", "x", None],
        "flag": [True, False, None],
        "day": ["2020-01-02", "2020-01-02 03:04:00", None],
        "gap": [None, None, 5],
    }
    found = columns(path, ["code"], missing_values=["?"])
    assert found.pop("code") == ["007", "008", "009"] and found == expected
    assert columns(path, ["code"], source="xlsx", missing_values=["?"])["n"] == [1, 2, 3]
    texts = columns(path, "all", missing_values=["?"])
    assert texts["n"] == ["1", "2", "3"] and texts["x"] == ["0.1", "3", "1e-07"] and texts["flag"][0] == "True"


def test_sheets_are_chosen_by_name(tmp_path: Path) -> None:
    path = excel(tmp_path / "x.xlsx", [["a"], [1]], [["b"], [2]])
    assert columns(path) == {"a": [1]}
    assert columns(path, source="xlsx", sheet="second") == {"b": [2]}
    assert said(path) == ["The sheet first was read, the first of first, second."]
    assert said(path, source="xlsx", sheet="second") == []
    line = "params.yaml: data.sheet: 'third' is no sheet of x.xlsx; there are: first, second"
    assert refusal(path, source="xlsx", sheet="third") == line


@pytest.mark.parametrize(
    ("rows", "line"),
    [
        ([], "x.xlsx: is empty"),
        ([["a", "a"], [1, 2]], "x.xlsx: column 'a' stands there twice; rename one"),
        ([["A report"], [], ["a", "b"], [1, 2]], "x.xlsx: line 3 has 2 cells, but there are 1 columns"),
        ([["a", "b"], [1, 2], [1, 2], [1, 2, 3]], "x.xlsx: more cells than the 2 columns in row 4"),
        ([["a", "b"], ["1,5", 2], ["2,5", 3]], "'1,5' is a number if you write under data in params.yaml: decimal"),
        ([[5.1, "x"], [4.9, "y"]], "header: false"),
    ],
)
def test_sheets_that_are_no_tables(tmp_path: Path, rows: list[list[Any]], line: str) -> None:
    assert line in refusal(excel(tmp_path / "x.xlsx", rows))


def test_sheets_without_names_and_without_rows(tmp_path: Path) -> None:
    path = excel(tmp_path / "x.xlsx", [[5.1, "x"], [4.9, "y"]])
    assert columns(path, header=["a", "b"]) == {"a": [5.1, 4.9], "b": ["x", "y"]}
    assert columns(path, header=False) == {"column_1": [5.1, 4.9], "column_2": ["x", "y"]}
    assert said(excel(tmp_path / "y.xlsx", [["a", "b"]])) == ["Files without rows: 1."]


def test_formulas_without_values_are_counted(tmp_path: Path) -> None:
    """A program that writes formulas and does not calculate them leaves their cells empty."""
    path = excel(tmp_path / "x.xlsx", [["a", "b"], [1, "=A2+1"], [2, "=A3+1"], [3, 4]])
    line = "x.xlsx: 2 formulas have no value, in columns b: open the file in Excel or LibreOffice and save it again"
    assert refusal(path) == line


def test_excel_under_other_names(tmp_path: Path) -> None:
    path = excel(tmp_path / "x.xlsx", [["a"], [1]]).rename(tmp_path / "x.csv")
    assert refusal(path) == f"x.csv: is an Excel file: {WRITE}source: xlsx"
    assert columns(path, source="xlsx") == {"a": [1]}


def test_without_openpyxl_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.xlsx"
    as_zip(path, {"xl/workbook.xml": "<workbook/>"})
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    assert "is not installed: uv sync --extra xlsx; or save the sheet as CSV" in refusal(path)


def test_a_damaged_sheet_is_one_line(tmp_path: Path) -> None:
    pytest.importorskip("openpyxl", reason="uv sync --extra xlsx")
    as_zip(tmp_path / "x.xlsx", {"xl/workbook.xml": "<workbook/>"})
    assert "is no table, or a damaged one" in refusal(tmp_path / "x.xlsx")


def test_a_key_that_is_a_word_in_one_folder_is_one_in_all(tmp_path: Path) -> None:
    for code in ("01", "x"):
        (tmp_path / "x" / f"code={code}").mkdir(parents=True)
        parquet(tmp_path / "x" / f"code={code}" / "0.parquet", a=[1])
    files = table_files(tmp_path / "x", options(source="parquet"))
    assert [frame["code"].tolist() for file in files for frame, _ in file.frames(["code"])] == [["01"], ["x"]]


def test_a_column_of_the_file_comes_before_the_name_of_its_folder(tmp_path: Path) -> None:
    (tmp_path / "x" / "k=1").mkdir(parents=True)
    parquet(tmp_path / "x" / "k=1" / "0.parquet", a=[1], k=[2])
    files = table_files(tmp_path / "x", options(source="parquet"))
    assert [frame["k"].tolist() for frame, _ in files[0].frames(["k"])] == [[2]]
    assert sentences(files) == [
        "Column k was read from the files that have it, not from the names of their folders k=…."
    ]


def test_declared_gaps_leave_other_types_alone(tmp_path: Path) -> None:
    path = parquet(tmp_path / "x.parquet", day=pd.to_datetime(["2020-01-01", None]), flag=[True, None], n=[1, 2])
    found = read(path, source="parquet", missing_values=["?", "2"])
    assert [str(kind).split("[")[0] for kind in found.dtypes] == ["datetime64", "boolean", "Int64"]
    assert found.isna().sum().tolist() == [1, 1, 1]


# Options


@pytest.mark.parametrize(
    "given",
    [
        {"decimal": ",", "thousands": ","},
        {"thousands": "."},
        {"decimal": ";"},
        {"thousands": "ab"},
        {"thousands": "1"},
        {"comment": "#", "separator": "#"},
        {"comment": ","},
        {"comment": ""},
        {"encoding": "utf8000"},
        {"encoding": "base64"},
        {"header": "a"},
        {"header": 1},
    ],
)
def test_options_that_cannot_be(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        options(**given)


@pytest.mark.parametrize("name", ["ORCID", "PAR1", "BZhang", "Rar!", "%PDF", "version", "[a]", "<b>", "{a}"])
def test_a_name_may_begin_as_another_kind_of_file_does(tmp_path: Path, name: str) -> None:
    assert list(columns(write(tmp_path / "x.csv", f"{name},b\n1,2\n"))) == [name, "b"]


@pytest.mark.parametrize("size", [(1 << 16) - 3, (1 << 16) - 2, (1 << 18) - 3, (1 << 18) - 2, (1 << 18) - 1])
@pytest.mark.parametrize("given", [{}, {"comment": "#"}, {"separator": "::"}])
def test_characters_and_lines_that_blocks_cut(
    tmp_path: Path, size: int, given: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frames, "CHUNK_ROWS", 1000)
    between = given.get("separator", ",")
    lines = [f"a{between}b", "x" * 100 + f"{between}1"] * 1
    while sum(map(len, lines)) + len(lines) + 910 < size:
        lines.append(f"{len(lines):0900}{between}2")
    lines.append("€" * ((size - sum(map(len, lines)) - len(lines)) + 2) + f"{between}3")
    lines += ["#ö" if given.get("comment") else f'"ö{between}\nö"{between}4', f"€€€{between}5"]
    found = columns(write(tmp_path / "x.csv", "\n".join(lines)), ["a"], **given)
    cells = [line.rsplit(between, 1)[0].strip('"') for line in lines[1:] if not line.startswith("#")]
    assert found["a"] == cells and found["b"][-1] == 5


# Lines that are too short, marks that are not closed, titles


@pytest.mark.parametrize(
    ("text", "given"),
    [
        ("a,b,c\n1,2,3\n4,5\n6\n7,8,\n9,,\n", {}),
        ("a;b;c\r\n1;2;3\r\n4;5\r\n6\r\n7;8;\r\n", {"separator": ";"}),
        ("a::b::c\n1::2::3\n4::5\n6\n7::8::\n", {"separator": "::"}),
        ("a b c\n1 2 3\n4 5\n6\n7  8 9\n", {"separator": r"\s+"}),
        ("1,2,3\n4,5\n6\n7,8,\n", {"header": ["a", "b", "c"]}),
        ("a,b,c\n1,2,3\n4,5\n6", {}),
        ('a,b,c\n"x\ny",2,3\n"x, y",5\n6\n', {}),
    ],
)
def test_lines_with_too_few_cells_are_counted(tmp_path: Path, text: str, given: dict[str, Any]) -> None:
    path = write(tmp_path / "x.csv", text)
    assert "Lines with fewer cells than the 3 columns, whose other cells were taken for gaps: 2." in said(path, **given)


def test_cells_that_are_empty_are_no_short_lines(tmp_path: Path) -> None:
    assert said(write(tmp_path / "x.csv", "a,b,c\n1,2,\n4,,\n,,\n")) == []


def test_a_quotation_mark_that_is_never_closed_has_a_line(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", 'a,b\n1,x\n2,"y\n3,z\n')
    assert refusal(path) == "x.csv: a quotation mark in line 3 is never closed: close or remove it"


def test_a_title_above_the_names_is_recognised(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", "Report of 2020\na,b\n1,2\n3,4\n")
    assert refusal(path).endswith("the only cell of the first (Report of 2020) may be a title: remove it")
    path = write(tmp_path / "x.csv", "Report of 2020,\na,b\n1,2\n3,4\n")
    assert "its first line seems to be a title (Report of 2020)" in refusal(path)


def test_lines_here_and_there_with_too_many_cells_are_no_names_of_rows(tmp_path: Path) -> None:
    rows = "".join("1,2,3,4\n" if row in (3, 8) else "1,2,3\n" for row in range(12))
    assert "lines 5, 10 have more cells than the 3 columns" in refusal(write(tmp_path / "x.csv", f"a,b,c\n{rows}"))
    rows = "".join("1,2,3,4\n" if row in (0, 8) else "1,2,3\n" for row in range(12))
    assert "lines 2, 10 have more cells than the 3 columns" in refusal(write(tmp_path / "x.csv", f"a,b,c\n{rows}"))


EASTERN = [
    ("shift_jis", "身長,都市\n1,東京\n2,さっぽろ\n", "身長"),
    ("euc_jp", "名前,都市\n1,さっぽろ\n2,カタカナ\n", "名前"),
    ("gb18030", "身高,城市\n1,北京\n2,上海\n3,广州\n", "身高"),
    ("big5", "身高,城市\n1,臺北\n2,高雄\n", "身高"),
    ("euc_kr", "키,도시\n1,서울\n2,부산\n3,대구\n", "키"),
]


@pytest.mark.parametrize(("encoding", "text", "word"), EASTERN, ids=[each[0] for each in EASTERN])
def test_encodings_of_east_asia_are_named(tmp_path: Path, encoding: str, text: str, word: str) -> None:
    path = write(tmp_path / "x.csv", text, encoding)
    line = refusal(path)
    assert f"in {encoding} it reads {word!r}" in line and f"encoding: {encoding}" in line
    assert next(iter(columns(path, encoding=encoding))) == word


def test_where_encodings_cannot_be_told_apart_all_are_listed(tmp_path: Path) -> None:
    line = refusal(write(tmp_path / "x.csv", "身長,都市\n1,東京\n", "euc_jp"))
    assert "in euc_kr it reads '옴캣', in euc_jp it reads '身長', in gb18030 it reads" in line
    assert "the one that is right: encoding: euc_kr or encoding: euc_jp or encoding: gb18030" in line


def test_much_korean_is_korean_alone(tmp_path: Path) -> None:
    rows = "".join(
        f"{number},{name}\n"
        for number, name in enumerate(["서울", "부산", "대구", "인천", "광주", "대전", "울산", "세종"])
    )
    assert refusal(write(tmp_path / "x.csv", f"번호,도시\n{rows}", "euc_kr")).endswith("encoding: euc_kr")
