"""Models that have no room in memory are refused before anything is trained, with what would fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from models.catalogue import CATALOGUE, check, family_class, suitable
from models.contract import Family
from models.gmm import GMMConfig
from pipelines import device, machine_memory
from pipelines.control_groups import folders
from pipelines.data.prepared import Prepared
from pipelines.errors import UserError
from pipelines.files import write_json
from pipelines.machine_memory import available_memory, memory_limits
from pipelines.params import room as rooms
from pipelines.params.checks import complain_of_misfits, misfits, section_digest
from pipelines.params.plan import SECTION, SUMMARY
from pipelines.params.project import Project
from pipelines.params.reading import parse
from pipelines.params.room import in_words, lack_of_room, least_bytes, room
from pipelines.params.schema import Cluster, Loop
from pipelines.stages import prepare
from pipelines.training.jobs import new_family

from ...models.cases import COLOUR, EVENTS
from ...models.families import SMALL

GIB = 1 << 30
LOOP = Loop(ema_decay=0.0)


@pytest.fixture(autouse=True)
def at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


def gmm(**options: Any) -> Family:
    return check("gmm", GMMConfig(**options), COLOUR)


# What it takes


def test_weights_their_copies_gradients_and_moments_are_counted() -> None:
    """16 components of 48 numbers: logits, means and scales are 16 + 2 · 16 · 48 floats, of four bytes."""
    floats = 4 * (16 + 2 * 16 * 48)
    by_gradient = gmm(components=16, covariance="diagonal", fit="gradient")
    assert least_bytes(by_gradient, LOOP) == 2 * floats + 3 * floats
    assert least_bytes(by_gradient, Loop(ema_decay=0.9)) == 3 * floats + 3 * floats
    sums = 8 * (16 + 2 * 16 * 48)
    assert least_bytes(gmm(components=16, covariance="diagonal"), LOOP) == 2 * floats + 3 * sums


@pytest.mark.parametrize("covariance", ["full", "diagonal", "low_rank"])
@pytest.mark.parametrize("step_decay", [0.0, 0.6])
def test_the_sums_of_em_are_as_large_as_it_says(covariance: str, step_decay: float) -> None:
    config = GMMConfig(components=3, covariance=covariance, step_decay=step_decay)
    model = family_class("gmm")(config, COLOUR)
    x = torch.randint(256, (40, *COLOUR.shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    y = x.flatten(1).float() / 256
    sums = model._sums(y, torch.ones(40, 3) / 3, None)
    numbers = sum(each.numel() for each in sums.values())
    assert model.working_bytes == 8 * numbers * (4 if step_decay else 3)


@pytest.mark.parametrize("model", sorted(CATALOGUE))
def test_every_family_is_counted_without_its_weights_as_with_them(model: str) -> None:
    event = next(event for event in EVENTS if model in suitable(event))
    config = family_class(model).Config(**SMALL[model])
    torch.manual_seed(0)
    real = family_class(model)(config, event)
    assert 0 < least_bytes(check(model, config, event), LOOP) == least_bytes(real, LOOP)
    assert least_bytes(real, LOOP) >= 2 * sum(4 * weight.numel() for weight in real.parameters())


def test_bytes_are_told_as_people_do() -> None:
    assert [in_words(n) for n in (17, 2048, 3 * GIB // 2, 8 << 40)] == ["17 B", "2.0 KiB", "1.5 GiB", "8.0 TiB"]


# What is said


def test_what_fits_is_said_and_does_fit() -> None:
    family = gmm(components=100)
    needed = least_bytes(family, LOOP)
    assert lack_of_room("gmm", family, LOOP, needed) is None and lack_of_room("gmm", family, LOOP, None) is None
    line = lack_of_room("gmm", family, LOOP, needed // 4)
    assert line is not None and "\n" not in line
    assert line == (
        f"needs {in_words(needed)} of memory to be trained, or more, and there are {in_words(needed // 4)};"
        " what fits: covariance: low_rank, or covariance: diagonal, or components: 25"
    )
    assert least_bytes(gmm(components=25), LOOP) <= needed // 4 < least_bytes(gmm(components=26), LOOP)
    line = lack_of_room("gmm", family, LOOP, least_bytes(gmm(components=100, covariance="diagonal"), LOOP))
    assert line is not None and line.endswith("what fits: covariance: diagonal, or components: 4")


def test_families_that_know_nothing_lighter_say_what_to_do() -> None:
    vae = check("vae", family_class("vae").Config(), COLOUR)
    line = lack_of_room("vae", vae, LOOP, 1000)
    assert line is not None and line.endswith("make it smaller: fewer layers, or narrower ones")


# Where it is said


def wide(root: Path, components: int) -> Project:
    """A table of 300 rows and 5,000 columns, and a mixture with full covariances."""
    if not (root / "x.csv").exists():
        numbers = np.random.default_rng(0).normal(size=(300, 5000)).round(2)
        pd.DataFrame(numbers, columns=[f"c{d}" for d in range(5000)]).to_csv(root / "x.csv", index=False)
    raw = {
        "data": {"source": "csv", "path": "x.csv", "name": "wide", "val_count": 0.1, "test_count": 0.1},
        "entries": {"gmm": {"model": "gmm", "config": {"components": components}}},
        "evaluate": {"neighbours": 3},
    }
    return Project(root, parse(raw))


@pytest.mark.slow
def test_prepare_and_plan_refuse_a_wide_table_with_the_bytes_and_what_would_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1,000 matrices of 5,000 × 5,000 numbers: 745 GiB of them in every machine that tests run on, and none is made."""
    project = wide(tmp_path, 1000)
    says = (
        r"^params\.yaml: entries\.gmm\.config: needs [\d.,]+ [GT]iB of memory to be trained, or more, and there are "
        r"[\d.,]+ [GT]iB; what fits: covariance: low_rank, or covariance: diagonal, or components: \d+ "
        r"\(examples have the shape \(5000,\)\)$"
    )
    with pytest.raises(UserError, match=says):
        prepare.run(project)
    assert not (tmp_path / SUMMARY).exists()
    fitting, data = wide(tmp_path, 10), Prepared.open(project.prepared)
    write_json(tmp_path / SUMMARY, prepare.summary(data))  # as prepare does, behind a page on all 5,000 columns
    write_json(tmp_path / SECTION, {"section": section_digest(fitting.params.data), "data": data.digest})
    monkeypatch.setattr(device, "available_memory", lambda: 64 * GIB)
    complain_of_misfits(tmp_path, fitting.params)
    with pytest.raises(UserError, match=says):
        complain_of_misfits(tmp_path, project.params)
    monkeypatch.setattr(device, "available_memory", lambda: 4 * GIB)
    with pytest.raises(UserError, match=r"needs 7\.5 GiB .* there are 4\.0 GiB; what fits: .* components: 5 "):
        complain_of_misfits(tmp_path, fitting.params)
    with pytest.raises(UserError, match=r"^params\.yaml: entries\.gmm\.config: needs 7\.5 GiB"):  # on a worker
        new_family(fitting.entries["gmm"], data.event)


