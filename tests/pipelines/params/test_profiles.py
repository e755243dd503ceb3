"""Profiles are differences from a base; switching to one loses nothing that is not committed, and brings its plan."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from models.catalogue import suitable
from models.contract import Event
from pipelines.errors import UserError
from pipelines.params.checks import expected_event
from pipelines.params.plan import plan_text
from pipelines.params.profiles import expanded, switch
from pipelines.params.reading import load, parse
from pipelines.params.schema import Params

ROOT = Path(__file__).parents[3]
PROFILES = {path.stem: path for path in sorted((ROOT / "profiles").glob("*.yaml"))}
IDENTITY = ("-c", "user.name=a", "-c", "user.email=a@example.org")


def complete(name: str) -> Params:
    """The parameters that a profile stands for."""
    return parse(YAML(typ="safe", pure=True).load(expanded(PROFILES, name)))


@pytest.mark.parametrize("name", PROFILES)
def test_profiles_are_complete_and_valid(name: str) -> None:
    params = complete(name)
    event = expected_event(params.data) or Event((6,), None)  # only the files of power can tell that they are vectors
    models = {block.model for block in params.entries.values()}
    assert models <= set(suitable(event)) and len(models) > 1
    assert name in (params.data.folder, "gans")


def test_there_is_a_profile_of_each_kind_of_data() -> None:
    names = [
        "adult",
        "binarized_mnist",
        "cifar10",
        "digits",
        "fashion_mnist",
        "gans",
        "mnist",
        "penguins",
        "power",
        "speech",
    ]
    assert list(PROFILES) == names
    assert (ROOT / "params.yaml").read_text() == PROFILES["digits"].read_text()


def test_all_profiles_together_are_short() -> None:
    assert sum(len(path.read_text().splitlines()) for path in PROFILES.values()) < 700


@pytest.fixture
def profiles(tmp_path: Path) -> dict[str, Path]:
    """A complete profile, and one that changes it in every way."""
    texts = {
        "whole": """
            data: {source: digits, seed: 3} # a comment
            defaults:
              train: {steps: 10, schedule: linear}
            entries:
              gmm: # mixtures
                model: gmm
                config: {components: 3, conditional: true}
              vae:
                model: vae
                search: {kl_weight: {low: 0.5, high: 2.0}}
              maf: {model: maf}
              made: {model: made, config: {hidden: [4]}}
            """,
        "different": """
            base: whole
            keep: [gmm, vae, made]
            data: {source: mnist, path: x}
            defaults: {train: {steps: 20}}
            entries:
              gmm: {config: {components: 5}}
              vae: {search: {kl_weight: {choices: [1.0]}}}
              made: {model: made}
              more: {model: maf, train: {steps: 7}}
            """,
        "further": "{base: different, entries: {gmm: null, more: {train: {steps: 8}}}}",
    }
    for name, text in texts.items():
        lines = [line.removeprefix(" " * 12) for line in text.strip("\n").splitlines()]
        (tmp_path / f"{name}.yaml").write_text("\n".join(lines))
    return {path.stem: path for path in tmp_path.glob("*.yaml")}


def test_a_difference_changes_what_it_says_and_leaves_the_rest(profiles: dict[str, Path]) -> None:
    text = expanded(profiles, "different")
    raw = YAML(typ="safe", pure=True).load(text)
    assert raw["data"] == {"source": "mnist", "path": "x"}, "another source stands for itself"
    assert raw["defaults"]["train"] == {"steps": 20, "schedule": "linear"}
    assert list(raw["entries"]) == ["gmm", "vae", "made", "more"]
    assert raw["entries"]["gmm"] == {"model": "gmm", "config": {"components": 5, "conditional": True}}
    assert raw["entries"]["vae"]["search"] == {"kl_weight": {"choices": [1.0]}}
    assert raw["entries"]["made"] == {"model": "made"}, "a block that names its model stands for itself"
    assert "# mixtures" in text, "comments of the base stay"
    further = parse(YAML(typ="safe", pure=True).load(expanded(profiles, "further")))
    assert list(further.entries) == ["vae", "made", "more"] and further.loop_of("more").steps == 8


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a", "{base: nowhere}", r"^profiles/a\.yaml: base: 'nowhere' is not allowed: must be one of a, different"),
        ("a", "{base: a}", r"^profiles: a → a is a circle: one of them must be complete$"),
        (
            "a",
            "{base: whole, keep: [maff]}",
            r"^profiles/a\.yaml: keep: 'maff' is not allowed: must be an entry of its base",
        ),
        ("a", "[1]", r"^profiles/a\.yaml: must be a mapping with data"),
        ("a", "{base: whole, keep: vae}", r"^profiles/a\.yaml: keep: 'vae' is not allowed: must be a list of entries"),
        ("a", "{base: whole, entries: }", r"^profiles/a\.yaml: entries: must be a mapping of names to blocks"),
        ("a", "{base: whole, entries: [vae]}", r"^profiles/a\.yaml: entries: must be a mapping of names to blocks"),
        ("a", "{base: whole, entries: {x: }}", r"^profiles/a\.yaml: entries: 'x' is not allowed: must be an entry of"),
    ],
)
def test_what_is_wrong_with_a_difference_is_one_line(
    profiles: dict[str, Path], tmp_path: Path, name: str, text: str, message: str
) -> None:
    (tmp_path / f"{name}.yaml").write_text(text)
    with pytest.raises(UserError, match=message) as caught:
        expanded({**profiles, name: tmp_path / f"{name}.yaml"}, name)
    assert "\n" not in str(caught.value)


# Switching


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A repository with the committed parameters and profiles."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    shutil.copytree(ROOT / "profiles", tmp_path / "profiles")
    for command in (["init", "-q"], ["add", "."], [*IDENTITY, "commit", "-q", "-m", "start"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    return tmp_path


def test_profiles_follow_each_other_and_say_where_the_data_goes(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("power", "mnist", "digits"):
        switch(project, name)
        params = load(project / "params.yaml")
        assert params == complete(name)
        assert (project / "dvc.yaml").read_text() == plan_text(params)
    assert (project / "params.yaml").read_bytes() == (project / "profiles" / "digits.yaml").read_bytes()
    printed = capsys.readouterr().out
    assert "git diff params.yaml" in printed and "put the data into data/raw/power before you go on" in printed


def test_a_profile_that_there_is_not_is_refused_with_those_there_are(project: Path) -> None:
    with pytest.raises(
        UserError, match=r"^profile: 'nonsense' is not allowed: must be one of adult, binarized_mnist, cifar10"
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
    assert load(file) == complete("power")


def test_committed_changes_may_be_left(project: Path) -> None:
    file = project / "params.yaml"
    file.write_text(file.read_text() + "# mine\n")
    subprocess.run(["git", *IDENTITY, "commit", "-q", "-a", "-m", "mine"], cwd=project, check=True)
    switch(project, "power")


def test_a_profile_with_a_mistake_changes_nothing(project: Path) -> None:
    before = (project / "params.yaml").read_text()
    (project / "profiles" / "broken.yaml").write_text("data: {source: nowhere}\nentries: {vae: {model: vae}}\n")
    with pytest.raises(UserError, match="nowhere"):
        switch(project, "broken")
    assert (project / "params.yaml").read_text() == before and not (project / "dvc.yaml").exists()
