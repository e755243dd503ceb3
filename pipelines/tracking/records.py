"""What there is to record of a run, as it happens, and the name by which we know it; without MLflow."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class Run:
    """A run by a `key` of our own, under which it can be found again: MLflow's is not known before it has answered.

    `again` says that it may be there already, of a process that was killed, or has ended and gets something more.
    `data` are its data set's `name` and `digest`, and its `source`, `schema` and `profile` as far as they are known.
    """

    key: str
    name: str
    tags: Mapping[str, str]
    data: Mapping[str, str] = field(default_factory=dict)
    parent: str | None = None
    again: bool = False
    ended: bool = False


@dataclass(frozen=True)
class Record:
    """Something of a run that happened at a time.

    `params` and `tags` are mappings, `metrics` and `curve` rows with a `step`, `files` a path, `end` a status. A curve
    may be told from its start again: only steps after the last one that is known are added.
    """

    run: Run
    kind: Literal["params", "tags", "metrics", "curve", "files", "end"]
    content: Any
    milliseconds: int = field(default_factory=lambda: int(time.time() * 1000))


Write = Callable[[Record], None]
