"""How a registered model is used, in Python, in a shell and over HTTP: a section of its card."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from .candidate import CHAMPION, Candidate

if TYPE_CHECKING:
    from ..serving.answers.answering import Answering

PORT = 5001
_PYTHON = {
    "sample": 'model.predict(None, params={"task": "sample", "n": 16, "seed": 1})  # examples',
    "log_prob": 'model.predict(x, params={"task": "log_prob"})  # (N,) log-likelihoods in nats, higher is likelier',
    "score": "model.predict(x)  # how likely and how usual: a table with a row for each example",
    "encode": 'model.predict(x, params={"task": "encode"})  # codes (N, L)',
    "decode": 'model.predict(z, params={"task": "decode"})  # expected examples of codes',
    "complete": 'model.predict(x, params={"task": "complete", "seed": 1})  # examples, drawn where x is NaN',
}
_SHELL = {
    "sample": "genera sample {uri} --n 10 --out samples{ending}",
    "score": "genera score {uri} data{ending} --out scores.csv",
    "complete": "genera complete {uri} data{ending} --out completed{ending}",
    "encode": "genera encode {uri} data{ending} --out codes.csv",
}


def usage(candidate: Candidate, answering: Answering) -> str:
    """The section."""
    uri = f"models:/{candidate.name}@{CHAMPION}"
    ending = ".csv" if answering.columns else ".npy"
    shell = [line.format(uri=uri, ending=ending) for task, line in _SHELL.items() if task in answering.tasks]
    body = json.dumps(request(2, 7))
    return "\n".join(
        [
            "## Use",
            "",
            "In Python, with the packages of `requirements.txt` and without genera:",
            "```python",
            "import mlflow",
            "",
            f'model = mlflow.pyfunc.load_model("{uri}")',
            *(_PYTHON[task] for task in answering.tasks),
            "```",
            _input_in_words(answering),
            *(_COMPLETION if "complete" in answering.tasks else []),
            "",
            "In a shell, with genera:",
            "```sh",
            *shell,
            "```",
            'Over HTTP; the answer is `{"predictions": {"sample": […], "seed": 7, …}}`:',
            "```sh",
            f"mlflow models serve -m {uri} --env-manager local -p {PORT}",
            f"curl -s http://127.0.0.1:{PORT}/invocations -H 'Content-Type: application/json' \\\n  -d '{body}'",
            "```",
            "",
        ]
    )


def request(n: int, seed: int) -> dict[str, Any]:
    """What a server is asked for so many samples: MLflow wants inputs, and this task reads none."""
    return {"inputs": [], "params": {"task": "sample", "n": n, "seed": seed}}


_COMPLETION = [
    "`complete` keeps every number that is known, and draws those that are NaN (or None), `n` times for each example;",
    "without `labels` a conditional model draws them, too.",
]


def _input_in_words(answering: Answering) -> str:
    """What data may be."""
    if answering.columns:
        return "Data are DataFrames, whose columns are found by their names, in any order."
    return "Data are arrays (N, *event) or (N, D) of the units below, lists or DataFrames."
