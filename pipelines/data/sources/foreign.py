"""What a file really is, whatever it is called, and what to do about it: told by its first bytes."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Sequence
from pathlib import Path

from ...errors import UserError

COMPRESSED = {".gz": "gzip", ".bz2": "bzip2", ".xz": "xz", ".zst": "zstd", ".zip": "zip"}
FIRST = 1 << 10  # bytes that tell what a file is

SIGNS: dict[bytes, str] = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"PK\x03\x04": "zip",
    b"PK\x05\x06": "zip",
    b"PAR1": "parquet",
    b"PARE": "an encrypted Parquet file; write it again without encryption",
    b"version https://git-lfs": "a pointer of git-LFS, not the file itself; fetch it: git lfs pull",
    b"\xd0\xcf\x11\xe0": "an old Excel file (.xls), or one with a password; save it as .xlsx without one",
    b"ARROW1": "a Feather file; write it again with pandas' to_parquet",
    b"FEA1": "a Feather file; write it again with pandas' to_parquet",
    b"ORC": "an ORC file; write it again with pandas' to_parquet",
    b"Obj\x01": "an Avro file; write it again as Parquet",
    b"\x93NUMPY": "an array of NumPy; write under data: source: npy",
    b"\x89HDF": "an HDF5 file; write it again with pandas' to_parquet",
    b"SQLite format 3": "a database of SQLite; write its table as CSV",
    b"%PDF-": "a PDF file; get the table itself",
    b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"7z\xbc\xaf": "a 7-Zip archive; unpack it",
    b"Rar!\x1a": "a RAR archive; unpack it",
}
CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a]")
PAGE = re.compile(rb"\s*<(!doctype\s+html|html|head|body)\b", re.IGNORECASE)
MARKED_UP = re.compile(rb"\s*<\?xml\b", re.IGNORECASE)
OBJECTS = re.compile(rb'\s*(\{\s*"|\[\s*[\[{])')


def kind(path: Path) -> str:
    """`text`, `parquet`, `xlsx`, a way of compression, or what else it is in words."""
    with path.open("rb") as file:
        first = file.read(FIRST).removeprefix(b"\xef\xbb\xbf")
    binary = CONTROL.search(first) is not None
    for sign, name in SIGNS.items():
        if first.startswith(sign) and (binary or not sign.isalnum()):  # a column may be called ORCID
            return _of_archive(path) if name == "zip" else name
    if first[257:262] == b"ustar":
        return "a tar archive; unpack it"
    return kind_of_text(first)


def kind_of_text(first: bytes) -> str:
    """`text`, or in words what else begins like this."""
    if PAGE.match(first):
        return "a web page (HTML), perhaps of a sign-in; download the file itself"
    if MARKED_UP.match(first):
        return "an XML file; write the table as CSV"
    return "a JSON file; write the table as CSV" if OBJECTS.match(first) else "text"


def _of_archive(path: Path) -> str:
    """Excel and LibreOffice write archives, too."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError):
        return "zip"
    if "xl/workbook.xml" in names:
        return "xlsx"
    if "xl/workbook.bin" in names:
        return "a binary Excel file (.xlsb); save it as .xlsx"
    return "a table of LibreOffice (.ods); save it as .xlsx" if "content.xml" in names else "zip"


def refuse(path: Path, source: str) -> None:
    """A UserError if a file is not what the parameters and its name say, with the line or the command that mends it."""
    ending = COMPRESSED.get(path.suffix.lower(), "text")
    expected = ending if source == "csv" else source
    found = kind(path) if path.stat().st_size else expected  # whether it is empty is the reader's business
    if found == expected:
        return
    called = expected if expected in COMPRESSED.values() else {"xlsx": "Excel", "parquet": "Parquet"}.get(expected)
    cure = _cure(path, found, expected)
    known = found in ("text", "xlsx", "parquet", *COMPRESSED.values())
    other = f", no {called} file" if called else "" if known else ", no table"
    raise UserError(f"{path}: is {_named(found)}{other}{': ' if cure else ''}{cure}")


def _named(found: str) -> str:
    """The kind of a file in words, without what to do about it."""
    plain = {"xlsx": "an Excel file", "parquet": "a Parquet file", "text": "text"}
    return plain.get(found) or (
        f"compressed by {found}" if found in COMPRESSED.values() else found.split("; ", maxsplit=1)[0]
    )


def _cure(path: Path, found: str, expected: str) -> str:
    """What to do about a file that is something else."""
    if found in ("parquet", "xlsx"):
        return f"write under data in params.yaml: source: {found}"
    if found in COMPRESSED.values():
        suffix = next(suffix for suffix, name in COMPRESSED.items() if name == found)
        stem = path.stem if expected in COMPRESSED.values() else path.name
        return f"rename it to {stem}{suffix}" + ("" if expected != "parquet" else ", or unpack it")
    if found == "text":
        if expected in COMPRESSED.values():
            return f"rename it to {path.stem}"
        name = f", and rename it to {path.stem}.csv" if path.suffix.lower() == ".xlsx" else ""
        return f"write under data in params.yaml: source: csv{name}"
    return "".join(found.split("; ")[1:])


def members(path: Path, names: Sequence[str]) -> str:
    """The only file in an archive. A UserError names several."""
    files = [name for name in names if not name.endswith("/") and "__MACOSX" not in name and ".DS_Store" not in name]
    if len(files) != 1:
        listed = ", ".join(files[:20]) or "nothing"
        raise UserError(f"{path}: must hold one file, and holds {listed}: unpack it, and name one in data.path")
    return files[0]
