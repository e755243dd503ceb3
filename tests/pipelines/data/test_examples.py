"""Reading a split: streamed and in memory alike, ahead of the training, in little memory, black or white."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from models.contract import Batch, Player, Trainable
from models.noise import Noise
from pipelines.data.examples import AHEAD, Examples, Feed, batch_rows
from pipelines.data.rows import Rows
from pipelines.errors import UserError
from pipelines.params.schema import Loop
from pipelines.storage import Folder
from pipelines.training.loop import Training
from pipelines.training.task import Task

N, LIMIT = 500, 3000  # of a split of 6000 bytes
ARRAY = np.random.default_rng(0).integers(0, 17, (N, 1, 3, 4), dtype=np.uint8)
LABELS = np.arange(N)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    np.save(tmp_path / "x.npy", ARRAY)
    return tmp_path / "x.npy"


def streamed(path: Path, grey_levels: int | None = None) -> Examples:
    examples = Examples(Rows(path), LABELS, limit=LIMIT, grey_levels=grey_levels)
    assert examples.streamed
    return examples


# Rows of a file


@pytest.mark.parametrize("index", [[], [3], [3, 4, 5, 2], [9, 9, 8, 10, 9], [499, 0], [*range(100, 90, -1)]])
def test_rows_are_taken_in_the_order_asked_for(path: Path, index: list[int]) -> None:
    rows = Rows(path)
    assert np.array_equal(rows.take(np.array(index, np.int64)), ARRAY[np.array(index, np.int64)])
    assert rows.nbytes == ARRAY.nbytes and np.array_equal(rows.whole(), ARRAY)


@pytest.mark.parametrize("dtype", ["float32", "int64", ">f4", "bool"])
def test_rows_of_any_numbers(tmp_path: Path, dtype: str) -> None:
    array = np.random.default_rng(0).normal(size=(3000, 5)).astype(dtype)
    np.save(tmp_path / "x.npy", array)
    index = np.random.default_rng(1).permutation(3000)
    taken = Rows(tmp_path / "x.npy").take(index)
    assert taken.dtype == array.dtype and np.array_equal(taken, array[index])
    assert np.array_equal(Rows(tmp_path / "x.npy").take(np.arange(3000)), array), "more neighbours than buffers"
    np.save(tmp_path / "x.npy", array[:, 0])
    assert np.array_equal(Rows(tmp_path / "x.npy").take(index[:7]), array[index[:7], 0])


@pytest.mark.parametrize("row", [-1, N])
def test_rows_that_are_not_there_are_refused(path: Path, row: int) -> None:
    with pytest.raises(IndexError, match="has 500 rows"):
        Rows(path).take(np.array([0, row]))


def test_a_file_that_shrinks_is_said_to_be_truncated(path: Path) -> None:
    rows = Rows(path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"x\.npy: is truncated"):
        rows.take(np.array([0, N - 1]))


def test_threads_may_read_at_the_same_time(path: Path) -> None:
    rows, wrong = Rows(path), []

    def read(seed: int) -> None:
        random = np.random.default_rng(seed)
        for _ in range(50):
            index = random.integers(0, N, 40)
            if not np.array_equal(rows.take(index), ARRAY[index]):
                wrong.append(seed)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


# Examples


def test_streamed_examples_are_those_in_memory(path: Path) -> None:
    index = torch.tensor([5, 0, 499, 5])
    for examples in (streamed(path), Examples(Rows(path), LABELS), Examples(ARRAY, LABELS, limit=0)):
        x, labels = examples.rows(index)
        assert x.dtype == torch.uint8 and np.array_equal(x, ARRAY[index])
        assert labels is not None and torch.equal(labels, index)
        assert np.array_equal(torch.cat([x for x, _ in examples.batches(70)]), ARRAY)


def test_the_head_is_spread_over_a_split_that_may_be_sorted(path: Path) -> None:
    _, labels = streamed(path).head(5)
    assert labels is not None and labels.tolist() == [0, 100, 200, 300, 400]
    assert len(streamed(path).head(1000)[0]) == N


def test_rows_of_a_batch_are_those_of_the_shuffles() -> None:
    endless = torch.cat([batch_rows(10, 10, epoch, seed=3) for epoch in range(4)])
    for size in (1, 4, 9, 10, 25):
        rows = torch.cat([batch_rows(10, size, step, seed=3) for step in range(40 // size)])
        assert torch.equal(rows, endless[: len(rows)])


# Reading ahead


def reading() -> list[threading.Thread]:
    """The threads that read ahead."""
    return [thread for thread in threading.enumerate() if thread.name.startswith("examples")]


def feed_of(examples: Examples, steps: int = 40) -> Feed:
    return Feed(examples, lambda step: batch_rows(N, 16, step, seed=0), steps)


def test_batches_read_ahead_are_those_of_their_steps(path: Path) -> None:
    here, there = feed_of(streamed(path)), feed_of(Examples(ARRAY, LABELS))
    for step in [*range(5), 5, 5, *range(20, 40), 3]:  # each move of a step asks; a resumed training starts anywhere
        (x, labels), (y, others) = here.batch(step), there.batch(step)
        assert torch.equal(x, y) and labels is not None and others is not None and torch.equal(labels, others)
    assert len(here._ahead) == AHEAD and reading()
    here.close()
    assert not reading()


def test_what_is_read_ahead_is_bounded(path: Path) -> None:
    asked: list[int] = []
    examples = streamed(path)
    feed = Feed(examples, lambda step: asked.append(step) or torch.arange(16), steps=6)
    feed.batch(0)
    feed.close()
    assert set(asked) <= set(range(AHEAD + 1))
    for step in range(1, 6):
        feed.batch(step)
    feed.close()
    assert max(asked) == 5, "nothing is read beyond the last step"
    huge = Feed(examples, lambda step: torch.arange(N // 2), steps=6)
    assert len(huge.batch(0)[0]) == N // 2 and not huge._ahead, "several of them would break the limit"


def test_the_reading_thread_leaves_the_global_generator_alone(path: Path) -> None:
    torch.manual_seed(0)
    before, feed = torch.get_rng_state(), feed_of(streamed(path))
    for step in range(40):
        feed.batch(step)
    feed.close()
    assert torch.equal(torch.get_rng_state(), before)


class Mean(Trainable):
    """Two players that fit a number to the mean of noisy pixels, one of them by a loss of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = (torch.nn.Linear(1, 1) for _ in range(2))
        self.seen: list[torch.Tensor] = []
        self.fail_at: int | None = None

    def players(self) -> list[Player]:
        return [Player(name, getattr(self, name), getattr(self, f"_{name}"), 1e-2) for name in ("first", "second")]

    def _first(self, batch: Batch) -> torch.Tensor:
        if len(self.seen) == self.fail_at:
            raise KeyboardInterrupt
        self.seen.append(batch.x)
        return self._second(batch)

    def _second(self, batch: Batch) -> torch.Tensor:
        target = batch.x.float().mean() + batch.noise.normal(1)
        return (self.first(target) + self.second(target) - 1).square().mean()


