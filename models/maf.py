"""Masked autoregressive flow: fast to score, slow to sample.

A stack of autoregressive transforms turns data into normal noise. Each conditions on the data side, so all of u
follows from all of y in one pass of a MADE network per block; back to the data, each block must go dimension by
dimension.

    u_i = (y_i - μ_i(y_<i)) exp(-α_i(y_<i)),      log p(y) = log N(u; 0, I) - Σ_i α_i        (per block)

With `mixture_components` a last block has mixtures of Gaussians for conditionals in place of single ones (MAF MoG).
With `batch_norm` each block is followed by an invertible batch normalisation.

When to use it: to estimate densities of vectors, where scoring must be fast and sampling need not be; with an `iaf` as
its student where samples must be fast, too.

Cost in sequential network passes, with B blocks and D dimensions: `log_prob` and `encode` B, `sample` and `decode`
B·D, which on a CPU are D small steps of each block, with the arithmetic of one pass together, and on a GPU as many
passes as it takes until the numbers settle, at most D + 1 for each block.
Papamakarios, Pavlakou & Murray, "Masked Autoregressive Flow for Density Estimation", 2017 (arXiv:1705.07057).
"""

from __future__ import annotations

from .layers.flows.autoregressive_flow import AutoregressiveFlowConfig, autoregressive_blocks
from .layers.flows.bijections import Bijection
from .layers.flows.flow import Flow
from .layers.flows.mixture_transform import AutoregressiveMixture

MAFConfig = AutoregressiveFlowConfig


class MAF(Flow):
    """Blocks whose single pass leads from the data to the noise."""

    Config = MAFConfig
    parallel_sampling = False

    def make_bijection(self) -> Bijection:
        return autoregressive_blocks(self.config, self.event.dimensions, self.classes, AutoregressiveMixture)
