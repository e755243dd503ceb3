"""What the tests of the pipelines share: no test waits for MLflow to make an empty database."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def no_new_store(quick_store: None) -> None: ...
