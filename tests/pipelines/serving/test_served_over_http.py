"""A saved model, used from an empty folder: by MLflow's server, by its command, and by the command of consumers."""

from __future__ import annotations

import json
import math
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import models
from pipelines.serving.answers.answering import Answering
from pipelines.tracking.candidate import Candidate
from pipelines.tracking.package import package
from tests.pipelines.serving.test_served_rows import data, made, model  # noqa: F401

pytestmark = pytest.mark.slow
HANGING = 300  # seconds that nobody would wait
PROGRAM = [sys.executable, "-I", "-m"]


@pytest.fixture(scope="module")
def saved(model: Answering, made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: F811
    """The folder that MLflow saved the model in."""
    config = json.loads((made / "config.json").read_text())
    scores = {"nll": list(np.linspace(5, 25, 101)), "draws": 1}
    candidate = Candidate(
        "people-made", "people", "made", made, Path(models.__file__).parent, config, {}, {}, "", scores
    )
    folder = tmp_path_factory.mktemp("saved") / "model"
    card = package(candidate, folder)
    assert "`age`, `sex`, `price`, `joined`, `job`" in card and "| `where` | string list |" in card
    return folder


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    return {
        **{key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW", "PYTHON", "GENERA"))},
        "GENERA_MAX_EXAMPLES": "3000",
        "GENERA_MAX_SECONDS": "20",
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
        "OMP_NUM_THREADS": "1",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",  # where MLflow looks for its server
    }


@pytest.fixture(scope="module")
def server(saved: Path, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of MLflow's own server."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    folder = tmp_path_factory.mktemp("server")
    command = [*PROGRAM, "mlflow", "models", "serve", "-m", str(saved), "--env-manager", "local", "-p", str(port)]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        _wait(f"http://127.0.0.1:{port}/ping", process, folder / "log")
        yield f"http://127.0.0.1:{port}/invocations"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(HANGING)


def _wait(ping: str, process: subprocess.Popen[Any], log: Path) -> None:
    end = time.monotonic() + HANGING
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(ping, timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    raise AssertionError(log.read_text())


def ask(server: str, body: Any, content: str = "application/json") -> tuple[int, Any]:
    """The status of an answer, and what it says."""
    sent = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    request = urllib.request.Request(server, sent, {"Content-Type": content})
    try:
        with urllib.request.urlopen(request, timeout=HANGING) as answer:
            status, text = answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            status, text = error.code, error.read().decode()

    def never(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    return status, json.loads(text, parse_constant=never)


def test_rows_over_http(server: str, model: Answering) -> None:  # noqa: F811
    nothing = {"dataframe_split": {"columns": [], "data": []}}
    status, answer = ask(server, {**nothing, "params": {"task": "sample", "n": 5, "seed": 3}})
    assert status == 200
    said = answer["predictions"]
    assert said["seed"] == 3 and len(said["sample"]) == 5
    expected = model.answer(None, {"n": 5, "seed": 3})
    assert pd.DataFrame(said["sample"])["price"].tolist() == expected["price"].tolist()
    again = [ask(server, {"inputs": [], "params": {"task": "sample", "n": 5}})[1]["predictions"] for _ in range(2)]
    assert again[0]["sample"] != again[1]["sample"] and again[0]["seed"] != again[1]["seed"]

    rows = model.answer(None, {"n": 40, "seed": 1})
    status, answer = ask(server, rows[list(reversed(rows.columns))].to_csv(index=False), "text/csv")
    assert status == 200, answer
    scores = pd.DataFrame(answer["predictions"]["score"])
    likely = model.answer(rows, {"task": "log_prob"})
    np.testing.assert_allclose(scores["log_prob"], likely, rtol=1e-4)
    assert scores["percentile"].between(0, 100).all()
    shuffled = {"dataframe_records": rows.astype(object).where(rows.notna(), None).to_dict("records")}
    status, answer = ask(server, {**shuffled, "params": {"task": "log_prob"}})
    assert status == 200 and answer["predictions"]["unit"] == "nats"
    np.testing.assert_allclose(answer["predictions"]["log_prob"], likely, rtol=1e-4)


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ({"inputs": [], "params": {"task": "sample", "tempo": 2}}, "Unrecognized params ['tempo'] are not allowed"),
        ({"inputs": [], "params": {"task": "dream"}}, "task: 'dream' is not offered by this model; allowed: sample,"),
        ({"inputs": [], "params": {"task": "sample", "n": 10**7}}, "10,000,000 examples are more than 3,000"),
        (
            {"inputs": [], "params": {"task": "sample", "where": ["age>3 and"]}},
            "where: 'age>3 and': '3 and' is no number",
        ),
        ({"inputs": [[1, 2]], "params": {"task": "log_prob"}}, "must be a DataFrame with the columns age, sex, price"),
        ({"dataframe_records": [{"age": 30}]}, "data: sex, price, joined, job: are missing; the columns must be age,"),
    ],
)
def test_mistakes_over_http_are_a_line_of_400(server: str, body: dict[str, Any], line: str) -> None:
    status, answer = ask(server, body)
    assert status == 400 and answer["error_code"] == "INVALID_PARAMETER_VALUE", answer
    assert line in answer["message"] and "Traceback" not in json.dumps(answer) and "stack_trace" not in answer
    assert "\n" not in answer["message"] and "Failed to predict" not in answer["message"], "the data are not repeated"


def test_types_of_parameters_are_checked_by_mlflow(server: str) -> None:
    status, answer = ask(server, {"inputs": [], "params": {"n": "many"}})
    assert status == 400 and answer["error_code"] == "INVALID_PARAMETER_VALUE"
    assert "'n'" in answer["message"] and "many" in answer["message"] and "Traceback" not in json.dumps(answer)


def test_what_is_slow_ends(server: str) -> None:
    """A condition that hardly any row fulfils is given up in time, and the server answers others again."""
    began = time.monotonic()
    where = ["price>99.95", "age>88", "job!=a", "job!=b"]  # two rows in a million
    status, answer = ask(server, {"inputs": [], "params": {"task": "sample", "n": 3000, "where": where}})
    assert status == 400 and ("GENERA_MAX_SECONDS" in answer["message"] or "too few to draw" in answer["message"])
    assert ask(server, {"inputs": [], "params": {"task": "sample", "n": 1}})[0] == 200
    assert time.monotonic() - began < HANGING


def test_mlflows_command_and_ours(saved: Path, environment: dict[str, str], tmp_path: Path, model: Answering) -> None:  # noqa: F811
    rows = model.answer(None, {"n": 30, "seed": 1}).assign(note="x")
    rows.to_csv(tmp_path / "rows.csv", index=False)
    rows.drop(columns="note").to_csv(tmp_path / "known.csv", index=False)

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*PROGRAM, *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=HANGING,
        )

    predict = (
        "models",
        "predict",
        "-m",
        str(saved),
        "--env-manager",
        "local",
        "-i",
        "known.csv",
        "-t",
        "csv",
        "-o",
        "out.json",
    )
    done = call("mlflow", *predict)
    assert done.returncode == 0, done.stderr
    scores = json.loads((tmp_path / "out.json").read_text())["predictions"]["score"]
    assert len(scores) == 30 and all(math.isfinite(row["log_prob"]) for row in scores)
    ours = "pipelines.serving.consumer"
    done = call(ours, "score", str(saved), "rows.csv", "--out", "scored.csv")
    assert done.returncode == 0, done.stderr
    assert done.stderr == "1 column is not known to the model, and passed over: note\n30 rows in scored.csv\n"
    scored = pd.read_csv(tmp_path / "scored.csv")
    np.testing.assert_allclose(scored["log_prob"], [row["log_prob"] for row in scores], rtol=1e-5)
    assert list(scored)[:6] == [*rows.columns]
    done = call(ours, "sample", str(saved), "--n", "3", "--where", "sex=Female", "--seed", "1")
    assert done.returncode == 0 and done.stdout.startswith("age,sex,price,joined,job\n"), done.stderr
    assert len(done.stdout.splitlines()) == 4
    done = call(ours, "sample", str(tmp_path))
    assert (done.returncode, done.stderr.count("\n")) == (1, 1) and "holds no file MLmodel" in done.stderr
