"""The prepared folder: whole or as it was before, whatever happens, and with little memory whatever its size."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from PIL import Image

from pipelines.cli import app
from pipelines.data.preparation import splitting, writing
from pipelines.data.prepared import Prepared
from pipelines.data.rows import RowsWriter
from pipelines.data.sources import parallel
from pipelines.errors import UserError

from ....shell import HANGING
from ..sources.reading import everything, examples, labels, prepared, refusal, sorted_rows

GENERA = Path(sys.executable).with_name("genera")
ROOT = Path(__file__).parents[4]
NPY = {"source": "npy", "path": "x.npy", "val_count": 40, "test_count": 60}
X = np.random.default_rng(0).integers(0, 256, (300, 6, 6), dtype=np.uint8)


def saved(root: Path, x: np.ndarray = X) -> Path:
    np.save(root / "x.npy", x)
    return root


def tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# What is written


@pytest.mark.parametrize(("rows", "size"), [(7, 1), (7, 100), (1 << 16, 100), (64, 1 << 20)])
def test_the_size_of_a_chunk_changes_neither_order_nor_labels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int, size: int
) -> None:
    """How rows are dealt out depends on `ROWS` alone."""
    monkeypatch.setattr(splitting, "ROWS", rows)
    monkeypatch.setattr(writing, "ROWS", rows)
    np.save(tmp_path / "y.npy", np.arange(300) % 7)
    given = {**NPY, "path": ".", "arrays": {"train": "x.npy"}, "labels": {"train": "y.npy"}}
    plain = prepared(saved(tmp_path), **given, name="plain")
    monkeypatch.setattr(writing, "BYTES", size)
    data = prepared(tmp_path, **given)
    assert data.meta["files"] == plain.meta["files"]
    of = {row.tobytes(): number for number, row in enumerate(X)}
    places = {split: [of[row.tobytes()] for row in examples(data, split)] for split in ("train", "val", "test")}
    assert sorted(number for found in places.values() for number in found) == list(range(300))
    for split, found in places.items():
        assert found == sorted(found), "in the order of the source"
        assert np.array_equal(labels(data, split), np.array(found) % 7)
        assert data.meta["class_counts"][split] == np.bincount(labels(data, split), minlength=7).tolist()


def test_the_seed_and_nothing_else_decides(tmp_path: Path) -> None:
    one, two, other = (prepared(saved(tmp_path), **NPY, name=name, seed=seed) for name, seed in
                       (("one", 0), ("two", 0), ("other", 1)))  # fmt: skip
    assert one.meta["files"] == two.meta["files"] and one.digest == two.digest != other.digest
    assert sorted_rows(everything(one)) == sorted_rows(everything(other))


def test_a_class_without_training_examples_is_refused(tmp_path: Path) -> None:
    """The folders train/ and test/ of an official split are no labels."""
    for split in ("train", "test"):
        (tmp_path / split).mkdir()
        for number in range(20):
            Image.fromarray(X[number]).save(tmp_path / split / f"{number}.png")
    given = {"source": "images", "path": ".", "test_files": "^test/", "mode": "grey"}
    line = refusal(tmp_path, **given, splits=None)
    assert line.startswith("params.yaml: data.labels: class 'test' stands only in test")
    assert prepared(tmp_path, **given, labels=None).meta["counts"]["test"] == 20


def test_planted_duplicates_are_reported(tmp_path: Path) -> None:
    for name, x in (("train", X[:200]), ("val", X[195:240]), ("test", X[[3, 3, 198, *range(236, 300)]])):
        np.save(tmp_path / f"{name}.npy", x)
    arrays = {split: f"{split}.npy" for split in ("train", "val", "test")}
    data = prepared(tmp_path, source="npy", arrays=arrays)
    assert data.meta["duplicates"] == {"val in train": 5, "test in train": 3, "val in test": 5}
    assert data.meta["decisions"] == [
        "5 examples of val also stand in train.",
        "3 examples of test also stand in train.",
        "5 examples of val also stand in test.",
    ]


def test_an_empty_split_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "train.npy", X)
    np.save(tmp_path / "test.npy", X[:0])
    line = refusal(tmp_path, source="npy", arrays={"train": "train.npy", "test": "test.npy"})
    assert line.startswith(f"{tmp_path / 'test.npy'}: 0 rows of uint8 are not allowed")


def test_statistics_of_columns_far_from_zero_do_not_cancel(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = np.stack([1e7 + rng.integers(0, 20, 3000), rng.normal(size=3000) * 1e-6 + 1, rng.normal(size=3000) * 1e9], 1)
    data = prepared(saved(tmp_path, x), **NPY)
    train = examples(data, "train").astype(float)
    for number, column in enumerate(data.meta["columns"]):
        assert column["mean"] == pytest.approx(train[:, number].mean(), rel=1e-9)
        assert column["std"] == pytest.approx(train[:, number].std(), rel=1e-6)


# Failure, a full disk, a kill


def full_after(writes: int) -> Callable[[RowsWriter, np.ndarray], None]:
    """`RowsWriter.append` on a disk that is full after so many writes."""
    append, done = RowsWriter.append, 0

    def counted(writer: RowsWriter, rows: np.ndarray) -> None:
        nonlocal done
        done += 1
        if done > writes:
            with open("/dev/full", "wb") as device:
                device.write(bytes(100_000))
        append(writer, rows)

    return counted


@pytest.mark.parametrize("writes", range(4))
def test_a_full_disk_leaves_the_data_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writes: int) -> None:
    monkeypatch.setattr(writing, "BYTES", 4000)
    before = prepared(saved(tmp_path), **NPY)
    saved(tmp_path, X[::-1].astype(int))
    with monkeypatch.context() as patch:
        patch.setattr(RowsWriter, "append", full_after(writes))
        with pytest.raises(OSError, match="No space left"):
            prepared(tmp_path, **NPY)
    assert [path.name for path in (tmp_path / "prepared").iterdir()] == ["npy"]
    assert Prepared.open(before.folder).meta == before.meta
    assert prepared(tmp_path, **NPY).digest != before.digest


TINY = """
mount -t tmpfs -o size=2m none "$1" && cd "$1" && cp "$2"/params.yaml . && mkdir -p data/prepared/npy || exit 3
echo before > data/prepared/npy/train.npy
"$3" prepare
status=$?
cat data/prepared/npy/train.npy
find . -mindepth 1 -not -path './.genera*' | sort
exit $status
"""


def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    """The splits of 4 MiB do not fit into 2 MiB."""
    private = ["unshare", "--user", "--map-root-user", "--mount"]
    mounted = [*private, "mount", "-t", "tmpfs", "none", str(tmp_path)]
    if shutil.which("unshare") is None or subprocess.run(mounted, capture_output=True, check=False).returncode:
        pytest.skip("a disk of our own cannot be mounted here")
    (tmp_path / "disk").mkdir()
    np.save(tmp_path / "x.npy", np.random.default_rng(0).integers(0, 256, (4096, 32, 32), dtype=np.uint8))
    params = {"entries": {"vae": {"model": "vae"}}, "data": {**NPY, "path": str(tmp_path / "x.npy"), "test_count": 500}}
    (tmp_path / "params.yaml").write_text(json.dumps(params))
    command = [*private, "bash", "-c", TINY, "bash", str(tmp_path / "disk"), str(tmp_path), str(GENERA)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=HANGING)
    assert done.returncode == 1, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: no space is left on the disk")
    found = ["./data", "./data/prepared", "./data/prepared/npy", "./data/prepared/npy/train.npy", "./params.yaml"]
    assert done.stdout.split() == ["before", *found]


def kill_at(root: Path, point: str, number: int) -> int:
    """Prepare in a process of its own that is killed at a certain write or move; its exit status."""

    def run() -> None:
        owner, name = (RowsWriter, "append") if point == "append" else (Path, "rename")
        original: Callable[..., Any] = getattr(owner, name)
        calls = 0

        def counted(*arguments: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == number:
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*arguments)

        setattr(owner, name, counted)
        prepared(root, **NPY)

    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    process.join(HANGING)
    return process.exitcode or 0


@pytest.mark.parametrize(
    ("point", "number"), [("append", 1), ("append", 2), ("append", 4), ("append", 10), ("rename", 1), ("rename", 2)]
)
@pytest.mark.parametrize("old", [True, False])
def test_a_killed_prepare_is_completed_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: str, number: int, old: bool
) -> None:
    """Whenever it is killed, the folder is the old one or the new one, or can be had back; never half of one."""
    monkeypatch.setattr(writing, "BYTES", 4000)
    before = prepared(saved(tmp_path), **NPY).meta if old else None
    saved(tmp_path, X[::-1].astype(int))
    status = kill_at(tmp_path, point, number)
    assert status == (-signal.SIGKILL if old or point == "append" or number == 1 else 0)
    folder = tmp_path / "prepared" / "npy"
    if folder.exists() and status:
        assert Prepared.open(folder).meta == before
    if point == "rename" and number == 2 and old:
        assert not folder.exists()
        with pytest.raises(UserError):
            prepared(tmp_path, **{**NPY, "test_count": 300})
        assert Prepared.open(folder).meta == before, "the data before is put back first"
    data = prepared(tmp_path, **NPY)
    (tmp_path / "other").mkdir()
    undisturbed = prepared(saved(tmp_path / "other", X[::-1].astype(int)), **NPY)
    assert tree(data.folder) == tree(undisturbed.folder)
    assert [path.name for path in folder.parent.iterdir()] == ["npy"]


@pytest.mark.slow
def test_a_killed_command_is_completed_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While several processes decode images."""
    for number in range(500):
        folder = tmp_path / "images" / "ab"[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(number).integers(0, 256, (64, 64), dtype=np.uint8)).save(
            folder / f"{number:03d}.png"
        )
    data = {"source": "images", "path": "images", "test_count": 100, "resize": [16, 16], "mode": "grey"}
    evaluate = {"samples": 50, "references": 50, "neighbours": 3}
    (tmp_path / "params.yaml").write_text(
        json.dumps({"entries": {"vae": {"model": "vae"}}, "data": data, "evaluate": evaluate})
    )
    process = subprocess.Popen([GENERA, "prepare"], cwd=tmp_path, stdout=subprocess.DEVNULL, start_new_session=True)
    spool = tmp_path / "data" / "prepared" / ".images.spool" / "train.npy"
    while not spool.exists() and process.poll() is None:
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -signal.SIGKILL and spool.exists()
    assert not (tmp_path / "data" / "prepared" / "images").exists()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(parallel, "FEW", 1000)  # more processes would take longer to start than all of the work
    app(["prepare"], standalone_mode=False)
    found = tmp_path / "data" / "prepared" / "images"
    assert tree(found) == tree(prepared(tmp_path, **data).folder)
    assert [path.name for path in found.parent.iterdir()] == ["images"]


