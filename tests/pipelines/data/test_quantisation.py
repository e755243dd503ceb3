"""Amplitudes become levels and come back."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from pipelines.data.quantisation import Encoding, decode, encode

ENCODINGS = get_args(Encoding)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("levels", [2, 3, 16, 255, 256])
@pytest.mark.parametrize("bounds", [(-1.0, 1.0), (0.0, 1e-3), (-40.0, 1200.0)])
def test_every_level_comes_back(encoding: Encoding, levels: int, bounds: tuple[float, float]) -> None:
    q = np.arange(levels, dtype=np.uint8)
    x = decode(q, levels, encoding, *bounds)
    assert x.dtype == np.float32 and (np.diff(x) > 0).all()
    back = encode(x, levels, encoding, *bounds)
    assert back.dtype == np.uint8
    np.testing.assert_array_equal(back, q)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("levels", [16, 255, 256])
def test_silence_is_a_middle_level(encoding: Encoding, levels: int) -> None:
    silence = encode(np.zeros((2, 3)), levels, encoding)
    assert silence.shape == (2, 3) and (silence == levels // 2).all()
    assert abs(decode(silence, levels, encoding)).max() <= 1 / levels


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("levels", [2, 16, 256])
def test_what_lies_outside_is_clipped(encoding: Encoding, levels: int) -> None:
    assert encode([-7.0, -1.0, 1.0, 1.5, np.inf], levels, encoding).tolist() == [0, 0, *[levels - 1] * 3]
    assert encode([3.0, 9.0], levels, encoding, 4.0, 6.0).tolist() == [0, levels - 1]


def test_mu_law_of_256_levels() -> None:
    """F(x) = sgn(x) ln(1 + 255|x|) / ln 256, computed by hand: F(1/255) = 1/8, F(1/17) = 1/2."""
    assert encode([-1, -1 / 17, 0, 1 / 255, 1 / 17, 1], 256, "mu_law").tolist() == [0, 64, 128, 143, 191, 255]
    np.testing.assert_allclose(decode([0, 255], 256, "mu_law"), [-1, 1])
    np.testing.assert_allclose(decode([128], 256, "mu_law"), (256 ** (1 / 255) - 1) / 255, rtol=1e-3)


def test_linear_levels_are_bin_centres() -> None:
    np.testing.assert_allclose(decode([0, 1, 2, 3], 4, "linear", 0.0, 8.0), [1, 3, 5, 7])
    assert encode([0, 1.99, 2.0, 7.99, 8.0], 4, "linear", 0.0, 8.0).tolist() == [0, 0, 1, 3, 3]


def test_mu_law_keeps_quiet_sounds_better() -> None:
    quiet = 0.01 * np.sin(np.arange(1000))
    error = {name: np.std(decode(encode(quiet, 256, name), 256, name) - quiet) for name in ENCODINGS}
    assert error["mu_law"] < error["linear"] / 5


@pytest.mark.parametrize(("levels", "low", "high"), [(1, -1.0, 1.0), (257, -1.0, 1.0), (16, 2.0, 2.0)])
def test_impossible_settings_are_refused(levels: int, low: float, high: float) -> None:
    for function in (encode, decode):
        with pytest.raises(ValueError, match=r"levels|range"):
            function([0], levels, "linear", low, high)
