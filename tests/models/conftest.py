"""What tests of models share."""

from __future__ import annotations

from collections.abc import Iterator
from unittest.mock import MagicMock, patch

import pytest
import torch

from models.layers.flows.affine_transform import AutoregressiveAffine


@pytest.fixture
def double() -> Iterator[None]:
    """Everything in float64, in which results are compared exactly."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture
def passes() -> Iterator[MagicMock]:
    """Counts the passes through the networks of affine blocks."""
    conditioner = AutoregressiveAffine.conditioner
    with patch.object(AutoregressiveAffine, "conditioner", autospec=True, side_effect=conditioner) as counted:
        yield counted
