"""The features of the original FID: the last pooling layer of Inception, with the weights of 2015 from a file.

Distances in them can be put beside published ones; those in the features of a workflow's own classifier cannot. The
network is torchvision's Inception v3 (Szegedy et al., 2015, arXiv:1512.00567), brought back to how it was trained:
pooling branches average over what is there and not over the padding, the last one takes the maximum, and there are
1,008 classes. Images are made 299 pixels wide and high as TensorFlow 1 did it: number i of the 299 lies at i · H / 299
of the H before, linearly between its neighbours. Levels 0 … K-1 become -1 … 1 by way of 0 … 255,

    x' = (255 x / (K - 1) - 128) / 128

and grey images are three times the same channel. The weights are those of pytorch-fid or torch-fidelity,
`pt_inception-2015-12-05-6726825d.pth` or `weights-inception-2015-12-05-6726825d.pth`, 91 MiB, which this project does
not bring along. An image takes 6 · 10⁹ multiplications, about 0.15 s on a thread of a CPU.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any, ClassVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import inception

from models.contract import Event, Features, UnsuitableEvent

from ...errors import UserError

SIDE = 299  # pixels
CLASSES = 1008
LAST = "Mixed_7c"  # of the blocks with a pooling
CLASSIFYING = {"dropout", "fc"}  # layers that features do without
PART = 16  # images that are in memory at once, as large as that
COUNTER = ".num_batches_tracked"  # of batch normalisation: of no use here, and not in every file
WANTED = "it must hold those of FID's Inception, as pt_inception-2015-12-05-6726825d.pth does"


class Inception(nn.Module, Features):
    """2,048 features of images of one channel or three."""

    kind: ClassVar[str] = "inception"  # what distances in its features are called after

    def __init__(self, event: Event) -> None:
        super().__init__()
        if event.kind != "image" or event.shape[0] not in (1, 3) or not event.ordered:
            raise UnsuitableEvent("Inception looks at images of one channel or three, whose levels are numbers")
        self.event = event
        self.network = _network()
        self.eval()

    @classmethod
    def load(cls, event: Event, path: Path) -> Inception:
        """With the weights of a file, .pth or .safetensors. Raises `UserError` for a file of something else."""
        made, weights = cls(event), _read(path)
        own = {key: value for key, value in made.network.state_dict().items() if not key.endswith(COUNTER)}
        given = {key: value for key, value in weights.items() if not key.endswith(COUNTER)}
        other = [key for key in own.keys() | given.keys() if _shape(own, key) != _shape(given, key)]
        if other:
            key = min(other)
            raise UserError(
                f"{path}: holds other weights, {len(other)} in all, such as {key}: {_shape(given, key) or 'none'} in"
                f" place of {_shape(own, key) or 'none'}; {WANTED}"
            )
        made.network.load_state_dict(given, strict=False)
        return made

    @torch.no_grad()
    def features(self, x: Tensor) -> Tensor:
        """Feature vectors (N, 2048) of images (N, C, H, W)."""
        return torch.cat([self._pooled(part) for part in x.split(PART)])

    def _pooled(self, x: Tensor) -> Tensor:
        assert self.event.levels is not None
        y = (x.float() * (255 / max(1, self.event.levels - 1)) - 128) / 128
        height, width = (_stretch(side).to(y) for side in y.shape[2:])
        y = height @ y.expand(-1, 3, -1, -1) @ width.T
        for name, layer in self.network.named_children():
            if name not in CLASSIFYING:
                y = layer(y)
        return y.flatten(1)


def _network() -> inception.Inception3:
    network = inception.Inception3(CLASSES, aux_logits=False, init_weights=False)
    for name, block in network.named_children():
        if isinstance(block, inception.InceptionA | inception.InceptionC | inception.InceptionE):
            block.register_forward_hook(_maximum if name == LAST else _mean)
    return network.to(memory_format=torch.channels_last)  # half as long again without


def _mean(block: Any, inputs: tuple[Tensor], output: Tensor) -> Tensor:
    """What a block gives (N, C, H, W) if its pooling leaves out the padding."""
    return _pooled_anew(block, output, F.avg_pool2d(inputs[0], 3, 1, 1, count_include_pad=False))


def _maximum(block: Any, inputs: tuple[Tensor], output: Tensor) -> Tensor:
    """What a block gives (N, C, H, W) if its pooling takes the maximum."""
    return _pooled_anew(block, output, F.max_pool2d(inputs[0], 3, 1, 1))


def _pooled_anew(block: Any, output: Tensor, pooled: Tensor) -> Tensor:
    """The channels of the branch that pools are the last ones."""
    branch = block.branch_pool(pooled)
    return torch.cat([output[:, : -branch.shape[1]], branch], 1)


def _stretch(side: int) -> Tensor:
    """The matrix (299, side) that makes 299 numbers of `side`, linearly between neighbours, float32 as the original."""
    place = torch.arange(SIDE) * torch.tensor(side / SIDE)
    before = place.long()
    rest = (place - before)[:, None]
    after = (before + 1).clamp_max(side - 1)
    one = torch.eye(side)
    return one[before] * (1 - rest) + one[after] * rest


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise UserError(f"{path}: there is no such file; {WANTED}")
    try:
        weights = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())[:100]
        raise UserError(f"{path}: cannot be read as weights ({reason}); {WANTED}") from None
    if not isinstance(weights, dict) or not all(isinstance(value, Tensor) for value in weights.values()):
        raise UserError(f"{path}: holds no weights by their names; {WANTED}")
    return weights


def _shape(weights: dict[str, Tensor], key: str) -> tuple[int, ...] | None:
    return tuple(weights[key].shape) if key in weights else None
