"""CelebA: 202,599 aligned faces of 178×218, with 40 attributes and their own three splits, through torchvision."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from torchvision import datasets

from ..data_params import CelebA
from ..errors import UserError
from . import Part, Source
from .files import put
from .images import Decoding, decode
from .published import downloads, one_line, verify

CENTRE = (15, 40, 163, 188)  # 148×148 pixels around the face, as the literature cuts them


def read(data: CelebA, root: Path, spool: Path) -> Source:
    """Faces (N, 3, size, size) of 256 levels, labelled by whether they have the attribute."""
    folder, kind = root / data.path, datasets.CelebA
    expected = downloads(kind)
    verify(folder, expected)
    decoding = Decoding("rgb", (data.size, data.size), box=CENTRE)
    decisions = [f"The central 148×148 pixels of each face were resized to {data.size}×{data.size}."]
    parts = {}
    for name, split in (("train", "train"), ("val", "valid"), ("test", "test")):
        with one_line(folder, "celeba", expected):
            faces = kind(folder, split=split, download=True)
        names = [attribute for attribute in faces.attr_names if attribute]
        if data.attribute is not None and data.attribute not in names:
            allowed = ", ".join(names)
            raise UserError(f"params.yaml: data.attribute: {data.attribute!r} is not allowed: must be one of {allowed}")
        paths = [folder / kind.base_folder / "img_align_celeba" / str(file) for file in faces.filename]
        x, _ = decode(f"prepare: {name} faces", paths, decoding, spool / f"{name}.npy", "refuse", decisions)
        labels = None
        if data.attribute is not None:
            has = faces.attr[:, names.index(data.attribute)].numpy().astype(np.int64)
            labels = put(spool, f"{name}_labels", has)
        parts[name] = Part(x, labels)
    class_names = [] if data.attribute is None else [f"not {data.attribute}", data.attribute]
    checksums = {f"{name} (MD5)": md5 for name, md5 in expected.items() if (folder / name).exists()}
    return Source(parts, 256, "rgb", class_names, decisions=decisions, checksums=checksums)