def train(examples: Examples, folder: Path, fail_at: int | None = None) -> Mean:
    torch.manual_seed(0)
    module = Mean()
    module.fail_at = fail_at
    task = Task("mean", module, module.players(), examples, lambda: {"objective": 0.0})
    Training(task, Loop(steps=30, batch_size=16, checkpoint_every=7), 0, Folder(folder), lambda _: None).run()
    return module


@pytest.mark.parametrize("grey_levels", [None, 17])
def test_a_streamed_training_ends_with_the_bits_of_one_in_memory(
    path: Path, tmp_path: Path, grey_levels: int | None
) -> None:
    resident = train(Examples(ARRAY, LABELS, grey_levels=grey_levels), tmp_path / "resident")
    whole = train(streamed(path, grey_levels), tmp_path / "whole")
    for kill in (3, 12):
        with pytest.raises(KeyboardInterrupt):
            train(streamed(path, grey_levels), tmp_path / "killed", fail_at=kill)
        assert not reading(), "the reading thread ends with its training"
    resumed = train(streamed(path, grey_levels), tmp_path / "killed")
    assert all(torch.equal(x, y) for x, y in zip(whole.seen, resident.seen, strict=True))
    for other in (whole, resumed):
        assert {key: value.tolist() for key, value in other.state_dict().items()} == {
            key: value.tolist() for key, value in resident.state_dict().items()
        }


