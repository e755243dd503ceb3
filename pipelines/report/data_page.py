"""`report/data.html`: the prepared data as a person wants to see it before they train anything on it.

Everything is read in chunks and counted on evenly spread rows where there are very many, so that it stays quick; the
captions say how many rows were counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..data.prepared import SPLITS, Prepared
from ..data.rows import Rows
from ..data.tables.typed_rows import allowed
from ..data.tables.wording import paste_ready
from ..evaluation.metrics.numerals import number
from ..evaluation.shown import chosen
from .data_pictures import (
    NAMED,
    NUMBERED,
    class_balance,
    column_histograms,
    correlation_map,
    hex_colours,
    is_uneven,
    level_histogram,
    value_histogram,
)
from .exhibits import Exhibit, Item, exhibit
from .html import environment
from .pictures import data_uri
from .statistics import ColumnCounts, LevelCounts, ValueCounts
from .typed_pictures import cells_of_types

HISTOGRAMS = 24  # columns with a histogram
LISTED = 200  # columns and files that a table lists
PLURAL = {"image": "images", "sequence": "sequences", "vector": "vectors", "table": "rows of a table"}


@dataclass(frozen=True)
class Table:
    """A table for people: its heads with their units, its rows of texts, each with the text behind a shortened one."""

    label: str
    heads: Sequence[tuple[str, str]]
    rows: Sequence[Sequence[tuple[str, str]]]
    in_words: bool = False


@dataclass(frozen=True)
class Section:
    """A part of the page: a title, then whichever of these it has, in this order."""

    name: str
    title: str
    text: str = ""
    points: Sequence[str] = ()
    tables: Sequence[Table] = ()
    swatches: Sequence[str] = ()
    exhibits: Sequence[Exhibit] = ()
    paste: str = ""


@dataclass(frozen=True)
class DataPage:
    """The whole page; `facts` are label and value."""

    title: str
    data: str
    facts: Mapping[str, str]
    sections: Sequence[Section] = field(default_factory=list)


def render_data(prepared: Prepared) -> str:
    """The page as HTML, with every picture, sound and style in it."""
    return environment().get_template("data.html.j2").render(page=data_page(prepared))


def data_page(prepared: Prepared) -> DataPage:
    """What the page shows of a prepared folder."""
    meta = prepared.meta
    sections = [_splits(meta), _decisions(meta), _classes(meta), _examples(prepared)]
    sections += [_palette(meta), *_values(prepared), _sources(meta)]
    return DataPage(
        title=f"Data: {meta['name']}",
        data=describe(meta),
        facts=_facts(prepared),
        sections=[section for section in sections if section],
    )


def describe(meta: Mapping[str, Any]) -> str:
    """The data in a sentence or two: the kind and the count of examples, classes and duplicates if there are any."""
    shape = "×".join(map(str, meta["shape"]))
    levels = "real numbers" if meta["levels"] is None else f"{meta['levels']} levels"
    if meta["palette"] is not None:
        levels = f"indices of {len(meta['palette'])} colours"
    classes = len(meta["class_names"])
    if meta["kind"] == "table":
        levels = "with types"
    kinds = f"{PLURAL[meta['kind']]} of {'shape ' if len(meta['shape']) > 1 else ''}{shape}"
    kinds += f" {'columns' if meta['kind'] == 'table' else 'numbers'}" if len(meta["shape"]) == 1 else ""
    counts = ", ".join(f"{count:,} {split}" for split, count in meta["counts"].items())
    with_classes = f", {classes} class{'es' * (classes > 1)}" if classes else ""
    sentence = f"{meta['name']}: {kinds}, {levels}{with_classes}; {counts} examples."
    duplicates = ", ".join(f"{count:,} {where}" for where, count in meta["duplicates"].items() if count)
    return f"{sentence} Duplicates across splits: {duplicates}." if duplicates else sentence


def _facts(prepared: Prepared) -> dict[str, str]:
    meta = prepared.meta
    facts = {
        "source": str(meta["source"]),
        "kind": f"{meta['kind']}, {meta['channels']}",
        "shape": f"({', '.join(map(str, meta['shape']))})",
        "levels": _levels_in_words(meta),
        "stored as": str(meta["dtype"]),
        "digest": prepared.digest[:16],
    }
    if meta["sample_rate"]:
        facts["sample rate"] = f"{meta['sample_rate']:,} per second"
        facts["duration of an example"] = f"{meta['shape'][-1] / meta['sample_rate']:.3g} s"
    if meta["encoding"]:
        low, high = meta["range"]
        name = "µ-law" if meta["encoding"] == "mu_law" else meta["encoding"]
        facts["encoding"] = f"{name}, from {low:g} to {high:g}"
    if meta["each_step"]:
        facts["training split"] = f"{meta['each_step']} grey levels, made 0 or 1 at each step"
    return facts


def _levels_in_words(meta: Mapping[str, Any]) -> str:
    if meta["kind"] == "table":
        return "as the type of each column says"
    return "real numbers" if meta["levels"] is None else f"0 … {meta['levels'] - 1}"


def _splits(meta: Mapping[str, Any]) -> Section:
    total = sum(meta["counts"].values())
    rows = [
        [plain(split), plain(f"{count:,}"), plain(f"{count / total:.1%}")] for split, count in meta["counts"].items()
    ]
    table = Table("Examples in each split", [("Split", ""), ("Examples", ""), ("Share", "")], rows)
    found = [f"{count:,} {where}" for where, count in meta["duplicates"].items() if count]
    compared = ", ".join(meta["duplicates"])
    text = f"No example of one split also stands, number for number, in another (compared: {compared})."
    if found:
        text = (
            f"Examples that also stand, number for number, in another split: {'; '.join(found)} (compared: {compared})."
            " Scores on them flatter a model that remembers."
        )
    if not compared:
        text = "The splits were not searched for examples that they share."
    return Section("splits", "Splits", text, tables=[table])


def _decisions(meta: Mapping[str, Any]) -> Section:
    text = "" if meta["decisions"] else "Nothing was dropped, clipped, resampled or skipped."
    return Section("decisions", "What was decided", text, points=meta["decisions"])


def _classes(meta: Mapping[str, Any]) -> Section | None:
    names = meta["class_names"]
    if not names:
        return None
    counts = {split: meta["class_counts"][split] for split in SPLITS}
    figure = class_balance(counts, names)
    caption = "Examples of each class in each split; the axes of the splits differ."
    picture = Exhibit([Item(data_uri(figure), f"Bar chart of {caption}")], caption, wide=True)
    if len(names) > NAMED:
        return Section("classes", "Classes", f"There are {len(names)} classes.", exhibits=[picture])
    sizes = [sum(counts[split]) or 1 for split in counts]
    rows = [
        [
            plain(name),
            *(
                plain(f"{counts[split][i]:,} ({counts[split][i] / size:.1%})")
                for split, size in zip(counts, sizes, strict=True)
            ),
        ]
        for i, name in enumerate(names)
    ]
    heads = [("Class", ""), *((split, "examples (share)") for split in counts)]
    return Section("classes", "Classes", tables=[Table("Examples of each class", heads, rows)], exhibits=[picture])


def _examples(prepared: Prepared) -> Section:
    """Examples of the training split, of each class."""
    meta = prepared.meta
    rows, labels = Rows(prepared.folder / "train.npy"), prepared.split("train").labels
    index = chosen(prepared.event, len(rows), None if labels is None else np.asarray(labels))
    what = "Examples of the training split"
    if meta["each_step"]:
        what += ", as they are stored: the grey levels are the probabilities by which each training step makes pixels 1"
    shown = exhibit(
        meta, rows.take(index), None if labels is None else np.asarray(labels)[index], what, meta["each_step"]
    )
    return Section("examples", "Examples", exhibits=[shown])


def _palette(meta: Mapping[str, Any]) -> Section | None:
    if meta["palette"] is None:
        return None
    text = f"The {len(meta['palette'])} colours that the indices 0, 1, … stand for."
    return Section("palette", "Palette", text, swatches=hex_colours(meta["palette"]))


def _values(prepared: Prepared) -> list[Section]:
    """Histograms of the training split, and for a table the columns and their correlations."""
    meta, rows = prepared.meta, Rows(prepared.folder / "train.npy")
    if meta["levels"] is not None:
        return [_levels(meta, rows)]
    if meta["channels"] == "series":
        return [_series(meta, rows)]
    if meta["kind"] == "table":
        return [_types(meta)]
    return _columns(meta, rows)


def _levels(meta: Mapping[str, Any], rows: Rows) -> Section:
    counted = LevelCounts.of(rows, meta["each_step"] or meta["levels"])
    what = {"palette": "index of the palette", "audio": "level", "series": "level"}.get(meta["channels"], "pixel value")
    figure = level_histogram(counted, meta["channels"], meta["palette"], what)
    scale = ", on a logarithmic axis" if is_uneven(counted.shares) else ""
    caption = f"Share of each {what} in {_counted(counted.rows, rows)} of the training split{scale}."
    tables = []
    if meta["ordered"]:
        names = ["red", "green", "blue"] if meta["channels"] == "rgb" else ["all"]
        extremes = [[f"{share:.1%}" for share in (shares[0], shares[-1])] for shares in counted.shares]
        table = [
            [plain(text) for text in (name, number(float(mean)), number(float(std)), *ends)]
            for name, mean, std, ends in zip(names, counted.mean, counted.std, extremes, strict=True)
        ]
        heads = [
            ("Channel", ""),
            ("Mean", "level"),
            ("Std", "levels"),
            ("Lowest level", "share"),
            ("Highest level", "share"),
        ]
        tables = [Table(f"Statistics of each {what}", heads, table)]
    picture = Exhibit([Item(data_uri(figure), f"Histogram. {caption}")], caption)
    return Section("values", "Values", tables=tables, exhibits=[picture])


def _series(meta: Mapping[str, Any], rows: Rows) -> Section:
    low, high = min(c["min"] for c in meta["columns"]), max(c["max"] for c in meta["columns"])
    counted = ValueCounts.of(rows, low, high)
    scale = ", on a logarithmic axis" if is_uneven(counted.counts / counted.counts.sum()) else ""
    caption = (
        f"Share of all values, in the data's own units, of {_counted(counted.rows, rows)} of the training split{scale}."
    )
    heads = [("Values", ""), ("Mean", ""), ("Std", ""), ("Min", ""), ("Max", "")]
    table = Table(
        "Statistics of the values", heads, [[plain("all"), *map(_real, (counted.mean, counted.std, low, high))]]
    )
    picture = Exhibit([Item(data_uri(value_histogram(counted)), f"Histogram. {caption}")], caption)
    return Section("values", "Values", tables=[table], exhibits=[picture])


def _columns(meta: Mapping[str, Any], rows: Rows) -> list[Section]:
    columns = meta["columns"]
    keys = ("mean", "std", "min", "max")
    heads = [("Column", ""), *((key.capitalize(), "") for key in keys)]
    lines = [[plain(column["name"]), *(_real(column[key]) for key in keys)] for column in columns[:LISTED]]
    few = columns[:NAMED]
    counted = ColumnCounts.of(rows, few)
    drawn = [column["name"] for column in few[:HISTOGRAMS]]
    first = "each column" if len(drawn) == len(columns) else f"the first {len(drawn)} columns"
    caption = (
        f"Histogram of {first} from its minimum to its maximum, in the data's own units, of "
        f"{_counted(counted.rows, rows)} of the training split."
    )
    histograms = Exhibit([Item(data_uri(column_histograms(counted, drawn)), caption)], caption, wide=len(drawn) > 2)
    listed = "" if len(columns) <= LISTED else f"The first {LISTED} of {len(columns):,} columns."
    sections = [
        Section(
            "values",
            "Columns",
            listed,
            tables=[Table("Statistics of each column of the training split", heads, lines)],
            exhibits=[histograms],
        )
    ]
    if 1 < len(columns) <= NAMED:
        names = [column["name"] for column in columns]
        blank = " Blank: the column never varies." if np.isnan(counted.correlation).any() else ""
        examples = _counted(counted.rows, rows)
        caption = f"Pearson correlation of each pair of columns, of {examples} of the training split.{blank}"
        figure = correlation_map(counted.correlation, names)
        strongest = _strongest(counted.correlation, names)
        picture = Exhibit(
            [Item(data_uri(figure), f"Heat map. {caption} {strongest}")], caption, wide=len(names) > NUMBERED
        )
        sections.append(Section("correlation", "Correlation", strongest, exhibits=[picture]))
    return sections


def _types(meta: Mapping[str, Any]) -> Section:
    """The type of each column, what decided it, and how to say otherwise."""
    columns = meta["columns"]
    heads = [("Column", ""), ("Type", ""), ("Holds", ""), ("Gaps", ""), ("Decided by", "")]
    lines = [[plain(cell) for cell in cells] for cells in cells_of_types(columns[:LISTED], meta["why"], allowed)]
    names, types = [column["name"] for column in columns], [column["type"] for column in columns]
    text = "To say otherwise, paste what is below into params.yaml under data, and change it."
    table = Table("The type of each column", heads, lines, in_words=True)
    paste = paste_ready(names, types, meta["why"])
    return Section("values", "Columns", text, tables=[table], paste=paste)


def _strongest(correlation: np.ndarray, names: Sequence[str]) -> str:
    """The pair that is most strongly correlated, in a sentence."""
    pairs = np.abs(np.triu(np.nan_to_num(correlation), 1))
    row, column = divmod(int(pairs.argmax()), len(names))
    if not pairs[row, column]:
        return ""
    return f"Strongest: {names[row]} with {names[column]}, {correlation[row, column]:+.2f}."


def _sources(meta: Mapping[str, Any]) -> Section:
    """What the data was made from, and what was made of it, by their checksums."""
    groups = {"source": meta["checksums"], "prepared": meta["files"]}
    files = [
        [plain(name), plain(role), (f"{digest[:12]}…", digest)]
        for role, digests in groups.items()
        for name, digest in list(digests.items())[:LISTED]
    ]
    table = Table(
        "Files and their checksums", [("File", ""), ("Role", ""), ("Checksum", "SHA-256 where not named")], files
    )
    text = f"Results name the prepared data by its digest, {meta['digest']}."
    return Section("files", "Files", text, tables=[table])


def _counted(some: int, rows: Rows) -> str:
    """How many rows were counted."""
    return f"all {some:,} examples" if some == len(rows) else f"{some:,} examples, evenly spread over {len(rows):,},"


def plain(text: str) -> tuple[str, str]:
    """A cell whose text is not shortened."""
    return text, ""


def _real(value: float) -> tuple[str, str]:
    return f"{value:,.4g}", ""
