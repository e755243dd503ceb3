"""Where data comes from: a function `read` per source, each giving the same plain parts.

A source is read once, in order, into arrays on disk (`Rows`), so that one of any size needs little memory; what is done
to the examples afterwards, such as splitting them, is the same for all sources.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from ...params.source_section import Source as Settings
from ..rows import Rows


@dataclass(frozen=True)
class Part:
    """Examples in the order of the source: x (N, *event), labels (N,), and the recording (N,) that each is cut from."""

    x: Rows
    labels: Rows | None = None
    recordings: Rows | None = None


@dataclass(frozen=True)
class Source:
    """What was read: the parts `train` and, where the source has them, `val` and `test`; and what the numbers mean.

    `meta` holds the keys of meta.json that only the source knows: channels, sample_rate, encoding, range.
    """

    parts: dict[str, Part]
    levels: int | None
    channels: str
    class_names: list[str] = field(default_factory=list)
    columns: list[str] = field(default_factory=list)
    decisions: list[str] = field(default_factory=list)
    checksums: dict[str, str] = field(default_factory=dict)
    meta: dict[str, Any] = field(default_factory=dict)


def read(data: Settings, root: Path, spool: Path) -> Source:
    """Read the source that the parameters name, below the project's folder `root`; its arrays go to `spool`.

    Raises `UserError`, one line, for files that are missing or damaged, or hold what the parameters do not allow.
    """
    module = import_module(f".{data.reader}", __package__)  # imported when it is asked for
    function: Callable[[Settings, Path, Path], Source] = module.read
    return function(data, root, spool)
