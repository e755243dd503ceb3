"""Arrays of see-through images on a background: the option `background` of the sources npz and npy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import ImageColor

from ...errors import UserError
from ...params.data_section import Arrays
from ..rows import Rows, RowsWriter

ALPHA = (2, 4)  # channels of images of which the last says how opaque pixels are
WAY_OUT = "if the last channel says how opaque pixels are, set data.background to white, grey, black or a colour"


def on_background(arrays: dict[str, Rows], data: Arrays, spool: Path) -> tuple[dict[str, Rows], Arrays, list[str]]:
    """The arrays without their last channel, the parameters for those, and what is said of it."""
    if data.background is None:
        return arrays, data, []
    shapes = {split: data.shape or rows.shape[1:] for split, rows in arrays.items()}
    last = data.shape is None and data.layout == "channels_last"
    for split, shape in shapes.items():
        if len(shape) != 3 or shape[-1 if last else 0] not in ALPHA:
            raise UserError(
                f"params.yaml: data.background: is not read: {arrays[split].name} holds examples of shape"
                f" {list(shape)}, none with 2 or 4 channels; remove it, or correct data.layout"
            )
    composed, through = {}, 0
    for split, rows in arrays.items():
        composed[split], count = _composed(rows, shapes[split], last, data, spool / f"{split}_opaque.npy")
        through += count
    total = sum(map(len, arrays.values()))
    said = (
        f"{through:,} of {total:,} images are see-through in places: they were put on a {data.background} background."
    )
    if not through:
        said = "No image is see-through in any place: the last channel, which says so, was left out."
    if data.shape is not None:
        data = data.model_copy(update={"shape": (data.shape[0] - 1, *data.shape[1:])})
    return composed, data, [said]


def _composed(rows: Rows, shape: tuple[int, ...], last: bool, data: Arrays, target: Path) -> tuple[Rows, int]:
    """Images c α + b (1 - α) of colours c and opacities α on a background b, and how many are see-through."""
    axis, top, through = (-1 if last else 0), _top(rows, data), 0
    channels = shape[axis] - 1
    assert data.background is not None
    colour = np.array(ImageColor.getcolor(data.background, "RGB" if channels == 3 else "L"), np.float64) * (top / 255)
    background = colour.reshape((channels,) if last else (channels, 1, 1))
    opaque = (*shape[:-1], channels) if last else (channels, *shape[1:])
    with RowsWriter(target, opaque, rows.dtype) as writer:
        for chunk in rows.chunks():
            colours, opacity = np.split(
                chunk.reshape(len(chunk), *shape).astype(np.float64), [channels], -1 if last else 1
            )
            if not ((opacity >= 0) & (opacity <= top)).all():
                raise UserError(
                    f"{rows.name}: opacities from {opacity.min():g} to {opacity.max():g} are not allowed: must be from"
                    f" 0 to {top:g}"
                )
            through += int((opacity < top).any((1, 2, 3)).sum())
            mixed = background + (colours - background) * (opacity / top)
            writer.append((mixed if rows.dtype.kind == "f" else np.rint(mixed)).astype(rows.dtype))
    return Rows(target, rows.name), through


def _top(rows: Rows, data: Arrays) -> float:
    """What an opaque pixel has."""
    if rows.dtype.kind == "f":
        return 1.0
    if rows.dtype in (np.uint8, np.uint16) and data.levels is None:
        return float(np.iinfo(rows.dtype).max)
    return float((data.levels or 256) - 1)
