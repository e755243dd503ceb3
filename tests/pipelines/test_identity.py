"""Digests of code change just when what the code means does, and so do the stages that depend on it."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from models.catalogue import CATALOGUE, module_of
from pipelines.identity import PLUMBING, closure, code_digest, module
from pipelines.params.reading import load
from pipelines.stages.code import meanings

from ..shell import interpreters, shell

ROOT = Path(__file__).parents[2]

# What `genera code` would write of a copy of the code, before and after an edit of each of some files.
EDITS = """
import json, sys
from pathlib import Path
from pipelines import identity
from pipelines.params.reading import read
from pipelines.stages.code import meanings

assert Path(identity.__file__).is_relative_to(Path.cwd()), identity.__file__
params = read(Path("params.yaml"))

def digests():
    identity.module.cache_clear()
    return {name: identity.code_digest(*roots) for name, _, roots in meanings(params)}

before, changed = digests(), {}
for file in sys.argv[2:]:
    path = Path(file)
    text = path.read_text(encoding="utf-8")
    path.write_text(text + sys.argv[1], encoding="utf-8")
    after = digests()
    changed[file] = [name for name in before if after[name] != before[name]]
    path.write_text(text, encoding="utf-8")
assert before == digests() and "torch" not in sys.modules
print(json.dumps(changed))
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the code, and of the default parameters."""
    folder = tmp_path_factory.mktemp("copy")
    for package in ("models", "pipelines"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "params.yaml", folder)
    return folder


def changed_by(copy: Path, edit: str, *files: str) -> dict[str, list[str]]:
    """For each file: what `genera code` finds changed if a text is added to it."""
    command = [sys.executable, "-c", EDITS, edit, *files]
    done = subprocess.run(command, cwd=copy, env=shell(), capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    found: dict[str, list[str]] = json.loads(done.stdout)
    return found


def entries_of(*families: str) -> list[str]:
    """The entries of the default parameters of some families, as `genera code` names them."""
    blocks = load(ROOT / "params.yaml").entries
    return [name for name, block in blocks.items() if block.model in families]


def using(name: str) -> list[str]:
    """The families whose code imports a module."""
    return [model for model in CATALOGUE if name in closure(f"models.{module_of(model)}")]


def unet() -> str:
    """The file with the U-Net, which is no network of all families."""
    (path,) = (path for path in (ROOT / "models").rglob("*.py") if "class UNet(" in path.read_text(encoding="utf-8"))
    return path.relative_to(ROOT).as_posix()


EVERYTHING_TRAINED = (
    "models/contract.py",
    "models/noise.py",
    "pipelines/training/loop.py",
    "pipelines/evaluation/validation.py",
)


@pytest.fixture(scope="module")
def changed(copy: Path) -> dict[str, list[str]]:
    files = [
        *EVERYTHING_TRAINED,
        *("models/maf.py", "models/vae.py", "models/distillation.py", "pipelines/stages/compare.py"),
        *("pipelines/cluster/search.py", "pipelines/report/page.py", "pipelines/data/sources/digits.py"),
        *("pipelines/data/sources/audio.py", "pipelines/tracking/card.py", "pipelines/evaluation/metrics/probe.py"),
        *("models/catalogue.py", "pipelines/cli.py", "pipelines/tracking/stage_run.py", "pipelines/params/messages.py"),
        *("pipelines/progress.py", "pipelines/cluster/launch.py", "models/wavenet.py"),
    ]
    return changed_by(copy, "\nADDED = 1\n", *files, unet())


def test_what_all_trainings_use_makes_all_of_them_stale(changed: dict[str, list[str]]) -> None:
    trained = {name for name, _, _ in meanings(load(ROOT / "params.yaml")) if name.startswith(("train/", "tune/"))}
    for file in EVERYTHING_TRAINED:
        assert trained <= set(changed[file]), file


def test_a_network_makes_only_those_stale_that_use_it(changed: dict[str, list[str]]) -> None:
    entries = entries_of(*using(unet().removesuffix(".py").replace("/", ".")))
    assert "diffusion" in entries
    assert changed[unet()] == [f"{stage}/{entry}" for entry in entries for stage in ("train", "evaluate")]


@pytest.mark.parametrize(
    ("file", "stale"),
    [
        ("models/maf.py", ["train/maf", "evaluate/maf", "distill/iaf"]),
        ("models/vae.py", ["train/vae", "tune/vae", "evaluate/vae"]),
        ("models/distillation.py", ["distill/iaf"]),
        ("models/wavenet.py", []),
        ("pipelines/stages/compare.py", ["compare"]),
        ("pipelines/cluster/search.py", ["tune/vae", "tune/gan"]),
        ("pipelines/data/sources/digits.py", ["prepare"]),
        ("pipelines/data/sources/audio.py", []),
        ("pipelines/tracking/card.py", ["register"]),
        ("models/catalogue.py", []),
        ("pipelines/cli.py", []),
        ("pipelines/tracking/stage_run.py", []),
        ("pipelines/params/messages.py", []),
        ("pipelines/progress.py", []),
        ("pipelines/cluster/launch.py", []),
    ],
)
def test_a_change_makes_just_those_stale_that_import_it(
    changed: dict[str, list[str]], file: str, stale: list[str]
) -> None:
    assert changed[file] == stale


def test_a_measurement_makes_no_training_stale(changed: dict[str, list[str]]) -> None:
    found = changed["pipelines/evaluation/metrics/probe.py"]
    assert found and not any(name.startswith(("train/", "tune/", "distill/")) for name in found)
    assert changed["pipelines/report/page.py"] == ["compare"]


def test_rewording_every_docstring_changes_nothing(copy: Path, tmp_path: Path) -> None:
    folder = tmp_path / "reworded"
    shutil.copytree(copy, folder)
    edited = 0
    for path in folder.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        lines = text.splitlines()
        for node in ast.walk(ast.parse(text)):
            is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            if is_text and isinstance(node.value.value, str) and lines[node.lineno - 1].lstrip().startswith('"""'):
                lines[node.lineno - 1] = lines[node.lineno - 1].replace('"""', '"""Reworded: ', 1)
                edited += 1
        path.write_text("\n".join(["# a comment", *lines, "# another"]) + "\n", encoding="utf-8")
    assert edited > 1000
    assert digests_of(folder) == digests_of(copy)


