"""`genera play` as a user runs it: a line where something is wrong, an address of this machine, no word to another."""

from __future__ import annotations

import importlib.util
import json
import re
import select
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipelines.evaluation.finished import CONFIG, weights_digest
from pipelines.files import read_json
from pipelines.serving.consumer.mistake import Mistake
from pipelines.serving.consumer.playground import complete_tab, sample_tab, score_tab
from pipelines.serving.consumer.playground.local_server import HOST, listen
from pipelines.serving.consumer.playground.opened import Opened
from pipelines.serving.consumer.playground.own_examples import from_cells
from pipelines.serving.consumer.playground.play import SILENT, play
from pipelines.serving.consumer.playground.python_lines import loading
from pipelines.tracking.candidate import Candidate
from pipelines.tracking.package import package

from ....shell import HANGING, shell

ROOT = Path(__file__).parents[4]
# Runs the command, and writes every machine that it looks up or connects to.
WATCHED = """
import json, sys
def note(event, args):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname"):
        whom = args[1] if event == "socket.connect" else args[0]
        print("ASKED " + json.dumps(str(whom)), file=sys.stderr, flush=True)
sys.addaudithook(note)
from pipelines.cli import main
main()
"""


@pytest.fixture(scope="module")
def saved(toys_folder: Path, toys: dict[str, Opened], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy of the table as MLflow saves it."""
    made, folder = toys_folder / "table", tmp_path_factory.mktemp("saved") / "made"
    scores = {"nll": [1.0, 2.0, 3.0], "draws": 1}
    config = read_json(made / CONFIG)
    candidate = Candidate(
        "toy-made", "toy", "made", made, ROOT / "models", config, {}, {}, weights_digest(made), scores
    )
    package(candidate, folder)
    return folder


def test_without_gradio_one_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(Mistake, match=r"needs Gradio, which is not installed: pip install 'genera\[play\]'"):
        play(["made"], lambda name: pytest.fail("a model is loaded"), None, None, browser=False)


def test_a_port_in_use_is_a_mistake() -> None:
    with listen(None) as listening:
        address, port = listening.getsockname()
        assert address == HOST == "127.0.0.1"
        with pytest.raises(Mistake, match=rf"--port: {port}: cannot be used \(Address already in use\)"):
            listen(port)


@pytest.mark.slow
def test_the_python_of_the_page_loads_what_mlflow_saved(saved: Path, toys: dict[str, Opened]) -> None:
    opened = Opened("made", toys["table"].model, loading(str(saved), "from a import load"))
    _, python = sample_tab.sample([opened], sample_tab.Wish(n=3, seed=1, temperature=0.5, conditions="age>=30"))
    found: dict[str, Any] = {}
    exec(python, found)  # what a reader of the page does with it
    asked = {"task": "sample", "n": 3, "seed": 1, "temperature": 0.5, "where": ["age>=30"]}
    pd.testing.assert_frame_equal(found["x"], opened.ask(None, asked))
    row = [["age", "40"], ["price", "12.5"], ["job", ""]]
    _, python = complete_tab.complete(opened, from_cells(opened, row), None, 4, 2, 1.0, None)
    exec(python, found)
    assert len(found["made"]) == 4 and found["made"]["job"].notna().all() and (found["made"]["price"] == 12.5).all()
    _, python = score_tab.score(opened, from_cells(opened, [*row[:2], ["job", "<b>a</b>"]]))
    exec(python, found)
    assert np.isfinite(float(np.asarray(found["score"]).ravel()[0]))


@pytest.mark.slow
def test_the_command_serves_this_machine_alone(saved: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", WATCHED, "play", str(saved), "--no-browser"]
    environment = shell(PYTHONPATH=str(ROOT), TMPDIR=str(tmp_path))
    with (tmp_path / "said").open("w") as said:
        process = subprocess.Popen(
            command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=said, text=True
        )
        try:
            assert process.stdout is not None and select.select([process.stdout], [], [], HANGING)[0]
            line = process.stdout.readline()
            printed = re.fullmatch(r"The page is at (http://127\.0\.0\.1:\d+); Ctrl\+C ends it\.\n", line)
            assert printed, line + (tmp_path / "said").read_text()
            with urllib.request.urlopen(printed[1], timeout=HANGING) as answer:
                page, headers = answer.read().decode(), answer.headers
            assert "Genera playground" in page and "rows of 3 columns" in page
            assert "default-src 'self'" in headers["content-security-policy"]
            foreign = urllib.request.Request(printed[1], headers={"Host": "example.org"})
            with pytest.raises(urllib.error.HTTPError, match="400"):
                urllib.request.urlopen(foreign, timeout=HANGING)
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=HANGING)
    lines = (tmp_path / "said").read_text().splitlines()
    asked = [json.loads(each.removeprefix("ASKED ")) for each in lines if each.startswith("ASKED ")]
    assert [each for each in asked if not re.search(r"127\.0\.0\.1|localhost|^None$|^/|::1", each)] == []
    assert not list(tmp_path.glob("genera-play-*")), "what was uploaded is removed"


def test_everything_that_would_be_sent_is_off() -> None:
    assert SILENT["GRADIO_ANALYTICS_ENABLED"] == "False" and SILENT["MLFLOW_DISABLE_TELEMETRY"] == "true"
