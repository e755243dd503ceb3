"""The arithmetic of a computation, counted: what can be compared without a clock."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch.utils.flop_counter import FlopCounterMode


def operations(call: Callable[[], object]) -> int:
    """Floating-point operations of the matrix products and convolutions of a call.

    torch's counter leaves out products that are added in place.
    """
    in_place = dict.fromkeys((torch.ops.aten.addmm_, torch.ops.aten.baddbmm_), _added_product)
    with torch.no_grad(), FlopCounterMode(display=False, custom_mapping=in_place) as counter:
        call()
    return int(counter.get_total_flops())


def _added_product(added: Sequence[int], left: Sequence[int], right: Sequence[int], **_: object) -> int:
    """Operations of added + left @ right, of the shapes."""
    return 2 * math.prod(left) * right[-1]
