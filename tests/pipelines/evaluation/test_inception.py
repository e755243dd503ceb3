"""Inception's features are those of torch-fidelity for the same weights, and other weights are refused."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x

from models.contract import Event, UnsuitableEvent
from pipelines.errors import UserError
from pipelines.evaluation.metrics.inception import COUNTER, Inception, _stretch

COLOUR, GREY = Event((3, 20, 25), 256), Event((1, 20, 25), 18)


def chance(network: nn.Module) -> dict[str, Tensor]:
    """Weights by which images stay apart through all the layers, none of them at its default."""
    rng = torch.Generator().manual_seed(0)
    made = {}
    for key, value in network.state_dict().items():
        if key.endswith(("running_var", "bn.weight")):
            made[key] = 0.5 + torch.rand(value.shape, generator=rng)
        elif not key.endswith(COUNTER):
            fan = math.prod(value.shape[1:]) if value.ndim > 1 else 100
            made[key] = torch.randn(value.shape, generator=rng) * (2 / fan) ** 0.5
    return made


@pytest.fixture(scope="module")
def weights() -> dict[str, Tensor]:
    return chance(Inception(COLOUR).network)


@pytest.fixture(scope="module")
def file(weights: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("inception") / "weights.pth"
    torch.save(weights, path)
    return path


def images(*shape: int, levels: int = 256) -> Tensor:
    return torch.randint(levels, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def test_features_are_those_of_torch_fidelity(file: Path) -> None:
    peer = FeatureExtractorInceptionV3("inception", ["2048"], feature_extractor_weights_path=str(file))
    x = images(2, *COLOUR.shape)
    (theirs,) = peer(x)
    ours = Inception.load(COLOUR, file).features(x)
    assert ours.shape == (2, 2048) and (theirs[0] - theirs[1]).abs().max() > 0.1
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_grey_levels_are_spread_over_those_of_colours(weights: dict[str, Tensor]) -> None:
    grey, colour = Inception(GREY), Inception(COLOUR)
    for each in (grey, colour):
        each.network.load_state_dict(weights, strict=False)
    x = images(1, *GREY.shape, levels=18)
    torch.testing.assert_close(grey.features(x), colour.features((x * 15).expand(-1, 3, -1, -1)))


@pytest.mark.parametrize("side", [1, 8, 299, 400])
def test_images_are_stretched_as_tensorflow_did(side: int) -> None:
    x = torch.rand(1, 1, side, side, generator=torch.Generator().manual_seed(2))
    theirs = interpolate_bilinear_2d_like_tensorflow1x(x, size=(299, 299), align_corners=False)
    matrix = _stretch(side)
    torch.testing.assert_close(matrix @ x @ matrix.T, theirs)


def test_other_weights_are_refused(weights: dict[str, Tensor], tmp_path: Path) -> None:
    path, other = tmp_path / "w.safetensors", tmp_path / "w.pth"

    def refused(path: Path, message: str) -> None:
        with pytest.raises(UserError, match=re.escape(str(path)) + ".*" + message):
            Inception.load(COLOUR, path)

    refused(path, "there is no such file")
    save_file({"fc.weight": torch.zeros(1000, 2048)}, path)
    refused(path, r"other weights, \d+ in all, such as .*pt_inception")
    save_file({**weights, "fc.bias": torch.zeros(1000)}, path)
    refused(path, r"1 in all, such as fc.bias: \(1000,\) in place of \(1008,\)")
    path.write_bytes(b"no weights")
    refused(path, "cannot be read as weights")
    other.write_bytes(b"no weights")
    refused(other, "cannot be read as weights")
    torch.save([1, 2], other)
    refused(other, "holds no weights by their names")


@pytest.mark.parametrize(
    "event", [Event((5,), None), Event((1, 9), 4), Event((2, 8, 8), 4), Event((1, 8, 8), 4, 0, False)]
)
def test_what_is_no_image_is_refused(event: Event) -> None:
    with pytest.raises(UnsuitableEvent, match="images of one channel or three"):
        Inception(event)
