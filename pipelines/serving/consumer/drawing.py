"""`genera sample`, `complete` and `decode`: examples that a model draws, as files of the kind that its data are."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .array_files import ARRAYS, MOST, ArrayWriter, read_array, read_mask, write_grid
from .asking import examples_of
from .mistake import Mistake
from .model_uri import Model, must_offer
from .table_files import TABLES, TableWriter, is_table, read_tables
from .whole_files import counted, whole

ENDINGS = (*TABLES, *ARRAYS, ".png", ".wav")


def check_ending(out: Path | None) -> None:
    """Refuse a file of a format that nothing can be written in, before a model is loaded."""
    if out is not None and not out.name.lower().endswith(ENDINGS):
        raise Mistake(f"--out: {out}: must end with one of {', '.join(ENDINGS)}")


def sample(
    model: Model,
    n: int,
    out: Path | None,
    labels: Sequence[str],
    where: Sequence[str],
    seed: int | None,
    temperature: float,
) -> None:
    """Draw n examples."""
    given = list(islice(cycle(labels), n)) if len(labels) > 1 else list(labels)
    request = {
        "task": "sample",
        "n": n,
        "labels": given,
        "where": list(where),
        "seed": seed,
        "temperature": temperature,
    }
    _write(model, [(None, request)], n, out)


def complete(
    model: Model,
    data: Path,
    mask: Path | None,
    out: Path | None,
    request: dict[str, Any],
    separator: str | None,
    missing: Sequence[str],
) -> None:
    """Draw what is missing of the examples of a file, n times."""
    must_offer(model, "complete", "completes nothing")
    if mask is not None and model.event.kind != "image":
        raise Mistake(f"--mask: is for images, and this model knows {model.event.in_words}")
    hidden = None if mask is None else read_mask(mask, model.event)
    asked = {"task": "complete", **request}

    def questions() -> Iterator[tuple[Any, dict[str, Any]]]:
        seed = request["seed"]
        for number, (given, _) in enumerate(examples_of(model, data, separator, missing)):
            x = given
            if hidden is not None:
                x = np.where(hidden, np.nan, np.asarray(given, np.float64).reshape(-1, *model.event.shape))
            yield x, asked if seed is None else {**asked, "seed": seed + number}

    _write(model, questions(), None, out, each=request["n"])


def decode(model: Model, codes: Path, out: Path | None, labels: Sequence[str]) -> None:
    """Write what the codes of a file stand for."""
    must_offer(model, "decode", "has no codes")
    if is_table(codes):
        z = pd.concat(list(read_tables(codes, None, ()))).apply(pd.to_numeric).to_numpy(np.float32)
    else:
        z = read_array(codes)
    _write(model, [(z, {"task": "decode", "labels": list(labels)})], len(z), out)


def _write(model: Model, questions: Any, total: int | None, out: Path | None, each: int = 1) -> None:
    """Ask, and write the answers to a file of the kind that its ending names."""
    ending = "" if out is None else out.suffix.lower()
    if ending in (".png", ".wav"):
        _write_media(model, questions, out, ending[1:])
    elif model.columns:
        _write_table(model, questions, total, out, each)
    else:
        _write_arrays(model, questions, out)


def _write_table(model: Model, questions: Any, total: int | None, out: Path | None, each: int) -> None:
    if out is not None and not is_table(out):
        raise Mistake(f"--out: {out}: rows are written to a file that ends with one of {', '.join(TABLES)}")
    said: dict[str, Any] = {}
    with whole(out) as file, counted("rows", total) as advance, TableWriter(file) as writer:
        for data, request in questions:
            parts, said = model.parts(data, request)
            for part in parts:
                frame = part
                if each > 1:
                    places = np.arange(writer.rows, writer.rows + len(part))
                    frame = part.reset_index(drop=True).assign(row=places // each, draw=places % each)
                writer.write(frame)
                advance(len(part))
    _say(f"{writer.rows:,} rows", out, said)


def _write_arrays(model: Model, questions: Any, out: Path | None) -> None:
    if out is None:
        raise Mistake("--out: is missing: write to a .npy or .npz file, a .png of images or a .wav of sounds")
    if not out.name.lower().endswith(ARRAYS):
        raise Mistake(f"--out: {out}: arrays are written to a file that ends with one of {', '.join(ARRAYS)}")
    count, said = 0, dict[str, Any]()
    with whole(out) as file, counted("examples") as advance:
        assert file is not None
        answers = []
        for data, request in questions:
            rows = request.get("n") or 1
            total = rows * (1 if data is None else len(data)) if request["task"] != "decode" else len(data)
            answers.append((data, request, total))
        writer = ArrayWriter(file, sum(total for *_, total in answers))
        labels: list[str] = []
        for data, request, _ in answers:
            parts, said = model.parts(data, request)
            for part in parts:
                writer.write(np.asarray(part))
                count += len(part)
                advance(len(part))
            labels += said.get("labels", [])
        more = {"labels": labels} if labels else {}
        writer.close(**more, **({"seed": said["seed"]} if "seed" in said else {}))
    _say(f"{count:,} examples", out, said)


def _write_media(model: Model, questions: Any, out: Path | None, form: str) -> None:
    assert out is not None
    files: list[bytes] = []
    said: dict[str, Any] = {}
    for data, request in questions:
        if request["task"] == "sample" and request["n"] > MOST:
            raise Mistake(f"--n: {request['n']:,} are too many for files of a {form}: {MOST} at most; write .npz")
        answer = model.answer(data, {**request, "format": form})
        files += list(answer.iloc[:, 0])
        said = answer.attrs
    if form == "png":
        with whole(out) as file:
            assert file is not None
            write_grid(file, files)
        _say(f"{len(files):,} images", out, said)
        return
    names = (
        [out] if len(files) == 1 else [out.with_name(f"{out.stem}-{number:04d}.wav") for number in range(len(files))]
    )
    for name, content in zip(names, files, strict=True):
        with whole(name) as file:
            assert file is not None
            file.write_bytes(content)
    _say(f"{len(files):,} sounds", names[0] if len(names) == 1 else Path(f"{names[0]} … {names[-1].name}"), said)


def _say(what: str, out: Path | None, said: dict[str, Any]) -> None:
    """A line on what was written, how, and by which seed."""
    how = [f"seed {said['seed']}"] if "seed" in said else []
    how += [str(said["where"])] if "where" in said else []
    if "exact" in said:
        how.append("exact" if said["exact"] else "approximate")
    print(f"{what} in {out or 'all'}{': ' if how else ''}{', '.join(how)}", file=sys.stderr)
