"""`genera ui`: a page on the project's own store, from which clients load models that see none of its folders."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from pipelines.errors import UserError
from pipelines.tracking.mlflow_page import serve
from pipelines.tracking.store import connect

from ...shell import HANGING
from .toy_models import enter

CLIENT = """
import sys
import mlflow

mlflow.set_tracking_uri(sys.argv[1])
client = mlflow.MlflowClient()
version = client.get_model_version_by_alias("genera-toy", "champion")
assert version.source.startswith("mlflow-artifacts:/"), version.source
model = mlflow.pyfunc.load_model("models:/genera-toy@champion")
assert len(model.predict(None, params={"task": "sample", "n": 3})) == 3
run = client.get_run(version.run_id)
assert run.info.run_name == "train@toy" and run.info.artifact_uri.startswith("mlflow-artifacts:/")
client.log_text(version.run_id, "noted elsewhere", "note.txt")
copy = client.create_model_version("genera-toy", version.source, version.run_id, model_id=version.tags["logged_model"])
print("loaded", copy.version)
"""


def test_the_server_of_another_machine_is_only_named(
    tmp_path: Path, nobody: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://{nobody}")
    with pytest.raises(UserError, match="cannot be reached"):
        serve(tmp_path, "genera", "127.0.0.1", 5000)


def test_a_port_that_is_taken_is_one_clear_line(root: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=rf"ui: 127\.0\.0\.1:{port}: .*; give another with --host or --port"):
            serve(root, "genera", "127.0.0.1", port)


@pytest.fixture
def page(root: Path, code: Path) -> Iterator[tuple[str, str]]:
    """What a server of a project with a model prints first, and its address."""
    enter(root, code, 0.0, 2.0)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    call = "from pathlib import Path; from pipelines.tracking.mlflow_page import serve;"
    call += f" serve(Path('.'), 'genera', '127.0.0.1', {port})"
    server = subprocess.Popen([sys.executable, "-c", call], cwd=root, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        line, address = server.stdout.readline().strip(), f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + HANGING
        while True:
            try:
                requests.get(f"{address}/health", timeout=5).raise_for_status()
                break
            except requests.RequestException:
                assert server.poll() is None and time.monotonic() < deadline
                time.sleep(0.5)
        yield line, address
    finally:
        server.terminate()
        server.wait(HANGING)
        if server.stdout is not None:
            server.stdout.close()


def test_clients_that_see_no_folder_load_models_from_it(
    root: Path, page: tuple[str, str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    line, address = page
    store = connect(root, "genera")
    assert line == f"ui: {address}/#/experiments/{store.experiment}/runs?workflowType=machine_learning"
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "use.py").write_text(textwrap.dedent(CLIENT))
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW", "PYTHON"))}
    command = [sys.executable, "-I", "use.py", address]
    done = subprocess.run(command, cwd=elsewhere, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "loaded 2\n"), done.stderr
    first, second = (store.client.get_model_version("genera-toy", each) for each in "12")
    assert first.source == second.source and first.source.startswith((root / "mlartifacts").as_uri())
    assert list((root / "mlartifacts").rglob("note.txt")), "what clients write lies where all else does"
    picture = requests.get(
        f"{address}/ajax-api/2.0/mlflow/logged-models/{first.tags['logged_model']}/artifacts/files",
        params={"artifact_file_path": "artifacts/model_card.md"},
        timeout=HANGING,
    )
    assert picture.text.startswith("# genera-toy")
