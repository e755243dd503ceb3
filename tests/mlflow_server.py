"""MLflow's real server on a real PostgreSQL, for tests of what a SQLite file hides."""

from __future__ import annotations

import os
import random
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .shell import HANGING, PROGRAMS, shell


def unasked_port() -> int:
    """A port of those that nobody is given unasked."""
    return random.SystemRandom().randrange(20_000, 32_000)


class Server:
    """MLflow's server on PostgreSQL, which can be stopped and started again on the same port."""

    def __init__(self, database: str, folder: Path, files: str, environment: dict[str, str]) -> None:
        port = unasked_port()
        self.uri, self._folder, self._environment = f"http://127.0.0.1:{port}", folder, environment
        self._command = [PROGRAMS / "mlflow", "server", "--port", str(port), "--workers", "1"]
        self._command += ["--backend-store-uri", database, "--artifacts-destination", files]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        environment = shell(**self._environment)
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command, env=environment, stdout=log, stderr=log, start_new_session=True, cwd=self._folder
            )
        deadline = time.monotonic() + HANGING
        while subprocess.run(["curl", "-sf", f"{self.uri}/health"], check=False, capture_output=True).returncode:
            assert self._process.poll() is None and time.monotonic() < deadline, (self._folder / "log").read_text()
            time.sleep(0.5)

    def stop(self) -> None:
        """Kill it with all its processes."""
        assert self._process is not None
        os.killpg(self._process.pid, 9)
        self._process.wait(HANGING)


@contextmanager
def served(folder: Path, files: str | None = None, **environment: str) -> Iterator[Server]:
    """A server with its database in a folder, and its files there or at a URL."""
    before = os.environ.get("XDG_RUNTIME_DIR")
    os.environ["XDG_RUNTIME_DIR"] = str(folder)  # or pgserver warns of it when it is imported
    try:
        import pgserver

        database = pgserver.get_server(folder / "database")
    finally:
        if before is None:
            del os.environ["XDG_RUNTIME_DIR"]
        else:
            os.environ["XDG_RUNTIME_DIR"] = before
    try:
        uri = database.get_uri().replace("postgresql://", "postgresql+psycopg://")
        server = Server(uri, folder, files or str(folder / "files"), environment)
        server.start()
        yield server
        server.stop()
    finally:
        database.cleanup()
