"""The distribution of consumers stands alone: one package, which finds all that it imports without ours."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[3]
ALONE = """
import sys
sys.path.insert(0, sys.argv[1])

class NotGenera:  # the editable install would make our packages importable
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("models", "pipelines"):
            raise AssertionError(f"{name} is imported")

sys.meta_path.insert(0, NotGenera())
import importlib, pkgutil
import genera_client
for module in pkgutil.walk_packages(genera_client.__path__, "genera_client."):
    importlib.import_module(module.name)
from genera_client.__main__ import main
sys.argv[1:] = ["--help"]
main()
"""


def test_all_modules_of_the_client_are_imported_without_our_packages(tmp_path: Path) -> None:
    distribution = tomllib.loads((ROOT / "client" / "pyproject.toml").read_text(encoding="utf-8"))
    included = distribution["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert list(included.values()) == ["genera_client"]
    (source,) = included
    shutil.copytree((ROOT / "client" / source).resolve(), tmp_path / "genera_client")
    done = subprocess.run(
        [sys.executable, "-I", "-c", ALONE, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    commands = ("sample", "score", "complete", "encode", "decode", "play")
    assert all(f"\n  {command} " in done.stdout for command in commands), done.stdout


def test_the_client_asks_for_what_the_project_asks_for() -> None:
    """The same packages in the same versions: whatever of the project's a consumer needs."""
    client, project = (
        tomllib.loads((ROOT / path / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        for path in ("client", ".")
    )
    assert set(client["dependencies"]) < set(project["dependencies"])
    assert client["optional-dependencies"]["play"] == project["optional-dependencies"]["play"]
