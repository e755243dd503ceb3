"""What students are told of sound: amplitudes, as the levels of the data stand for them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pipelines.data.quantisation import Encoding, decode
from pipelines.training.students import waveform


@pytest.mark.parametrize("encoding", ["linear", "mu_law"])
@pytest.mark.parametrize("levels", [2, 16, 255, 256])
def test_levels_become_the_amplitudes_that_they_stand_for(encoding: Encoding, levels: int) -> None:
    amplitudes = waveform(levels, encoding)
    assert amplitudes is not None
    x = torch.arange(levels, dtype=torch.float64, requires_grad=True)
    y = amplitudes(x)
    np.testing.assert_allclose(y.detach().numpy(), decode(np.arange(levels), levels, encoding), rtol=0, atol=1e-6)
    (slope,) = torch.autograd.grad(y.sum(), x)
    assert (slope[1:-1] > 0).all() and slope.isfinite().all()


def test_what_has_no_encoding_is_as_it_is() -> None:
    assert waveform(None, None) is None and waveform(16, None) is None
