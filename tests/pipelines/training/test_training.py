"""The training loop: exact resume, early stopping, divergence, damaged checkpoints, schedules, averages."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models.contract import Batch, Player, Trainable
from models.layers.autoregressive.staircase import StaircaseLinear
from pipelines.data.examples import Examples, batch_rows
from pipelines.device import peak_mib
from pipelines.errors import UserError
from pipelines.params.schema import Loop
from pipelines.storage import Folder
from pipelines.training import checkpoint
from pipelines.training.loop import Part, Training, fit
from pipelines.training.players import make_optimiser, pace
from pipelines.training.task import Task


class Kill(Exception):
    """Stands for kill -9: nothing catches it."""


class Regression(Trainable):
    """Two players: weights that fit y = 2x + 1 with noise and dropout, and a second one that follows the first."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = torch.nn.Linear(1, 8), torch.nn.Linear(8, 1)
        self.follower = torch.nn.Linear(1, 1)
        self.batches = 0
        self.fail_at: int | None = None
        self.spoil_at: int | None = None

    def predict(self, x: torch.Tensor) -> torch.Tensor:
        h = torch.nn.functional.dropout(self.first(x).tanh(), 0.1, self.training)
        out: torch.Tensor = self.second(h)
        return out

    def players(self) -> list[Player]:
        leader = torch.nn.ModuleList([self.first, self.second])
        return [
            Player("leader", leader, self._leader_loss, 1e-2),
            Player("follower", self.follower, self._follower_loss, 1e-2, every=3),
        ]

    def _leader_loss(self, batch: Batch) -> torch.Tensor:
        self.batches += 1
        if self.batches == self.fail_at:
            raise Kill
        noise = 0.1 * batch.noise.normal(1)
        loss = (self.predict(batch.x) - 2 * batch.x - 1 - noise).square().mean()
        return loss * math.nan if self.batches == self.spoil_at else loss

    def _follower_loss(self, batch: Batch) -> torch.Tensor:
        return (self.follower(batch.x) - self.predict(batch.x).detach()).square().mean()


X = np.linspace(-1, 1, 50, dtype=np.float32)[:, None]
LOOP = {"steps": 40, "batch_size": 8, "validate_every": 6, "checkpoint_every": 7, "ema_decay": 0.9, "warmup_steps": 5}


def make(module: Regression, validate: Callable[[], dict[str, float]] | None = None) -> Task:
    def error() -> dict[str, float]:
        x = torch.from_numpy(X)
        return {"objective": (module.predict(x) - 2 * x - 1).square().mean().item(), "extra": 1.0}

    return Task("test", module, module.players(), Examples(X, None), validate or error)


def train(folder: Path, fail_at: int | None = None, reports: list[Any] | None = None, **options: Any) -> Training:
    torch.manual_seed(0)
    module = Regression()
    module.fail_at = fail_at
    training = Training(
        make(module), Loop(**{**LOOP, **options}), 0, Folder(folder), (reports if reports is not None else []).append
    )
    training.run()
    return training


def outcome(training: Training) -> tuple[Any, ...]:
    state = {key: value for key, value in vars(training.state).items() if key not in ("seconds", "peak_mib")}
    weights = {key: value.tolist() for key, value in training.module.state_dict().items()}
    return weights, {key: value.tolist() for key, value in training.best.items()}, state


def test_training_lowers_the_objective(tmp_path: Path) -> None:
    history = train(tmp_path, steps=300).state.history
    assert history[-1]["objective"] < history[0]["objective"] / 3
    assert {"step", "loss", "leader_loss", "follower_loss", "objective", "extra"} == set(history[0])
    assert history[0]["loss"] == pytest.approx(history[0]["leader_loss"] + history[0]["follower_loss"])


@pytest.mark.parametrize("kills", [(1,), (8,), (9,), (22, 5), (40,), (15, 1, 1, 12)])
def test_killed_at_any_step_it_ends_with_the_same_bits(tmp_path: Path, kills: tuple[int, ...]) -> None:
    undisturbed = outcome(train(tmp_path / "undisturbed"))
    for kill in kills:
        with pytest.raises(Kill):
            train(tmp_path / "killed", fail_at=kill)
    assert outcome(train(tmp_path / "killed")) == undisturbed


