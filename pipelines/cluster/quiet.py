"""What Ray says in its own processes that a user could not act upon. Imports nothing, for it runs in each of them."""

import logging

LIBRARIES = ("ray.train", "ray.tune", "ray.data")


def quieten() -> None:
    """Let Ray's libraries log only what ends the run; their files under /tmp/ray keep the rest."""
    for library in LIBRARIES:
        logging.getLogger(library).setLevel(logging.CRITICAL)
