"""Results that are the same to the last bit, however many threads a machine has."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import threadpool_limits


@contextmanager
def one_thread() -> Iterator[None]:
    """Linear algebra of NumPy in one thread: several add in another order, and round differently. Also a decorator.

    What is imported within is held to it, too: SciPy brings linear algebra of its own, and so must be there before.
    """
    import scipy.linalg  # noqa: F401 -- it is the import that counts

    with threadpool_limits(1, user_api="blas"):
        yield
