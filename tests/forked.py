"""A `genera` that starts at once, for tests that run the whole workflow.

A stage at toy size takes a fraction of a second, after seconds in which its process imports torch, Ray and MLflow. Here
one process has imported them; the program `genera` sends it the arguments, folder, environment and open files that it
was started with, and a fork of the process goes on from there as `genera` does. One at a time, as DVC runs stages.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import NoReturn

from models.catalogue import CATALOGUE

ROOT = Path(__file__).parents[1]
STAGES = ("code", "prepare", "features", "tune", "train", "distill", "evaluate", "compare", "register")
LATE = ("matplotlib.pyplot", "mlflow.pyfunc", "mlflow.store.tracking.sqlalchemy_store", "sklearn.datasets")
CLIENT = """#!{python} -IS
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    request = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
    socket.send_fds(server, [request[:1]], [0, 1, 2])
    server.sendall(request[1:])
    server.shutdown(socket.SHUT_WR)
    sys.exit(server.recv(1)[0])
"""


@contextmanager
def quick_genera(environment: dict[str, str]) -> Iterator[str]:
    """The folder of the program; to be the first in PATH."""
    with tempfile.TemporaryDirectory(prefix="genera-") as name:
        address, program = f"{name}/socket", Path(name, "genera")
        program.write_text(CLIENT.format(python=sys.executable, address=address))
        program.chmod(0o755)
        command = [sys.executable, "-m", "tests.forked", address]
        with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None and process.stdout.readline() == b"ready\n"
            try:
                yield name
            finally:
                process.terminate()


def serve(address: str) -> None:
    """Returns in a fork for each request, with everything as if it were a process of its own; never in this process."""
    families = {f"models.{place.partition(':')[0]}" for place in CATALOGUE.values()}
    for module in ("pipelines.cli", *(f"pipelines.stages.{stage}" for stage in STAGES), *sorted(families), *LATE):
        import_module(module)
    gc.freeze()  # a fork need not look through all that was imported
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(address)
        server.listen()
        print("ready", flush=True)
        while True:
            connection, _ = server.accept()
            with connection:
                first, files, _, _ = socket.recv_fds(connection, 1, 3)
                request = first + b"".join(iter(lambda: connection.recv(1 << 16), b""))  # noqa: B023 -- used at once
                process = os.fork()
                if process == 0:
                    break
                _, status = os.waitpid(process, 0)
                for file in files:
                    os.close(file)
                connection.sendall(bytes([os.waitstatus_to_exitcode(status) & 255]))
    arguments, folder, environment = json.loads(request)
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.chdir(folder)
    os.environ.update(environment)
    program = Path(sys.executable).with_name("genera")
    sys.path[0], sys.argv = str(program.parent), [str(program), *arguments]


def run_and_end() -> NoReturn:
    """What `genera` does, and Python after it, but for clearing all imported modules: that takes seconds."""
    from pipelines.cli import main

    status: int | str | None = None
    try:
        main()
    except SystemExit as end:
        status = end.code
    if isinstance(status, str):
        print(status, file=sys.stderr)
        status = 1
    atexit._run_exitfuncs()
    sys.stdout.flush()
    os._exit(status or 0)


if __name__ == "__main__":
    serve(sys.argv[1])
    run_and_end()
