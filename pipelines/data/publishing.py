"""A copy of the prepared data where workers without the project's folder find it, and a cache of it on each node.

The copy is a folder <url>/<name>-<digest> with the same files. meta.json is written last and read first: what has none
is not whole, and what does not have the content that it promises is refused. Endpoint and credentials of object
storage come from the environment (AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_PROFILE, …), on each
machine its own.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from ..errors import UserError
from ..files import file_digest, locked, replacing
from ..storage import Folder
from .prepared import AGAIN, Prepared, data_digest

META = "meta.json"
KEY = "data.publish"


def cache_folder() -> Path:
    """Where this node keeps what it fetched: GENERA_CACHE, or ~/.cache/genera."""
    return Path(os.environ.get("GENERA_CACHE") or "~/.cache/genera").expanduser()


def publish(prepared: Prepared, url: str) -> str:
    """Copy the prepared folder to `url`, unless a whole copy is there; returns where it is, fit to be shown.

    Raises `UserError` where that cannot be.
    """
    copy = Folder(url, KEY) / _folder(prepared.folder.name, prepared.digest)
    meta, there = (prepared.folder / META).read_bytes(), copy.read(META)
    promised = _files(there)
    missing = [
        name
        for name, digest in prepared.meta["files"].items()
        if promised.get(name) != digest or copy.size(name) != (prepared.folder / name).stat().st_size
    ]
    if missing:
        copy.remove(META)
    for name in missing:
        copy.put(prepared.folder / name)
    if missing or there != meta:
        copy.write(META, meta)
    return str(copy)


def fetch(url: str, name: str, digest: str, cache: Path) -> Prepared:
    """Open the copy at `url` of the data `name` with this digest: on a path where it is, else through `cache`.

    Processes of a node that want the same data wait for the one that fetches it. Raises `UserError` for data that is
    not there, or is not what was published.
    """
    folder = _folder(name, digest)
    copy = Folder(url, KEY) / folder
    if copy.path is not None:
        return _opened(copy.path, digest)
    target = cache / folder
    try:
        return _opened(target, digest)
    except UserError:
        with locked(cache / f".{folder}.lock"):
            try:
                return _opened(target, digest)
            except UserError:
                _download(copy, digest, target)
    return _opened(target, digest)


def _opened(folder: Path, digest: str) -> Prepared:
    prepared = Prepared.open(folder)
    if prepared.digest != digest:
        raise UserError(f"{folder}: holds other data (digest {prepared.digest[:16]}) than was asked for; {AGAIN}")
    return prepared


def _download(copy: Folder, digest: str, target: Path) -> None:
    """Fill `target` with a copy; files that are there and right are kept."""
    target.mkdir(parents=True, exist_ok=True)
    for leftover in target.glob(".*.tmp"):
        leftover.unlink()
    meta = copy.read(META)
    if meta is None:
        raise UserError(f"{copy}: there is no whole copy of the data; {AGAIN}")
    if _data_digest(meta) != digest:
        raise UserError(f"{copy}/{META}: describes other data than was asked for; {AGAIN}")
    for file, promised in _files(meta).items():
        path = target / file
        if path.exists() and file_digest(path) == promised:
            continue
        with replacing(path) as temporary:
            copy.get(file, temporary)
            if file_digest(temporary) != promised:
                raise UserError(f"{copy}/{file}: is damaged: its digest is not the one in {META}; {AGAIN}")
    with replacing(target / META) as temporary:
        temporary.write_bytes(meta)


def _folder(name: str, digest: str) -> str:
    return f"{name}-{digest[:16]}"


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
