"""What every part of params.yaml has in common."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainSerializer

from ..storage import shown


class Section(BaseModel):
    """A part of params.yaml: immutable, with no unknown keys and no silent conversions."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True, allow_inf_nan=False
    )


def _input(path: str) -> str:
    if not path or "${" in path:
        raise ValueError("must be a path, without ${, which DVC would fill in")
    return path


Input = Annotated[str, AfterValidator(_input)]
"""A file or a folder that is read and watched, from the project's folder on."""

Place = Annotated[str, PlainSerializer(shown, when_used="json")]
"""A path, or a URL, which is written down without the user, password and query that it may hold."""

Seed = Annotated[int, Field(ge=0, lt=2**32)]
"""What random generators take, those of other libraries too."""
