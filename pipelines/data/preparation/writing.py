"""The prepared folder: written beside the old one, whose place it takes when it is whole."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import UserError
from ...files import file_digest, write_json
from ...params.source_section import Source as Settings
from ...progress import progress
from ..prepared import SPLITS, Prepared, data_digest
from ..rows import Rows, RowsWriter
from ..sources import Source
from ..sources.finding import some
from .duplicates import duplicates
from .splitting import ROWS, Dealt, deal, find_rare, part_counts
from .transforms import Transform, transform_for
from .twins import sentences_of_twins
from .typing_rows import Typed

KINDS = {1: "vector", 2: "sequence", 3: "image"}
BYTES = 8 << 20
COARSE = 100  # steps of float32 within a standard deviation, below which they are worth a sentence


def write(folder: Path, source: Source, data: Settings) -> Prepared:
    """Split, transform and write everything that was read; `folder` is replaced as a whole.

    Raises `UserError` for splits or transforms that cannot be, and for numbers that are not finite.
    """
    old, building = folder.with_name(f".{folder.name}.old"), folder.with_name(f".{folder.name}.building")
    if old.exists() and not folder.exists():  # killed between the two moves
        old.rename(folder)
    found = find_rare(source.parts, data, source.class_names)
    dealt = deal(source.parts, data, source.class_names, found[0] if found else None)
    renumber = None
    if found:
        rare, said = found
        renumber = rare.numbers()
        source = replace(source, class_names=rare.names(source.class_names), decisions=[*source.decisions, *said])
    source = _without_single_class(source, dealt)
    transform = _transform(source, data)
    if transform.needs_fit:
        train = [each for each in dealt if each.part is source.parts["train"]]
        rows = sum(int((splits == 0).sum()) for each in train for splits in each.splits())
        transform.fit((x for each in train for x, split, _ in _rows(each) if split == "train"), rows)
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True)
    try:
        class_counts = _write_splits(building, dealt, transform, len(source.class_names), renumber)
        _check_classes(class_counts, source.class_names, data)
        meta = _meta(folder.name, building, source, data, transform, class_counts)
        write_json(building / "meta.json", meta)
        _take_place(building, folder, old)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return Prepared(folder, meta)


def _without_single_class(source: Source, dealt: list[Dealt]) -> Source:
    """The source without labels if all examples that are left have the same one: one label is none."""
    if not source.class_names:
        return source
    counts = np.zeros(len(source.class_names) + 1, np.int64)
    for each in dealt:
        of_part = part_counts(each.part)[0]
        kept = of_part if each.dropped is None else of_part[~each.dropped[: len(of_part)]]
        counts[: len(kept)] += kept
    present = np.flatnonzero(counts)
    if len(present) != 1:
        return source
    said = f"All are of one class, {source.class_names[present[0]]}: there are no labels."
    meta = {**source.meta, "label": None} if "label" in source.meta else source.meta
    return replace(source, class_names=[], decisions=[*source.decisions, said], meta=meta)


def _transform(source: Source, data: Settings) -> Transform:
    typed = "types" in source.meta and not source.meta["plain"]
    return Typed(source) if typed else transform_for(source, data)


def _write_splits(
    folder: Path, dealt: list[Dealt], transform: Transform, classes: int, renumber: np.ndarray | None
) -> dict[str, list[int]]:
    """Write the arrays, and count the classes of each split; `renumber` are the new numbers of classes."""
    counts = {split: np.zeros(classes, np.int64) for split in SPLITS}
    total = sum(map(len, dealt))
    with ExitStack() as stack, progress("prepare: writing", 0, total, "example") as advance:
        x = {
            split: stack.enter_context(RowsWriter(folder / f"{split}.npy", transform.shape, transform.dtype))
            for split in SPLITS
        }
        labels = {
            split: stack.enter_context(RowsWriter(folder / f"{split}_labels.npy", (), np.int64))
            for split in (SPLITS if classes else ())
        }
        done = 0
        for each in dealt:
            for rows, split, numbers in _rows(each):
                transformed = transform(rows, split)
                if transformed.dtype.kind == "f" and not transform.finite(transformed):
                    raise UserError(
                        f"{each.part.x.name}: holds NaN or infinite numbers: remove those rows from the source"
                    )
                x[split].append(transformed)
                if numbers is not None and classes:
                    now = numbers if renumber is None else renumber[numbers]
                    labels[split].append(now)
                    counts[split] += np.bincount(now, minlength=classes)
                done += len(rows)
                advance(done, "", last=done == total)
    return {split: each.tolist() for split, each in counts.items()}


def _check_classes(counts: dict[str, list[int]], names: list[str], data: Settings) -> None:
    """Refuse classes that nothing can be learnt of: where labels are the names of folders, one may be `test` itself."""
    alone: dict[str, list[str]] = {}
    for number, name in enumerate(names):
        elsewhere = [split for split in SPLITS if counts[split][number]]
        if elsewhere and "train" not in elsewhere:
            alone.setdefault(" and ".join(elsewhere), []).append(repr(name))
    if not alone:
        return
    what = "; ".join(
        f"class {found[0]} stands only in {where}" if len(found) == 1
        else f"{len(found):,} classes stand only in {where}: {some(found)}"
        for where, found in alone.items()
    )  # fmt: skip
    drop = "set data.rare to drop" if hasattr(data, "rare") else "leave the class out"
    raise UserError(
        f"params.yaml: data.labels: {what}, and nothing can be learnt of it; add training examples, {drop}, or correct"
        " data.labels"
    )


def _rows(dealt: Dealt) -> Iterator[tuple[np.ndarray, str, np.ndarray | None]]:
    """The rows of a part with their split and labels, in order, a moderate number of bytes at a time."""
    part = dealt.part
    step = max(1, BYTES // max(1, part.x.row_bytes))
    examples = part.x.pieces(ROWS, step)
    numbers = None if part.labels is None else part.labels.pieces(ROWS, step)
    for splits in dealt.splits():
        for start in range(0, len(splits), step):
            x, mine = next(examples), None if numbers is None else next(numbers)
            where = splits[start : start + step]
            for number, split in enumerate(SPLITS):
                chosen = where == number
                if chosen.any():
                    whole = chosen.all()
                    yield x if whole else x[chosen], split, mine if mine is None or whole else mine[chosen]


def _meta(
    name: str, folder: Path, source: Source, data: Settings, transform: Transform, class_counts: dict[str, list[int]]
) -> dict[str, Any]:
    splits = {split: Rows(folder / f"{split}.npy") for split in SPLITS}
    for split, rows in splits.items():
        if not len(rows):
            raise UserError(f"{data.folder}: the split {split} is empty")
    # Grey levels that become 0 or 1 at each step cannot be compared with those that have become so.
    in_common = duplicates(
        {split: rows for split, rows in splits.items() if split != "train" or not transform.meta["each_step"]}
    )
    typed = isinstance(transform, Typed)
    columns = transform.columns if isinstance(transform, Typed) else _columns_of(splits["train"], source)
    decisions = [*source.decisions, *transform.decisions, *([] if typed else _coarse(columns))]
    if source.channels == "columns" and columns:
        decisions += sentences_of_twins(splits["train"], columns, data)
    decisions += [
        f"{count:,} examples of {pair.replace(' in ', ' also stand in ')}."
        for pair, count in in_common.items()
        if count
    ]
    meta: dict[str, Any] = {
        "name": name,
        "source": data.source,
        "kind": "table" if typed else KINDS[len(transform.shape)],
        "shape": list(transform.shape),
        "levels": transform.levels,
        "dtype": str(transform.dtype),
        "class_names": source.class_names,
        "columns": columns,
        "sample_rate": source.meta.get("sample_rate"),
        "encoding": source.meta.get("encoding"),
        "range": source.meta.get("range"),
        **{key: source.meta[key] for key in ("why", "label") if key in source.meta},
        **transform.meta,
        "counts": {split: len(rows) for split, rows in splits.items()},
        "class_counts": class_counts,
        "duplicates": in_common,
        "decisions": decisions,
        "checksums": source.checksums,
        "files": {path.name: file_digest(path) for path in sorted(folder.glob("*.npy"))},
    }
    return {**meta, "digest": data_digest(meta)}


def _columns_of(train: Rows, source: Source) -> list[dict[str, Any]]:
    """What is known of each number of a vector; nothing of other data."""
    columns = _columns(train, source.columns) if source.columns else []
    types = source.meta.get("types")
    return columns if types is None else [{**c, "type": t} for c, t in zip(columns, types, strict=True)]


def _columns(train: Rows, names: list[str]) -> list[dict[str, Any]]:
    """Name, mean, standard deviation, least and greatest value of each column; a UserError for a constant one."""
    shift = np.asarray(next(train.chunks(1))[0], np.float64)  # keeps E[x²] - E[x]² from cancelling
    total, square = np.zeros(len(names)), np.zeros(len(names))
    low, high = np.full(len(names), np.inf), np.full(len(names), -np.inf)
    for x in train.chunks():
        y = x.astype(np.float64) - shift
        total, square = total + y.sum(0), square + (y**2).sum(0)
        low, high = np.minimum(low, x.min(0)), np.maximum(high, x.max(0))
    mean = total / len(train)
    std = np.sqrt(np.maximum(square / len(train) - mean**2, 0))
    constant = [name for name, least, most in zip(names, low, high, strict=True) if least == most]
    if constant:
        raise UserError(f"column {constant[0]!r} is constant in the training split: it has no density; leave it out")
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise UserError(f"column {twice[0]!r} stands there twice; rename one")
    values = zip(names, mean + shift, std, low, high, strict=True)
    return [
        {"name": name, "mean": float(m), "std": float(s), "min": float(least), "max": float(most)}
        for name, m, s, least, most in values
    ]


def _coarse(columns: list[dict[str, Any]]) -> list[str]:
    """Of columns whose numbers are far from zero: how coarse float32 makes what varies in them."""
    found = []
    for column in columns:
        step = float(np.spacing(np.float32(max(abs(column["min"]), abs(column["max"])))))
        if column["std"] < COARSE * step:
            found.append(
                f"Column {column['name']!r} is rounded to steps of {step:.3g}: its standard deviation is"
                f" {column['std']:.3g}, and its numbers, of up to {column['max']:.6g}, are stored as float32; subtract"
                " an offset from it."
            )
    return found


def _take_place(building: Path, folder: Path, old: Path) -> None:
    """Put the finished folder where the old one was, which is kept as `old` meanwhile: one of the two is whole."""
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    building.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
