"""CelebA: 202,599 aligned faces of 178×218, with 40 attributes and their own three splits, through torchvision."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import numpy as np
from torchvision import datasets
from torchvision.datasets.utils import download_file_from_google_drive

from ...errors import UserError
from ...params.data_section import CelebA
from . import Part, Source
from .decoding import Decoding
from .finding import put
from .image_folder import Pictures
from .published import downloads, one_line, verify

CENTRE = (15, 40, 163, 188)  # 148×148 pixels around the face, as the literature cuts them


ARCHIVE = "img_align_celeba.zip"


def read(data: CelebA, root: Path, spool: Path) -> Source:
    """Faces (N, 3, size, size) of 256 levels, labelled by whether they have the attribute."""
    folder, kind = root / data.path, datasets.CelebA
    expected = downloads(kind)
    verify(folder, expected)
    with one_line(folder, "celeba", expected):
        _download(folder / kind.base_folder, kind.file_list)
        _unpack(folder / kind.base_folder / ARCHIVE)
    decoding = Decoding("rgb", (data.size, data.size), box=CENTRE)
    decisions = [f"The central 148×148 pixels of each face were resized to {data.size}×{data.size}."]
    parts = {}
    for name, split in (("train", "train"), ("val", "valid"), ("test", "test")):
        with one_line(folder, "celeba", expected):
            faces = kind(folder, split=split)
        names = [attribute for attribute in faces.attr_names if attribute]
        if data.attribute is not None and data.attribute not in names:
            allowed = ", ".join(names)
            raise UserError(f"params.yaml: data.attribute: {data.attribute!r} is not allowed: must be one of {allowed}")
        paths = [folder / kind.base_folder / "img_align_celeba" / str(file) for file in faces.filename]
        images = Pictures(decoding)
        x, _ = images.decode(f"prepare: {name} faces", paths, spool / f"{name}.npy")
        images.settle("refuse")
        labels = None
        if data.attribute is not None:
            has = faces.attr[:, names.index(data.attribute)].numpy().astype(np.int64)
            labels = put(spool, f"{name}_labels", has)
        parts[name] = Part(x, labels)
    class_names = [] if data.attribute is None else [f"not {data.attribute}", data.attribute]
    checksums = {f"{name} (MD5)": md5 for name, md5 in expected.items() if (folder / name).exists()}
    return Source(parts, 256, "rgb", class_names, decisions=decisions, checksums=checksums)


def _download(folder: Path, files: list[tuple[str, str, str]]) -> None:
    """Download the files that are not there; the archive is not needed once it is unpacked."""
    for identifier, md5, name in files:
        if not (folder / name).exists() and not (name == ARCHIVE and (folder / ARCHIVE).with_suffix("").exists()):
            download_file_from_google_drive(identifier, folder, name, md5)


def _unpack(archive: Path) -> None:
    """Unpack the images, whole or not at all: torchvision would take half of them for all."""
    images, building = archive.with_suffix(""), archive.with_name(f".{archive.name}.unpacking")
    if images.exists():
        return
    shutil.rmtree(building, ignore_errors=True)
    try:
        with zipfile.ZipFile(archive) as file:
            file.extractall(building)
        (building / images.name).rename(images)
    finally:
        shutil.rmtree(building, ignore_errors=True)
