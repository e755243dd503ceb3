"""A model behind MLflow's own server, beside the bare model: latency, examples per second, and whether it lasts.

Each case asks for batches of BATCH, from one client and from sixteen at once; `other` is the same family called in this
process, with one thread as the server has. Then REQUESTS small requests are sent, every answer of which is compared,
and the server's memory before and after is one more row.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from rich.progress import track

import models
from models.catalogue import build, family_class
from models.contract import Event, Family
from pipelines.evaluation.finished import write_model
from pipelines.tracking.candidate import Candidate
from pipelines.tracking.package import package

from ._rows import Row, publish

EVENT = Event((1, 8, 8), 17)
MODELS: dict[str, dict[str, Any]] = {"maf": {"blocks": 5, "hidden": [256]}, "pixelcnn": {}, "vae": {"latent": 16}}
BATCH, ROUNDS, REQUESTS, CLIENTS = 256, 15, 10_000, 16
LASTING = "vae"  # whose requests take the server, and not the model, the most time
WAIT = 300.0  # seconds for the server to start


def main() -> None:
    torch.set_num_threads(1)
    rows = []
    for name, config in MODELS.items():
        with tempfile.TemporaryDirectory() as scratch:
            family = saved(name, config, Path(scratch))
            with served(Path(scratch) / "saved") as (server, process):
                rows += speeds(name, family, server)
                if name == LASTING:
                    rows += lasting(server, process)
    publish("serving", rows)


def saved(name: str, config: dict[str, Any], folder: Path) -> Family:
    """A model with the weights that it begins with, which are as fast as others; and the folder that MLflow keeps."""
    torch.manual_seed(0)
    family = build(name, family_class(name).Config(**config), EVENT).eval()
    content = {"model": name, "config": config, "event": asdict(EVENT), "data": {}}
    write_model(folder / "made", family.state_dict(), content)
    code, scores = Path(models.__file__).parent, {"nll": [100.0], "draws": 1}
    candidate = Candidate(f"bench-{name}", "bench", name, folder / "made", code, content, {}, {}, "", scores)
    package(candidate, folder / "saved")
    return family


@contextmanager
def served(folder: Path) -> Iterator[tuple[str, psutil.Process]]:
    """The address of MLflow's server of the model, and its process."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    command = ["mlflow", "models", "serve", "-m", str(folder), "--env-manager", "local", "-p", port]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GENERA_MAX_SECONDS": "600"}
    with (folder.parent / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *command], env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        end = time.monotonic() + WAIT
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=5):
                    break
            except OSError:
                if process.poll() is not None or time.monotonic() > end:
                    raise RuntimeError((folder.parent / "log").read_text()) from None
                time.sleep(0.2)
        yield f"http://127.0.0.1:{port}/invocations", psutil.Process(process.pid)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def ask(server: str, data: Any, **params: Any) -> dict[str, Any]:
    """What the server answers."""
    body = json.dumps({"inputs": data, "params": params}).encode()
    request = urllib.request.Request(server, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=WAIT) as answer:
        return json.loads(answer.read())["predictions"]


@torch.no_grad()
def speeds(name: str, family: Any, server: str) -> list[Row]:
    """Sampling and scoring of whole batches, in turns with the bare model."""
    generator = torch.Generator().manual_seed(0)
    x = family.sample(BATCH, generator=generator)
    data = x.tolist()
    tasks: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
        "sample": (lambda: ask(server, [], task="sample", n=BATCH, seed=1), lambda: family.sample(BATCH)),
        "log_prob": (lambda: ask(server, data, task="log_prob"), lambda: family.log_prob(x)),
    }
    rows = []
    for task, (over_http, bare) in tasks.items():
        times: dict[str, list[float]] = {"http": [], "bare": []}
        for _ in track(range(ROUNDS + 1), f"{name} {task}", transient=True):
            for what, call in (("http", over_http), ("bare", bare)):
                times[what].append(seconds(call))
        alone, direct = times["http"][1:], times["bare"][1:]  # the first call warms up
        with ThreadPoolExecutor(CLIENTS) as pool:
            began = time.perf_counter()
            many = list(pool.map(lambda _, call=over_http: seconds(call), range(2 * CLIENTS)))
            together = time.perf_counter() - began
        per_second = BATCH / statistics.median(direct)
        for case, taken, rate in (
            ("1 client", alone, BATCH / statistics.median(alone)),
            (f"{CLIENTS} clients", many, BATCH * len(many) / together),
        ):
            label = f"{name} {task} of {BATCH}, {case}"
            rows.append(Row(label, rate, per_second, "bare model", "examples/s", True, "cpu", 1, len(taken)))
            for share in (50, 99):
                late = 1000 * float(np.percentile(taken, share))
                rows.append(
                    Row(
                        f"{label}, p{share}",
                        late,
                        1000 * statistics.median(direct),
                        "bare model, median",
                        "ms",
                        False,
                        "cpu",
                        1,
                        len(taken),
                    )
                )
    return rows


def lasting(server: str, process: psutil.Process) -> list[Row]:
    """Many requests, each of one sample by a seed of its own: the same seed has the same answer, and memory is flat."""
    expected = [ask(server, [], task="sample", n=1, seed=seed)["sample"] for seed in range(50)]
    before, wrong, lock = resident(process), 0, threading.Lock()

    def one(number: int) -> None:
        nonlocal wrong
        answer = ask(server, [], task="sample", n=1, seed=number % 50)
        if answer["sample"] != expected[number % 50]:
            with lock:
                wrong += 1

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(track(pool.map(one, range(REQUESTS)), "requests", total=REQUESTS, transient=True))
    assert not wrong, f"{wrong} of {REQUESTS:,} answers were wrong"
    return [
        Row(
            f"memory after {REQUESTS:,} requests", resident(process), before, "before", "MiB", False, "cpu", 1, REQUESTS
        )
    ]


def resident(process: psutil.Process) -> float:
    """MiB of the server and of those that it started."""
    return sum(each.memory_info().rss for each in (process, *process.children(recursive=True))) / 2**20


def seconds(call: Callable[[], object]) -> float:
    """How long a call takes."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
