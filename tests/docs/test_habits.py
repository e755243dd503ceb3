"""Files that services and tools read are right by their schemas, and agree with each other."""

from __future__ import annotations

import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
from check_jsonschema.cli import main as check_jsonschema
from click.testing import CliRunner
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]


def read(name: str) -> Any:
    return YAML(typ="safe").load(ROOT / name)


@pytest.mark.parametrize(
    ("schema", "name"),
    [
        ("vendor.github-workflows", ".github/workflows/ci.yml"),
        ("vendor.github-issue-forms", ".github/ISSUE_TEMPLATE/bug.yml"),
        ("vendor.github-issue-forms", ".github/ISSUE_TEMPLATE/wish.yml"),
        ("vendor.github-issue-config", ".github/ISSUE_TEMPLATE/config.yml"),
        ("vendor.citation-file-format", "CITATION.cff"),
    ],
)
def test_files_are_right_by_their_schemas(schema: str, name: str) -> None:
    done = CliRunner().invoke(check_jsonschema, ["--builtin-schema", schema, str(ROOT / name)])
    assert done.exit_code == 0, done.output


def test_actions_run_what_continuous_integration_is() -> None:
    (job,) = read(".github/workflows/ci.yml")["jobs"].values()
    assert [step["run"] for step in job["steps"] if "run" in step] == [".ci/run"]


def test_hooks_are_what_lint_runs() -> None:
    lint = (ROOT / "Makefile").read_text().partition("\nlint:")[2].partition("\n\n")[0]
    commands = {line.strip().removeprefix("@") for line in lint.splitlines()[1:]}
    (local,) = read(".pre-commit-config.yaml")["repos"]
    hooks = {hook["entry"].removeprefix(".venv/bin/").removesuffix(" --force-exclude") for hook in local["hooks"]}
    assert {command.removesuffix(" --check") for command in commands} == hooks


def test_versions_agree() -> None:
    project, client = (tomllib.loads((ROOT / name).read_text()) for name in ("pyproject.toml", "client/pyproject.toml"))
    version = project["project"]["version"]
    assert client["project"]["version"] == read("CITATION.cff")["version"] == version
    changes = (ROOT / "CHANGELOG.md").read_text()
    assert f"## [{version}]" in changes or "## [Unreleased]" in changes


def test_a_release_needs_a_tag_that_agrees(tmp_path: Path) -> None:
    (tmp_path / ".ci").mkdir()
    (tmp_path / "client").mkdir()
    for name in (".ci/release", "pyproject.toml", "client/pyproject.toml", "CITATION.cff", "CHANGELOG.md"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    (tmp_path / ".ci/release").chmod(0o755)

    def git(*arguments: str) -> None:
        name = ("-c", "user.name=n", "-c", "user.email=e@example.org")
        subprocess.run(["git", *name, *arguments], cwd=tmp_path, check=True, capture_output=True)

    def refused() -> str:
        done = subprocess.run([".ci/release"], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 1 and len(done.stderr.splitlines()) == 1 and not (tmp_path / "dist").exists()
        return done.stderr

    git("init", "-q")
    git("add", "-A")
    git("commit", "-qm", "first")
    assert "this commit has no tag" in refused()
    git("tag", "v9.9.9")
    assert "the tag is v9.9.9" in refused()
    git("tag", "-d", "v9.9.9")
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    git("tag", f"v{version}")
    changes = (tmp_path / "CHANGELOG.md").read_text().replace(f"## [{version}]", "## [Unreleased]")
    (tmp_path / "CHANGELOG.md").write_text(changes)
    assert f"has no section [{version}]" in refused()


def test_the_readme_is_a_screen_and_a_half() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 90 and max(map(len, lines)) <= 120