def part(folder: Path, at: Part, rate: float = 1e-2, reports: list[Any] | None = None, **options: Any) -> Training:
    """A part of the training, at a learning rate of its own."""
    torch.manual_seed(0)
    task = make(Regression())
    task = replace(task, players=[replace(player, learning_rate=rate) for player in task.players])
    loop, heard = Loop(**{**LOOP, **options}), reports if reports is not None else []
    training = Training(task, loop, 0, Folder(folder), heard.append, part=at)
    assert training.run() == (at.until or loop.steps)
    return training


def test_a_training_in_parts_is_one(tmp_path: Path) -> None:
    whole = outcome(train(tmp_path / "whole", validate_every=9))
    heard = list[Any]()
    part(tmp_path / "first", Part(until=18), validate_every=9, reports=heard)
    again = Part(18, 36, Folder(tmp_path / "first"))
    part(tmp_path / "second", again, validate_every=9, reports=heard)
    assert [row["step"] for row in heard] == [9, 18, 27, 36]
    rest = part(tmp_path / "second", Part(36), validate_every=9, reports=heard)
    assert outcome(rest) == whole and [row["step"] for row in heard[4:]] == [40]


def test_a_part_has_a_learning_rate_of_its_own_whatever_was_before(tmp_path: Path) -> None:
    part(tmp_path / "first", Part(until=20))
    ends = dict[float, Any]()
    for rate in (1e-2, 0.0):
        folder = tmp_path / str(rate)
        ends[rate] = part(folder, Part(20, None, Folder(tmp_path / "first")), rate)
    before = checkpoint.load(Folder(tmp_path / "first"))
    assert before is not None
    for key, value in ends[0.0].module.state_dict().items():
        assert torch.equal(value, before[0]["module"][key]), "nothing moves at a rate of 0"
    assert outcome(ends[1e-2])[0] == outcome(train(tmp_path / "whole"))[0]


def test_a_part_that_diverges_at_once_goes_back_to_what_was_before(tmp_path: Path) -> None:
    part(tmp_path / "first", Part(until=20), rescues=1)
    torch.manual_seed(0)
    module = Regression()
    module.spoil_at = 1
    at = Part(20, None, Folder(tmp_path / "first"))
    training = Training(make(module), Loop(**{**LOOP, "rescues": 1}), 0, Folder(tmp_path / "second"), part=at)
    assert training.run() == 40
    assert training.state.rescues == 1 and [row["step"] for row in training.state.history][-2:] == [36, 40]


def test_examples_and_memory_are_counted_across_interruptions(tmp_path: Path) -> None:
    try:
        train(tmp_path, fail_at=20)
    except Kill:
        before = peak_mib(torch.device("cpu"))
    state = train(tmp_path).state
    assert state.examples == 40 * 8
    assert state.peak_mib == pytest.approx(before, abs=200)


MEMORY = """
import torch
from pipelines.device import forget_peak, peak_mib

cpu = torch.device("cpu")
before = peak_mib(cpu)
much = torch.ones(500, 1 << 18)  # float32: a mebibyte each
more = peak_mib(cpu) - before
del much
forget_peak(cpu)
print(before, more, peak_mib(cpu) - before)
"""


def test_memory_is_that_of_the_process_in_mebibytes(root: Path) -> None:
    done = subprocess.run([sys.executable, "-c", MEMORY], cwd=root, capture_output=True, text=True, check=True)
    before, more, later = map(float, done.stdout.split())
    assert 50 < before < 10_000 and more == pytest.approx(500, abs=50)
    assert abs(later) < 50 or abs(later - more) < 1, "forgotten where that can be"


def test_a_resumed_run_reports_everything_again(tmp_path: Path) -> None:
    whole: list[Any] = []
    train(tmp_path / "undisturbed", reports=whole)
    with pytest.raises(Kill):
        train(tmp_path / "killed", fail_at=20)
    resumed: list[Any] = []
    train(tmp_path / "killed", reports=resumed)
    assert resumed == whole
    again: list[Any] = []
    train(tmp_path / "killed", reports=again)
    assert again == whole, "a finished run is not trained again"


