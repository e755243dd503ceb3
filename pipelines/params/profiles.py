"""`genera profile <name>`: switch params.yaml to one of the complete parameter files in profiles/."""

from __future__ import annotations

from pathlib import Path

from ..errors import UserError
from ..files import write_text
from ..tracking.run import git_output
from .reading import load


def switch(root: Path, name: str, force: bool = False) -> None:
    """Copy profiles/<name>.yaml to params.yaml, comments included, so that `git diff` shows what differs.

    Raises `UserError` for a profile that is not there or not valid, and, unless forced, for a params.yaml with changes
    that would be lost: what is neither committed nor the text of a profile.
    """
    profiles = {path.stem: path for path in sorted((root / "profiles").glob("*.yaml"))}
    if name not in profiles:
        raise UserError(f"profile: {name!r} is not allowed: must be one of {', '.join(profiles) or 'profiles/*.yaml'}")
    params = load(profiles[name])
    text, target = profiles[name].read_text(encoding="utf-8"), root / "params.yaml"
    if target.exists() and not force:
        current = target.read_text(encoding="utf-8")
        known = {path.read_text(encoding="utf-8") for path in profiles.values()}
        if current not in known and current.strip() != git_output(root, "show", "HEAD:./params.yaml"):
            raise UserError("params.yaml: has changes that are not committed; commit them, or lose them with --force")
    write_text(target, text)
    print(f"params.yaml is now {profiles[name].relative_to(root)}; `git diff params.yaml` shows what changed")
    if not (root / params.data.path).exists():
        print(f"put the data into {params.data.path} before you go on: docs/data.md says what and where from")
