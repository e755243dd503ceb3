"""Completions: what is hidden of an example is drawn anew, the rest is kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..mistake import Mistake
from . import hiding, sights
from .opened import Opened, as_frame
from .own_examples import Example
from .python_lines import plain, script


def painting(opened: Opened, example: Example, hidden: hiding.Hidden | None) -> dict[str, Any]:
    """What the painter shows: an image, its size, and the pixels that are hidden, counted row by row."""
    (file,) = opened.model.files(np.asarray(example.data)[:1].astype(np.uint8), "png")
    _, height, width = opened.model.event.shape
    pixels = [] if hidden is None else np.flatnonzero(hidden.mask[0]).tolist()
    return {"image": sights.data_uri(file, "image/png"), "width": width, "height": height, "hidden": pixels}


def hidden_of(opened: Opened, mask: str, seed: int, painted: Mapping[str, Any] | None) -> hiding.Hidden:
    """What is hidden of an image or a sequence, by the name of a mask or as it was painted."""
    shape = opened.model.event.shape
    if opened.kind == "sequence":
        return hiding.of_sequence(mask, shape, seed)
    if mask == hiding.PAINTED:
        return hiding.of_pixels((painted or {}).get("hidden", ()), shape)
    return hiding.of_image(mask, shape, seed)


def complete(
    opened: Opened,
    example: Example,
    hidden: hiding.Hidden | None,
    n: int,
    seed: int | None,
    temperature: float,
    label: str | None,
) -> tuple[str, str]:
    """Completions as HTML, and Python that draws them. What rows lack is blank in them; of others `hidden` says it."""
    lines, x, marked = [example.python], example.data, list[str]()
    if hidden is None:
        frame = as_frame(opened, x)
        marked = [name for name in frame.columns if frame[name].isna().any()]
        if not marked and opened.label_column in {None, *frame.columns}:
            raise Mistake("Nothing is blank: empty the cells that are to be drawn.")
    else:
        if not hidden.mask.any():
            raise Mistake("Nothing is hidden: choose a part, or paint on the picture what is to be drawn.")
        x = np.array(x, np.float64)
        x[:, hidden.mask] = np.nan
        lines += ["x = x.astype(float)", f"x{hidden.index} = np.nan"]
    labels = [label] if label is not None else []
    params = {"task": "complete", "n": n, "seed": seed, "temperature": float(temperature), "labels": labels}
    made = opened.ask(x, plain(params))
    params["seed"] = made.attrs["seed"]
    note = (
        "Exact: drawn from the model's distribution of what is hidden, given the rest."
        if made.attrs["exact"]
        else APPROXIMATE
    )
    if hidden is None and opened.label_column is not None and opened.label_column not in x.columns:
        note += f" {opened.label_column} was not given, and is not drawn."
    body = sights.examples(opened, made, None, None if hidden is None else hidden.mask[0], marked)
    python = script(opened.loading, *lines, f"made = {opened.loading.call('x', plain(params))}")
    return sights.answer(f"{n} completion{'s' if n > 1 else ''}", body, " ".join([note, example.note]).strip()), python


APPROXIMATE = (
    "Approximate: what is drawn may not see all of the rest, as this model goes through it in an order of its own."
)
