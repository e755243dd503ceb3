"""Switching profiles: params.yaml becomes the chosen file, and nothing that is not committed is lost unasked."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from pipelines.errors import UserError
from pipelines.params.profiles import switch


@pytest.fixture
def project(root: Path, tmp_path: Path) -> Path:
    """A repository with the committed parameters and profiles."""
    shutil.copy(root / "params.yaml", tmp_path)
    shutil.copytree(root / "profiles", tmp_path / "profiles")
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    for command in (["init", "-q"], ["add", "."], [*identity, "commit", "-q", "-m", "start"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    return tmp_path


def test_profiles_follow_each_other_and_say_where_the_data_goes(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("power", "mnist", "digits"):
        switch(project, name)
        assert (project / "params.yaml").read_bytes() == (project / "profiles" / f"{name}.yaml").read_bytes()
    printed = capsys.readouterr().out
    assert "git diff params.yaml" in printed and "put the data into data/raw/power before you go on" in printed


def test_a_profile_that_there_is_not_is_refused_with_those_there_are(project: Path) -> None:
    with pytest.raises(
        UserError, match=r"^profile: 'nonsense' is not allowed: must be one of binarized_mnist, cifar10"
    ):
        switch(project, "nonsense")


def test_changes_that_are_not_committed_are_kept_unless_forced(project: Path) -> None:
    file = project / "params.yaml"
    mine = file.read_text() + "# mine\n"
    file.write_text(mine)
    with pytest.raises(UserError, match=r"^params\.yaml: has changes that are not committed"):
        switch(project, "power")
    assert file.read_text() == mine
    switch(project, "power", force=True)
    assert file.read_text() == (project / "profiles" / "power.yaml").read_text()


def test_committed_changes_may_be_left(project: Path) -> None:
    file = project / "params.yaml"
    file.write_text(file.read_text() + "# mine\n")
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    subprocess.run(["git", *identity, "commit", "-q", "-a", "-m", "mine"], cwd=project, check=True)
    switch(project, "power")


def test_a_profile_with_a_mistake_changes_nothing(project: Path) -> None:
    before = (project / "params.yaml").read_text()
    (project / "profiles" / "broken.yaml").write_text("data: {source: nowhere}\n")
    with pytest.raises(UserError, match="nowhere"):
        switch(project, "broken")
    assert (project / "params.yaml").read_text() == before
