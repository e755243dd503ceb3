"""Files are whole or absent, and the digest of a family's code changes just when its training could."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from models.catalogue import CATALOGUE
from pipelines.errors import UserError
from pipelines.files import file_digest, read_json, replacing, text_digest, write_json, write_text
from pipelines.identity import family_digest


class Interrupted(Exception):
    pass


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert names(tmp_path) == ["a.txt"]


def test_folders_are_made(tmp_path: Path) -> None:
    write_text(tmp_path / "some" / "where" / "a.txt", "σ")
    assert (tmp_path / "some" / "where" / "a.txt").read_bytes() == "σ".encode()


@pytest.mark.parametrize("old", ["old", None])
def test_a_failure_keeps_the_old_file_and_leaves_no_other(tmp_path: Path, old: str | None) -> None:
    path = tmp_path / "a.txt"
    if old is not None:
        path.write_text(old)

    def fail() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise Interrupted

    with pytest.raises(Interrupted):
        fail()
    assert names(tmp_path) == ([] if old is None else ["a.txt"])
    assert old is None or path.read_text() == old


def test_a_full_disk_keeps_the_old_file_and_leaves_no_other(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    (tmp_path / f".a.txt.{os.getpid()}.tmp").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left") as caught:
        write_text(path, "new")
    assert caught.value.errno == errno.ENOSPC
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_what_was_not_written_replaces_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(FileNotFoundError), replacing(path):
        pass
    assert path.read_text() == "old"


def test_json_comes_back_as_it_was(tmp_path: Path) -> None:
    value = {"name": "σ", "number": 0.1, "list": [1, None, True], "nested": {"a": -1e-300}}
    write_json(tmp_path / "a.json", value)
    assert read_json(tmp_path / "a.json") == value
    assert (tmp_path / "a.json").read_text().endswith("}\n")


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_json_without_numbers_that_json_has_not(tmp_path: Path, number: float) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"number": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"number": number})
    assert read_json(path) == {"number": 1}
    assert names(tmp_path) == ["a.json"]


def test_missing_json_says_how_to_make_it(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    with pytest.raises(UserError) as caught:
        read_json(path)
    assert str(caught.value) == f"{path}: there is no such file; run `dvc repro` to make it"


@pytest.mark.parametrize("content", [b"", b'{"a": 1', b"\xff\xfe"], ids=["empty", "truncated", "encoding"])
def test_damaged_json_says_how_to_make_it_again(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        read_json(path)
    (line,) = str(caught.value).splitlines()
    assert line.startswith(f"{path}: is no JSON (")
    assert line.endswith("; delete it and run `dvc repro` to make it again")


def test_the_digest_of_a_file_is_that_of_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(bytes(range(256)) * 5000)
    assert file_digest(path) == hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_digest_of_texts_knows_where_one_ends() -> None:
    digests = [text_digest(), text_digest(""), text_digest("ab"), text_digest("a", "b"), text_digest("b", "a")]
    assert len(set(digests)) == len(digests)
    assert text_digest("a", "b") == text_digest("a", "b")


def test_families_have_digests_of_their_own() -> None:
    digests = {model: family_digest(model) for model in CATALOGUE}
    assert len(set(digests.values())) == len(CATALOGUE)
    assert digests == {model: family_digest(model) for model in CATALOGUE}


# Thousands of digests of nearly the same texts: what a text says, and which modules there are, is found out once.
EDITS = """
import ast, json, sys
from functools import cache
from pathlib import Path
import pipelines.source_digest as source
from models.catalogue import CATALOGUE

assert Path(source.__file__).is_relative_to(Path.cwd()), source.__file__
walk = ast.walk
ast.parse, ast.walk = cache(ast.parse), cache(lambda tree: list(walk(tree)))
source.find_spec, source._is_module = cache(source.find_spec), cache(source._is_module)
before = {model: source.family_digest(model) for model in CATALOGUE}
changed = {}
for file in sys.argv[1:]:
    path = Path(file)
    text = path.read_text(encoding="utf-8")
    path.write_text(text + "# edited\\n", encoding="utf-8")
    changed[file] = [model for model in CATALOGUE if source.family_digest(model) != before[model]]
    path.write_text(text, encoding="utf-8")
assert before == {model: source.family_digest(model) for model in CATALOGUE}
print(json.dumps(changed))
"""

ALL = sorted(CATALOGUE)
WATCHED = {
    "models/autoencoder.py": ["autoencoder", "denoising_autoencoder"],
    "models/denoising_autoencoder.py": ["denoising_autoencoder"],
    "models/gmm.py": ["gmm"],
    "models/vae.py": ["vae"],
    "models/gan.py": ["gan"],
    "models/progressive_gan.py": ["progressive_gan"],
    "models/diffusion.py": ["diffusion"],
    "models/layers/adversarial.py": ["gan", "progressive_gan"],
    "models/layers/critics.py": ["gan"],
    "models/maf.py": ["maf"],
    "models/iaf.py": ["iaf"],
    "models/nice.py": ["nice"],
    "models/realnvp.py": ["realnvp"],
    "models/glow.py": ["glow"],
    "models/made.py": ["made"],
    "models/pixelcnn.py": ["pixelcnn"],
    "models/pixelrnn.py": ["pixelrnn"],
    "models/wavenet.py": ["wavenet"],
    "models/layers/coders.py": ["autoencoder", "denoising_autoencoder", "glow", "nice", "realnvp", "vae"],
    "models/layers/couplings.py": ["glow", "nice", "realnvp"],
    "models/layers/multiscale.py": ["glow", "nice", "realnvp"],
    "models/layers/made.py": ["iaf", "made", "maf", "vae"],
    "models/layers/inversion.py": ["iaf", "maf"],
    "models/distillation.py": [],
    "pipelines/students.py": [],
    "models/layers/raster.py": ["made", "pixelcnn", "pixelrnn"],
    "models/layers/autoregressive.py": ["made", "pixelcnn", "pixelrnn", "wavenet"],
    "models/layers/workers.py": [
        *("autoencoder", "denoising_autoencoder", "gan", "glow", "gmm", "iaf", "maf", "nice", "progressive_gan"),
        *("realnvp", "vae", "wavenet"),
    ],
    "models/contract.py": ALL,
    "models/noise.py": ALL,
    "pipelines/training/loop.py": ALL,
    "pipelines/validation.py": ALL,
    "pipelines/metrics/likelihood.py": ALL,
    "pipelines/metrics/collapse.py": ALL,
    "pipelines/metrics/probe.py": [],
    "pipelines/latents.py": [],
    "pipelines/cli.py": [],
    "pipelines/compare.py": [],
    "pipelines/tracking/run.py": [],
}


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """For each file of `WATCHED`: the families whose digest changes when the file is edited, in a copy of the code."""
    root = Path(__file__).parents[2]
    copy = tmp_path_factory.mktemp("copy")
    for package in ("models", "pipelines"):
        shutil.copytree(root / package, copy / package, ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-c", EDITS, *WATCHED]
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    found: dict[str, list[str]] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize(("file", "families"), WATCHED.items(), ids=WATCHED)
def test_a_digest_changes_just_when_the_code_behind_it_does(
    changed: dict[str, list[str]], file: str, families: list[str]
) -> None:
    assert sorted(changed[file]) == families
