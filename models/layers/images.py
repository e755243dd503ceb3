"""The sizes through which networks of images halve or double."""

from __future__ import annotations


def halvings(height: int, width: int, least: int = 2, most: int = 4) -> int:
    """How often both sides can be halved, at most `most` times, if they stay whole and no less than `least`."""
    count = 0
    while count < most and height % 2 == width % 2 == 0 and min(height, width) >= 2 * least:
        count, height, width = count + 1, height // 2, width // 2
    return count
