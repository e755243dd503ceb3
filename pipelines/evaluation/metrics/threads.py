"""Results that are the same to the last bit, however many threads a machine has."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from threadpoolctl import ThreadpoolController


@contextmanager
def one_thread() -> Iterator[None]:
    """Linear algebra of NumPy and SciPy in one thread: several add in another order, and round differently.

    Also a decorator.
    """
    with _libraries().limit(limits=1, user_api="blas"):
        yield


@cache
def _libraries() -> ThreadpoolController:
    """Those of this process, looked for once, since that takes longer than most of what is computed with them."""
    import scipy.linalg  # noqa: F401 -- it brings a library of its own, which must be there by then

    return ThreadpoolController()
