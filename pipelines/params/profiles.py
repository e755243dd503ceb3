"""`genera profile <name>`: switch params.yaml, and the plan, to another data set.

A profile is a complete parameter file, or what differs from another one, its `base`:

    base: mnist          the profile that is changed
    keep: [gmm, vae]     the entries of the base that stay; all if left out
    entries:
      vae:
        config: {latent: 128}          changes this, and leaves the rest of the block
      gan: {model: gan, config: {}}    a block that names its model stands for itself
      maf: null                        is left out

What names its kind stands for itself elsewhere too: `data` with a `source`, a searched parameter with `choices`.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from ..errors import UserError
from ..files import write_text
from ..git import git_output
from .plan import write_plan
from .reading import parse
from .yaml_file import content

STANDS_ALONE = {"model", "source", "low", "choices"}  # keys of mappings that replace those of the base as a whole
LINE = 118  # characters


def switch(root: Path, name: str, force: bool = False) -> None:
    """Write the expanded profile to params.yaml, so that `git diff` shows what differs, and the plan of it.

    Raises `UserError` for a profile that is not there or not valid, and, unless forced, for a params.yaml with changes
    that would be lost: what is neither committed nor a profile.
    """
    profiles = {path.stem: path for path in sorted((root / "profiles").glob("*.yaml"))}
    if name not in profiles:
        raise UserError(f"profile: {name!r} is not allowed: must be one of {', '.join(profiles) or 'profiles/*.yaml'}")
    text, target = expanded(profiles, name), root / "params.yaml"
    try:
        params = parse(YAML(typ="safe", pure=True).load(text))
    except UserError as error:  # of the file that it would become
        raise UserError(str(error).replace("params.yaml:", f"profiles/{name}.yaml:")) from None
    if target.exists() and not force:
        current = target.read_text(encoding="utf-8")
        if current.strip() != git_output(root, "show", "HEAD:./params.yaml") and current not in _known(profiles):
            raise UserError("params.yaml: has changes that are not committed; commit them, or lose them with --force")
    write_text(target, text)
    write_plan(root, params)
    print(f"params.yaml is now profiles/{name}.yaml, and dvc.yaml its plan; `git diff params.yaml` shows what changed")
    if not (root / params.data.path).exists():
        print(f"put the data into {params.data.path} before you go on: docs/data.md says what and where from")


def expanded(profiles: Mapping[str, Path], name: str) -> str:
    """The complete parameter file that a profile stands for, with the comments of its base."""
    whole = _whole(profiles, name, ())
    if isinstance(whole, str):
        return whole
    yaml, text = YAML(), io.StringIO()
    yaml.width = LINE
    yaml.dump(whole, text)
    return text.getvalue()


def _known(profiles: Mapping[str, Path]) -> Iterator[str]:
    """What the profiles are as parameter files, without those that have mistakes."""
    for name in profiles:
        with suppress(UserError):
            yield expanded(profiles, name)


def _whole(profiles: Mapping[str, Path], name: str, above: tuple[str, ...]) -> Any:
    """The text of a complete profile; of any other the merged mapping. `above` are those that it is a base of."""
    if name in above:
        raise UserError(f"profiles: {' → '.join((*above, name))} is a circle: one of them must be complete")
    if name not in profiles:
        allowed = ", ".join(sorted(profiles))
        raise UserError(f"profiles/{above[-1]}.yaml: base: {name!r} is not allowed: must be one of {allowed}")
    difference = content(profiles[name])
    if not isinstance(difference, dict):
        raise UserError(f"profiles/{name}.yaml: must be a mapping with data, defaults, entries, …")
    base = difference.pop("base", None)
    if base is None:
        return profiles[name].read_text(encoding="utf-8")
    blocks = difference.pop("entries", {})
    if not isinstance(blocks, dict):
        raise UserError(f"profiles/{name}.yaml: entries: must be a mapping of names to blocks")
    whole = _whole(profiles, str(base), (*above, name))
    if isinstance(whole, str):
        whole = YAML().load(whole)
    _keep(whole["entries"], difference.pop("keep", None), name)
    dropped = [entry for entry, block in blocks.items() if block is None]
    _drop(whole["entries"], dropped, f"profiles/{name}.yaml: entries")
    _merge(whole, {**difference, "entries": {key: block for key, block in blocks.items() if block is not None}})
    return whole


def _keep(entries: Any, kept: Any, name: str) -> None:
    """Leave the entries that are to be kept."""
    if kept is None:
        return
    where = f"profiles/{name}.yaml: keep"
    if not isinstance(kept, list):
        raise UserError(
            f"{where}: {kept!r} is not allowed: must be a list of entries of its base: {', '.join(entries)}"
        )
    _complain_of_unknown(kept, entries, where)
    _drop(entries, [entry for entry in entries if entry not in kept], where)


def _drop(entries: Any, names: list[Any], where: str) -> None:
    """Take the named entries out of those of a base."""
    _complain_of_unknown(names, entries, where)
    for name in names:
        del entries[name]


def _complain_of_unknown(names: list[Any], entries: Any, where: str) -> None:
    """Raise `UserError` for a name that is none of the entries."""
    for name in names:
        if name not in entries:
            raise UserError(f"{where}: {name!r} is not allowed: must be an entry of its base: {', '.join(entries)}")


def _merge(whole: Any, difference: Mapping[str, Any]) -> None:
    """Change a mapping of the base by what differs."""
    for key, value in difference.items():
        both = isinstance(value, Mapping) and isinstance(whole.get(key), Mapping)
        if both and not STANDS_ALONE & value.keys():
            _merge(whole[key], value)
        else:
            whole[key] = _styled(value, depth=0)


def _styled(value: Any, depth: int) -> Any:
    """A value as people write it: the sections of a block on a line each."""
    if isinstance(value, Mapping):
        styled = CommentedMap({key: _styled(each, depth + 1) for key, each in value.items()})
        if depth and not any(isinstance(each, Mapping) for each in value.values()):
            styled.fa.set_flow_style()
        return styled
    if isinstance(value, list):
        sequence = CommentedSeq(value)
        sequence.fa.set_flow_style()
        return sequence
    return value
