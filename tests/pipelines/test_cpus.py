"""The CPUs of a container: its quota, whichever version of control groups says it, and never less than one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipelines import cpus
from pipelines.cluster.address import local_cpus
from pipelines.cpus import available_cpus, cpu_quota
from pipelines.data.sources import parallel


def tree(root: Path, groups: str, **files: str) -> Path:
    """A file system with the groups of this process, and files of /sys/fs/cgroup; `__` stands for a slash."""
    for name, text in {"proc/self/cgroup": groups, **files}.items():
        path = root / (name if "/" in name else f"sys/fs/cgroup/{name.replace('__', '/').replace('cpu_', 'cpu.')}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        ("0::/\n", {"cpu_max": "200000 100000\n"}, 2.0),
        ("0::/\n", {"cpu_max": "max 100000\n"}, None),
        ("0::/a/b\n", {"a__b__cpu_max": "max 100000\n", "a__cpu_max": "150000 100000\n"}, 1.5),
        ("0::/a/b\n", {"a__b__cpu_max": "50000 100000\n", "a__cpu_max": "150000 100000\n"}, 0.5),
        ("0::/seen/by/the/machine\n", {"cpu_max": "300000 100000\n"}, 3.0),
        (
            "4:memory:/x\n3:cpu,cpuacct:/docker/1\n",
            {f"cpu,cpuacct__docker__1__cpu_cfs_{name}_us": text for name, text in (("quota", "25"), ("period", "100"))},
            0.25,
        ),
        ("3:cpu:/docker/1\n", {"cpu__cpu_cfs_quota_us": "400000\n", "cpu__cpu_cfs_period_us": "100000\n"}, 4.0),
        ("3:cpu:/\n", {"cpu__cpu_cfs_quota_us": "-1\n", "cpu__cpu_cfs_period_us": "100000\n"}, None),
        ("3:cpuset:/x\n", {"cpuset__x__cpu_max": "100000 100000"}, None),
        ("0::/\n", {"cpu_max": "nonsense\n"}, None),
        ("0::/\n", {"cpu_max": "100000 0\n"}, None),
        ("", {}, None),
    ],
)  # fmt: skip
def test_quotas(tmp_path: Path, groups: str, files: dict[str, str], expected: float | None) -> None:
    assert cpu_quota(tree(tmp_path, groups, **files)) == expected


def test_without_control_groups_there_is_no_quota(tmp_path: Path) -> None:
    assert cpu_quota(tmp_path) is None


@pytest.mark.parametrize(("quota", "expected"), [(None, 8), (2.5, 2), (0.5, 1), (64.0, 8)])
def test_the_smaller_of_quota_and_processors(
    monkeypatch: pytest.MonkeyPatch, quota: float | None, expected: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(cpus, "cpu_quota", lambda _: quota)
    assert available_cpus() == local_cpus() == parallel._cores() == expected
