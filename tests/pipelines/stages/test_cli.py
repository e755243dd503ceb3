"""The command line: quick to help, frank about what it will do, and one line for each mistake."""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import MISSING
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ruamel.yaml import YAML

from models.catalogue import family_class, suitable
from models.contract import Event, config_fields
from pipelines import cli
from pipelines.data.rows import RowsWriter
from pipelines.params.project import Project
from pipelines.params.reading import parse
from pipelines.params.schema import Params, Section
from pipelines.stages import prepare

from ...shell import HANGING

GENERA = Path(sys.executable).with_name("genera")
STAGES = ["code", "prepare", "features", "tune", "train", "distill", "evaluate", "compare", "register"]
FULL = "error: no space is left on the disk"


@pytest.fixture
def project(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project folder with the committed parameters, in which the test runs."""
    shutil.copy(root / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def genera(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int | str | None]:
    """Run the command line in this process: gives the status, or the message that Python prints for a status of 1."""

    def run(*arguments: str) -> int | str | None:
        monkeypatch.setattr(sys, "argv", ["genera", *arguments])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        return caught.value.code

    return run


def process(folder: Path, *command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=HANGING)


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


def mistaken(project: Path) -> None:
    file = project / "params.yaml"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("val_count: 200", "val_count: -1").replace("workers: auto", "workers: all"))


def computed() -> float:
    """Seconds that finished processes of this one have computed: on a busy machine they wait for longer."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_help_is_instant_and_names_every_stage(tmp_path: Path) -> None:
    seconds = []
    for _ in range(3):
        began = computed()
        done = process(tmp_path, GENERA, "--help")
        seconds.append(computed() - began)
    assert done.returncode == 0
    assert not done.stderr
    lines = done.stdout.partition("Commands:")[2].splitlines()
    commands = [line.split()[0] for line in lines if line.strip()]
    of_consumers = ["sample", "score", "complete", "encode", "decode", "play"]
    assert commands == [*STAGES, "ui", "profile", "params", "plan", "run", *of_consumers]
    assert statistics.median(seconds) < 1.0


OFFLINE = """
import json, sys

def refuse(event, arguments):
    if event.startswith("socket."):
        raise SystemExit(f"{event}{arguments}")

sys.addaudithook(refuse)
import pipelines.cli
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def test_importing_the_command_line_imports_nothing_heavy_and_opens_no_connection(root: Path) -> None:
    done = process(root, sys.executable, "-c", OFFLINE)
    assert done.returncode == 0, done.stderr
    heavy = {"torch", "ray", "mlflow", "pandas", "pydantic", "numpy", "sklearn", "matplotlib", "optuna", "ruamel"}
    assert heavy.isdisjoint(json.loads(done.stdout))


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What `genera params` prints for the committed parameters."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copy(Path(__file__).parents[3] / "params.yaml", folder)
    done = process(folder, GENERA, "params")
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    parsed: dict[str, Any] = YAML(typ="safe", pure=True).load(done.stdout)
    return parsed


def test_params_holds_every_section_with_every_field(printed: dict[str, Any]) -> None:
    def check(section: type[Section], values: dict[str, Any]) -> None:
        fields = {field.alias or name: field.annotation for name, field in section.model_fields.items()}
        assert set(values) == set(fields)
        for name, annotation in fields.items():
            if isinstance(annotation, type) and issubclass(annotation, Section):
                check(annotation, values[name])

    check(Params, printed)


def test_params_are_those_that_the_stages_see(root: Path, printed: dict[str, Any]) -> None:
    entries = Project.here(root).entries
    assert list(printed["entries"]) == list(entries)
    for name, entry in entries.items():
        assert printed["entries"][name][entry.stage] == entry.loop.model_dump(mode="json")
    assert printed["entries"]["vae"]["train"]["batch_size"] == 128
    assert printed["entries"]["vae"]["train"]["explode_factor"] == 1e4
    assert printed["project"] == "digits"


@pytest.mark.parametrize("model", suitable(Event((1, 8, 8), 17, 10)))
def test_params_holds_every_default_of_a_family(root: Path, printed: dict[str, Any], model: str) -> None:
    project = Project.here(root)
    fields = config_fields(family_class(model).Config)
    for name, entry in project.entries.items():
        if entry.model != model:
            continue
        given, values = project.params.entries[name].config, printed["entries"][name]["config"]
        assert set(values) == set(fields)
        for key, field in fields.items():
            default = field.get_default(call_default_factory=True)
            assert key in given or default is not MISSING
            expected = given.get(key, list(default) if isinstance(default, tuple) else default)
            assert values[key] == expected


def test_params_can_be_read_as_params(printed: dict[str, Any]) -> None:
    """What is printed is a complete parameter file that means the same."""
    again = parse(printed)
    assert {name: again.loop_of(name).model_dump(mode="json") for name in again.entries} == {
        name: block[again.entries[name].stage] for name, block in printed["entries"].items()
    }


def test_a_mistake_is_a_line_on_stderr_and_status_1(project: Path) -> None:
    mistaken(project)
    done = process(project, GENERA, "train", "maf")
    assert done.returncode == 1
    assert not done.stdout
    assert done.stderr.splitlines() == [
        "error: params.yaml: data.val_count: -1 is not allowed: must be a count of at least 1, or a share between 0"
        " and 1",
        "error: params.yaml: cluster.workers: 'all' is not allowed: must be 'auto' or must be a valid integer or must"
        " be a valid list",
    ]


@pytest.mark.parametrize("command", ["prepare", "features", "compare", "register", "params", "plan", "code"])
def test_no_command_starts_with_mistaken_parameters(
    project: Path, genera: Callable[..., str], capsys: pytest.CaptureFixture[str], command: str
) -> None:
    mistaken(project)
    assert genera(command).startswith("error: params.yaml: data.val_count: -1 is not allowed")
    assert files(project) == ["params.yaml"]
    assert not capsys.readouterr().out


@pytest.mark.parametrize(
    ("stage", "entry", "message"),
    [
        ("train", "mfa", "train: 'mfa' is not allowed: must be one of the entries of params.yaml: gmm, autoencoder, "),
        ("evaluate", "GMM", "evaluate: 'GMM' is not allowed: must be one of the entries of params.yaml: gmm, "),
        ("train", "iaf", "train: 'iaf' is not allowed: it is distilled: genera distill iaf"),
        ("distill", "maf", "distill: 'maf' is not allowed: it is trained: genera train maf"),
        ("tune", "maf", "dvc.yaml: has no stage tune@maf: run `genera plan`, which writes it from params.yaml"),
    ],
)
@pytest.mark.usefixtures("project")
def test_an_entry_that_the_stage_has_not_is_one_line(
    genera: Callable[..., str], stage: str, entry: str, message: str
) -> None:
    assert genera("plan") == 0
    assert genera(stage, entry).startswith(f"error: {message}")


def test_without_a_plan_a_stage_says_how_to_get_one(project: Path, genera: Callable[..., str]) -> None:
    assert genera("train", "maf") == f"error: {project / 'dvc.yaml'}: there is no such file: run `genera plan`, " + (
        "which writes it from params.yaml"
    )
    assert genera("code").startswith(f"error: {project / 'dvc.yaml'}: there is no such file: run `genera plan`")


def test_outside_a_project_every_command_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, genera: Callable[..., str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for command in (["prepare"], ["train", "maf"], ["params"]):
        file = tmp_path / "params.yaml"
        assert genera(*command) == f"error: {file}: there is no such file; run the command in the project's folder"
    assert files(tmp_path) == []


@pytest.mark.parametrize("command", [["nonsense"], ["train"], ["prepare", "more"], ["train", "maf", "--fast"]])
def test_a_command_that_there_is_not_is_status_2(
    genera: Callable[..., int], capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    assert genera(*command) == 2
    captured = capsys.readouterr()
    assert "Usage: genera" in captured.err
    assert not captured.out


def test_a_stage_that_succeeds_is_status_0(project: Path, genera: Callable[..., int]) -> None:
    assert genera("prepare") == 0
    assert "data/prepared/digits/meta.json" in files(project)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize(("filename", "where"), [("/data/x.npy", " at /data/x.npy"), (None, "")])
@pytest.mark.usefixtures("project")
def test_a_full_disk_is_one_line(
    genera: Callable[..., str], monkeypatch: pytest.MonkeyPatch, number: int, filename: str | None, where: str
) -> None:
    def run(project: Project) -> None:
        raise OSError(number, os.strerror(number), filename)

    monkeypatch.setattr(prepare, "run", run)
    message = genera("prepare")
    assert message.startswith(f"{FULL}{where}; ")
    assert len(message.splitlines()) == 1


@pytest.mark.usefixtures("project")
def test_other_errors_of_the_system_are_not_called_a_full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(project: Project) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "/data")

    monkeypatch.setattr(prepare, "run", run)
    monkeypatch.setattr(sys, "argv", ["genera", "prepare"])
    with pytest.raises(PermissionError):
        cli.main()


def test_a_full_disk_leaves_the_data_before_and_nothing_temporary(
    project: Path, genera: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = project / "data" / "prepared" / "digits"
    data.mkdir(parents=True)
    (data / "val.npy").write_bytes(b"before")

    def full(self: RowsWriter, rows: np.ndarray) -> None:
        with open("/dev/full", "wb") as device:
            device.write(rows.tobytes())

    monkeypatch.setattr(RowsWriter, "append", full)
    assert genera("prepare").startswith(FULL)
    assert (data / "val.npy").read_bytes() == b"before"
    assert files(project / "data") == ["prepared/digits/val.npy"]


TINY = """
mount -t tmpfs -o size=64k none "$3" && cd "$3" && cp "$1" params.yaml && mkdir -p data/prepared/digits || exit 3
echo before > data/prepared/digits/train.npy
"$2" prepare
status=$?
cat data/prepared/digits/train.npy
ls -A data/prepared/digits
exit $status
"""


def test_a_disk_that_is_really_full_is_one_line_too(root: Path, tmp_path: Path) -> None:
    private = ["unshare", "--user", "--map-root-user", "--mount"]
    if shutil.which("unshare") is None or process(tmp_path, *private, "mount", "-t", "tmpfs", "none", ".").returncode:
        pytest.skip("a disk of our own cannot be mounted here")
    done = process(tmp_path, *private, "bash", "-c", TINY, "bash", root / "params.yaml", GENERA, tmp_path)
    assert done.returncode == 1
    assert done.stdout.split() == ["before", "train.npy"]
    (line,) = done.stderr.splitlines()
    assert line.startswith(FULL)


def test_output_that_cannot_be_written_is_one_line(project: Path) -> None:
    done = process(project, "bash", "-c", '"$0" params > /dev/full', GENERA)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith(FULL)