def test_searched_values_have_room_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "available_memory", lambda: 1 << 20)
    search = {"components": {"low": 1, "high": 400}}
    block = {"model": "gmm", "config": {"components": 2, "covariance": "full"}, "search": search}
    raw = {"data": {"source": "csv", "path": "x.csv", "test_count": 0.1}, "entries": {"gmm": block}}
    (line,) = misfits(parse(raw), COLOUR)
    assert line.startswith("params.yaml: entries.gmm.search.components: 400 is not allowed: it needs ")


def test_where_a_cluster_trains_its_workers_are_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    assert room(Cluster()) == available_memory()
    assert room(Cluster(address="head:6379")) is None
    monkeypatch.setenv("RAY_ADDRESS", "head:6379")
    assert room(Cluster()) is None


# The memory of a machine


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        ("0::/\n", {"memory.max": "2147483648\n"}, [2147483648]),
        ("0::/\n", {"memory.max": "max\n"}, []),
        ("0::/a/b\n", {"a/b/memory.max": "max\n", "a/memory.max": "1000\n"}, [1000]),
        ("9:memory:/docker/1\n", {"memory/docker/1/memory.limit_in_bytes": "500\n"}, [500]),
        ("9:cpu:/docker/1\n", {"cpu/docker/1/memory.limit_in_bytes": "500\n"}, []),
        ("", {}, []),
    ],
)
def test_the_limits_of_a_container(tmp_path: Path, groups: str, files: dict[str, str], expected: list[int]) -> None:
    for name, text in {"proc/self/cgroup": groups, **{f"sys/fs/cgroup/{k}": v for k, v in files.items()}}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert list(dict.fromkeys(memory_limits(tmp_path))) == expected
    assert len(list(folders(tmp_path, "memory"))) > 0


def test_the_smaller_of_machine_and_container(monkeypatch: pytest.MonkeyPatch) -> None:
    there = available_memory()
    assert GIB // 4 < there < 1 << 50
    monkeypatch.setattr(machine_memory, "memory_limits", lambda _: [1000, there + 1])
    assert available_memory() == 1000
    monkeypatch.setattr(rooms, "memory_bytes", lambda _: 5)
    assert room(Cluster()) == 5
