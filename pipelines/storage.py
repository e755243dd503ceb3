"""Folders that several machines see: on a path, or at a URL of object storage, through the file systems of fsspec.

Endpoint and credentials of object storage come from the environment (AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID,
AWS_SECRET_ACCESS_KEY, AWS_PROFILE, …), on each machine its own. What goes wrong there is a `UserError` of one line, in
which no secret is.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from .errors import UserError
from .files import replacing, unique_beside

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

CONNECT_SECONDS = 5  # for a connection to be made; one retry doubles it
ANSWER_SECONDS = 10  # for an answer about little, which tells whether there is anybody
TRANSFER_SECONDS = 60  # for an answer while large files are on their way
S3 = ("s3", "s3a")
BUCKETS = (*S3, "gs", "gcs", "az", "abfs", "abfss")  # where folders need not be made
MISSING = (FileNotFoundError, NotADirectoryError)
SECRETS = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")

# What the error classes of the libraries beneath mean, by name: the libraries may not be installed.
MEANINGS = {
    "NoCredentialsError": "no credentials were found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
    "PartialCredentialsError": "half of the credentials is missing; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "ConnectionError": "its endpoint cannot be reached; AWS_ENDPOINT_URL says where object storage is, if not at AWS",
    "HTTPClientError": "its endpoint does not answer; AWS_ENDPOINT_URL says where object storage is, if not at AWS",
    "PermissionError": "access is denied; check the credentials and what they allow",
    "FileNotFoundError": "there is no such bucket or folder",
}


def location(url: str, root: Path) -> str:
    """A path or URL of params.yaml as all machines understand it: a path is one from the project's folder `root` on."""
    return url if "://" in url else str((root / Path(url).expanduser()).resolve())


def shown(url: str) -> str:
    """A URL without the user, password and query that it may hold."""
    return re.sub(r"://[^/@]+@", "://", url.partition("?")[0]).rstrip("/")


def path_of(url: str) -> Path | None:
    """The path that a URL means, if it is one of this machine's file system."""
    return Path(url.removeprefix(f"{_protocol(url)}://")) if _protocol(url) in ("file", "local") else None


class Folder:
    """A folder with files in it. `key` is what named it, in params.yaml."""

    def __init__(self, where: str | Path, key: str = "cluster.storage") -> None:
        self.where, self.key = str(where), key
        self.path = path_of(self.where)

    def __truediv__(self, name: str) -> Folder:
        start, question, query = self.where.partition("?")
        return Folder(f"{start.rstrip('/')}/{name}{question}{query}", self.key)

    def __str__(self) -> str:
        return shown(self.where)

    def names(self) -> list[str]:
        """The names of its files, in order; none where there is no such folder."""
        if self.path is not None:
            return sorted(each.name for each in self.path.glob("*") if each.is_file())
        with self._plainly(), suppress(*MISSING):
            files, root = _filesystem(self.where, ANSWER_SECONDS)
            files.invalidate_cache()
            return sorted(
                each["name"].rpartition("/")[2] for each in files.ls(root, detail=True) if each["type"] == "file"
            )
        return []

    def read(self, name: str) -> bytes | None:
        """The content of a small file; None where there is none."""
        with self._plainly(), suppress(*MISSING):
            if self.path is not None:
                return (self.path / name).read_bytes()
            files, root = _filesystem(self.where, ANSWER_SECONDS)
            content: bytes = files.cat_file(f"{root}/{name}")
            return content
        return None

    def size(self, name: str) -> int | None:
        """The size of a file; None where there is none."""
        with self._plainly(), suppress(*MISSING):
            if self.path is not None:
                return (self.path / name).stat().st_size
            files, root = _filesystem(self.where, TRANSFER_SECONDS)
            return int(files.info(f"{root}/{name}")["size"])
        return None

    def write(self, name: str, content: bytes) -> None:
        """Write a small file, whole or not at all."""
        with self.writing(name) as temporary:
            temporary.write_bytes(content)

    def create(self, name: str, content: bytes) -> bool:
        """Write a small file that is not there; False if it is. Of several that try it one succeeds."""
        with self._plainly(), suppress(FileExistsError):
            if self.path is not None:
                return _created(self.path / name, content)
            files, root = _filesystem(self.where, ANSWER_SECONDS)
            if _protocol(self.where) not in BUCKETS:
                files.makedirs(root, exist_ok=True)
            files.pipe_file(f"{root}/{name}", content, mode="create")
            return True
        return False

    @contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        """A path for what becomes the file of this name, whole or not at all."""
        if self.path is not None:
            with replacing(self.path / name) as temporary:
                yield temporary
            return
        with tempfile.TemporaryDirectory() as folder:
            temporary = Path(folder) / name
            yield temporary
            self.put(temporary)

    @contextmanager
    def reading(self, name: str) -> Iterator[Path]:
        """The path of a file, or of a copy of it that lasts as long as the block."""
        if self.path is not None:
            yield self.path / name
            return
        with tempfile.TemporaryDirectory() as folder:
            temporary = Path(folder) / name
            self.get(name, temporary)
            yield temporary

    def put(self, source: Path) -> None:
        """Copy a file into the folder, under its own name."""
        with self._plainly():
            if self.path is not None:
                with replacing(self.path / source.name) as temporary:
                    shutil.copyfile(source, temporary)
                return
            files, root = _filesystem(self.where, TRANSFER_SECONDS)
            if _protocol(self.where) not in BUCKETS:  # there it would make a bucket, of whatever name was misspelt
                files.makedirs(root, exist_ok=True)
            files.put_file(str(source), f"{root}/{source.name}")

    def get(self, name: str, target: Path) -> None:
        """Copy a file of the folder to a path."""
        target.touch()
        with self._plainly():
            if self.path is not None:
                shutil.copyfile(self.path / name, target)
                return
            files, root = _filesystem(self.where, TRANSFER_SECONDS)
            files.get_file(f"{root}/{name}", str(target))

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        with self._plainly(), suppress(*MISSING):
            if self.path is not None:
                (self.path / name).unlink()
                return
            files, root = _filesystem(self.where, ANSWER_SECONDS)
            files.rm_file(f"{root}/{name}")

    @contextmanager
    def _plainly(self) -> Iterator[None]:
        """Say in one line what is wrong, with no secret in it. Errors that are no user's pass as they are."""
        try:
            yield
        except UserError as error:
            raise UserError(f"{self.key}: {error}") from None
        except Exception as error:
            reason = _reason(error, self.where)
            if reason is None:
                raise
            raise UserError(f"{self.key}: {self}: {reason}") from None