# Memory


MEASURE = """
import json, sys
from pathlib import Path
from tests.pipelines.data.sources.reading import prepared

def peak():  # of this program: ru_maxrss would be that of the process that started it, if greater
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024

given = json.loads(sys.argv[1])
small, *large = (Path(name) for name in sys.argv[2:])
prepared(small, **given)
before = peak()
counts = [prepared(folder, **given).meta["counts"] for folder in large]
print(json.dumps([before, peak(), counts]))
"""


def growth(given: dict[str, Any], small: Path, *large: Path) -> tuple[float, list[dict[str, int]]]:
    """By how many MiB the memory of a process grows from small to large data, and the counts of the large."""
    if not Path("/proc/self/status").exists():
        pytest.skip("only Linux says how much memory a process has needed")
    command = [sys.executable, "-c", MEASURE, json.dumps(given), small, *large]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=HANGING)
    assert done.returncode == 0, done.stderr
    before, after, counts = json.loads(done.stdout.splitlines()[-1])
    return after - before, counts


def test_large_arrays_need_little_memory(tmp_path: Path) -> None:
    """Of 98 MiB, whose rows lie one behind the other in the file or their columns do."""
    rng = np.random.default_rng(0)
    orders: tuple[Literal["C", "F"], ...] = ("C", "F")
    for name, count, order in (("small", 1000, "C"), *((order, 100_000, order) for order in orders)):
        (tmp_path / name).mkdir()
        x = rng.integers(0, 256, (count, 32, 32), dtype=np.uint8)
        np.save(tmp_path / name / "x.npy", np.asarray(x, order=order))
    given = {**NPY, "val_count": 0.1, "test_count": 0.1}
    more, counts = growth(given, tmp_path / "small", *(tmp_path / order for order in orders))
    assert counts == [{"train": 80_000, "val": 10_000, "test": 10_000}] * 2
    assert 0 < more < 70


