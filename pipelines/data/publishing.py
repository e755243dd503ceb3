"""A copy of the prepared data where workers without the project's folder find it, and a cache of it on each node.

The copy is a folder <url>/<name>-<digest> with the same files. meta.json is written last and read first: what has none
is not whole, and what does not have the content that it promises is refused. Endpoint and credentials of object
storage come from the environment (AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_PROFILE, …), on each
machine its own.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fsspec import AbstractFileSystem
from fsspec.core import url_to_fs

from ..errors import UserError
from ..files import file_digest, replacing
from .prepared import AGAIN, Prepared, data_digest

META = "meta.json"
CONNECT_SECONDS = 5  # for a connection to be made; one retry doubles it
ANSWER_SECONDS = 10  # for the first answer of an endpoint, which tells whether there is one
TRANSFER_SECONDS = 60  # for an answer while large files are on their way
S3 = ("s3", "s3a")
BUCKETS = (*S3, "gs", "gcs", "az", "abfs", "abfss")  # where folders need not be made
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
    """`data.publish` as all machines understand it: a path is one from the project's folder `root` on."""
    return url if "://" in url else str((root / Path(url).expanduser()).resolve())


def cache_folder() -> Path:
    """Where this node keeps what it fetched: GENERA_CACHE, or ~/.cache/genera."""
    return Path(os.environ.get("GENERA_CACHE") or "~/.cache/genera").expanduser()


def publish(prepared: Prepared, url: str) -> str:
    """Copy the prepared folder to `url`, unless a whole copy is there; returns where it is, fit to be shown.

    Raises `UserError` where that cannot be.
    """
    copy = _Copy(url, prepared.folder.name, prepared.digest)
    meta, there = (prepared.folder / META).read_bytes(), copy.meta()
    promised = _files(there)
    missing = [
        name
        for name, digest in prepared.meta["files"].items()
        if promised.get(name) != digest or copy.size(name) != (prepared.folder / name).stat().st_size
    ]
    if missing:
        copy.remove_meta()
    for name in missing:
        copy.put(prepared.folder / name)
    if missing or there != meta:
        copy.put_meta(meta)
    return copy.shown


def fetch(url: str, name: str, digest: str, cache: Path) -> Prepared:
    """Open the copy at `url` of the data `name` with this digest: on a path where it is, else through `cache`.

    Processes of a node that want the same data wait for the one that fetches it. Raises `UserError` for data that is
    not there, or is not what was published.
    """
    folder = _folder(name, digest)
    if (shared := _path(url)) is not None:
        return _opened(shared / folder, digest)
    target = cache / folder
    try:
        return _opened(target, digest)
    except UserError:
        with _locked(cache / f".{folder}.lock"):
            try:
                return _opened(target, digest)
            except UserError:
                _download(url, name, digest, target)
    return _opened(target, digest)


def _opened(folder: Path, digest: str) -> Prepared:
    prepared = Prepared.open(folder)
    if prepared.digest != digest:
        raise UserError(f"{folder}: holds other data (digest {prepared.digest[:16]}) than was asked for; {AGAIN}")
    return prepared


def _download(url: str, name: str, digest: str, target: Path) -> None:
    """Fill `target` with the copy at `url`; files that are there and right are kept."""
    target.mkdir(parents=True, exist_ok=True)
    for leftover in target.glob(".*.tmp"):
        leftover.unlink()
    copy = _Copy(url, name, digest)
    meta = copy.meta()
    if meta is None:
        raise UserError(f"{copy.shown}: there is no whole copy of the data; {AGAIN}")
    if _data_digest(meta) != digest:
        raise UserError(f"{copy.shown}/{META}: describes other data than was asked for; {AGAIN}")
    for file, promised in _files(meta).items():
        path = target / file
        if path.exists() and file_digest(path) == promised:
            continue
        with replacing(path) as temporary:
            copy.get(file, temporary)
            if file_digest(temporary) != promised:
                raise UserError(f"{copy.shown}/{file}: is damaged: its digest is not the one in {META}; {AGAIN}")
    with replacing(target / META) as temporary:
        temporary.write_bytes(meta)


