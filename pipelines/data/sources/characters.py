"""The text of a file as Pandas is to read it: decompressed, decoded, and without the lines that are no rows.

Such lines become blank, and Pandas passes over blank lines, so that the numbers of lines are those of an editor.
"""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import re
import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from ...errors import UserError
from .east_asian import readings
from .foreign import members

BLOCK = 1 << 18  # bytes that are decoded at once
UNIT = "\x1f"  # ASCII's own separator, which no keyboard writes, in the place of one with several characters
BLANK_LINES = "Blank lines that were passed over: {count}."
COMMENTS = "Lines that begin with {mark}, and were passed over as comments: {count}."
EUROPEAN = ("cp1252", "cp1250", "cp1251")  # of the west, of the middle, Cyrillic
FOREIGN_WORD = re.compile(rb"[\xc0-\xff]{4}")  # the letters of a word of another alphabet stand side by side
SIGNS = re.compile(r"[€£§½¼]+(?![^\W\d_])|(?<=[mM\d])[²³]+|[°–—‘’“”„«»…·\xa0]+")  # what is common beside letters
MARKS = {codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


@dataclass
class Reading:
    """How the bytes of a file become the text that Pandas reads."""

    path: Path
    encoding: str
    encoding_key: str = "encoding"  # what the parameter is called in params.yaml
    comment: str | None = None
    wide: str | None = None  # a separator of several characters
    blank_first: bool = False  # the first line, `sep=;`, is no row
    one_column: bool = False
    separator: str = ","  # as Pandas is told
    before: str = ""  # the names of columns that the file itself does not have
    said: Counter[str] = field(default_factory=Counter)

    @contextmanager
    def opened(self) -> Iterator[Characters]:
        """The text, from its beginning on."""
        with self.path.open("rb") as raw, _unpacked(raw, self.path) as content:
            yield Characters(raw, content, self)


@contextmanager
def _unpacked(raw: IO[bytes], path: Path) -> Iterator[Any]:
    suffix = path.suffix.lower()
    if suffix == ".zip":
        with zipfile.ZipFile(raw) as archive, archive.open(members(path, archive.namelist())) as content:
            yield content
        return
    if suffix == ".zst":
        with pa.CompressedInputStream(pa.PythonFile(raw, "r"), "zstd") as content:
            yield content
        return
    openers: dict[str, Any] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
    if suffix not in openers:
        yield raw
        return
    with openers[suffix](raw) as content:
        yield content


class Characters(io.TextIOBase):
    """A text that is read once, from the beginning to the end."""

    def __init__(self, raw: IO[bytes], content: Any, how: Reading) -> None:
        self._raw, self._content, self._how = raw, content, how
        self._decoder = codecs.getincrementaldecoder(how.encoding)()
        self._lines = 0  # before those that are decoded next
        self._quoted = False
        self._pieces = self._edited() if self._by_lines else self._decoded()
        self._left = how.before
        self.blanks_behind = False  # is there a blank behind any of the cells that were read?
        parts = (how.separator, "\r", "\n")
        self._behind = [blank + part for blank in " \t" for part in parts if blank != how.separator]

    @property
    def position(self) -> int:
        """How many bytes of the file have been read."""
        return self._raw.tell()

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> str:
        """The next characters, at most `size`."""
        if size is None or size < 0:
            text, self._left = self._left + "".join(self._pieces), ""
            return text
        while len(self._left) < size and (piece := next(self._pieces, None)) is not None:
            at_end = piece.endswith((" ", "\t")) or not piece
            self.blanks_behind |= at_end or any(mark in piece for mark in self._behind)
            self._left += piece
        text, self._left = self._left[:size], self._left[size:]
        return text

    @property
    def _by_lines(self) -> bool:
        how = self._how
        return bool(how.comment or how.wide or how.blank_first or how.one_column)

    def _decoded(self) -> Iterator[str]:
        start = True
        while block := self._content.read(BLOCK):
            piece = self._decode(bytes(block), False)
            yield piece.removeprefix("\ufeff") if start else piece
            start = start and not piece
        yield self._decode(b"", True)

    def _decode(self, block: bytes, final: bool) -> str:
        try:
            piece = self._decoder.decode(block, final)
        except UnicodeDecodeError as error:
            raise UserError(_undecodable(self._how, error, self._lines)) from None
        except UnicodeError:  # no mark at the beginning
            likely = "remove that line" if _is_utf_8(block) else f"write {likely_encoding(block, 0)}"
            key = f"data.{self._how.encoding_key}"
            raise UserError(f"{self._how.path}: is no {self._how.encoding}: in params.yaml, {key}: {likely}") from None
        self._lines += block.count(b"\n")
        return piece

    def _edited(self) -> Iterator[str]:
        """Whole lines, with those that are no rows made blank."""
        rest, first = "", self._how.blank_first
        for piece in self._decoded():
            end = piece.rfind("\n") + 1
            if not end:
                rest += piece
                continue
            text, rest = rest + piece[:end], piece[end:]
            yield self._edit(text[text.index("\n") :] if first else text)
            first = False
        yield self._edit(rest)

    def _edit(self, text: str) -> str:
        how = self._how
        if how.comment is not None:
            text, count = re.subn(rf"(?m)^[ \t]*{re.escape(how.comment)}[^\r\n]*", "", text)
            how.said.update({COMMENTS.replace("{mark}", how.comment): count} if count else {})
        elif how.one_column:
            count = len(re.findall(r"(?m)^[ \t]*\r?\n", text))
            how.said.update({BLANK_LINES: count} if count else {})
        return self._narrowed(text, how.wide) if how.wide else text

    def _narrowed(self, text: str, wide: str) -> str:
        """Put one character into the place of several, but not between quotation marks."""
        if UNIT in text:
            raise UserError(f"{self._how.path}: holds the character {UNIT!r}, so that {wide!r} cannot separate cells")
        parts = text.split('"')
        for number, part in enumerate(parts):
            if not self._quoted ^ (number % 2 == 1):
                parts[number] = part.replace(wide, UNIT)
        self._quoted ^= len(parts) % 2 == 0
        return '"'.join(parts)


def _is_utf_8(block: bytes) -> bool:
    """Is it text in UTF-8, but for a character that the end cuts?"""
    if 0 in block:
        return False
    try:
        codecs.getincrementaldecoder("utf-8")().decode(block)
    except UnicodeDecodeError:
        return False
    return True


def _undecodable(how: Reading, error: UnicodeDecodeError, lines: int) -> str:
    """The byte that is no character, and the encoding in which it is one."""
    data = bytes(error.object)
    line = lines + data.count(b"\n", 0, error.start) + 1
    byte = data[error.start] if error.start < len(data) else data[-1]
    where = f"{how.path}: line {line}, byte 0x{byte:02x}: is no {how.encoding}"
    eastern = {} if data.startswith(tuple(MARKS)) or 0 in data[:200] else readings(data, error.start)
    if len(eastern) > 1:
        read = ", ".join(f"in {name} it reads {word!r}" for name, word in eastern.items())
        return f"{where}; {read}: write under data in params.yaml the one that is right: " + " or ".join(
            f"{how.encoding_key}: {name}" for name in eastern
        )
    likely = next(iter(eastern), None) or likely_encoding(data, error.start)
    word = eastern.get(likely) or word_at(data, error.start).decode(likely, "replace").strip("\x00")
    return (
        f"{where}; in {likely} it reads {word!r}: if that is right, write under data in params.yaml:"
        f" {how.encoding_key}: {likely}"
    )


def likely_encoding(data: bytes, at: int) -> str:
    """The encoding that a text has that is not UTF-8: by its mark, or by which one can decode what stands there."""
    for mark, name in MARKS.items():
        if data.startswith(mark):
            return name
    if data[:200].count(0) > len(data[:200]) // 4:
        return "utf-16-le" if data[1:2] == b"\x00" else "utf-16-be"
    near = word_at(data, at)
    order = reversed(EUROPEAN) if FOREIGN_WORD.search(near) else iter(EUROPEAN)
    return next((name for name in order if _letters(near, name)), "latin-1")


def _letters(word: bytes, encoding: str) -> bool:
    """Are the bytes that are not ASCII letters, or signs that are common, in this encoding?"""
    try:
        text = word.decode(encoding)
    except UnicodeDecodeError:
        return False
    return all(character.isalpha() for character in SIGNS.sub("", text) if not character.isascii())


def word_at(data: bytes, at: int) -> bytes:
    """The cell or the word around a byte."""
    breaks = set(b" ,;\t\r\n|\"'")
    start = end = at
    while start > max(0, at - 20) and data[start - 1] not in breaks:
        start -= 1
    while end < min(len(data), at + 20) and data[end] not in breaks:
        end += 1
    return data[start:end]
