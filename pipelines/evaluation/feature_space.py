"""In whose features the quality of samples is measured: those of the stage `features`, or Inception's."""

from __future__ import annotations

from models.contract import Event, Features, UnsuitableEvent

from ..device import device
from ..errors import UserError
from ..files import file_digest
from ..params.project import Project
from .finished import features_name, load_features


def quality_features(project: Project, event: Event) -> tuple[Features, str]:
    """The module on this process's device, and what distances in its features are called: only equals are comparable.

    Raises `UserError` for weights of Inception that cannot be used.
    """
    weights = project.params.evaluate.inception
    if weights is None:
        folder = project.artifacts("features")
        return load_features(folder).to(device()), features_name(folder)
    from .metrics.inception import Inception  # torchvision takes seconds

    where, path = "params.yaml: evaluate.inception", project.root / weights
    if not path.is_file():
        raise UserError(f"{where}: {path}: there is no such file; docs/metrics.md says which it may be, or give null")
    try:
        return Inception.load(event, path).to(device()), f"{Inception.kind}:{file_digest(path)[:12]}"
    except (UnsuitableEvent, UserError) as error:
        raise UserError(f"{where}: {error}") from None
