"""Encodings of Japanese, Chinese and Korean, told from a few lines by the characters that are frequent in each.

A character takes two bytes, and the tables of these encodings begin with the frequent characters: a text that is read
in the wrong one has rare ones, or none at all at some bytes. Where several remain, all are named.
"""

from __future__ import annotations

import re

WINDOW = 4096  # bytes that are looked at
FREQUENT = 0.9  # the share of characters that are frequent, in a text that is read right
TOGETHER = 0.6  # the share of characters that stand beside others
KANA = re.compile("[\u3041-\u30ff]")
WIDE = re.compile("[\u3000-\u303f\u3041-\u30ff\u3400-\u9fff\uac00-\ud7a3\uff01-\uff5e]{2,}")  # they stand together
HANGUL = re.compile("[\uac00-\ud7a3]")
SYLLABLES = 12  # different ones, as which nothing but Korean can be read for long
WORD = re.compile(r"[^\s,;|\"']*[^\x00-\x7f\s,;|\"'][^\s,;|\"']*")
SHOWN = 20  # characters of a word
FIRST_BYTES = {  # of frequent characters
    "euc_kr": ((0xB0, 0xC8),),
    "euc_jp": ((0xA4, 0xA5), (0xB0, 0xCF)),
    "shift_jis": ((0x82, 0x83), (0x88, 0x98)),
    "gb18030": ((0xB0, 0xD7),),
    "big5": ((0xA4, 0xC6),),
}


def readings(data: bytes, at: int) -> dict[str, str]:
    """The encodings in which the lines from the byte `at` on are likely, and how the first word reads in each."""
    start = data.rfind(b"\n", 0, at) + 1
    part = data[start : start + WINDOW]
    part = part[: part.rfind(b"\n") + 1] or part
    found = {name: text for name in FIRST_BYTES if (text := _decoded(part, name)) and _likely(text, name)}
    if len(found) > 1:
        found = {name: text for name, text in found.items() if name in _told_apart(found)}
    return {name: word[0][:SHOWN] for name, text in found.items() if (word := WORD.search(text))}


def _decoded(part: bytes, encoding: str) -> str:
    try:
        return part.decode(encoding)
    except UnicodeDecodeError:
        return ""


def _likely(text: str, encoding: str) -> bool:
    """Do most characters that are not ASCII stand together, nearly all of them frequent ones?"""
    foreign = [character for character in text if not character.isascii()]
    together = "".join(WIDE.findall(text))
    frequent = sum(_frequent(character, encoding) for character in together)
    return bool(together) and frequent >= FREQUENT * len(together) and len(together) >= TOGETHER * len(foreign)


def _frequent(character: str, encoding: str) -> bool:
    written = character.encode(encoding, "replace")
    return len(written) == 2 and any(low <= written[0] <= high for low, high in FIRST_BYTES[encoding])


def _told_apart(found: dict[str, str]) -> list[str]:
    """Those that are left: Japanese is known by its kana, Korean by its syllables, which have few first bytes."""
    japanese: list[str] = [name for name in found if name in ("shift_jis", "euc_jp") and KANA.search(found[name])]
    syllables = set(HANGUL.findall(found.get("euc_kr", "")))
    korean = ["euc_kr"] if len(syllables) >= SYLLABLES else []
    return japanese or korean or list(found)