DIGESTS = """
import json
from pathlib import Path
from pipelines.identity import code_digest, module
paths = [path for package in ("models", "pipelines") for path in Path(package).rglob("*.py")]
names = [".".join(path.with_suffix("").parts) for path in paths]
print(json.dumps({name: module(name.removesuffix(".__init__")).digest for name in names}))
"""


def digests_of(folder: Path, python: str = sys.executable) -> dict[str, str]:
    """The digest of every module of a copy of the code."""
    done = subprocess.run(
        [python, "-c", DIGESTS],
        cwd=folder,
        env=shell(PYTHONPATH=str(folder)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(done.stdout)
    return found


def test_every_interpreter_finds_the_same_digests(copy: Path) -> None:
    first, *others = interpreters()
    for other in others:
        if subprocess.run([other, "-c", "from typing import Self"], check=False, capture_output=True).returncode == 0:
            assert digests_of(copy, other) == digests_of(copy, first)


def test_plumbing_is_there_and_is_no_result(copy: Path) -> None:
    for name in PLUMBING:
        assert module(name).digest, name
    roots = {root for _, _, roots in meanings(load(ROOT / "params.yaml")) for root in roots}
    sections = ("data_section", "file_options", "file_sections", "source_section", "table_sections")
    of_prepare = {f"pipelines.params.{name}" for name in sections}  # it makes data
    assert roots & set(PLUMBING) == of_prepare | {"pipelines.data.prepared", "pipelines.data.rows"}


def test_families_have_digests_of_their_own() -> None:
    digests = {model: code_digest(f"models.{module_of(model)}") for model in CATALOGUE}
    assert len(set(digests.values())) == len(CATALOGUE)


def test_an_unknown_module_is_named() -> None:
    with pytest.raises(KeyError, match=r"models\.nonsense is no module of models or pipelines"):
        module("models.nonsense")


def all_modules() -> Iterator[Path]:
    for package in ("models", "pipelines"):
        yield from (path for path in (ROOT / package).rglob("*.py") if path.name != "__init__.py")


def test_no_two_modules_have_one_name() -> None:
    names = [path.stem for path in all_modules()]
    assert {name for name in names if names.count(name) > 1} == set()
