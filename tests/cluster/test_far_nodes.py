"""A cluster whose machines do not see the project's folder, with object storage between them.

Simulated on one machine: the nodes live in mount namespaces of their own, in which the folder of the project is empty,
and each has a cache of its own. Storage is a server of the S3 protocol on this machine.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import fsspec
import pytest
from moto.server import ThreadedMotoServer
from ray.cluster_utils import Cluster as Head
from ruamel.yaml import YAML

from pipelines.files import read_json

from ..shell import run
from ..test_workflow import change, results
from .conftest import PLAIN, Nodes

pytestmark = pytest.mark.cluster
SECRET = "a-secret-that-nobody-may-see"
PARAMS = {
    "defaults": {"search": {"trials": 3, "steps": 10, "validate_every": 5, "grace_steps": 5, "max_concurrent": 2}},
    "entries": {
        "vae": {"model": "vae", "config": {"hidden": [16]}, "search": {"kl_weight": {"low": 0.5, "high": 2.0}}},
        "gan": {"model": "gan", "config": {"width": 4}},
        "maf": {"model": "maf", "config": {"hidden": [16], "blocks": 2}},
        "iaf": {
            "model": "iaf",
            "config": {"hidden": [16], "blocks": 2},
            "distill": {"teacher": "maf", "val_samples": 64, "steps": 20, "validate_every": 10, "batch_size": 64},
        },
    },
    "evaluate": {"samples": 100, "speed_batch": 16, "speed_runs": 1, "classifier": {"steps": 20}},
}
for _entry in ("vae", "gan", "maf"):
    PARAMS["entries"][_entry]["train"] = {"steps": 20, "validate_every": 10, "batch_size": 64}  # type: ignore[index]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """A project with four entries and a search, in which nothing was run."""
    root, folder = Path(request.config.rootpath), tmp_path_factory.mktemp("project") / "here"
    folder.mkdir()
    for name in (".dvcignore", ".gitignore"):
        shutil.copy(root / name, folder)
    for name in ("models", "pipelines"):
        shutil.copytree(root / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "params.yaml").write_text("{}\n")
    change(folder, PARAMS)
    for command in (("git", "init", "-q"), ("dvc", "init", "-q"), ("dvc", "config", "core.analytics", "false")):
        assert run(folder, *command).returncode == 0
    assert run(folder, "genera", "plan").returncode == 0
    return folder


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment in which object storage is found; its bucket is called `work`."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    none = str(tmp_path_factory.mktemp("aws") / "none")
    environment = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "somebody",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": none,
        "AWS_SHARED_CREDENTIALS_FILE": none,
    }
    options = {"key": "somebody", "secret": SECRET, "endpoint_url": environment["AWS_ENDPOINT_URL"]}
    fsspec.filesystem("s3", skip_instance_cache=True, **options).mkdir("work")
    yield environment
    server.stop()


@pytest.fixture
def with_storage(storage: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """All processes that are started know where object storage is."""
    for name, value in storage.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def far(with_storage: None, head: Head, project: Path, storage: dict[str, str], tmp_path: Path) -> Iterator[Nodes]:
    """Two nodes that find the project's folder empty."""
    if subprocess.run(["unshare", "--mount", "true"], check=False, capture_output=True).returncode:
        pytest.skip("needs mount namespaces, which only root may make here")
    nodes = Nodes(head)
    try:
        for number in range(2):
            hide = tmp_path / f"hide{number}"
            hide.write_text(f'#!/bin/sh\nmount -t tmpfs none {project} && exec "$@"\n')
            hide.chmod(0o755)
            nodes.add(1, f"unshare --mount {hide}", **storage, GENERA_CACHE=str(tmp_path / f"cache{number}"))
        yield nodes
    finally:
        while nodes.processes:
            nodes.kill()


def test_all_is_done_elsewhere_and_is_here_in_the_end(
    project: Path, far: Nodes, storage: dict[str, str], tmp_path: Path
) -> None:
    prefix = f"s3://work/{uuid4().hex}"
    change(project, {"cluster": {"storage": prefix}})
    elsewhere = {
        **storage,
        **PLAIN,
        "RAY_ADDRESS": far.address,
        "GENERA_CACHE": str(tmp_path / "cache"),
    }
    done = run(project, "genera", "run", **elsewhere)
    assert done.returncode == 0, done.stderr
    said = done.stdout + done.stderr
    assert SECRET not in said and "Traceback" not in said and "(pid=" not in said
    assert "run: 11 of 11 finished in" in said, "with the speeds"
    collected = run(project, "dvc", "repro", **storage)
    assert collected.returncode == 0
    assert collected.stdout.count("was finished") == 10, (
        "features, a search, three trainings, a student, four evaluations"
    )
    found = results(project)

    alone = tmp_path / "alone"
    shutil.copytree(
        project, alone, ignore=shutil.ignore_patterns("artifacts", ".genera", "report", "mlflow.db", "cache")
    )
    shutil.rmtree(alone / "data", ignore_errors=True)
    change(alone, {"cluster": {"storage": ".genera"}, "defaults": {"search": {"max_concurrent": 1}}})
    assert run(alone, "dvc", "repro", "train@gan", "distill@iaf", OMP_NUM_THREADS="1").returncode == 0
    weights = {name for name in found if name.endswith("model.safetensors")}
    assert len(weights) == 5
    for name in weights - {"train/vae/model.safetensors"}:  # whose search ran two trials at once
        assert found[name] == results(alone)[name], name
    assert read_json(project / "artifacts/tune/vae/best.json")["parameters"].keys() == {"kl_weight"}
    for file in (path for path in project.rglob("*") if path.is_file() and ".git" not in path.parts):
        assert SECRET.encode() not in file.read_bytes(), file

    yaml, params = YAML(), project / "params.yaml"
    without = yaml.load(params)
    del without["entries"]["iaf"]
    without["entries"]["gan"]["train"]["steps"] = 10
    yaml.dump(without, params)
    shutil.rmtree(project / "artifacts/distill")
    assert run(project, "genera", "plan").returncode == 0
    done = run(project, "genera", "run", **elsewhere)
    assert done.returncode == 0 and "run: 3 of 3 finished in" in done.stdout, "there may be no student"