def _created(path: Path, content: bytes) -> bool:
    """Make a file with all of its content at once. FileExistsError: it is there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = unique_beside(path)
    try:
        temporary.write_bytes(content)
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        with path.open("xb") as file:
            file.write(content)
    finally:
        temporary.unlink(missing_ok=True)
    return True


def _filesystem(url: str, seconds: float) -> tuple[AbstractFileSystem, str]:
    """The file system of a URL, which gives up when there is no answer for some seconds; and the path in it."""
    start, host = _protocol(url), urlsplit(url).netloc
    environment = tuple((key, value) for key, value in sorted(os.environ.items()) if key.startswith("AWS_"))
    files = _opened(f"{start}://{host}" if host else f"{start}://", seconds, CONNECT_SECONDS, environment)
    return files, str(files._strip_protocol(url)).rstrip("/")


@lru_cache(maxsize=16)
def _opened(
    url: str, seconds: float, connect_seconds: float, environment: tuple[tuple[str, str], ...]
) -> AbstractFileSystem:
    from fsspec.core import url_to_fs

    options: dict[str, Any] = {"skip_instance_cache": True, "use_listings_cache": False}
    if _protocol(url) in S3:
        times = {"connect_timeout": connect_seconds, "read_timeout": seconds, "retries": {"max_attempts": 1}}
        options["config_kwargs"] = times
    try:
        files, _ = url_to_fs(url, **options)
    except ImportError as error:
        how = "run `uv sync --extra s3`, or install genera[s3]" if _protocol(url) in S3 else str(error)
        raise UserError(f"{_protocol(url)}:// needs a package that is not installed: {how}") from None
    except ValueError as error:
        raise UserError(f"{shown(url)} is not allowed: {_clean(str(error), url)}") from None
    if _protocol(url) in S3:
        files.retries = 2  # s3fs's own, on top of botocore's
    return files


def _reason(error: Exception, url: str) -> str | None:
    """What an error means to a user; None for one that is no user's."""
    if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
        return None
    for kind in type(error).__mro__:
        if kind.__name__ in MEANINGS:
            return MEANINGS[kind.__name__]
    known = isinstance(error, OSError) or any(kind.__module__.startswith("botocore") for kind in type(error).__mro__)
    return _clean(str(error), url) if known else None


def _clean(text: str, url: str) -> str:
    """A message in one line and without secrets."""
    parts = urlsplit(url)
    for secret in (*(os.environ.get(name) for name in SECRETS), parts.password, parts.query):
        if secret:
            text = text.replace(secret, "…")
    return re.sub(r"://[^/@\s]+@", "://…@", " ".join(text.split()))


def _protocol(url: str) -> str:
    return url.partition("://")[0] if "://" in url else "file"
