"""Names mean columns literally first; all that is wrong about them is one line."""

from __future__ import annotations

from typing import Any

import pytest

from pipelines.data.sources.choosing import choose, matches
from pipelines.errors import UserError
from pipelines.params.table_sections import Table

HEADER = ["a", "a[1]", "a1", "x*", "x1", "Colour", "label", "[ab]"]


def options(**given: Any) -> Table:
    return Table.model_validate({"source": "csv", "path": "x", **given})


def refusal(header: list[str] = HEADER, **given: Any) -> str:
    with pytest.raises(UserError) as caught:
        choose(header, options(**given))
    (line,) = str(caught.value).splitlines()
    return line


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("a[1]", ["a[1]"]),
        ("x*", ["x*"]),
        ("a*", ["a", "a[1]", "a1"]),
        ("a?", ["a1"]),
        ("[ab]", ["[ab]"]),
        ("[a]", ["a"]),
        ("x[*]", ["x*"]),
        ("*", HEADER),
        ("colour", []),
    ],
)
def test_names_come_before_patterns(pattern: str, found: list[str]) -> None:
    assert matches(pattern, HEADER) == found


def test_roles_are_those_of_columns() -> None:
    choice = choose(
        HEADER,
        options(
            exclude=["x*", "a"],
            label="label",
            categorical={"C*": "one_hot", "Colour": "codes"},
            dequantise={"a*": 0.5, "a[1]": 0.25, "?1": 1.0},
        ),
    )
    assert choice.columns == ["a[1]", "a1", "x1", "Colour", "[ab]"] and choice.label == "label"
    assert choice.categorical == {"Colour": "codes"}, "the name itself comes before a pattern"
    assert choice.dequantise == {"a[1]": 0.25, "a1": 0.5, "x1": 1.0}, "the first pattern counts"


def test_a_label_need_not_be_among_the_columns_and_may_be_excluded() -> None:
    assert choose(HEADER, options(columns=["a"], label="label")).columns == ["a"]
    assert choose(HEADER, options(columns=["a", "l*"], exclude=["label"], label="label")).columns == ["a"]


def test_all_names_that_are_no_columns_come_in_one_message() -> None:
    line = refusal(
        columns=["a", "b", "colour"], exclude=["Labl"], label="y", categorical={"X1 ": "codes"}, dequantise={"q*": 1.0}
    )
    assert line == (
        "params.yaml: data.columns: 'b', 'colour' (did you mean 'Colour'?) is no column; data.exclude: 'Labl' (did you"
        " mean 'label'?) is no column; data.categorical: 'X1 ' (did you mean 'x1'?) is no column; data.dequantise: 'q*'"
        f" is no column; data.label: 'y' is no column; there are: {', '.join(HEADER)}"
    )


def test_a_wide_table_is_not_listed_as_a_whole() -> None:
    line = refusal([f"pixel{number}" for number in range(1000)], label="labels")
    assert line.endswith("pixel49 and 950 more") and len(line) < 1000


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"label": "label", "categorical": {"label": "codes"}}, "data.categorical: 'label' is the label, data.label,"),
        ({"exclude": ["C*"], "categorical": {"Colour": "codes"}}, "data.categorical: 'Colour' is left out by"),
        ({"columns": ["a"], "categorical": {"Colour": "codes"}}, "data.categorical: 'Colour' is not among"),
        ({"columns": ["a"], "dequantise": {"x1": 1.0}}, "data.dequantise: 'x1' is not among data.columns"),
        ({"label": "label", "dequantise": {"lab*": 1.0}}, "data.dequantise: 'lab*' is the label, data.label,"),
        (
            {"exclude": ["x1"], "categorical": {"x1": "codes", "a": "codes"}, "dequantise": {"x1": 1.0}},
            "data.categorical: 'x1' is left out by data.exclude; data.dequantise: 'x1' is left out by data.exclude: r",
        ),
    ],
)
def test_what_is_said_about_columns_that_are_not_modelled(given: dict[str, Any], line: str) -> None:
    assert refusal(**given).startswith(f"params.yaml: {line}")


def test_nothing_is_left() -> None:
    assert refusal(columns=["a"], exclude=["a"]) == "params.yaml: data.columns: no column is left to be modelled"
