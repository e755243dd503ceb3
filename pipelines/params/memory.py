"""What was found right is not looked at again: it takes PyTorch, and seconds, to ask the families.

A small file beside the checkpoints has the digest of all that a check has read. Anything else makes it run again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from ..files import write_text

FOLDER = ".genera/checked"


class Memory:
    """Whether a check of the files `read` of a project, by the code as it is, has found nothing wrong."""

    def __init__(self, root: Path, check: str, read: Sequence[str]) -> None:
        self._file, self._read = root / FOLDER / check, [root / name for name in read]

    @property
    def fresh(self) -> bool:
        """Was it remembered that all is well?"""
        return self._file.is_file() and self._file.read_text(encoding="utf-8") == self._digest()

    def remember(self) -> None:
        """All is well. Where nothing can be written, the check is made each time."""
        with suppress(OSError):
            write_text(self._file, self._digest())

    def _digest(self) -> str:
        found = hashlib.sha256()
        for path in (*self._read, *_code()):
            content = path.read_bytes() if path.is_file() else b""
            found.update(f"{path.name}:{len(content)}:".encode())
            found.update(content)
        return found.hexdigest()


def _code() -> Iterator[Path]:
    """The files of the families and of the checks."""
    models = find_spec("models")
    assert models is not None  # it is installed together with this package
    assert models.origin is not None
    for folder in (Path(models.origin).parent, Path(__file__).parent):
        yield from sorted(folder.rglob("*.py"))
