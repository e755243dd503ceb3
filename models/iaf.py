"""Inverse autoregressive flow: fast to sample, slow to score other people's data.

The mirror image of MAF: each transform conditions on the noise side, so a sample is one pass of a network per block,
and so is the density *of its own samples*, whose noise is known. The density of given data needs the noise found
dimension by dimension. This is why an IAF is the student of a distillation: learning from its own samples, it never
pays for the slow direction.

    y_i = (u_i - μ_i(u_<i)) exp(-α_i(u_<i)),      log p(y) = log N(u; 0, I) + Σ_i α_i        (per block)

(Kingma's y = μ' + σ u, with σ = exp(-α) and μ' = -μ exp(-α): the same functions, since μ and α are free.)

With `mixture_components` a last block, next to the data, has mixtures of Gaussians for conditionals of y_i given u_<i.

The network of a block is a MADE, or for sequences a stack of dilated causal convolutions; then all blocks go forward in
time, as in Parallel WaveNet, and the data is brought to one mean and scale first.

When to use it: as the student of a `maf` or a `wavenet` that is too slow to sample. Trained on data by itself it is
slow, since scoring goes number by number.

Cost in sequential network passes, with B blocks and D dimensions: `sample`, `decode` and `sample_density` B,
`log_prob` and `encode` B·D, which on a CPU are D small steps of each MADE block, with the arithmetic of one pass
together, and on a GPU or of a causal block as many passes as it takes until the noise settles, at most D + 1 for each.
Kingma et al., "Improving Variational Inference with Inverse Autoregressive Flow", 2016 (arXiv:1606.04934); van den Oord
et al., "Parallel WaveNet", 2017 (arXiv:1711.10433).
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass as validated

from .contract import STRICT, UnsuitableEvent
from .layers.autoregressive.causal import CausalNetwork
from .layers.flows.affine_transform import AutoregressiveAffine
from .layers.flows.autoregressive_flow import AutoregressiveFlowConfig, autoregressive_blocks
from .layers.flows.bijections import Bijection, Composition, Inverse, Standardise
from .layers.flows.flow import Flow
from .layers.flows.mixture_transform import AutoregressiveQuantile


@validated(frozen=True, config=STRICT)
class IAFConfig(AutoregressiveFlowConfig):
    """Configuration of an IAF."""

    network: Literal["made", "causal"] = "made"
    """What μ and α of a block are computed by: `made`, of `hidden` units, or for sequences `causal`, dilated causal
    convolutions of `channels`, `layers`, `kernel_size` and `first_kernel`."""

    channels: int = Field(default=32, ge=1)
    """Channels of a causal network."""

    layers: int = Field(default=10, ge=1)
    """Layers of a causal network, of dilations 1, 2, 4, …"""

    kernel_size: int = Field(default=3, ge=2)
    """Taps of each layer of a causal network."""

    first_kernel: int = Field(default=1, ge=1)
    """Numbers that the convolution at the front of a causal network sees."""

    @model_validator(mode="after")
    def _causal_blocks_are_plain(self) -> IAFConfig:
        if self.network == "causal":
            if self.batch_norm or self.mixture_components or self.permutation != "reverse":
                raise ValueError(
                    "network: causal has affine blocks in the order of time, without batch_norm, mixture_components or"
                    " random permutation"
                )
            if self.inversion == "incremental":
                raise ValueError("inversion: incremental needs network: made")
        return self


class IAF(Flow):
    """Blocks whose single pass leads from the noise to the data."""

    Config = IAFConfig
    config: IAFConfig

    def make_bijection(self) -> Bijection:
        if self.config.network == "causal":
            if self.event.kind != "sequence":
                raise UnsuitableEvent(
                    f"network: causal takes sequences, not {self.event.in_words}; network: made takes any event"
                )
            return Composition([Standardise(), Inverse(self._causal_blocks())])
        blocks = autoregressive_blocks(self.config, self.event.dimensions, self.classes, AutoregressiveQuantile)
        return Inverse(blocks)

    def _causal_blocks(self) -> Composition:
        config, length = self.config, self.event.dimensions
        order = torch.arange(length, device="cpu")
        networks = (
            CausalNetwork(
                length,
                config.channels,
                config.layers,
                config.kernel_size,
                context=self.classes,
                first_kernel=config.first_kernel,
            )
            for _ in range(config.blocks)
        )
        return Composition(AutoregressiveAffine(each, order, config.inversion) for each in networks)