def test_an_error_of_reading_ends_the_training(path: Path, tmp_path: Path) -> None:
    examples = streamed(path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(UserError, match="is truncated"):
        train(examples, tmp_path / "state")
    assert not reading()


STREAM = """
import sys
from pathlib import Path
import torch
from pipelines.data.examples import Examples
from pipelines.data.rows import Rows
from pipelines.params.schema import Loop
from pipelines.storage import Folder
from pipelines.training.loop import Training
from pipelines.training.task import Task
from tests.pipelines.data.test_examples import Mean

def peak():
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024

def run(steps, folder):
    module = Mean()
    module.seen = type("Nothing", (list,), {"append": lambda self, x: None})()
    task = Task("mean", module, module.players(), examples, lambda: {"objective": 0.0})
    Training(task, Loop(steps=steps, batch_size=512, validate_every=steps), 0, Folder(folder), lambda _: None).run()

path, folder = sys.argv[1:]
examples = Examples(Rows(Path(path)), None, limit=16 << 20)
run(3, folder + "/warm")
before = peak()
run(len(examples) // 512, folder + "/all")
for x, _ in examples.batches(500):
    pass
print(peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak of memory from Linux")
def test_streaming_needs_no_more_memory_than_it_is_allowed(tmp_path: Path, root: Path) -> None:
    rows, size = 50_000, 64 * 64
    with (tmp_path / "x.npy").open("wb") as file:  # 195 MiB of zeros, which take no room on the disk
        header = {"descr": "|u1", "fortran_order": False, "shape": (rows, size)}
        np.lib.format.write_array_header_1_0(file, header)
        file.truncate(file.tell() + rows * size)
    command = [sys.executable, "-c", STREAM, str(tmp_path / "x.npy"), str(tmp_path / "state")]
    done = subprocess.run(command, cwd=root, capture_output=True, check=True, text=True)
    grown = float(done.stdout.splitlines()[-1])
    print(f"the peak grew by {grown:.1f} MiB while {rows * size >> 20} MiB were read twice")
    assert grown < 64


# Black or white


def test_pixels_are_1_as_often_as_they_are_bright() -> None:
    levels = 5
    grey = np.broadcast_to(np.arange(levels, dtype=np.uint8), (4000, levels))
    examples = Examples(grey, None, grey_levels=levels)
    noise = Noise(torch.Generator().manual_seed(0), 4000)
    for x, _ in (examples.rows(torch.arange(4000), noise), examples.head(4000)):
        assert x.dtype == torch.uint8 and set(x.unique().tolist()) == {0, 1}
        share = x.double().mean(0)
        assert share[0] == 0 and share[-1] == 1
        assert share.tolist() == pytest.approx(np.arange(levels) / (levels - 1), abs=0.03)


@pytest.mark.parametrize("limit", [LIMIT, 2**30])
def test_without_noise_a_row_is_the_same_each_time(path: Path, limit: int) -> None:
    examples = Examples(Rows(path), None, limit=limit, grey_levels=17)
    whole = torch.cat([x for x, _ in examples.batches(100)])
    assert torch.equal(torch.cat([x for x, _ in examples.batches(33)]), whole)
    assert torch.equal(examples.head(5)[0], whole[::100])
    assert len({tuple(row.flatten().tolist()) for row in examples.rows(torch.arange(N))[0]}) > N / 2


def test_each_step_draws_anew_and_workers_draw_as_one() -> None:
    examples, index = Examples(ARRAY, None, grey_levels=17), torch.arange(12)

    def drawn(start: int, rows: int, generator: torch.Generator) -> torch.Tensor:
        return examples.rows(index[start : start + rows], Noise(generator, rows, start, 12))[0]

    one, two = (torch.Generator().manual_seed(0) for _ in range(2))
    first, second = drawn(0, 12, one), drawn(0, 12, one)
    assert not torch.equal(first, second)
    assert torch.equal(drawn(0, 6, two), first[:6]) and torch.equal(drawn(6, 6, two), second[6:])


def test_other_data_draws_nothing() -> None:
    generator = torch.Generator().manual_seed(0)
    before = generator.get_state()
    Examples(ARRAY, None).rows(torch.arange(4), Noise(generator, 4))
    assert torch.equal(generator.get_state(), before)