def test_large_tables_need_little_memory(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = "".join(",".join(f"{value:.12f}" for value in row) + f",{number % 3}\n" for number, row in
                   enumerate(rng.normal(size=(5000, 8))))  # fmt: skip
    for name, times in (("small", 1), ("large", 160)):
        (tmp_path / name).mkdir()
        with (tmp_path / name / "x.csv").open("w") as file:
            file.write("a,b,c,d,e,f,g,h,label\n")
            for _ in range(times):
                file.write(rows)
    given = {"source": "csv", "path": "x.csv", "label": "label", "test_count": 0.1, "missing": "mean"}
    more, (counts,) = growth(given, tmp_path / "small", tmp_path / "large")
    assert sum(counts.values()) == 800_000
    assert 0 < more < 150


def test_a_column_that_float32_makes_coarse_is_said() -> None:
    seconds = {"name": "seconds", "mean": 1.7e9, "std": 3600.0, "min": 1.69e9, "max": 1.71e9}
    (said,) = writing._coarse([seconds, {**seconds, "name": "hours", "std": 3.6e6}])
    assert said == (
        "Column 'seconds' is rounded to steps of 128: its standard deviation is 3.6e+03, and its numbers, of up to"
        " 1.71e+09, are stored as float32; subtract an offset from it."
    )