class _Copy:
    """The copy of one prepared folder, and what is done with its files; what goes wrong is a `UserError`."""

    def __init__(self, url: str, name: str, digest: str) -> None:
        self._url, self._name = url, _folder(name, digest)
        self.shown = f"{_shown(url)}/{self._name}"
        with self._plainly():
            self._files, root = _filesystem(url, TRANSFER_SECONDS)
        self._folder = f"{root.rstrip('/')}/{self._name}"

    def meta(self) -> bytes | None:
        """What meta.json says, or None where there is none."""
        with self._plainly():
            files, _ = _filesystem(self._url, ANSWER_SECONDS)
            try:
                content: bytes = files.cat_file(f"{self._folder}/{META}")
            except (FileNotFoundError, NotADirectoryError):
                return None
        return content

    def size(self, name: str) -> int | None:
        """The size of a file, or None where there is none."""
        with self._plainly():
            try:
                return int(self._files.info(f"{self._folder}/{name}")["size"])
            except FileNotFoundError:
                return None

    def get(self, name: str, path: Path) -> None:
        path.touch()
        with self._plainly():
            self._files.get_file(f"{self._folder}/{name}", str(path))

    def put(self, path: Path) -> None:
        with self._plainly():
            self._make_folder()
            self._files.put_file(str(path), f"{self._folder}/{path.name}")

    def put_meta(self, content: bytes) -> None:
        """Write meta.json, whole or not at all."""
        shared = _path(self._url)
        with self._plainly():
            if shared is None:
                self._make_folder()
                self._files.pipe_file(f"{self._folder}/{META}", content)
                return
            with replacing(shared / self._name / META) as temporary:
                temporary.write_bytes(content)

    def remove_meta(self) -> None:
        """Say that the copy is not whole."""
        with self._plainly():
            if self._files.exists(f"{self._folder}/{META}"):
                self._files.rm_file(f"{self._folder}/{META}")

    def _make_folder(self) -> None:
        if _protocol(self._url) not in BUCKETS:  # there it would make a bucket, of whatever name was misspelt
            self._files.makedirs(self._folder, exist_ok=True)

    @contextmanager
    def _plainly(self) -> Iterator[None]:
        """Say in one line what is wrong, with no secret in it. Errors that are no user's pass as they are."""
        try:
            yield
        except UserError:
            raise
        except Exception as error:
            reason = _reason(error, self._url)
            if reason is None:
                raise
            raise UserError(f"data.publish: {_shown(self._url)}: {reason}") from None


def _filesystem(url: str, seconds: float) -> tuple[AbstractFileSystem, str]:
    """The file system of a URL, which gives up when there is no answer for some seconds; and the path in it."""
    options: dict[str, Any] = {"skip_instance_cache": True, "use_listings_cache": False}
    if _protocol(url) in S3:
        times = {"connect_timeout": CONNECT_SECONDS, "read_timeout": seconds, "retries": {"max_attempts": 1}}
        options["config_kwargs"] = times
    try:
        files, root = url_to_fs(url, **options)
    except ImportError as error:
        how = "run `uv sync --extra s3`, or install genera[s3]" if _protocol(url) in S3 else str(error)
        raise UserError(f"data.publish: {_protocol(url)}:// needs a package that is not installed: {how}") from None
    except ValueError as error:
        raise UserError(f"data.publish: {_shown(url)} is not allowed: {_clean(str(error), url)}") from None
    if _protocol(url) in S3:
        files.retries = 2  # s3fs's own, on top of botocore's
    return files, root


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


def _shown(url: str) -> str:
    """A URL without the user, password and query that it may hold."""
    return re.sub(r"://[^/@]+@", "://", url.partition("?")[0]).rstrip("/")


def _folder(name: str, digest: str) -> str:
    return f"{name}-{digest[:16]}"


def _protocol(url: str) -> str:
    return url.partition("://")[0] if "://" in url else "file"


def _path(url: str) -> Path | None:
    """The path that a URL means, if it is one of this machine's file system."""
    return Path(url.removeprefix(f"{_protocol(url)}://")) if _protocol(url) in ("file", "local") else None


def _files(meta: bytes | None) -> dict[str, str]:
    """The digests of the arrays that a meta.json promises; none if it is damaged."""
    try:
        files = json.loads(meta or b"{}").get("files", {})
        return {str(name): str(digest) for name, digest in files.items() if re.fullmatch(r"\w+\.npy", name)}
    except (ValueError, AttributeError):
        return {}


def _data_digest(meta: bytes) -> str | None:
    """The digest of the data that a meta.json describes; None if it is damaged."""
    try:
        return data_digest(json.loads(meta))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Alone among the processes and threads of this machine; the lock of a process that dies is free."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
