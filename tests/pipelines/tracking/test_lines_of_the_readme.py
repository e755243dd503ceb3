"""Every line of the README's "Use a model" and the parameters in docs/using.md are run, or compared with the code."""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from models.contract import Event
from pipelines.serving.answers.parameters import PARAMETERS
from pipelines.tracking.champion import Rules
from pipelines.tracking.registry import Offer, register
from pipelines.tracking.store import tracking_uri
from tests.pipelines.serving.test_answers import finished

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[3]
HANGING = 300  # seconds that nobody would wait
DIGITS = Event((1, 8, 8), 17, classes=10)
LINES = 15  # at most


def blocks(language: str) -> list[str]:
    """The lines of code in the section."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = text.partition("\n## Use a model\n")[2].partition("\n## ")[0]
    found = re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)
    return [line for block in found for line in block.splitlines() if line.strip()]


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> str:
    root = tmp_path_factory.mktemp("registry")
    for name, config in (("maf", {"blocks": 1, "hidden": [8]}), ("made", {"hidden": [8]})):
        folder = root / name
        finished(folder, DIGITS, name, conditional=True, **config)
        metrics, scores = {"objective": 1.0, "objective_name": "val_nll_bits_per_dim"}, {"nll": [1.0], "draws": 1}
        register(root, "digits", name, folder, metrics, Rules(), {"data_digest": "d"}, Offer(scores=scores))
    return tracking_uri(root)


@pytest.fixture
def environment(registry: str, tmp_path: Path) -> dict[str, str]:
    x = np.random.default_rng(0).integers(0, 17, (3, 1, 8, 8))
    np.save(tmp_path / "digits.npy", x)
    np.save(tmp_path / "halves.npy", np.where(np.arange(8)[:, None] < 4, x, np.nan))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "MLFLOW_TRACKING_URI": registry, "PATH": path, "OMP_NUM_THREADS": "1"}


def test_there_are_few_lines() -> None:
    assert 8 <= len([*blocks("python"), *blocks("bash")]) <= LINES


def test_lines_of_python(registry: str, environment: dict[str, str], tmp_path: Path) -> None:
    program = re.sub(r"sqlite:[^\"]*", registry, "\n".join(blocks("python")))
    shapes = "assert x.shape == (16, 1, 8, 8) and z.shape == (16, 64) and len(scores) == 16, (x.shape, z.shape)"
    done = subprocess.run(
        [sys.executable, "-c", f"{program}\n{shapes}"], cwd=tmp_path, env=environment, check=False, timeout=HANGING
    )
    assert done.returncode == 0


def test_lines_of_a_shell(environment: dict[str, str], tmp_path: Path) -> None:
    made = []
    for line in blocks("bash"):
        command = shlex.split(line, comments=True)
        if command[0] == "mlflow":
            port = command[command.index("--port") + 1] = free_port()
            assert_it_serves(command, environment, tmp_path, f"http://127.0.0.1:{port}/ping")
            continue
        if command[1] == "play":
            port = free_port()
            command += ["--port", port, "--no-browser"]
            assert_it_serves(command, environment, tmp_path, f"http://127.0.0.1:{port}/")
            continue
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=HANGING
        )
        assert done.returncode == 0 and command[0] == "genera", done.stderr
        made.append(command[command.index("--out") + 1])
    assert made == ["threes.png", "scored.csv", "whole.npz"] and all((tmp_path / name).is_file() for name in made)
    with np.load(tmp_path / "whole.npz") as whole, open(tmp_path / "digits.npy", "rb") as file:
        x = np.load(file)
        assert (whole["samples"][:, :, :4] == x[:, :, :4].repeat(4, 0)).all()


def free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return str(free.getsockname()[1])


def assert_it_serves(command: list[str], environment: dict[str, str], folder: Path, address: str) -> None:
    """Start a server as the line says, but on a free port, until it answers."""
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        end = time.monotonic() + HANGING
        while time.monotonic() < end and process.poll() is None:
            try:
                with urllib.request.urlopen(address, timeout=5) as answer:
                    assert answer.status == 200
                    return
            except OSError:
                time.sleep(0.3)
        raise AssertionError((folder / "log").read_text())
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(HANGING)


def test_the_page_lists_all_parameters() -> None:
    page = (ROOT / "docs" / "using.md").read_text(encoding="utf-8")
    for each in PARAMETERS:
        tasks = ", ".join(each.tasks) or "all"
        assert f"| `{each.name}` | {each.type}{' list' * each.many} | {tasks} | {each.meaning} |\n" in page
