"""The manifests of deploy/: right by the schemas of those who read them, and true to the project."""

from __future__ import annotations

import re
import subprocess
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
from check_jsonschema.cli import main as check_jsonschema
from click.testing import CliRunner
from ruamel.yaml import YAML

RAY_GROUPS = {"groupName", "replicas", "minReplicas", "maxReplicas", "rayStartParams", "template"}


def documents(path: Path) -> list[dict[str, Any]]:
    return list(YAML(typ="safe").load_all(path))


def test_compose_is_right_by_its_schema(root: Path) -> None:
    arguments = ["--builtin-schema", "vendor.compose-spec", str(root / "deploy/compose.yaml")]
    done = CliRunner().invoke(check_jsonschema, arguments)
    assert done.exit_code == 0, done.output


def test_compose_shows_its_ports_to_this_machine_alone_and_has_no_secrets(root: Path) -> None:
    services = documents(root / "deploy/compose.yaml")[0]["services"]
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert ports and all(port.startswith("127.0.0.1:") for port in ports)
    text = (root / "deploy/compose.yaml").read_text()
    secrets = set(re.findall(r"(?:PASSWORD|TOKEN|SECRET_ACCESS_KEY): (.*)", text))
    assert secrets and all(value.startswith("${") and ":?" in value for value in secrets), "all must be given"
    example = (root / "deploy/example.env").read_text()
    assert {name for value in secrets for name in re.findall(r"\$\{(\w+)", value)} <= set(
        re.findall(r"^(\w+)=$", example, re.MULTILINE)
    )


def ray_clusters(root: Path) -> Iterator[dict[str, Any]]:
    for name in ("raycluster.yaml", "rayjob.yaml"):
        for document in documents(root / "deploy/kuberay" / name):
            if document["kind"] in ("RayCluster", "RayJob"):
                assert document["apiVersion"] == "ray.io/v1"
                yield document["spec"] if document["kind"] == "RayCluster" else document["spec"]["rayClusterSpec"]


def pods(cluster: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        yield {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, **group["template"]}


def test_pods_are_right_by_the_schemas_of_kubernetes(root: Path) -> None:
    plain = [
        each for name in ("raycluster", "secret.example") for each in documents(root / f"deploy/kuberay/{name}.yaml")
    ]
    found = [pod for cluster in ray_clusters(root) for pod in pods(cluster)]
    assert len(found) == 5
    for document in [*found, *(each for each in plain if each["apiVersion"] == "v1")]:
        kubernetes_validate.validate(document, "1.34", strict=True)


def test_clusters_grow_from_nothing_and_run_the_ray_of_the_lock(root: Path) -> None:
    lock = tomllib.loads((root / "uv.lock").read_text())
    ray = next(package["version"] for package in lock["package"] if package["name"] == "ray")
    clusters = list(ray_clusters(root))
    assert len(clusters) == 2
    for cluster in clusters:
        assert cluster["rayVersion"] == ray and cluster["enableInTreeAutoscaling"]
        assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
        for group in cluster["workerGroupSpecs"]:
            assert set(group) == RAY_GROUPS and group["minReplicas"] == group["replicas"] == 0 < group["maxReplicas"]


@pytest.mark.parametrize("name", ["kuberay/rayjob.yaml", "slurm.sh", "compose.yaml"])
def test_commands_are_those_of_make_repro(root: Path, name: str) -> None:
    makefile = (root / "Makefile").read_text()
    commands = re.findall(r"^\t@(genera plan|genera run|dvc repro)$", makefile, re.MULTILINE)
    assert len(commands) == 3 and " && ".join(commands) in (root / "deploy" / name).read_text()


def test_the_batch_script_is_a_script(root: Path) -> None:
    subprocess.run(["bash", "-n", root / "deploy/slurm.sh"], check=True)


def test_the_image_gets_what_the_package_needs_and_no_more(root: Path) -> None:
    allowed = {line[1:] for line in (root / "deploy/Dockerfile.dockerignore").read_text().split() if line[0] == "!"}
    assert allowed == {"pyproject.toml", "uv.lock", "README.md", "LICENSE", "models", "pipelines"}
    assert all((root / name).exists() for name in allowed)
    python = re.search(r"ARG PYTHON=(\d+\.\d+)", (root / "deploy/Dockerfile").read_text())
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    assert python and project["requires-python"] == f">={python[1]}"
    assert {"s3", "cluster"} <= project["optional-dependencies"].keys()