@pytest.mark.parametrize("damage", ["truncated", "empty", "garbage"])
def test_a_damaged_checkpoint_falls_back_to_the_one_before(
    tmp_path: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    undisturbed = outcome(train(tmp_path / "undisturbed"))
    with pytest.raises(Kill):
        train(tmp_path / "killed", fail_at=25)
    before, newest = sorted((tmp_path / "killed").glob("step-*"))
    content = newest.read_bytes()
    newest.write_bytes({"truncated": content[: len(content) // 2], "empty": b"", "garbage": b"x" * 100}[damage])
    training = train(tmp_path / "killed")
    warning = capsys.readouterr().out
    assert newest.name in warning and "falling back" in warning and warning.count("warning") == 1
    assert before.name == "step-0000000014.safetensors"
    assert outcome(training) == undisturbed


def test_two_checkpoints_are_kept_and_no_temporary_file(tmp_path: Path) -> None:
    train(tmp_path)
    assert [path.name for path in sorted(tmp_path.iterdir())] == [
        "owner-0000000001.json",
        "step-0000000035.safetensors",
        "step-0000000040.safetensors",
    ]


def test_a_full_disk_leaves_the_last_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Kill):
        train(tmp_path, fail_at=10)

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("pipelines.files.os.fsync", full)
        with pytest.raises(OSError, match="No space"):
            train(tmp_path)
    assert [path.name for path in tmp_path.glob("*step*")] == ["step-0000000007.safetensors"]
    assert outcome(train(tmp_path)) == outcome(train(tmp_path / "undisturbed"))


def test_divergence_stops_with_the_best_weights_kept(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = Regression()
    module.spoil_at = 20
    with pytest.raises(
        UserError, match=r"test: diverged by step 21: the loss of leader is nan.*lower the learning rate"
    ):
        fit(make(module), Loop(**LOOP), 0, Folder(tmp_path))
    groups, _ = checkpoint.load(Folder(tmp_path / "best")) or ({}, None)
    assert all(value.isfinite().all() for value in groups["best"].values())


def test_an_exploding_loss_is_divergence(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = Regression()
    module.players()[0].module.requires_grad_(True)
    task = make(module)
    task.players[0] = Player(
        "leader", module.second, lambda b: module._leader_loss(b) * 10.0 ** (module.batches // 4), 1e-2
    )
    with pytest.raises(UserError, match="rose from"):
        fit(task, Loop(**{**LOOP, "explode_factor": 100.0}), 0, Folder(tmp_path))


def test_a_validation_that_is_nan_is_divergence(tmp_path: Path) -> None:
    module = Regression()
    task = make(module, lambda: {"objective": math.nan})
    with pytest.raises(UserError, match="validation objective is nan"):
        fit(task, Loop(**LOOP), 0, Folder(tmp_path))


def rescued(folder: Path, spoil: tuple[int, ...], fail_at: int | None = None, **options: Any) -> Training:
    """A training whose loss is no number at the step after `spoil[k]` steps, once k rescues have been made."""
    torch.manual_seed(0)
    module = Regression()
    module.fail_at = fail_at
    training = Training(make(module), Loop(**{**LOOP, "rescues": 2, **options}), 0, Folder(folder))

    def loss(batch: Batch) -> torch.Tensor:
        made = training.state.rescues
        bad = made < len(spoil) and training.state.step == spoil[made]
        return module._leader_loss(batch) * (math.nan if bad else 1.0)

    training.losses["leader"].loss = loss  # type: ignore[assignment]
    training.run()
    return training


def test_a_divergence_is_rescued_at_half_the_learning_rate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    training = rescued(tmp_path, spoil=(19,), schedule="constant")
    assert training.state.step == 40 and training.state.rescues == 1
    assert training.optimisers["leader"].param_groups[0]["lr"] == pytest.approx(0.5e-2)
    assert [row["step"] for row in training.state.history] == [6, 12, 18, 24, 30, 36, 40]
    said = "step 21: the loss of leader is nan; back to step 18 with 0.5 times the learning rate (1 more rescue)\n"
    assert capsys.readouterr().out.count(said) == 1


def test_until_it_diverges_a_training_with_rescues_is_the_same(tmp_path: Path) -> None:
    plain, other = train(tmp_path / "plain"), rescued(tmp_path / "other", spoil=())
    assert outcome(plain) == outcome(other)


def test_a_divergence_before_the_first_validation_goes_back_to_the_start(tmp_path: Path) -> None:
    training = rescued(tmp_path, spoil=(2, 2))
    assert training.state.step == 40 and training.state.rescues == 2
    assert training.optimisers["leader"].param_groups[0]["lr"] == 0


@pytest.mark.parametrize("kills", [(22,), (25,), (31, 3), (45,)])
def test_a_rescued_training_that_is_killed_ends_with_the_same_bits(tmp_path: Path, kills: tuple[int, ...]) -> None:
    undisturbed = outcome(rescued(tmp_path / "undisturbed", spoil=(19, 26)))
    for kill in kills:
        with pytest.raises(Kill):
            rescued(tmp_path / "killed", spoil=(19, 26), fail_at=kill)
    again = rescued(tmp_path / "killed", spoil=(19, 26))
    assert again.state.rescues == 2 and outcome(again) == undisturbed


def test_when_its_rescues_are_used_up_a_training_stops(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"diverged by step 21, after 2 rescues: the loss of leader is nan.*are kept in"
    ):
        rescued(tmp_path, spoil=(19, 19, 19))
    groups, _ = checkpoint.load(Folder(tmp_path / "best")) or ({}, None)
    assert all(value.isfinite().all() for value in groups["best"].values())


def test_to_get_much_worse_than_at_first_is_divergence_while_there_are_rescues(tmp_path: Path) -> None:
    values = iter([3.0, 1.0, 5.9, 6.1, 2.0, 9.0, 9.0, 9.0, 9.0])
    training = Training(
        make(Regression(), lambda: {"objective": next(values)}), Loop(**LOOP, rescues=1), 0, Folder(tmp_path)
    )
    training.run()
    assert training.state.rescues == 1
    assert [row["objective"] for row in training.state.history] == [3.0, 1.0, 5.9, 2.0, 9.0, 9.0, 9.0]


def test_patience_stops_early_and_keeps_the_best(tmp_path: Path) -> None:
    module, values = Regression(), iter([3.0, 1.0, 2.0, 2.0, 2.0, 2.0, 2.0])
    training = Training(
        make(module, lambda: {"objective": next(values)}), Loop(**{**LOOP, "patience": 2}), 0, Folder(tmp_path)
    )
    training.run()
    assert (training.state.step, training.state.best_step, training.state.best_objective) == (24, 12, 1.0)
    assert training.state.finished


def test_players_move_as_often_as_they_say(tmp_path: Path) -> None:
    training = train(tmp_path, steps=7)
    moves = {
        name: int(next(iter(optimiser.state_dict()["state"].values()))["step"])
        for name, optimiser in training.optimisers.items()
    }
    assert moves == {"leader": 7, "follower": 3}


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [("constant", [0.5, 1, 1, 1, 1]), ("linear", [0.5, 1, 1, 0.5, 0]), ("cosine", [0.5, 1, 1, 0.5, 0])],
)
def test_schedules_warm_up_and_come_down(schedule: str, expected: list[float]) -> None:
    loop = Loop(steps=42, warmup_steps=2, schedule=schedule, batch_size=8)  # type: ignore[arg-type]
    assert [pace(loop, step) for step in (0, 1, 2, 22, 42)] == pytest.approx(expected, abs=1e-9)


def test_the_average_of_weights_is_what_is_validated(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module, seen = Regression(), []
    task = make(module, lambda: seen.append(module.second.bias.item()) or {"objective": -len(seen)})
    training = Training(task, Loop(**{**LOOP, "steps": 2, "validate_every": 1}), 0, Folder(tmp_path))
    start = module.second.bias.item()
    trail: list[float] = []
    original = training._update_ema

    def watched() -> None:
        trail.append(module.second.bias.item())
        original()

    training._update_ema = watched  # type: ignore[method-assign]
    training.run()
    first = 1 / 10 * start + 9 / 10 * trail[0]
    assert seen == pytest.approx([first, 2 / 11 * first + 9 / 11 * trail[1]])
    assert training.best["second.bias"].item() == pytest.approx(seen[1])
    assert module.second.bias.item() == pytest.approx(trail[1])


def test_the_average_of_weights_forgets_their_start(tmp_path: Path) -> None:
    """With a decay of 0.999 alone, 0.999^200 = 82 % of the average would be the weights of the start."""
    module = Regression()
    training = Training(make(module), Loop(**{**LOOP, "ema_decay": 0.999}), 0, Folder(tmp_path))
    training.ema["second.bias"].fill_(1.0)
    with torch.no_grad():
        module.second.bias.fill_(0.0)
    for training.state.step in range(200):
        training._update_ema()
    share = math.exp(sum(math.log(min(0.999, (1 + step) / (10 + step))) for step in range(200)))
    assert training.ema["second.bias"].item() == pytest.approx(share, rel=1e-4) and share < 1e-9
    for training.state.step in range(100_000, 100_010):  # from 9,000 steps on the decay is that which was asked for
        training.ema["second.bias"].fill_(1.0)
        training._update_ema()
        assert training.ema["second.bias"].item() == pytest.approx(0.999)


def test_clipping_bounds_the_gradient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Training, "_count", lambda _: None)  # which would take the gradients away
    training = train(tmp_path, steps=1, clip_norm=1e-3)
    grads = [
        p.grad.norm() for player in training.task.players for p in player.module.parameters() if p.grad is not None
    ]
    assert torch.stack(grads).norm() < 2e-3


def test_batches_are_an_endless_row_of_shuffles() -> None:
    rows = torch.cat([batch_rows(10, 4, step, seed=0) for step in range(5)])
    assert sorted(rows[:10].tolist()) == sorted(rows[10:].tolist()) == list(range(10))
    assert rows[:10].tolist() != rows[10:].tolist()
    assert batch_rows(3, 8, 0, seed=0).bincount().tolist() in ([3, 3, 2], [3, 2, 3], [2, 3, 3])


@pytest.mark.parametrize("limit", [0, 2**30])
def test_streamed_examples_are_those_on_the_device(tmp_path: Path, limit: int) -> None:
    np.save(tmp_path / "x.npy", np.random.default_rng(0).integers(0, 17, (20, 1, 2, 2), dtype=np.uint8))
    array = np.load(tmp_path / "x.npy", mmap_mode="r")
    examples = Examples(array, np.arange(20), limit=limit)
    index = torch.tensor([5, 0, 19, 5])
    x, labels = examples.rows(index)
    assert x.dtype == torch.uint8 and torch.equal(x, torch.from_numpy(array[index.numpy()].copy()))
    assert labels is not None and labels.tolist() == index.tolist()
    assert torch.equal(torch.cat([part for part, _ in examples.batches(7)]), torch.from_numpy(np.array(array)))


def test_a_batch_must_be_given_where_there_is_no_data(tmp_path: Path) -> None:
    task = make(Regression())
    without = Task(task.name, task.module, task.players, None, task.validate)
    with pytest.raises(UserError, match="batch_size: 'all' is not allowed"):
        Training(without, Loop(**{**LOOP, "batch_size": "all"}), 0, Folder(tmp_path))


def test_bfloat16_and_compiled_losses_train_too(tmp_path: Path) -> None:
    history = train(tmp_path, steps=60, precision="bfloat16").state.history
    assert history[-1]["objective"] < history[0]["objective"]


def test_matrices_decay_and_biases_norms_and_scales_do_not() -> None:
    class Scaled(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.norm = torch.nn.Linear(2, 3), torch.nn.LayerNorm(3)
            self.stairs = StaircaseLinear(torch.arange(4), torch.arange(4))
            self.scale = torch.nn.Parameter(torch.ones(3))

    module = Scaled()
    player = Player("all", module, lambda batch: torch.zeros(()), 1e-3, weight_decay=0.5)
    decayed, others = make_optimiser(player).param_groups
    assert (decayed["weight_decay"], others["weight_decay"]) == (0.5, 0.0)
    assert {id(each) for each in decayed["params"]} == {id(module.layer.weight), id(module.stairs.weight)}
    rest = (module.scale, module.layer.bias, module.stairs.bias, *module.norm.parameters())
    assert {id(each) for each in others["params"]} == set(map(id, rest))
