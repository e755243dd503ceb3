"""The folders in which Linux says what the control groups of this process grant, of both versions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

JOINT = {"cpu": "cpu,cpuacct"}  # controllers of version 1 that most systems mount together with another


def folders(root: Path, controller: str) -> Iterator[Path]:
    """Those of the groups that this process is in, below the file system `root`, outermost ones included.

    `controller` is the version 1 controller that is asked for. Within a container the path of a group may be that of
    the machine, which is not to be seen: the folders that are mounted themselves are then its own.
    """
    base = root / "sys/fs/cgroup"
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except (OSError, ValueError):
        lines = []
    for line in [*lines, "0::/", f"0:{controller}:/"]:
        _, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        if controllers and controller not in controllers.split(","):
            continue
        mounts = {"", controllers, JOINT.get(controller, controller)} if controllers else {"", "unified"}
        path = PurePosixPath(group.lstrip("/"))
        yield from (base / mount / each for mount in sorted(mounts) for each in (path, *path.parents))
