"""Reading params.yaml: every mistake in it is found before anything starts, and named in a line of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from models.catalogue import CATALOGUE

from ..errors import UserError
from .memory import Memory
from .messages import FILE, lines, suggestion
from .schema import NAME, Params
from .yaml_file import content

MOVED = {  # where what stood under these keys in earlier versions stands now
    "families": "each entry is one block now: families.<entry> is entries.<entry>.model and entries.<entry>.config",
    "train": "train.entries.<entry> is entries.<entry>.train, without code and after; train.loop and train.seed are"
    " defaults.train; train.memory_limit is cluster.memory_limit",
    "tune": "tune.entries.<entry>.space is entries.<entry>.search; tune.search is defaults.search",
    "distill": "distill.entries.<entry> is entries.<entry>.distill, without code; distill.seed and distill.val_samples"
    " are defaults.distill",
}
ALLOWED = (
    "is not allowed as a name: must begin with a small letter, and go on with small letters, digits, - and _, to a"
    " length of 100"
)
EVALUATED = "evaluate.entries: is no longer needed: all entries are evaluated"


def load(path: Path) -> Params:
    """Read and validate a params.yaml; a UserError lists everything that is wrong with it, one line each."""
    memory, params = Memory(path.parent, "params", [path.name]), read(path)
    if not memory.fresh:
        checked(params)
        memory.remember()
    return params


def read(path: Path) -> Params:
    """The same without asking the families what they say of their configurations: PyTorch is not imported."""
    params = structured(content(path))
    found = [*unknown_families(params), *unknown_teachers(params)]
    if found:
        raise UserError("\n".join(found))
    return params


def parse(raw: Any) -> Params:
    """Validate the content of a params.yaml; a UserError lists everything that is wrong with it."""
    return checked(structured(raw))


def structured(raw: Any) -> Params:
    """The sections of the file: names first, then keys, types and ranges."""
    if not isinstance(raw, Mapping):
        what = "is empty" if raw is None else f"holds {raw!r:.40} instead of sections"
        raise UserError(f"{FILE}: {what}; `genera profile digits` writes one to begin with")
    found = [*_moved(raw), *_names(raw)]
    if found:
        raise UserError("\n".join(f"{FILE}: {line}" for line in found))
    try:
        return Params.model_validate(raw)
    except ValidationError as error:
        raise UserError("\n".join(lines(error, Params))) from None


def checked(params: Params) -> Params:
    """The parameters, if families exist and what is said of entries fits them and each other."""
    from .checks import problems  # imports PyTorch

    found = problems(params)
    if found:
        raise UserError("\n".join(found))
    return params


def unknown_families(params: Params) -> Iterator[str]:
    """Families that the catalogue lacks."""
    for name, block in params.entries.items():
        if block.model not in CATALOGUE:
            yield f"{FILE}: entries.{name}.model: {block.model!r} is not allowed{suggestion(block.model, CATALOGUE)}"


def unknown_teachers(params: Params) -> Iterator[str]:
    """Teachers that are no entries."""
    for name, block in params.entries.items():
        if block.distill is not None and block.distill.teacher not in params.entries:
            others = ", ".join(other for other in params.entries if other != name) or "there are none"
            where = f"{FILE}: entries.{name}.distill.teacher: {block.distill.teacher!r} is not allowed"
            yield f"{where}: must be one of the other entries: {others}"


def _moved(raw: Mapping[str, Any]) -> Iterator[str]:
    """What stands where it stood in the layout of an earlier version."""
    if "families" not in raw:
        return
    for key, where in MOVED.items():
        if key in raw:
            yield f"{key}: has moved: {where}"
    if isinstance(raw.get("evaluate"), Mapping) and "entries" in raw["evaluate"]:
        yield EVALUATED


def _names(raw: Mapping[str, Any]) -> Iterator[str]:
    """Names that a shell, DVC or a path would take for something else, and a file without entries."""
    entries, project = raw.get("entries"), raw.get("project")
    if isinstance(project, str) and not re.fullmatch(NAME, project):
        yield f"project: {project!r} {ALLOWED}"
    if "entries" in raw and not entries:
        yield "entries: is empty: give at least one, such as `vae: {model: vae}`"
    for name in entries if isinstance(entries, Mapping) else ():
        if not (isinstance(name, str) and re.fullmatch(NAME, name)):
            yield f"entries: {name!r} {ALLOWED}"
