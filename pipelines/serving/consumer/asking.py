"""`genera score` and `genera encode`: what a model says about each example of a file."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .array_files import ARRAYS, read_array, read_image, read_sound
from .mistake import Mistake
from .model_uri import Model, must_offer
from .table_files import TABLES, TableWriter, is_table, read_tables
from .whole_files import counted, whole

ENDINGS = (*TABLES, ".npy")


def check_ending(out: Path | None) -> None:
    """Refuse a file of a format that nothing can be written in, before a model is loaded."""
    if out is not None and not out.name.lower().endswith(ENDINGS):
        raise Mistake(f"--out: {out}: must end with one of {', '.join(ENDINGS)}")


def score(model: Model, data: Path, out: Path | None, separator: str | None, missing: Sequence[str]) -> None:
    """The rows of a table with their scores beside them, or the scores of other examples."""
    task = "score" if "score" in model.tasks else "log_prob"
    must_offer(model, task, "has no likelihoods")

    def scored(given: Any) -> pd.DataFrame:
        answer = model.answer(given, {"task": task})
        return answer if isinstance(answer, pd.DataFrame) else pd.DataFrame({"log_prob": answer})

    _each(model, data, out, separator, missing, scored, beside=True)


def encode(
    model: Model, data: Path, out: Path | None, labels: Sequence[str], separator: str | None, missing: Sequence[str]
) -> None:
    """The codes of examples."""
    must_offer(model, "encode", "has no codes")

    def encoded(given: Any) -> pd.DataFrame:
        codes = np.asarray(model.answer(given, {"task": "encode", "labels": list(labels)}))
        return pd.DataFrame(codes, columns=[f"code_{place}" for place in range(codes.shape[1])])

    _each(model, data, out, separator, missing, encoded, beside=False)


def _each(
    model: Model,
    data: Path,
    out: Path | None,
    separator: str | None,
    missing: Sequence[str],
    function: Callable[[Any], pd.DataFrame],
    beside: bool,
) -> None:
    """A function of the examples of a file, some at a time; `beside` the columns that the file has."""
    made: list[pd.DataFrame] = []
    with whole(out) as file, counted("rows") as advance:
        arrays = file is not None and file.suffix == ".npy"
        with TableWriter(None if arrays else file) as writer:
            for given, frame in examples_of(model, data, separator, missing):
                part = function(given)
                if arrays:
                    made.append(part)
                else:
                    writer.write(_beside(data, frame, part) if beside and frame is not None else part)
                advance(len(part))
        if arrays:
            assert file is not None
            with file.open("wb") as target:
                np.save(target, pd.concat(made).to_numpy())
    if out is not None:
        print(f"{writer.rows or sum(map(len, made)):,} rows in {out}", file=sys.stderr)


def _beside(data: Path, frame: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    """Rows, and the scores of each in columns of their own."""
    taken = [str(name) for name in scores if name in frame.columns]
    if taken:
        raise Mistake(f"{data}: has the columns {', '.join(taken)}, which scores are to be written in")
    return pd.concat([frame.reset_index(drop=True), scores], axis=1)


def examples_of(
    model: Model, data: Path, separator: str | None, missing: Sequence[str]
) -> Iterator[tuple[Any, pd.DataFrame | None]]:
    """What a model is given of a file, some at a time, and the rows of a table as they are.

    Columns that the model does not know are passed over, which is said once.
    """
    if not data.is_file():
        raise Mistake(f"{data}: there is no such file")
    if is_table(data):
        for number, frame in enumerate(read_tables(data, separator, missing)):
            yield known_columns(model, frame, quiet=number > 0), frame
    elif data.name.lower().endswith(ARRAYS):
        x = read_array(data)
        for start in range(0, len(x), 4096):
            yield np.asarray(x[start : start + 4096]), None
    elif data.suffix.lower() == ".png" and model.event.kind == "image" and model.event.levels is not None:
        yield read_image(data, model.event, model.data.get("palette"))[None], None
    elif data.suffix.lower() == ".wav" and model.event.kind == "sequence":
        yield read_sound(data, model), None
    else:
        more = {"image": [".png"], "sequence": [".wav"]}.get(model.event.kind, [])
        raise Mistake(f"{data}: must end with one of {', '.join((*TABLES, *ARRAYS, *more))}")


def known_columns(model: Model, frame: pd.DataFrame, quiet: bool) -> pd.DataFrame:
    """The columns that the model knows; a line says which others there are."""
    if not model.columns:
        return frame.apply(pd.to_numeric, errors="coerce").astype(float)
    others = [str(name) for name in frame.columns if str(name) not in model.columns]
    if others and not quiet:
        shown = ", ".join(others[:8]) + (", …" if len(others) > 8 else "")
        are = "columns are" if len(others) > 1 else "column is"
        print(f"{len(others)} {are} not known to the model, and passed over: {shown}", file=sys.stderr)
    return frame.drop(columns=others)
