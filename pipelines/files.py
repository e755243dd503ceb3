"""Files that are whole or absent: written under a temporary name, flushed to the disk, then moved."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from .errors import UserError

# How numpy and safetensors say that the disk is full: neither says it with an errno.
FULL = re.compile(r"os error (28|122)\b|\d+ requested and \d+ written")
OWN = 0o600  # the permissions of a file that its owner alone may read


def unique_beside(path: Path) -> Path:
    """A temporary path beside `path` that no other process uses, on whatever machine that sees the folder."""
    return path.with_name(f".{path.name}.{uuid4().hex}.tmp")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it takes the place of `path`, on failure it is removed.

    Whoever may read new files of the folder may read this one, also if a library keeps what it writes to itself, as
    safetensors does. A full disk is an OSError with ENOSPC and the name of the file, whichever library met it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = unique_beside(path)
    try:
        yield temporary
        if stat.S_IMODE(temporary.stat().st_mode) == OWN:
            temporary.chmod(_ordinary_mode(path))
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except Exception as error:
        if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or FULL.search(str(error)):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def _ordinary_mode(path: Path) -> int:
    """The permissions of a new file beside `path`."""
    sample = unique_beside(path)
    sample.touch()
    try:
        return stat.S_IMODE(sample.stat().st_mode)
    finally:
        sample.unlink()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Alone among the processes and threads of this machine; the lock of a process that dies is free."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path`, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path`, whole or not at all."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON; NaN and infinities are refused, since JSON has none."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file; a UserError says which stage's output is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file; run `dvc repro` to make it") from None
    except ValueError as error:
        raise UserError(f"{path}: is no JSON ({error}); delete it and run `dvc repro` to make it again") from None


def file_digest(path: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def text_digest(*parts: str) -> str:
    """The SHA-256 of several texts in order, in hexadecimal."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(f"{len(part)}:".encode())
        digest.update(part.encode())
    return digest.hexdigest()
